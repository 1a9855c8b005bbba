"""Payloads are checked against the standard; its own table of actions is the expectation."""

import json
from pathlib import Path

import ocpp.v16.call
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.actions import (
    ACTIONS,
    ANSWERED_WITHOUT_STATUS,
    STATUSES,
    InvalidPayload,
    UnknownAction,
    action_named,
    authorization_key,
    check,
)

# CALLs of the charge point (OCPP 1.6 4 and the security whitepaper); DataTransfer goes both ways.
OF_CHARGE_POINTS = {
    "Authorize",
    "BootNotification",
    "DiagnosticsStatusNotification",
    "FirmwareStatusNotification",
    "Heartbeat",
    "LogStatusNotification",
    "MeterValues",
    "SecurityEventNotification",
    "SignCertificate",
    "SignedFirmwareStatusNotification",
    "StartTransaction",
    "StatusNotification",
    "StopTransaction",
}


def test_every_status_of_an_answer_is_known() -> None:
    schemas = Path(ocpp.v16.call.__file__).parent / "schemas"
    found, without = set(), set()
    for action in ACTIONS:
        schema = json.loads((schemas / f"{action}Response.json").read_text(encoding="utf-8-sig"))
        if (status := schema["properties"].get("status")) is None:
            without.add(action)
            continue
        if "$ref" in status:
            status = schema["definitions"][status["$ref"].rpartition("/")[2]]
        found |= set(status["enum"])
    assert (found, without) == (set(STATUSES), ANSWERED_WITHOUT_STATUS)


def test_every_action_of_a_central_system_is_there() -> None:
    schemas = Path(ocpp.v16.call.__file__).parent / "schemas"
    standard = {path.stem for path in schemas.glob("*.json") if "Response" not in path.stem}
    assert set(ACTIONS) == standard - OF_CHARGE_POINTS


@given(st.sampled_from(ACTIONS), st.data())
def test_names_are_found_in_any_case(action: str, data: st.DataObject) -> None:
    mixed = "".join(
        data.draw(st.sampled_from((letter.lower(), letter.upper()))) for letter in action
    )
    assert action_named(f" {mixed} ") == action


@given(
    st.sampled_from(ACTIONS),
    st.dictionaries(st.text(), st.none() | st.integers() | st.text() | st.lists(st.integers())),
)
def test_a_payload_passes_or_is_complained_about(action: str, payload: dict[str, object]) -> None:
    try:
        assert check(action, payload) == payload
    except InvalidPayload as complaint:
        assert str(complaint).startswith(f"{action}: ")


@pytest.mark.parametrize("action", ["Heartbeat", "Explode", ""])
def test_other_actions_are_refused(action: str) -> None:
    with pytest.raises(UnknownAction):
        check(action, {})
    with pytest.raises(UnknownAction):
        action_named(action)


def test_one_decimal_is_exact() -> None:
    def profile(limit: float) -> dict[str, object]:
        period = {"startPeriod": 0, "limit": limit}
        schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": [period]}
        return {
            "connectorId": 1,
            "csChargingProfiles": {
                "chargingProfileId": 1,
                "stackLevel": 0,
                "chargingProfilePurpose": "TxDefaultProfile",
                "chargingProfileKind": "Absolute",
                "chargingSchedule": schedule,
            },
        }

    for tenth in range(0, 1000):
        check("SetChargingProfile", profile(tenth / 10))
    with pytest.raises(InvalidPayload, match=r"chargingSchedulePeriod\[0\].limit: 21.44"):
        check("SetChargingProfile", profile(21.44))


@given(st.binary(min_size=16, max_size=20))
def test_a_key_in_hex_digits_stays(key: bytes) -> None:
    assert authorization_key(key.hex().upper()) == key.hex()


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=16, max_size=20))
def test_a_key_of_text_becomes_hex_digits(text: str) -> None:
    assert bytes.fromhex(authorization_key(text)) == text.encode()


@pytest.mark.parametrize("key", ["", "short", "x" * 21, "ab" * 15, "ab" * 21])
def test_other_keys_are_refused(key: str) -> None:
    with pytest.raises(InvalidPayload, match="AuthorizationKey has 16 to 20 bytes"):
        check("ChangeConfiguration", {"key": "authorizationKey", "value": key})


@pytest.mark.parametrize(
    "fields",
    [{"value": 987654321}, {"value": "x", "Value": "987654321"}, {"value": "987654321" * 100}],
)
def test_a_complaint_about_a_secret_does_not_tell_it(fields):
    with pytest.raises(InvalidPayload) as complaint:
        check("ChangeConfiguration", {"key": "AuthorizationKey", **fields})

    assert "987654321" not in str(complaint.value)
    assert "***" in str(complaint.value)
