"""The frames a seeded session would have left in the raw log."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from testbench.seed.plan import Reading, Session

_PAUSE = timedelta(milliseconds=7)
_LATER = timedelta(seconds=4)
Row = tuple[Any, ...]


def frames(session: Session) -> Iterator[Row]:
    """Rows of ocpp_message in order of time: a CALL of the charge point with our answer."""
    tag = {"idTag": session.id_tag}
    accepted = {"idTagInfo": {"status": "Accepted"}}
    number = session.transaction_id
    start, connector = session.started_at, session.connector_id
    yield _frame(session, 1, start - timedelta(seconds=40), *_status(connector, "Preparing"))
    yield _frame(session, 2, start - timedelta(seconds=12), "Authorize", tag, accepted)
    opening = {
        "connectorId": connector,
        **tag,
        "meterStart": round(session.meter_start_wh),
        "timestamp": _text(start),
    }
    answer = {"transactionId": number, **accepted}
    yield _frame(session, 3, start, "StartTransaction", opening, answer)
    yield _frame(session, 4, start + timedelta(seconds=2), *_status(connector, "Charging"))
    for index, reading in enumerate(session.stored):
        payload = {
            "connectorId": connector,
            "transactionId": number,
            "meterValue": [_meter_value(reading)],
        }
        yield _frame(session, 10 + index, reading.at + _LATER, "MeterValues", payload, {})
    if not session.is_open:
        yield from _closing(session)


def _closing(session: Session) -> Iterator[Row]:
    end = session.ended_at
    payload = {
        "transactionId": session.transaction_id,
        "idTag": session.id_tag,
        "meterStop": round(session.readings[-1].energy_wh),
        "timestamp": _text(end),
        "reason": "Local",
    }
    answer = {"idTagInfo": {"status": "Accepted"}}
    later = end + timedelta(seconds=5)
    yield _frame(session, 5, later, "StopTransaction", payload, answer)
    yield _frame(
        session, 6, end + timedelta(seconds=6), *_status(session.connector_id, "Finishing")
    )
    if session.unplugged_at:
        yield _frame(session, 7, session.unplugged_at, *_status(session.connector_id, "Available"))


def _status(connector_id: int, status: str) -> tuple[str, dict[str, Any], dict[str, Any]]:
    payload = {"connectorId": connector_id, "errorCode": "NoError", "status": status}
    return "StatusNotification", payload, {}


def _frame(
    session: Session,
    number: int,
    at: datetime,
    action: str,
    payload: dict[str, Any],
    answer: dict[str, Any],
) -> Row:
    message_id = f"{session.transaction_id}-{number}"
    return (
        at,
        session.charge_point_id,
        2,
        "i",
        action,
        message_id,
        json.dumps([2, message_id, action, payload]),
        json.dumps([3, message_id, answer], separators=(",", ":")),
        at + _PAUSE,
    )


def _meter_value(reading: Reading) -> dict[str, Any]:
    sampled = [
        ("Energy.Active.Import.Register", reading.energy_wh, "Wh"),
        ("Power.Active.Import", reading.power_w, "W"),
        ("Current.Import", reading.current_a, "A"),
        ("Voltage", reading.voltage_v, "V"),
        ("Temperature", reading.temperature_c, "Celsius"),
    ]
    if reading.soc_percent is not None:
        sampled.append(("SoC", reading.soc_percent, "Percent"))
    values = [
        {"measurand": measurand, "value": f"{value:.1f}", "unit": unit}
        for measurand, value, unit in sampled
    ]
    return {"timestamp": _text(reading.at), "sampledValue": values}


def _text(at: datetime) -> str:
    return at.isoformat()
