"""CALLs of an OCPP 1.6 charge point, and what each means: facts to store and our answer. Pure.

One function per action, found in ``MEANINGS``. None of them raises for what a charge point sends:
it is normalised, flagged, or set aside, and confirmed (OCPP 1.6 3.7.1: what is not confirmed comes
again and blocks what is behind it).
"""

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Any

from ocpp.v16.enums import Action, ChargePointErrorCode, ChargePointStatus, Reason

from ingest.facts import (
    Authorization,
    Boot,
    Meaning,
    Report,
    SetAside,
    StatusChange,
    TransactionStart,
    TransactionStop,
    Verdict,
)
from ingest.fields import (
    LONGEST_ID_TAG,
    choose,
    choose_or_keep,
    read_connector_id,
    read_key,
    read_register,
    read_small_int,
    read_text,
    read_transaction_id,
    to_json,
)
from ingest.frames import Call
from ingest.readings import read_meter_values
from ingest.situation import Situation
from ingest.timestamps import EARLIEST_NEWS, Instant, read_instant, wire_time


def _by_lower_case(enum: type[StrEnum]) -> dict[str, str]:
    return {member.value.lower(): member.value for member in enum}


_STATUSES = _by_lower_case(ChargePointStatus)
_ERROR_CODES = _by_lower_case(ChargePointErrorCode)
_REASONS = _by_lower_case(Reason)
_OF_METER_VALUES = {"connectorId", "transactionId"}
_OF_THE_CENTRAL_SYSTEM = {action.value for action in Action}


def meaning_of(call: Call, situation: Situation, received_at: datetime) -> Meaning:
    """Return what to store and what to answer for a CALL."""
    if (read := MEANINGS.get(call.action)) is not None:
        return read(call.payload, situation, received_at)
    if call.action in _OF_THE_CENTRAL_SYSTEM:
        return Meaning(error=("NotSupported", f"{call.action} is for us to ask"))
    return Meaning(error=("NotImplemented", f"{call.action[:50]!r} is no action of OCPP 1.6"))


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
    written = read_key(payload.get("status"))
    if connector_id is None:
        return _set_aside(f"no connector {payload.get('connectorId')!r:.40}", payload)
    if written is None:
        return _set_aside("the status is empty", payload)
    status = choose_or_keep(written, _STATUSES) or written
    code = read_key(payload.get("errorCode"))
    error_code = choose(code, _ERROR_CODES)
    instant = _when(payload, situation, received_at)
    flags = _flags(instant)
    if (status, error_code) != (written, code) or status not in _STATUSES.values():
        flags.append("value")
    change = StatusChange(
        at=instant.at,
        connector_id=connector_id,
        status=status,
        error_code=error_code or ("OtherError" if code else None),
        info=read_text(payload.get("info")),
        vendor_id=read_text(payload.get("vendorId")),
        vendor_error_code=read_key(payload.get("vendorErrorCode"))
        or (code if error_code is None else None),
        flags=flags,
    )
    return Meaning({}, [change])


def _authorize(payload: dict[str, Any], situation: Situation, received_at: datetime) -> Meaning:
    question = Authorization(read_key(payload.get("idTag")))
    return Meaning(lambda: {"idTagInfo": _id_tag_info(question.verdict)}, [question])


def _start(payload: dict[str, Any], situation: Situation, received_at: datetime) -> Meaning:
    written = payload.get("connectorId")
    connector_id = read_connector_id(written)
    meter_start_wh = read_register(payload.get("meterStart"))
    instant = read_instant(payload.get("timestamp"), received_at, situation.zone)
    flags, aside = _flags(instant), []
    if connector_id is None:
        flags.append("connector")
        if written is not None:
            piece = to_json({"connectorId": written})  # without the id_tag
            aside.append(SetAside(f"no connector {written!r:.40}: 0 stands in", piece))
    if meter_start_wh is None:
        flags.append("meter_start")
    start = TransactionStart(
        connector_id=connector_id or 0,
        id_tag=read_key(payload.get("idTag")),
        started_at=instant.at,
        meter_start_wh=meter_start_wh,
        reservation_id=read_small_int(payload.get("reservationId")),
        flags=flags,
    )

    def answer() -> dict[str, Any]:
        return {"transactionId": start.transaction_id, "idTagInfo": _id_tag_info(start.verdict)}

    return Meaning(answer, [start], aside=aside)


