"""How real charge points misbehave, one pure function each: frame in, frame out.

A frame is the parsed CALL ``[2, id, action, payload]``; it is never changed in place. ``FRAME``
holds what bends one frame, ``STREAM`` what sends it twice or not at all, ``TEXT`` what spoils the
text itself. ``misbehaving`` makes of names what a charge point's link applies to all it sends.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import orjson

from testbench.clock import timestamp

Frame = list[Any]
Sample = dict[str, Any]
FrameQuirk = Callable[[Frame], Frame]
StreamQuirk = Callable[[Frame], list[Frame]]
TextQuirk = Callable[[str], str]

_REGISTER = "Energy.Active.Import.Register"


# --- ways to change a part of a frame -----------------------------------------------------------


def _with(frame: Frame, changes: Mapping[str, Any]) -> Frame:
    return [*frame[:3], {**frame[3], **changes}]


def _without(frame: Frame, *names: str) -> Frame:
    return [*frame[:3], {name: value for name, value in frame[3].items() if name not in names}]


def _measurand(sample: Sample) -> str:
    return str(sample.get("measurand", _REGISTER))


def with_samples(frame: Frame, change: Callable[[Sample], list[Sample]]) -> Frame:
    """Return the frame with each sampledValue replaced by what ``change`` makes of it."""
    changed = {}
    for name in ("meterValue", "transactionData"):
        if name in frame[3]:
            changed[name] = [
                {**it, "sampledValue": [new for old in it["sampledValue"] for new in change(old)]}
                for it in frame[3][name]
            ]
    return _with(frame, changed)


def _each_sample(change: Callable[[Sample], Sample]) -> FrameQuirk:
    return lambda frame: with_samples(frame, lambda sample: [change(sample)])


def _with_timestamps(frame: Frame, change: Callable[[str], str]) -> Frame:
    def changed(value: Any) -> Any:
        if isinstance(value, list):
            return [changed(item) for item in value]
        if not isinstance(value, dict):
            return value
        return {
            name: change(item) if name == "timestamp" else changed(item)
            for name, item in value.items()
        }

    return [*frame[:3], changed(frame[3])]


def _each_timestamp(change: Callable[[str], str]) -> FrameQuirk:
    return lambda frame: _with_timestamps(frame, change)


def _only(action: str, change: FrameQuirk) -> FrameQuirk:
    return lambda frame: change(frame) if frame[2] == action else frame


# --- values and units ---------------------------------------------------------------------------


def _thousandth(sample: Sample) -> str:
    return f"{float(sample['value']) / 1000:.3f}"


def _kwh_labelled_wh(sample: Sample) -> Sample:
    if _measurand(sample) != _REGISTER:
        return sample
    return {**sample, "value": _thousandth(sample), "unit": "Wh"}


def _kilo_units(sample: Sample) -> Sample:
    unit = {"Wh": "kWh", "W": "kW"}.get(sample.get("unit", "Wh"))
    return {**sample, "value": _thousandth(sample), "unit": unit} if unit else sample


def _comma_decimal(sample: Sample) -> Sample:
    return {**sample, "value": f"{float(sample['value']):.2f}".replace(".", ",")}


def _exponent(sample: Sample) -> Sample:
    return {**sample, "value": f"{float(sample['value']):.9E}"}


def _padded(sample: Sample) -> Sample:
    return {**sample, "value": f" {sample['value']}\t"}


def _numeric(sample: Sample) -> Sample:
    return {**sample, "value": float(sample["value"])}


def _long_decimal(sample: Sample) -> Sample:
    return {**sample, "value": f"{float(sample['value']):.17f}"}


def _empty_soc(sample: Sample) -> Sample:
    return {**sample, "value": ""} if _measurand(sample) == "SoC" else sample


def _zero_soc(sample: Sample) -> Sample:
    return {**sample, "value": "0"} if _measurand(sample) == "SoC" else sample


def _unit_missing(sample: Sample) -> Sample:
    return {name: value for name, value in sample.items() if name != "unit"}


def _celcius(sample: Sample) -> Sample:
    return {**sample, "unit": "Celcius"} if sample.get("unit") == "Celsius" else sample


def _bare_c(sample: Sample) -> Sample:
    return {**sample, "unit": "C"} if sample.get("unit") == "Celsius" else sample


def _vendor_context(sample: Sample) -> Sample:
    return {**sample, "context": "CurrentMax"}


def _trigger_context(sample: Sample) -> Sample:
    return {**sample, "context": "Trigger"}


def _phases(sample: Sample, keep_total: bool) -> list[Sample]:
    if _measurand(sample) != "Power.Active.Import":
        return [sample]
    third = f"{float(sample['value']) / 3:.1f}"
    phases = [{**sample, "value": third, "phase": phase} for phase in ("L1", "L2", "L3")]
    return [sample, *phases] if keep_total else phases


def _phases_only(frame: Frame) -> Frame:
    return with_samples(frame, lambda sample: _phases(sample, keep_total=False))


def _phases_and_total(frame: Frame) -> Frame:
    return with_samples(frame, lambda sample: _phases(sample, keep_total=True))


def _signed_data(frame: Frame) -> Frame:
    signed = {"value": 'OCMF|{}|{"SD":"00"}', "format": "SignedData", "measurand": _REGISTER}
    return with_samples(
        frame, lambda sample: [sample, signed] if _measurand(sample) == _REGISTER else [sample]
    )


def _vendor_measurand(frame: Frame) -> Frame:
    odd = {"value": "50.01", "measurand": "Vendor.Frequency", "unit": "Hz"}
    return with_samples(
        frame, lambda sample: [sample, odd] if _measurand(sample) == "Voltage" else [sample]
    )


def session_register(meter_start_wh: float) -> FrameQuirk:
    """Return the quirk of a register that begins each transaction with 0."""

    def bend(sample: Sample) -> Sample:
        if _measurand(sample) != _REGISTER:
            return sample
        return {**sample, "value": f"{float(sample['value']) - meter_start_wh:.0f}"}

    def quirk(frame: Frame) -> Frame:
        bent = with_samples(frame, lambda sample: [bend(sample)])
        names = [name for name in ("meterStart", "meterStop") if name in frame[3]]
        return _with(bent, {name: frame[3][name] - round(meter_start_wh) for name in names})

    return quirk


# --- shape --------------------------------------------------------------------------------------


def _split(frame: Frame) -> Frame:
    parts = [
        {**element, "sampledValue": [sample]}
        for element in frame[3].get("meterValue", [])
        for sample in element["sampledValue"]
    ]
    return _with(frame, {"meterValue": parts})


def _as_object(frame: Frame) -> Frame:
    return _with(frame, {"meterValue": frame[3]["meterValue"][0]})


def _no_samples(frame: Frame) -> Frame:
    emptied = [{**element, "sampledValue": []} for element in frame[3]["meterValue"]]
    return _with(frame, {"meterValue": emptied})


def _ids_as_text(frame: Frame) -> Frame:
    names = ("connectorId", "transactionId", "meterStart", "meterStop")
    return _with(frame, {name: str(frame[3][name]) for name in names if name in frame[3]})


def _surplus(frame: Frame) -> Frame:
    return _with(frame, {"vendorExtension": {"a": [1, None]}})


def _long_serial(frame: Frame) -> Frame:
    return _with(frame, {"chargePointSerialNumber": "T54-" + "0123456789" * 6})


def _nul_bytes(frame: Frame) -> Frame:
    names = ("info", "idTag", "chargePointSerialNumber", "vendorErrorCode")
    spoilt = {name: f"{frame[3][name]}\x00" for name in names if name in frame[3]}
    if frame[2] == "StatusNotification":
        spoilt["info"] = "door\x00open"
    return _with(frame, spoilt)


def _odd_error_code(frame: Frame) -> Frame:
    return _with(frame, {"errorCode": "Error", "info": "null", "vendorErrorCode": "0x0000"})


def _tag_suffix(frame: Frame) -> Frame:
    if "idTag" not in frame[3]:
        return frame
    return _with(frame, {"idTag": f" {frame[3]['idTag'].lower()}"})


def _transaction_id(value: Any) -> FrameQuirk:
    return _only("MeterValues", lambda frame: _with(frame, {"transactionId": value}))


def _negative_stop(frame: Frame) -> Frame:
    return _with(frame, {"meterStop": -1})


# --- time ---------------------------------------------------------------------------------------


def _zone_less(text: str) -> str:
    return text.removesuffix("Z")


def _shifted(hours: float) -> Callable[[str], str]:
    return lambda text: timestamp(datetime.fromisoformat(text) + timedelta(hours=hours))


def _since_1970(text: str) -> str:
    at = datetime.fromisoformat(text)
    return f"1970-01-01T{at:%H:%M:%S}Z"


def _with_offset(text: str) -> str:
    local = datetime.fromisoformat(text) + timedelta(hours=1)
    return f"{local:%Y-%m-%dT%H:%M:%S}.1234567+01:00"


FRAME: dict[str, FrameQuirk] = {
    "bare_c": _each_sample(_bare_c),
    "celcius": _each_sample(_celcius),
    "clock_1970": _each_timestamp(_since_1970),
    "comma_decimal": _each_sample(_comma_decimal),
    "empty_soc": _each_sample(_empty_soc),
    "exponent_values": _each_sample(_exponent),
    "future_clock": _each_timestamp(_shifted(24)),
    "ids_as_text": _ids_as_text,
    "kilo_units": _each_sample(_kilo_units),
    "kwh_labelled_wh": _each_sample(_kwh_labelled_wh),
    "local_time_as_utc": _each_timestamp(_shifted(-3)),
    "long_decimals": _each_sample(_long_decimal),
    "long_serial": _only("BootNotification", _long_serial),
    "meter_value_object": _only("MeterValues", _as_object),
    "negative_stop": _only("StopTransaction", _negative_stop),
    "no_samples": _only("MeterValues", _no_samples),
    "no_transaction_id": _only("MeterValues", lambda frame: _without(frame, "transactionId")),
    "nul_bytes": _nul_bytes,
    "numeric_values": _each_sample(_numeric),
    "odd_error_code": _only("StatusNotification", _odd_error_code),
    "offset_timestamps": _each_timestamp(_with_offset),
    "padded_values": _each_sample(_padded),
    "phases_and_total": _phases_and_total,
    "phases_only": _phases_only,
    "signed_data": _signed_data,
    "split_meter_value": _only("MeterValues", _split),
    "status_without_timestamp": _only("StatusNotification", lambda it: _without(it, "timestamp")),
    "surplus_fields": _surplus,
    "tag_lower_case": _tag_suffix,
    "transaction_id_minus_one": _transaction_id(-1),
    "transaction_id_text": _transaction_id("null"),
    "transaction_id_zero": _transaction_id(0),
    "trigger_context": _each_sample(_trigger_context),
    "unit_missing": _each_sample(_unit_missing),
    "vendor_context": _each_sample(_vendor_context),
    "vendor_measurand": _vendor_measurand,
    "zero_soc": _each_sample(_zero_soc),
    "zone_less": _each_timestamp(_zone_less),
}


def _twice(action: str) -> StreamQuirk:
    """Return the quirk of sending ``action`` again with another id, as after a lost answer."""

    def quirk(frame: Frame) -> list[Frame]:
        again = [frame[0], f"{frame[1]}-again"[-36:], *frame[2:]]
        return [frame, again] if frame[2] == action else [frame]

    return quirk


def _never(action: str) -> StreamQuirk:
    return lambda frame: [] if frame[2] == action else [frame]


STREAM: dict[str, StreamQuirk] = {
    "duplicate_meter_values": _twice("MeterValues"),
    "duplicate_start": _twice("StartTransaction"),
    "duplicate_stop": _twice("StopTransaction"),
    "lost_stop": _never("StopTransaction"),
}

TEXT: dict[str, TextQuirk] = {
    "null_payload": lambda text: f"{text[:-4]},null]" if text.endswith(",{}]") else text,
    "trailing_comma": lambda text: f"{text[:-2]},}}]",
    "trailing_whitespace": lambda text: f"{text}\r\n\n",
    "truncated": lambda text: text[: len(text) * 2 // 3],
}

# Needs the transaction's first register value, so it is bound to each StartTransaction.
NAMES = frozenset({*FRAME, *STREAM, *TEXT, "session_register"})


def misbehaving(names: Iterable[str]) -> Callable[[str], list[str]]:
    """Return what the quirks of ``names`` together make of the text of a CALL.

    Raises:
        ValueError: There is no quirk of one of the names.
    """
    wanted = tuple(names)
    if unknown := set(wanted) - NAMES:
        raise ValueError(f"unknown quirks: {', '.join(sorted(unknown))}")
    meter_start_wh: dict[str, float] = {"": 0.0}

    def bend(text: str) -> list[str]:
        frame = orjson.loads(text)
        if "session_register" in wanted:
            if frame[2] == "StartTransaction":
                meter_start_wh[""] = frame[3]["meterStart"]
            frame = session_register(meter_start_wh[""])(frame)
        frames = [_bent(frame, wanted)]
        for name in wanted:
            if name in STREAM:
                frames = [out for one in frames for out in STREAM[name](one)]
        return [_spoilt(orjson.dumps(one).decode(), wanted) for one in frames]

    return bend


def _bent(frame: Frame, names: Iterable[str]) -> Frame:
    for name in names:
        if name in FRAME:
            frame = FRAME[name](frame)
    return frame


def _spoilt(text: str, names: Iterable[str]) -> str:
    for name in names:
        if name in TEXT:
            text = TEXT[name](text)
    return text
