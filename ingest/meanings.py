"""CALLs of an OCPP 1.6 charge point, and what each means: facts to store and our answer. Pure.

One function per action, found in ``MEANINGS``. None of them raises for what a charge point sends:
it is normalised, flagged, or set aside, and confirmed (OCPP 1.6 3.7.1: what is not confirmed comes
again and blocks what is behind it).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any

import orjson
from ocpp.v16.enums import ChargePointErrorCode, ChargePointStatus, Reason

from ingest.facts import (
    Authorization,
    Boot,
    Meaning,
    Report,
    StatusChange,
    TransactionStart,
    TransactionStop,
    Verdict,
)
from ingest.fields import (
    choose,
    read_connector_id,
    read_float,
    read_int,
    read_text,
    read_transaction_id,
)
from ingest.frames import Call
from ingest.readings import SetAside, read_meter_values
from ingest.timestamps import Instant, read_instant, wire_time

_STATUSES = {str(member.value).lower(): str(member.value) for member in ChargePointStatus}
_ERROR_CODES = {str(member.value).lower(): str(member.value) for member in ChargePointErrorCode}
_REASONS = {str(member.value).lower(): str(member.value) for member in Reason}


@dataclass(slots=True)
class OpenTransaction:
    connector_id: int
    started_at: datetime


@dataclass(slots=True)
class Situation:
    """What one charge point's socket knows when a CALL arrives.

    Attributes:
        zone: Of its timestamps without one.
        open_transactions: By transaction id; kept by the socket, loaded when it opened.
        heartbeat_interval: Seconds, told at boot.
    """

    zone: tzinfo = UTC
    heartbeat_interval: int = 300
    open_transactions: dict[int, OpenTransaction] = field(default_factory=dict)

    def transaction_at(self, connector_id: int, at: datetime) -> int | None:
        """Return the only open transaction of the connector that had begun by then."""
        found = [
            transaction_id
            for transaction_id, known in self.open_transactions.items()
            if known.connector_id == connector_id and known.started_at <= at
        ]
        return found[0] if len(found) == 1 else None


def meaning_of(call: Call, situation: Situation, received_at: datetime) -> Meaning:
    """Return what to store and what to answer for a CALL."""
    read = MEANINGS.get(call.action)
    if read is None:
        return Meaning(error=("NotImplemented", f"{call.action[:50]} is no action of OCPP 1.6"))
    return read(call.payload, situation, received_at)


def _boot(payload: dict[str, Any], situation: Situation, received_at: datetime) -> Meaning:
    boot = Boot(
        vendor=read_text(payload.get("chargePointVendor")),
        model=read_text(payload.get("chargePointModel")),
        serial_number=read_text(payload.get("chargePointSerialNumber"))
        or read_text(payload.get("chargeBoxSerialNumber")),
        firmware_version=read_text(payload.get("firmwareVersion")),
        payload=payload,
    )
    answer = {
        "status": "Accepted",
        "currentTime": wire_time(received_at),
        "interval": situation.heartbeat_interval,
    }
    return Meaning(answer, [boot])


def _heartbeat(payload: dict[str, Any], situation: Situation, received_at: datetime) -> Meaning:
    return Meaning({"currentTime": wire_time(received_at)})


def _status(payload: dict[str, Any], situation: Situation, received_at: datetime) -> Meaning:
    connector_id = read_connector_id(payload.get("connectorId"))
    written = read_text(payload.get("status"))
    if connector_id is None:
        return _set_aside(f"no connector {payload.get('connectorId')!r:.40}", payload)
    if written is None:
        return _set_aside("the status is empty", payload)
    status = _STATUSES.get(written.lower())
    code = read_text(payload.get("errorCode"))
    error_code = choose(code, _ERROR_CODES) if code else None
    instant = Instant(received_at)
    if read_text(payload.get("timestamp")):
        instant = read_instant(payload["timestamp"], received_at, situation.zone)
    odd = status != written or (code is not None and error_code != code)
    change = StatusChange(
        at=instant.at,
        connector_id=connector_id,
        status=status or written,
        error_code=error_code or ("OtherError" if code else None),
        info=read_text(payload.get("info")),
        vendor_id=read_text(payload.get("vendorId")),
        vendor_error_code=read_text(payload.get("vendorErrorCode"))
        or (code if code and not error_code else None),
        flags=[flag for flag in (instant.flag, "value" if odd else None) if flag],
    )
    return Meaning({}, [change])


def _authorize(payload: dict[str, Any], situation: Situation, received_at: datetime) -> Meaning:
    question = Authorization(read_text(payload.get("idTag")))
    return Meaning(lambda: {"idTagInfo": _id_tag_info(question.verdict)}, [question])


def _start(payload: dict[str, Any], situation: Situation, received_at: datetime) -> Meaning:
    connector_id = read_connector_id(payload.get("connectorId"))
    meter_start_wh = read_float(payload.get("meterStart"))
    instant = read_instant(payload.get("timestamp"), received_at, situation.zone)
    flags = [instant.flag] if instant.flag else []
    if connector_id is None:
        flags.append("connector")
    if meter_start_wh is None:
        flags.append("meter_start")
    start = TransactionStart(
        connector_id=connector_id or 0,
        id_tag=read_text(payload.get("idTag")),
        started_at=instant.at,
        meter_start_wh=meter_start_wh,
        reservation_id=_small(read_int(payload.get("reservationId"))),
        flags=flags,
    )

    def answer() -> dict[str, Any]:
        return {"transactionId": start.transaction_id, "idTagInfo": _id_tag_info(start.verdict)}

    return Meaning(answer, [start])


def _stop(payload: dict[str, Any], situation: Situation, received_at: datetime) -> Meaning:
    transaction_id = read_transaction_id(payload.get("transactionId"))
    instant = read_instant(payload.get("timestamp"), received_at, situation.zone)
    written = read_text(payload.get("reason"))
    flags = [instant.flag] if instant.flag else []
    if (meter_stop_wh := read_float(payload.get("meterStop"))) is None:
        flags.append("meter_stop")
    stop = TransactionStop(
        transaction_id=transaction_id,
        id_tag=read_text(payload.get("idTag")),
        stopped_at=instant.at,
        meter_stop_wh=meter_stop_wh,
        reason=(_REASONS.get(written.lower()) or written) if written else "Local",
        flags=flags,
    )
    known = situation.open_transactions.get(transaction_id or 0)
    readings, aside = read_meter_values(
        payload.get("transactionData"),
        connector_id=known.connector_id if known else 0,
        transaction_id=transaction_id,
        received_at=received_at,
        zone=situation.zone,
    )

    def answer() -> dict[str, Any]:
        return {"idTagInfo": _id_tag_info(stop.verdict)} if stop.verdict else {}

    return Meaning(answer, [stop], readings, aside)


def _meter_values(payload: dict[str, Any], situation: Situation, received_at: datetime) -> Meaning:
    written = payload.get("connectorId")
    transaction_id = read_transaction_id(payload.get("transactionId"))
    connector_id = read_connector_id(written)
    if connector_id is None and written is not None:
        return _set_aside(f"no connector {written!r:.40}", payload)
    if connector_id is None:
        known = situation.open_transactions.get(transaction_id or 0)
        connector_id = known.connector_id if known else 0
    readings, aside = read_meter_values(
        payload.get("meterValue"),
        connector_id=connector_id,
        transaction_id=transaction_id,
        received_at=received_at,
        zone=situation.zone,
    )
    if transaction_id is None and situation.open_transactions:
        for reading in readings:
            reading.transaction_id = situation.transaction_at(connector_id, reading.sampled_at)
    return Meaning({}, readings=readings, aside=aside)


def _data_transfer(payload: dict[str, Any], situation: Situation, received_at: datetime) -> Meaning:
    return Meaning({"status": "UnknownVendorId"})


def _report(
    kind: str, answer: dict[str, Any] | None = None
) -> Callable[[dict[str, Any], Situation, datetime], Meaning]:
    """Return the reader of a notification that has a status and perhaps a request."""

    def read(payload: dict[str, Any], situation: Situation, received_at: datetime) -> Meaning:
        status = read_text(payload.get("status")) or read_text(payload.get("type"))
        if status is None:
            return _set_aside("the status is empty", payload)
        instant = Instant(received_at)
        if read_text(payload.get("timestamp")):
            instant = read_instant(payload["timestamp"], received_at, situation.zone)
        report = Report(
            kind=kind,
            status=status,
            at=instant.at,
            request_id=_small(read_int(payload.get("requestId"))),
            detail=read_text(payload.get("techInfo")),
        )
        return Meaning(answer or {}, [report])

    return read


def _sign_certificate(
    payload: dict[str, Any], situation: Situation, received_at: datetime
) -> Meaning:
    return Meaning({"status": "Rejected"})


MEANINGS: dict[str, Callable[[dict[str, Any], Situation, datetime], Meaning]] = {
    "Authorize": _authorize,
    "BootNotification": _boot,
    "DataTransfer": _data_transfer,
    "DiagnosticsStatusNotification": _report("diagnostics"),
    "FirmwareStatusNotification": _report("firmware"),
    "Heartbeat": _heartbeat,
    "LogStatusNotification": _report("log"),
    "MeterValues": _meter_values,
    "SecurityEventNotification": _report("security"),
    "SignCertificate": _sign_certificate,
    "SignedFirmwareStatusNotification": _report("signed_firmware"),
    "StartTransaction": _start,
    "StatusNotification": _status,
    "StopTransaction": _stop,
}


def _id_tag_info(verdict: Verdict | None) -> dict[str, Any]:
    assert verdict is not None, "the store gives a verdict on every question"
    info: dict[str, Any] = {"status": verdict.status}
    if verdict.expiry_at:
        info["expiryDate"] = wire_time(verdict.expiry_at)
    if verdict.parent_id_tag:
        info["parentIdTag"] = verdict.parent_id_tag
    return info


def _set_aside(reason: str, payload: dict[str, Any]) -> Meaning:
    raw = orjson.dumps(payload, default=str).decode().replace("\\u0000", "")
    return Meaning({}, aside=[SetAside(reason, raw)])


def _small(number: int | None) -> int | None:
    """Return the number if it is one of the standard's 32-bit integers."""
    return number if number is not None and -(2**31) <= number < 2**31 else None
