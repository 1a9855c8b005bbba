"""What a simulated charge point does after it accepted a command."""

import itertools
from datetime import datetime, timedelta

import pytest

from testbench.clock import timestamp
from tests.station_bench import LATER, bench, charging, status, statuses


async def test_a_remote_start_and_stop_is_a_transaction(central_system):
    async with bench(central_system):
        await central_system.call("RemoteStartTransaction", {"idTag": "BUS-9", "connectorId": 2})
        (start,) = await central_system.until_processed("StartTransaction")
        busy = await central_system.call(
            "RemoteStartTransaction", {"idTag": "BUS-8", "connectorId": 2}
        )
        await central_system.until_processed("MeterValues", 3)
        await central_system.call("RemoteStopTransaction", {"transactionId": 71})
        (stop,) = await central_system.until_processed("StopTransaction")
        await status(central_system, "Available", 2)

    assert (start["connectorId"], start["idTag"]) == (2, "BUS-9")
    assert busy == {"status": "Rejected"}
    assert (stop["transactionId"], stop["reason"]) == (71, "Remote")
    assert statuses(central_system, 2) == [
        "Available", "Preparing", "Charging", "Finishing", "Available",
    ]  # fmt: skip


@pytest.mark.parametrize(("kind", "reason"), [("Soft", "SoftReset"), ("Hard", "HardReset")])
async def test_a_reset_ends_transactions_and_boots_again(central_system, kind, reason):
    async with bench(central_system) as charge_point:
        charging(charge_point)
        await central_system.until_processed("MeterValues", 2)
        await central_system.call("Reset", {"type": kind})
        await central_system.until_processed("BootNotification", 2)
        (stop,) = await central_system.until_processed("StopTransaction")

    assert stop["reason"] == reason
    assert len(central_system.handshakes) == 2


async def test_unlocking_ends_the_transaction(central_system):
    async with bench(central_system) as charge_point:
        charging(charge_point)
        await central_system.until_processed("MeterValues")
        await central_system.call("UnlockConnector", {"connectorId": 1})
        (stop,) = await central_system.until_processed("StopTransaction")

        unknown = await central_system.call("UnlockConnector", {"connectorId": 9})

    assert stop["reason"] == "UnlockCommand"
    assert unknown == {"status": "NotSupported"}


async def test_availability_waits_for_the_end_of_a_transaction(central_system):
    async with bench(central_system) as charge_point:
        charging(charge_point)
        await central_system.until_processed("MeterValues")
        answer = await central_system.call(
            "ChangeAvailability", {"connectorId": 0, "type": "Inoperative"}
        )
        await status(central_system, "Unavailable", 2)
        assert statuses(central_system)[-1] == "Charging"
        await central_system.call("RemoteStopTransaction", {"transactionId": 71})
        await status(central_system, "Unavailable")

    assert answer == {"status": "Scheduled"}
    assert statuses(central_system, 0)[-1] == "Unavailable"


async def test_the_configuration_is_read_and_changed(central_system):
    async with bench(central_system):
        everything = await central_system.call("GetConfiguration", {})
        by_name = {it["key"]: it for it in everything["configurationKey"]}

        async def change(name, value):
            answer = await central_system.call("ChangeConfiguration", {"key": name, "value": value})
            return answer["status"]

        assert await change("MeterValueSampleInterval", "30") == "Accepted"
        assert await change("MeterValueSampleInterval", "often") == "Rejected"
        assert await change("NumberOfConnectors", "3") == "Rejected"
        assert await change("NoSuchKey", "1") == "NotSupported"
        assert await change("MeterValuesSampledData", "Voltage,Nonsense") == "Rejected"
        assert await change("SecurityProfile", "2") == "RebootRequired"
        assert await change("SecurityProfile", "1") == "Rejected"
        read = await central_system.call(
            "GetConfiguration", {"key": ["MeterValueSampleInterval", "AuthorizationKey", "Nope"]}
        )

    assert by_name["NumberOfConnectors"] == {
        "key": "NumberOfConnectors",
        "readonly": True,
        "value": "2",
    }
    assert read["configurationKey"] == [
        {"key": "MeterValueSampleInterval", "readonly": False, "value": "30"},
        {"key": "AuthorizationKey", "readonly": False},
    ]
    assert read["unknownKey"] == ["Nope"]


async def test_a_new_sample_interval_and_list_take_effect_at_once(central_system):
    async with bench(central_system, MeterValueSampleInterval=36_000) as charge_point:
        charging(charge_point)
        await status(central_system, "Charging")
        for name, value in (
            ("MeterValuesSampledData", "Voltage,SoC"),
            ("MeterValueSampleInterval", "60"),
        ):
            await central_system.call("ChangeConfiguration", {"key": name, "value": value})
        readings = [
            it["meterValue"][0] for it in await central_system.until_processed("MeterValues", 3)
        ]

    times = [datetime.fromisoformat(it["timestamp"]) for it in readings]
    assert times[2] - times[1] == timedelta(seconds=60)
    measured = [[sample["measurand"] for sample in it["sampledValue"]] for it in readings]
    assert measured[-1] == ["Voltage", "SoC"]


async def test_a_new_password_is_used_from_the_next_connection_on(central_system):
    secret = bytes(range(16))
    async with bench(central_system):
        answer = await central_system.call(
            "ChangeConfiguration", {"key": "AuthorizationKey", "value": secret.hex()}
        )
        await central_system.until(lambda: len(central_system.handshakes) == 2)

    assert answer == {"status": "Accepted"}
    assert "Authorization" in central_system.handshakes[1].headers


