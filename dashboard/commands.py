"""The commands an operator may send: their fields, and from fields to a payload. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

Kind = Literal[
    "text", "choice", "integer", "connector", "any_connector", "transaction", "tag", "json",
    "reservation", "keys", "minutes",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Field:
    """One input. ``name`` is the key of the payload; ``default`` what the form begins with."""

    name: str
    kind: Kind
    required: bool = True
    options: tuple[str, ...] = ()
    default: str = ""


@dataclass(frozen=True, slots=True)
class Command:
    """Attributes:
    touches: It may start, stop or unplug somebody's charging, or take the station away.
    """

    action: str
    fields: tuple[Field, ...] = ()
    touches: bool = False


class Incomplete(ValueError):
    """A field is missing or unreadable; ``field`` names it."""

    def __init__(self, field: str) -> None:
        super().__init__(f"{field} is missing or unreadable")
        self.field = field


_TRIGGERS = (
    "BootNotification", "Heartbeat", "MeterValues", "StatusNotification",
    "DiagnosticsStatusNotification", "FirmwareStatusNotification",
)  # fmt: skip
_PROFILE = json.dumps(
    {
        "chargingProfileId": 1,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Relative",
        "chargingSchedule": {
            "chargingRateUnit": "W",
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 22000}],
        },
    },
    indent=2,
)
_LIST = json.dumps([{"idTag": "TAG", "idTagInfo": {"status": "Accepted"}}], indent=2)

COMMANDS = (
    Command(
        "RemoteStartTransaction",
        (Field("idTag", "tag"), Field("connectorId", "connector", required=False)),
        touches=True,
    ),
    Command("RemoteStopTransaction", (Field("transactionId", "transaction"),), touches=True),
    Command("Reset", (Field("type", "choice", options=("Soft", "Hard")),), touches=True),
    Command("UnlockConnector", (Field("connectorId", "connector"),), touches=True),
    Command(
        "ChangeAvailability",
        (
            Field("connectorId", "any_connector"),
            Field("type", "choice", options=("Operative", "Inoperative")),
        ),
        touches=True,
    ),
    Command(
        "TriggerMessage",
        (
            Field("requestedMessage", "choice", options=_TRIGGERS),
            Field("connectorId", "connector", required=False),
        ),
    ),
    Command("GetConfiguration", (Field("key", "keys", required=False),)),
    Command("ChangeConfiguration", (Field("key", "text"), Field("value", "text"))),
    Command("ClearCache"),
    Command("GetLocalListVersion"),
    Command(
        "SendLocalList",
        (
            Field("listVersion", "integer", default="1"),
            Field("updateType", "choice", options=("Full", "Differential")),
            Field("localAuthorizationList", "json", required=False, default=_LIST),
        ),
    ),
    Command(
        "ReserveNow",
        (
            Field("connectorId", "any_connector"),
            Field("expiryDate", "minutes", default="30"),
            Field("idTag", "tag"),
            Field("reservationId", "integer", default="1"),
        ),
        touches=True,
    ),
    Command("CancelReservation", (Field("reservationId", "reservation"),), touches=True),
    Command(
        "SetChargingProfile",
        (
            Field("connectorId", "any_connector"),
            Field("csChargingProfiles", "json", default=_PROFILE),
        ),
        touches=True,
    ),
    Command(
        "ClearChargingProfile",
        (
            Field("id", "integer", required=False),
            Field("connectorId", "any_connector", required=False),
        ),
        touches=True,
    ),
    Command(
        "GetCompositeSchedule",
        (
            Field("connectorId", "any_connector"),
            Field("duration", "integer", default="3600"),
            Field("chargingRateUnit", "choice", required=False, options=("W", "A")),
        ),
    ),
    Command("GetDiagnostics", (Field("location", "text"),)),
    Command(
        "UpdateFirmware",
        (Field("location", "text"), Field("retrieveDate", "minutes", default="0")),
        touches=True,
    ),
    Command(
        "DataTransfer",
        (
            Field("vendorId", "text"),
            Field("messageId", "text", required=False),
            Field("data", "text", required=False),
        ),
    ),
)
BY_ACTION = {command.action: command for command in COMMANDS}


def payload(command: Command, values: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """The payload from what was typed; empty optional fields are left out.

    Raises:
        Incomplete: Naming the first field that is missing or unreadable.
    """
    made = {}
    for field in command.fields:
        value = values.get(field.name)
        if value is None or value == "" or value == []:
            if field.required:
                raise Incomplete(field.name)
            continue
        made[field.name] = _read(field, value, now)
    return made


def _read(field: Field, value: Any, now: datetime) -> Any:
    try:
        match field.kind:
            case "integer" | "connector" | "any_connector" | "transaction" | "reservation":
                return int(value)
            case "json":
                return json.loads(value)
            case "keys":
                return [key.strip() for key in str(value).split(",") if key.strip()]
            case "minutes":
                at = now.astimezone(UTC).replace(microsecond=0) + timedelta(minutes=int(value))
                return at.isoformat().replace("+00:00", "Z")
            case _:
                return str(value).strip()
    except (ValueError, OverflowError):
        raise Incomplete(field.name) from None
