"""From what an operator typed to the payload of a command."""

import json
from datetime import UTC, datetime
from importlib.resources import files

import pytest

from dashboard.commands import BY_ACTION, COMMANDS, Incomplete, payload

NOW = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)


def test_empty_optional_fields_are_left_out():
    made = payload(
        BY_ACTION["RemoteStartTransaction"], {"idTag": " BUS-1 ", "connectorId": ""}, NOW
    )

    assert made == {"idTag": "BUS-1"}


@pytest.mark.parametrize("value", ["", None, "x", "1.5"])
def test_a_missing_or_unreadable_field_is_named(value):
    with pytest.raises(Incomplete) as refused:
        payload(BY_ACTION["RemoteStopTransaction"], {"transactionId": value}, NOW)

    assert refused.value.field == "transactionId"


def test_json_that_is_none_is_named():
    values = {"connectorId": 0, "csChargingProfiles": "{"}

    with pytest.raises(Incomplete, match="csChargingProfiles"):
        payload(BY_ACTION["SetChargingProfile"], values, NOW)


def test_minutes_become_an_instant():
    values = {"connectorId": 1, "expiryDate": "30", "idTag": "A", "reservationId": "4"}

    made = payload(BY_ACTION["ReserveNow"], values, NOW)

    assert made["expiryDate"] == "2026-11-22T06:30:00Z"
    assert made["reservationId"] == 4


def test_keys_are_separated_by_commas():
    made = payload(BY_ACTION["GetConfiguration"], {"key": "HeartbeatInterval, , Foo"}, NOW)

    assert made == {"key": ["HeartbeatInterval", "Foo"]}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.action)
def test_the_forms_know_the_fields_of_the_standard(command):
    """Against the schemas of OCPP 1.6 as the ocpp package carries them."""
    path = files("ocpp").joinpath(f"v16/schemas/{command.action}.json")
    schema = json.loads(path.read_text(encoding="utf-8-sig"))

    names = {field.name for field in command.fields}
    required = {field.name for field in command.fields if field.required}
    assert names <= schema.get("properties", {}).keys()
    assert set(schema.get("required", [])) <= required


def test_what_may_disturb_a_driver_asks_first():
    touching = {command.action for command in COMMANDS if command.touches}

    assert {"RemoteStartTransaction", "RemoteStopTransaction", "Reset", "UnlockConnector",
            "ChangeAvailability"} <= touching  # fmt: skip