async def test_messages_are_triggered(central_system):
    wanted = {
        "BootNotification": "BootNotification",
        "Heartbeat": "Heartbeat",
        "MeterValues": "MeterValues",
        "DiagnosticsStatusNotification": "DiagnosticsStatusNotification",
        "FirmwareStatusNotification": "FirmwareStatusNotification",
    }
    async with bench(central_system):
        for message, action in wanted.items():
            before = len(central_system.payloads(action))
            await central_system.call("TriggerMessage", {"requestedMessage": message})
            await central_system.until_processed(action, before + 1)
        rejected = await central_system.call(
            "TriggerMessage", {"requestedMessage": "Heartbeat", "connectorId": 9}
        )

    reading = central_system.payloads("MeterValues")[0]["meterValue"][0]["sampledValue"][0]
    assert reading["context"] == "Trigger"
    assert rejected == {"status": "Rejected"}


async def test_clock_aligned_values_come_outside_transactions_too(central_system):
    async with bench(central_system, ClockAlignedDataInterval=900):
        readings = await central_system.until_processed("MeterValues", 4)

    assert all("transactionId" not in it for it in readings)
    for it in readings:
        element = it["meterValue"][0]
        at = datetime.fromisoformat(element["timestamp"])
        past = (at.minute * 60 + at.second) % 900
        assert past < 120, "not at a quarter of an hour"
        assert element["sampledValue"][0]["context"] == "Sample.Clock"


async def test_the_local_list_has_versions(central_system):
    accepted = {"idTag": "BUS-1", "idTagInfo": {"status": "Accepted"}}
    blocked = {"idTag": "BUS-2", "idTagInfo": {"status": "Blocked"}}

    async def send(version, kind, *entries):
        answer = await central_system.call(
            "SendLocalList",
            {"listVersion": version, "updateType": kind, "localAuthorizationList": list(entries)},
        )
        return answer["status"]

    async with bench(central_system) as charge_point:
        assert await central_system.call("GetLocalListVersion", {}) == {"listVersion": 0}
        assert await send(3, "Full", accepted, blocked) == "Accepted"
        assert await send(3, "Differential", accepted) == "VersionMismatch"
        assert await send(4, "Differential", {"idTag": "BUS-1"}) == "Accepted"
        assert await central_system.call("GetLocalListVersion", {}) == {"listVersion": 4}
        await charge_point.link.go_offline()
        offline = [await charge_point.authorise(tag) for tag in ("bus-2", "BUS-1")]
        charge_point.configuration.set("AllowOfflineTxForUnknownId", "false")
        unknown = await charge_point.authorise("BUS-1")

    assert offline == ["Blocked", "Accepted"]
    assert unknown == "Invalid"


async def test_a_reservation_holds_the_connector_for_its_tag(central_system):
    reserve = {"connectorId": 1, "expiryDate": LATER, "idTag": "BUS-1", "reservationId": 5}
    async with bench(central_system):
        await central_system.call("ReserveNow", reserve)
        await status(central_system, "Reserved")
        other = await central_system.call("ReserveNow", {**reserve, "reservationId": 6})
        stranger = await central_system.call(
            "RemoteStartTransaction", {"idTag": "BUS-2", "connectorId": 1}
        )
        await central_system.call("RemoteStartTransaction", {"idTag": "bus-1", "connectorId": 1})
        (start,) = await central_system.until_processed("StartTransaction")
        used = await central_system.call("CancelReservation", {"reservationId": 5})

    assert (other["status"], stranger["status"]) == ("Occupied", "Rejected")
    assert start["reservationId"] == 5
    assert used == {"status": "Rejected"}


async def test_a_reservation_is_cancelled_or_expires(central_system):
    async with bench(central_system) as charge_point:
        soon = timestamp(charge_point.clock.now() + timedelta(seconds=120))
        reserve = {"connectorId": 1, "expiryDate": LATER, "idTag": "BUS-1", "reservationId": 5}
        await central_system.call("ReserveNow", reserve)
        await status(central_system, "Reserved")
        await central_system.call("CancelReservation", {"reservationId": 5})
        await status(central_system, "Available")
        await central_system.call("ReserveNow", {**reserve, "expiryDate": soon})
        await status(central_system, "Reserved")
        await status(central_system, "Available")


async def test_clock_aligned_values_come_within_transactions_at_the_exact_instant(central_system):
    async with bench(central_system, ClockAlignedDataInterval=900) as charge_point:
        charging(charge_point)
        await central_system.until(lambda: len(aligned(central_system)) >= 3)
        readings = aligned(central_system)

    times = [datetime.fromisoformat(it["meterValue"][0]["timestamp"]) for it in readings]
    assert {(at.minute % 15, at.second, at.microsecond) for at in times} == {(0, 0, 0)}
    assert {later - sooner for sooner, later in itertools.pairwise(times)} == {
        timedelta(minutes=15)
    }


def aligned(central_system):
    """Return the clock-aligned readings of the running transaction."""
    return [
        it
        for it in central_system.payloads("MeterValues")
        if it["meterValue"][0]["sampledValue"][0]["context"] == "Sample.Clock"
        and it.get("transactionId") == 71
    ]
