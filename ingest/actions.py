"""The CALLs a central system of OCPP 1.6 can make: their names, and what is wrong with a payload.

Pure. Nothing leaves us that the standard's schemas refuse: a charge point's answer to nonsense
says less than ours.
"""

import json
from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from jsonschema import Draft4Validator, FormatChecker
from jsonschema.exceptions import ValidationError, best_match
from ocpp.messages import MessageType, get_validator

from ingest.redaction import HIDDEN, without_secrets

ACTIONS = (
    "CancelReservation",
    "CertificateSigned",
    "ChangeAvailability",
    "ChangeConfiguration",
    "ClearCache",
    "ClearChargingProfile",
    "DataTransfer",
    "DeleteCertificate",
    "ExtendedTriggerMessage",
    "GetCompositeSchedule",
    "GetConfiguration",
    "GetDiagnostics",
    "GetInstalledCertificateIds",
    "GetLocalListVersion",
    "GetLog",
    "InstallCertificate",
    "RemoteStartTransaction",
    "RemoteStopTransaction",
    "ReserveNow",
    "Reset",
    "SendLocalList",
    "SetChargingProfile",
    "SignedUpdateFirmware",
    "TriggerMessage",
    "UnlockConnector",
    "UpdateFirmware",
)
# The standard gives the answers to all others a status.
ANSWERED_WITHOUT_STATUS = {
    "GetConfiguration",
    "GetDiagnostics",
    "GetLocalListVersion",
    "UpdateFirmware",
}
STATUSES = (
    "Accepted",
    "AcceptedCanceled",
    "Failed",
    "Faulted",
    "InvalidCertificate",
    "NotFound",
    "NotImplemented",
    "NotSupported",
    "Occupied",
    "RebootRequired",
    "Rejected",
    "RevokedCertificate",
    "Scheduled",
    "Unavailable",
    "Unknown",
    "UnknownMessageId",
    "UnknownVendorId",
    "Unlocked",
    "UnlockFailed",
    "VersionMismatch",
)
_BY_LOWER_CASE = {action.lower(): action for action in ACTIONS}
_STATUS_BY_LOWER_CASE = {status.lower(): status for status in STATUSES}
_SHORTEST_KEY, _LONGEST_KEY = 16, 20  # bytes of an AuthorizationKey


class UnknownAction(ValueError):
    """There is no such CALL from a central system."""


class InvalidPayload(ValueError):
    """A payload the schemas refuse; the message names the field and its value."""


def action_named(name: str) -> str:
    """Return the action as the standard writes it; any case will do.

    Raises:
        UnknownAction: Naming the actions there are.
    """
    if (action := _BY_LOWER_CASE.get(name.strip().lower())) is None:
        raise UnknownAction(f"no action {name!r}; there are {', '.join(ACTIONS)}")
    return action


def check(action: str, payload: dict[str, Any]) -> dict[str, Any]:
    """Return the payload as it goes on the wire.

    Raises:
        UnknownAction: For an action that only charge points use, or nobody.
        InvalidPayload: For the first field that does not fit.
    """
    if action not in ACTIONS:
        raise UnknownAction(f"no action {action!r}")
    # Fields with one decimal are checked as decimals: 21.4 is no multiple of 0.1 in binary.
    instance = json.loads(json.dumps(payload), parse_float=Decimal)
    errors = _validator(action).iter_errors(instance)
    error: ValidationError | None = best_match(errors)  # type: ignore[no-untyped-call]
    if error is not None:
        has_secrets = without_secrets(payload) is not payload
        raise InvalidPayload(_complaint(action, error, _hidden if has_secrets else _shown))
    if action == "ChangeConfiguration" and payload["key"].strip().lower() == "authorizationkey":
        return {**payload, "value": authorization_key(payload["value"])}
    return payload


def as_answered(response: dict[str, Any]) -> dict[str, Any]:
    """Return a charge point's answer with its status written as in the standard.

    Some charge points write it in another case or with a blank: they mean it all the same.
    """
    status = response.get("status")
    known = _STATUS_BY_LOWER_CASE.get(status.strip().lower()) if isinstance(status, str) else None
    return response if known in (None, status) else {**response, "status": known}


def authorization_key(value: str) -> str:
    """Return the key in hex digits, as it is set; it may be given as text of 16 to 20 bytes.

    Raises:
        InvalidPayload: It is neither.
    """
    try:
        key = bytes.fromhex(value)
    except ValueError:
        key = b""
    if _SHORTEST_KEY <= len(key) <= _LONGEST_KEY:
        return key.hex()
    text = value.encode()
    if _SHORTEST_KEY <= len(text) <= _LONGEST_KEY:
        return text.hex()
    raise InvalidPayload(
        f"ChangeConfiguration: value: an AuthorizationKey has {_SHORTEST_KEY} to {_LONGEST_KEY}"
        " bytes, given as text or in hex digits"
    )


def _validator(action: str) -> Any:
    standard: Any = get_validator(MessageType.Call, action, "1.6", Decimal)
    return Draft4Validator(standard.schema, format_checker=_FORMATS)


def _complaint(action: str, error: ValidationError, show: Callable[[Any], str]) -> str:
    """Say which field is wrong, its value, and what is wrong with it."""
    place = _place(error.absolute_path)
    match error.validator:
        case "required":
            missing = [name for name in error.validator_value if name not in error.instance]
            return f"{action}: {_place([*error.absolute_path, missing[0]])}: is missing"
        case "additionalProperties":
            schema: Any = error.schema
            unknown = next(name for name in error.instance if name not in schema["properties"])
            place = _place([*error.absolute_path, unknown])
            return f"{action}: {place}: {show(error.instance[unknown])}: there is no such field"
        case "enum":
            wanted = "is not one of " + ", ".join(map(str, error.validator_value))
        case "type":
            wanted = f"is not of type {error.validator_value}"
        case "maxLength":
            wanted = f"is longer than {error.validator_value} characters"
        case "multipleOf":
            wanted = "has more than one decimal"
        case "format":
            wanted = _WANTED_FORMATS[error.validator_value]
        case _:
            wanted = f"does not fit: {error.validator} {error.validator_value}"
    return f"{action}: {place}: {show(error.instance)} {wanted}"


def _shown(value: Any) -> str:
    return str(value) if isinstance(value, Decimal) else f"{value!r:.80}"


def _hidden(value: Any) -> str:
    return HIDDEN


def _place(path: Iterable[str | int]) -> str:
    """Return where in the payload, such as ``csChargingProfiles.chargingSchedule[0].limit``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return text.lstrip(".") or "the payload"


_WANTED_FORMATS = {
    "date-time": "is no time with a zone, such as 2026-03-01T12:00:00Z",
    "uri": "is no address, such as https://example.org/file",
}
_FORMATS = FormatChecker(formats=())


@_FORMATS.checks("date-time")
def _is_instant(value: object) -> bool:
    """Return whether it is a time with a zone: a charge point would guess the zone."""
    if not isinstance(value, str):
        return True
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


@_FORMATS.checks("uri")
def _is_address(value: object) -> bool:
    if not isinstance(value, str):
        return True
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return bool(parts.scheme and (parts.netloc or parts.path))
