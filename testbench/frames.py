"""Payloads of the charge point, written cheaply: a day of charging is thousands of them."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from testbench.bus import Reading
from testbench.clock import timestamp
from testbench.socket import to_json

# The eight measurands of the bench, in the order of its frames.
MEASURANDS = (
    "Energy.Active.Import.Register",
    "Power.Active.Import",
    "Current.Import",
    "Voltage",
    "SoC",
    "Temperature",
    "Current.Offered",
    "Power.Offered",
)


def _sample(
    measurand: str, unit: str, location: str, value: Callable[[Reading, float], str]
) -> Callable[[Reading, float, str], str]:
    head = '{"value":"'
    tail = f'","measurand":"{measurand}","unit":"{unit}","location":"{location}"'

    def write(reading: Reading, register_wh: float, context: str) -> str:
        return f'{head}{value(reading, register_wh)}{tail},"context":"{context}"}}'

    return write


def _per_phase(
    measurand: str, unit: str, phases: Sequence[str], value: Callable[[Reading], float]
) -> Callable[[Reading, float, str], str]:
    tails = [
        f'","measurand":"{measurand}","unit":"{unit}","location":"Outlet","phase":"{phase}"'
        for phase in phases
    ]

    def write(reading: Reading, _: float, context: str) -> str:
        head = f'{{"value":"{value(reading):.1f}'
        return ",".join(f'{head}{tail},"context":"{context}"}}' for tail in tails)

    return write


_DIRECT_CURRENT = {
    "Energy.Active.Import.Register": _sample(
        "Energy.Active.Import.Register", "Wh", "Outlet", lambda _, wh: f"{wh:.0f}"
    ),
    "Power.Active.Import": _sample(
        "Power.Active.Import", "W", "Outlet", lambda reading, _: f"{reading.power_w:.0f}"
    ),
    "Current.Import": _sample(
        "Current.Import", "A", "Outlet", lambda reading, _: f"{reading.current_a:.1f}"
    ),
    "Voltage": _sample("Voltage", "V", "Outlet", lambda reading, _: f"{reading.voltage_v:.1f}"),
    "SoC": _sample("SoC", "Percent", "EV", lambda reading, _: f"{reading.soc_percent}"),
    "Temperature": _sample(
        "Temperature", "Celsius", "Body", lambda reading, _: f"{reading.temperature_c:.1f}"
    ),
    "Current.Offered": _sample(
        "Current.Offered", "A", "Outlet", lambda reading, _: f"{reading.current_offered_a:.1f}"
    ),
    "Power.Offered": _sample(
        "Power.Offered", "W", "Outlet", lambda reading, _: f"{reading.power_offered_w:.0f}"
    ),
}
# An alternating-current meter gives current and voltage by phase only.
_ALTERNATING_CURRENT = _DIRECT_CURRENT | {
    "Current.Import": _per_phase(
        "Current.Import", "A", ("L1", "L2", "L3"), lambda reading: reading.current_a
    ),
    "Voltage": _per_phase(
        "Voltage", "V", ("L1-N", "L2-N", "L3-N"), lambda reading: reading.voltage_v
    ),
}


def meter_value(
    sampled_at: datetime,
    reading: Reading,
    register_wh: float,
    measurands: Sequence[str] = MEASURANDS,
    context: str = "Sample.Periodic",
) -> str:
    """Return one element of ``meterValue``. What is unknown is left out, as SoC before contact."""
    writers = _ALTERNATING_CURRENT if reading.phases else _DIRECT_CURRENT
    samples = ",".join(
        writers[measurand](reading, register_wh, context)
        for measurand in measurands
        if measurand in writers and (measurand != "SoC" or reading.soc_percent is not None)
    )
    return f'{{"timestamp":"{timestamp(sampled_at)}","sampledValue":[{samples}]}}'


def meter_values(connector_id: int, elements: Sequence[str]) -> str:
    return f'{{"connectorId":{connector_id},"meterValue":[{",".join(elements)}]}}'


def start_transaction(
    connector_id: int,
    id_tag: str,
    meter_start_wh: int,
    started_at: datetime,
    reservation_id: int | None = None,
) -> str:
    payload: dict[str, Any] = {
        "connectorId": connector_id,
        "idTag": id_tag,
        "meterStart": meter_start_wh,
        "timestamp": timestamp(started_at),
    }
    if reservation_id is not None:
        payload["reservationId"] = reservation_id
    return to_json(payload)


def stop_transaction(
    meter_stop_wh: int,
    stopped_at: datetime,
    reason: str,
    id_tag: str | None = None,
    transaction_data: Sequence[str] = (),
) -> str:
    tag = f'"idTag":{to_json(id_tag)},' if id_tag is not None else ""
    data = f',"transactionData":[{",".join(transaction_data)}]' if transaction_data else ""
    return (
        f'{{{tag}"meterStop":{meter_stop_wh},"timestamp":"{timestamp(stopped_at)}",'
        f'"reason":"{reason}"{data}}}'
    )


def status_notification(
    connector_id: int, status: str, at: datetime, error_code: str = "NoError", info: str = ""
) -> str:
    payload = {
        "connectorId": connector_id,
        "errorCode": error_code,
        "status": status,
        "timestamp": timestamp(at),
    }
    return to_json(payload | ({"info": info} if info else {}))
