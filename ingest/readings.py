"""MeterValues to readings: base units, defaults of the standard, one row per instant. Pure.

OCPP 1.6 4.7: a sanity check must not cost the confirmation, so nothing here raises. A sample that
cannot be read is set aside with the reason and its neighbours stay (7.43 has the defaults).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import orjson

from ingest.fields import as_list, read_float, read_text
from ingest.timestamps import Instant, read_instant

COLUMNS = (
    "energy_wh",
    "power_w",
    "current_a",
    "voltage_v",
    "soc_percent",
    "temperature_c",
    "current_offered_a",
    "power_offered_w",
)
CONTEXTS = (
    "Sample.Periodic",
    "Sample.Clock",
    "Transaction.Begin",
    "Transaction.End",
    "Interruption.Begin",
    "Interruption.End",
    "Trigger",
    "Other",
)
_COLUMN = {
    "Energy.Active.Import.Register": 0,
    "Power.Active.Import": 1,
    "Current.Import": 2,
    "Voltage": 3,
    "SoC": 4,
    "Temperature": 5,
    "Current.Offered": 6,
    "Power.Offered": 7,
}
_POWER, _SOC = 1, 4
_SUMMED = (1, 7)  # only power may be the sum of its phases; voltage and current never
_CONTEXT = {name.lower(): code for code, name in enumerate(CONTEXTS)}
_OTHER = CONTEXTS.index("Other")
_LARGEST_REAL = 3e38  # what the real columns hold

_ENERGY = {"wh": 1.0, "kwh": 1e3, "mwh": 1e6}
_POWER_UNITS = {"w": 1.0, "kw": 1e3}
_AMPERE, _VOLT = {"a": 1.0, "ma": 1e-3}, {"v": 1.0, "kv": 1e3}
_PERCENT = {"percent": 1.0, "%": 1.0}
_CELSIUS = {"celsius": 1.0, "celcius": 1.0, "c": 1.0, "°c": 1.0}
_HERTZ = {"hertz": 1.0, "hz": 1.0}
# Base units of each measurand (7.31) and what its known units are worth in them.
_UNITS: dict[str, dict[str, float]] = {
    "Current.Export": _AMPERE,
    "Current.Import": _AMPERE,
    "Current.Offered": _AMPERE,
    "Energy.Active.Export.Interval": _ENERGY,
    "Energy.Active.Export.Register": _ENERGY,
    "Energy.Active.Import.Interval": _ENERGY,
    "Energy.Active.Import.Register": _ENERGY,
    "Energy.Reactive.Export.Interval": {"varh": 1.0, "kvarh": 1e3},
    "Energy.Reactive.Export.Register": {"varh": 1.0, "kvarh": 1e3},
    "Energy.Reactive.Import.Interval": {"varh": 1.0, "kvarh": 1e3},
    "Energy.Reactive.Import.Register": {"varh": 1.0, "kvarh": 1e3},
    "Frequency": _HERTZ,
    "Power.Active.Export": _POWER_UNITS,
    "Power.Active.Import": _POWER_UNITS,
    "Power.Factor": {},
    "Power.Offered": _POWER_UNITS,
    "Power.Reactive.Export": {"var": 1.0, "kvar": 1e3},
    "Power.Reactive.Import": {"var": 1.0, "kvar": 1e3},
    "RPM": {},
    "SoC": _PERCENT,
    "Temperature": _CELSIUS,
    "Voltage": _VOLT,
}
_MEASURAND = {name.lower(): name for name in _UNITS}
_SPELLINGS = {
    "wh": "Wh",
    "kwh": "kWh",
    "w": "W",
    "kw": "kW",
    "a": "A",
    "v": "V",
    "varh": "varh",
} | {
    word.lower(): word
    for word in ("Percent", "Celsius", "Celcius", "Hertz", "var", "kvar", "kvarh")
}
# The frequent cases in one look-up: spelt as the standard does.
_FACTOR: dict[tuple[str, str | None], float] = {
    (measurand, _SPELLINGS[unit]): factor
    for measurand, units in _UNITS.items()
    for unit, factor in units.items()
    if unit in _SPELLINGS
} | {(measurand, None): 1.0 for measurand, units in _UNITS.items() if units is _ENERGY}


@dataclass(slots=True)
class Reading:
    """What a charge point measured at one connector, instant and context.

    Attributes:
        transaction_id: None outside a transaction.
        context: Index into ``CONTEXTS``.
        values: In the order of ``COLUMNS``, in base units; None where not sent.
        extra: Everything that has no column, by ``measurand[.phase][@location]``, and ``flags``.
    """

    sampled_at: datetime
    connector_id: int
    transaction_id: int | None
    context: int
    values: list[float | None] = field(default_factory=lambda: [None] * len(COLUMNS))
    extra: dict[str, Any] | None = None

    def keep(self, name: str, value: Any) -> None:
        """Put a value beside the columns; the first of a name stays."""
        if self.extra is None:
            self.extra = {}
        self.extra.setdefault(name, value)

    def flag(self, flag: str) -> None:
        """Say what had to be assumed or looked wrong."""
        if self.extra is None:
            self.extra = {}
        flags = self.extra.setdefault("flags", [])
        if flag not in flags:
            flags.append(flag)

    def merge(self, other: "Reading") -> None:
        """Take what the other part of the same instant adds."""
        self.values = [
            mine if mine is not None else theirs
            for mine, theirs in zip(self.values, other.values, strict=True)
        ]
        for name, value in (other.extra or {}).items():
            self.keep(name, value)


@dataclass(frozen=True, slots=True)
class SetAside:
    """A piece that was confirmed but could not be read."""

    reason: str
    raw: str


def read_meter_values(
    elements: Any,
    *,
    connector_id: int,
    transaction_id: int | None,
    received_at: datetime,
    zone: tzinfo = UTC,
) -> tuple[list[Reading], list[SetAside]]:
    """Return the readings in ``meterValue`` (or ``transactionData``) and what was set aside."""
    readings: dict[tuple[datetime, int], Reading] = {}
    aside: list[SetAside] = []
    for position, element in enumerate(as_list(elements)):
        if not isinstance(element, dict):
            aside.append(_aside("a meterValue is not an object", element))
            continue
        instant = _instant(element, received_at, zone, position)
        for sample in as_list(element.get("sampledValue")):
            if not isinstance(sample, dict):
                aside.append(_aside("a sampledValue is not an object", sample))
                continue
            context = _context(sample)
            key = (instant.at, context)
            if (reading := readings.get(key)) is None:
                reading = Reading(instant.at, connector_id, transaction_id, context)
                readings[key] = reading
                if instant.flag:
                    _flag_instant(reading, instant, element)
            if reason := _read_sample(sample, reading):
                aside.append(_aside(reason, sample))
    return [_finish(reading) for reading in readings.values() if _has_value(reading)], aside


def _instant(
    element: dict[str, Any], received_at: datetime, zone: tzinfo, position: int
) -> Instant:
    instant = read_instant(element.get("timestamp"), received_at, zone)
    if instant.flag == "clock" and position:
        # Elements without a usable time would share ours, and with it their key.
        return Instant(received_at + timedelta(milliseconds=position), "clock")
    return instant


def _flag_instant(reading: Reading, instant: Instant, element: dict[str, Any]) -> None:
    assert instant.flag is not None
    reading.flag(instant.flag)
    if instant.flag == "clock":
        reading.keep("timestamp", read_text(element.get("timestamp")))


def _context(sample: dict[str, Any]) -> int:
    name = sample.get("context")
    if name is None or name == "Sample.Periodic":
        return 0
    return _CONTEXT.get(str(name).strip().lower(), _OTHER)


def _read_sample(sample: dict[str, Any], reading: Reading) -> str | None:
    """Add one ``sampledValue`` to its reading; return why it cannot be read, or None."""
    if sample.get("format") == "SignedData":
        reading.keep("signed", {})
        reading.extra["signed"][_name(sample)] = sample.get("value")  # type: ignore[index]
        return None
    raw = sample.get("value")
    if raw is None or (isinstance(raw, str) and not raw.strip()):
        return None  # an empty value says "not known"; the raw log has it
    if (value := read_float(raw)) is None:
        return f"not a number: {raw!r:.80}"
    measurand = sample.get("measurand") or "Energy.Active.Import.Register"
    factor = None
    if isinstance(measurand, str):
        unit = sample.get("unit")
        factor = _FACTOR.get((measurand, unit)) if unit is None or isinstance(unit, str) else None
    if factor is None:
        _read_odd_sample(sample, value, reading)
    else:
        _place(sample, measurand, value * factor, reading)
    return None


def _read_odd_sample(sample: dict[str, Any], value: float, reading: Reading) -> None:
    """Place a value whose measurand or unit is misspelt, missing or unknown, and flag it."""
    spelt = read_text(sample.get("measurand")) or "Energy.Active.Import.Register"
    measurand = _MEASURAND.get(spelt.lower())
    unit = read_text(sample.get("unit"))
    if measurand is None:
        reading.flag("measurand")
        reading.keep(_name(sample, spelt, unit), value)
        return
    units = _UNITS[measurand]
    if unit is None:
        if len(units) > 1 and measurand != "SoC":  # one that could have been another
            reading.flag("unit")
        _place(sample, measurand, value, reading)
    elif (factor := units.get(unit.lower())) is not None:
        _place(sample, measurand, value * factor, reading)
    elif unit.lower() in ("fahrenheit", "f", "k") and measurand == "Temperature":
        celsius = value - 273.15 if unit.lower() == "k" else (value - 32) / 1.8
        _place(sample, measurand, celsius, reading)
    else:
        reading.flag("unit")
        reading.keep(_name(sample, measurand, unit), value)


def _place(sample: dict[str, Any], measurand: str, value: float, reading: Reading) -> None:
    """Put a value in base units into its column, or beside the columns."""
    column = _COLUMN.get(measurand)
    if column is None or sample.get("phase") is not None or not _fits(column, value, reading):
        reading.keep(_name(sample, measurand), value)
        return
    location = sample.get("location")
    if reading.values[column] is None:
        reading.values[column] = value
        if location not in (None, "Outlet", "EV"):
            reading.keep(f"{COLUMNS[column]}@", location)
    elif location in (None, "Outlet") and f"{COLUMNS[column]}@" in (reading.extra or {}):
        # The outlet is what the transaction is about: it takes the column from another place.
        assert reading.extra is not None
        elsewhere = reading.extra.pop(f"{COLUMNS[column]}@")
        reading.keep(f"{measurand}@{elsewhere}", reading.values[column])
        reading.values[column] = value
    elif reading.values[column] != value:
        reading.keep(_name(sample, measurand), value)


def _fits(column: int, value: float, reading: Reading) -> bool:
    if column == _SOC and not 0 <= value <= 100:
        reading.flag("range")
        return False
    if column and abs(value) > _LARGEST_REAL:
        reading.flag("range")
        return False
    return True


def _name(sample: dict[str, Any], measurand: str | None = None, unit: str | None = None) -> str:
    """Return ``measurand[.phase][@location][[unit]]``, the key of a value beside the columns."""
    name = measurand or str(sample.get("measurand") or "Energy.Active.Import.Register")
    if phase := read_text(sample.get("phase")):
        name += f".{phase}"
    if (location := read_text(sample.get("location"))) and location != "Outlet":
        name += f"@{location}"
    return (f"{name}[{unit}]" if unit else name).replace("\x00", "")


def _finish(reading: Reading) -> Reading:
    """Complete the power columns from their phases, or compare the two."""
    if reading.extra is None:
        return reading
    for column in _SUMMED:
        measurand = "Power.Active.Import" if column == _POWER else "Power.Offered"
        if (total := _sum_of_phases(reading.extra, measurand)) is None:
            continue
        if (stated := reading.values[column]) is None:
            reading.values[column] = total
        elif abs(stated - total) > max(10.0, abs(stated) * 0.03):
            reading.flag("phases")
    return reading


def _sum_of_phases(extra: dict[str, Any], measurand: str) -> float | None:
    phases = [
        extra.get(f"{measurand}.{phase}", extra.get(f"{measurand}.{phase}-N"))
        for phase in ("L1", "L2", "L3")
    ]
    known = [value for value in phases if value is not None]
    return sum(known) if known else None


def _has_value(reading: Reading) -> bool:
    if any(value is not None for value in reading.values):
        return True
    return reading.extra is not None and bool(set(reading.extra) - {"flags", "timestamp"})


def _aside(reason: str, piece: Any) -> SetAside:
    return SetAside(reason, orjson.dumps(piece, default=str).decode().replace("\\u0000", ""))


def merged(readings: Iterable[Reading]) -> list[Reading]:
    """Return the readings with those of the same connector, instant and context made one."""
    by_key: dict[tuple[datetime, int, int], Reading] = {}
    for reading in readings:
        key = (reading.sampled_at, reading.connector_id, reading.context)
        if (first := by_key.setdefault(key, reading)) is not reading:
            first.merge(reading)
    return list(by_key.values())
