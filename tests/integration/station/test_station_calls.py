"""The simulated charge point answers every CALL of OCPP 1.6.

``ScriptedCentralSystem`` holds each frame against the JSON schemas of the standard.
"""

import asyncio

import pytest

from tests.station_bench import CERTIFICATE_HASH, FIRMWARE, LATER, LIMIT, LOG, bench

EVERY_CALL = {
    "CancelReservation": ({"reservationId": 1}, "Rejected"),
    "CertificateSigned": ({"certificateChain": "none"}, "Rejected"),
    "ChangeAvailability": ({"connectorId": 2, "type": "Inoperative"}, "Accepted"),
    "ChangeConfiguration": ({"key": "HeartbeatInterval", "value": "60"}, "Accepted"),
    "ClearCache": ({}, "Accepted"),
    "ClearChargingProfile": ({}, "Unknown"),
    "DataTransfer": ({"vendorId": "x"}, "UnknownVendorId"),
    "DeleteCertificate": ({"certificateHashData": CERTIFICATE_HASH}, "NotFound"),
    "ExtendedTriggerMessage": ({"requestedMessage": "Heartbeat"}, "Accepted"),
    "GetCompositeSchedule": ({"connectorId": 1, "duration": 3600}, "Accepted"),
    "GetConfiguration": ({}, None),
    "GetDiagnostics": ({"location": "https://files.invalid/d"}, None),
    "GetInstalledCertificateIds": ({"certificateType": "CentralSystemRootCertificate"}, "NotFound"),
    "GetLocalListVersion": ({}, None),
    "GetLog": ({"logType": "SecurityLog", "requestId": 7, "log": LOG}, "Accepted"),
    "InstallCertificate": (
        {"certificateType": "CentralSystemRootCertificate", "certificate": "none"},
        "Rejected",
    ),
    "RemoteStartTransaction": ({"idTag": "BUS-1", "connectorId": 1}, "Accepted"),
    "RemoteStopTransaction": ({"transactionId": 99}, "Rejected"),
    "ReserveNow": (
        {"connectorId": 1, "expiryDate": LATER, "idTag": "BUS-1", "reservationId": 1},
        "Accepted",
    ),
    "Reset": ({"type": "Soft"}, "Accepted"),
    "SendLocalList": ({"listVersion": 1, "updateType": "Full"}, "Accepted"),
    "SetChargingProfile": ({"connectorId": 1, "csChargingProfiles": LIMIT}, "Accepted"),
    "SignedUpdateFirmware": ({"requestId": 1, "firmware": FIRMWARE}, "InvalidCertificate"),
    "TriggerMessage": ({"requestedMessage": "StatusNotification"}, "Accepted"),
    "UnlockConnector": ({"connectorId": 1}, "Unlocked"),
    "UpdateFirmware": (
        {"location": "https://files.invalid/fw.bin", "retrieveDate": "2020-01-01T00:00:00Z"},
        None,
    ),
}


@pytest.mark.parametrize("action", sorted(EVERY_CALL))
async def test_every_call_is_answered_by_the_schema(central_system, action):
    payload, expected = EVERY_CALL[action]

    async with bench(central_system):
        answer = await central_system.call(action, payload)

    assert answer.get("status") == expected


async def test_no_call_of_the_standard_is_forgotten(central_system):
    async with bench(central_system) as charge_point:
        assert charge_point.station.actions == set(EVERY_CALL)


async def test_what_cannot_be_answered_is_refused_by_the_right_code(central_system):
    async with bench(central_system) as charge_point:
        charge_point.station.unsupported.add("ClearCache")
        refused = central_system.call_refused

        assert await refused("MakeCoffee", {}) == "NotImplemented"
        assert await refused("ClearCache", {}) == "NotSupported"
        assert await refused("Reset", {}) == "OccurenceConstraintViolation"
        assert await refused("GetConfiguration", {"key": 3}) == "TypeConstraintViolation"


async def test_a_test_may_say_what_it_answers(central_system):
    async with bench(central_system) as charge_point:
        charge_point.station.outcomes["UnlockConnector"] = "UnlockFailed"

        answer = await central_system.call("UnlockConnector", {"connectorId": 1})

    assert answer == {"status": "UnlockFailed"}


async def test_data_transfer_knows_its_vendor(central_system):
    async with bench(central_system):
        echo = {"vendorId": "ABB", "messageId": "Echo", "data": "hello"}
        known = await central_system.call("DataTransfer", echo)
        unknown = await central_system.call("DataTransfer", {**echo, "messageId": "Sing"})

    assert known == {"status": "Accepted", "data": "hello"}
    assert unknown == {"status": "UnknownMessageId"}


async def test_two_calls_at_once_are_both_answered(central_system):
    async with bench(central_system):
        answers = await asyncio.gather(
            central_system.call("GetLocalListVersion", {}), central_system.call("ClearCache", {})
        )

    assert list(answers) == [{"listVersion": 0}, {"status": "Accepted"}]