def _stop(payload: dict[str, Any], situation: Situation, received_at: datetime) -> Meaning:
    transaction_id = read_transaction_id(payload.get("transactionId"))
    instant = read_instant(payload.get("timestamp"), received_at, situation.zone)
    flags = _flags(instant)
    if (meter_stop_wh := read_register(payload.get("meterStop"))) is None:
        flags.append("meter_stop")
    stop = TransactionStop(
        transaction_id=transaction_id,
        id_tag=read_key(payload.get("idTag")),
        stopped_at=instant.at,
        meter_stop_wh=meter_stop_wh,
        reason=choose_or_keep(read_key(payload.get("reason")), _REASONS) or "Local",
        flags=flags,
    )
    readings, aside = read_meter_values(
        payload.get("transactionData"),
        connector_id=0,  # the store knows the connector with the transaction
        transaction_id=transaction_id,
        received_at=received_at,
        zone=situation.zone,
    )

    def answer() -> dict[str, Any]:
        return {"idTagInfo": _id_tag_info(stop.verdict)} if stop.verdict else {}

    return Meaning(answer, [stop, *situation.undated(readings, received_at)], readings, aside)


def _meter_values(payload: dict[str, Any], situation: Situation, received_at: datetime) -> Meaning:
    written = payload.get("connectorId")
    transaction_id = read_transaction_id(payload.get("transactionId"))
    connector_id = read_connector_id(written)
    if connector_id is None and written is not None:
        return _set_aside(f"no connector {written!r:.40}", payload)
    if connector_id is None:
        transaction = situation.transactions.get(transaction_id or 0)
        connector_id = transaction.connector_id if transaction else 0
    if "meterValue" not in payload and payload.keys() - _OF_METER_VALUES:
        return _set_aside("no meterValue", payload)
    readings, aside = read_meter_values(
        payload.get("meterValue"),
        connector_id=connector_id,
        transaction_id=transaction_id,
        received_at=received_at,
        zone=situation.zone,
    )
    if transaction_id is None and situation.transactions:
        for reading in readings:
            reading.transaction_id = situation.transaction_at(connector_id, reading.sampled_at)
    return Meaning({}, situation.undated(readings, received_at), readings, aside)


def _data_transfer(payload: dict[str, Any], situation: Situation, received_at: datetime) -> Meaning:
    return Meaning({"status": "UnknownVendorId"})


def _report(kind: str) -> Callable[[dict[str, Any], Situation, datetime], Meaning]:
    """Return the reader of a notification that has a status and perhaps a request."""

    def read(payload: dict[str, Any], situation: Situation, received_at: datetime) -> Meaning:
        status = read_key(payload.get("status")) or read_key(payload.get("type"))
        if status is None:
            return _set_aside("the status is empty", payload)
        instant = _when(payload, situation, received_at)
        report = Report(
            kind=kind,
            status=status,
            at=instant.at,
            request_id=read_small_int(payload.get("requestId")),
            detail=read_text(payload.get("techInfo")),
        )
        return Meaning({}, [report])

    return read


def _sign_certificate(
    payload: dict[str, Any], situation: Situation, received_at: datetime
) -> Meaning:
    csr = payload.get("csr")
    is_signed = isinstance(csr, str) and situation.signs(csr)
    return Meaning({"status": "Accepted" if is_signed else "Rejected"})


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
    # A longer one makes the answer unreadable to who holds it against the standard.
    if verdict.parent_id_tag and len(verdict.parent_id_tag) <= LONGEST_ID_TAG:
        info["parentIdTag"] = verdict.parent_id_tag
    return info


def _set_aside(reason: str, payload: dict[str, Any]) -> Meaning:
    return Meaning({}, aside=[SetAside(reason, to_json(payload))])


def _when(payload: dict[str, Any], situation: Situation, received_at: datetime) -> Instant:
    """Return the time of a message that need not have one: without, it is now."""
    written = payload.get("timestamp")
    if read_text(written) is None:
        return Instant(received_at)
    return read_instant(written, received_at, situation.zone, EARLIEST_NEWS)


def _flags(instant: Instant) -> list[str]:
    return [instant.flag] if instant.flag else []
