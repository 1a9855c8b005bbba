"""Statuses as real charge points send them: late, twice, misspelt, of connectors that are not."""

from datetime import UTC, datetime

import pytest

from tests.acceptance.network import minutes_ago
from tests.waiting import until


async def test_a_status_without_a_time_is_now(network):
    before = datetime.now(UTC)
    async with network.charge_point() as charge_point:
        await charge_point.call("StatusNotification", {"connectorId": 1, "status": "Available"})

    assert before <= network.row("status", charge_point)["at"] <= datetime.now(UTC)


async def test_an_old_status_does_not_become_the_present_one(network):
    async with network.charge_point() as charge_point:
        for status, ago in (("Charging", 1), ("Available", 330), ("Preparing", 30)):
            await charge_point.call(
                "StatusNotification",
                {"connectorId": 1, "status": status, "timestamp": minutes_ago(ago)},
            )

    rows = network.rows("status", charge_point)
    assert [row["status"] for row in rows] == ["Available", "Preparing", "Charging"]
    assert network.row("connector", charge_point)["status"] == "Charging"


async def test_a_repeated_status_is_stored_once(network):
    status = {"connectorId": 1, "status": "Available", "timestamp": minutes_ago(1)}
    for _ in range(2):
        async with network.charge_point("REPEATS-" + network._prefix) as charge_point:
            await charge_point.call("StatusNotification", status)

    assert len(network.rows("status", charge_point)) == 1


async def test_a_status_that_returns_within_a_second_is_the_last(network):
    at = minutes_ago(1)
    async with network.charge_point() as charge_point:
        for status, code in (("Available", "NoError"), ("Faulted", "GroundFailure")) * 2 + (
            ("Available", "NoError"),
        ) * 2:
            await charge_point.call(
                "StatusNotification",
                {"connectorId": 1, "status": status, "errorCode": code, "timestamp": at},
            )

    rows = sorted(network.rows("status", charge_point), key=lambda row: row["received_at"])
    assert [row["status"] for row in rows] == ["Faulted", "Available"]
    assert len({row["at"] for row in rows}) == 1
    assert network.row("connector", charge_point)["status"] == "Available"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (("Charging", "GroundFailure", None), ("Charging", "GroundFailure", None)),
        (("suspendedEVSE", "noerror", None), ("SuspendedEVSE", "NoError", None)),
        (("Faulted", "Error", None), ("Faulted", "OtherError", "Error")),
        (("Faulted", "Error", "0x17"), ("Faulted", "OtherError", "0x17")),
        (("Occupied", "", "null"), ("Occupied", None, None)),
        (("X" * 4000, "Y" * 4000, "Z" * 4000), ("X" * 255, "OtherError", "Z" * 255)),
    ],
)
async def test_odd_statuses_and_codes_are_normalised_or_kept(network, sent, kept):
    status, error_code, vendor_error_code = sent
    async with network.charge_point() as charge_point:
        await charge_point.call(
            "StatusNotification",
            {
                "connectorId": 1,
                "status": status,
                "errorCode": error_code,
                "vendorErrorCode": vendor_error_code,
            },
        )

    row = network.row("status", charge_point)
    assert (row["status"], row["error_code"], row["vendor_error_code"]) == kept


@pytest.mark.parametrize("payload", [{"connectorId": 1, "status": ""}, {"status": "Charging"}, {}])
async def test_a_status_that_says_nothing_is_set_aside_and_confirmed(network, payload):
    async with network.charge_point() as charge_point:
        assert await charge_point.call("StatusNotification", payload) == {}

    assert network.rows("status", charge_point) == []
    assert len(network.rows("set_aside", charge_point)) == 1


async def test_connectors_appear_when_they_first_speak(network):
    async with network.charge_point() as charge_point:
        for connector_id in (0, 1, 7, "2", 4711, 47110):
            await charge_point.call(
                "StatusNotification", {"connectorId": connector_id, "status": "Available"}
            )

    rows = network.rows("connector", charge_point)
    assert [row["connector_id"] for row in rows] == [0, 1, 2, 7, 4711]


async def test_a_lost_network_is_seen_at_once_and_recorded(network):
    async with network.charge_point() as charge_point:
        await charge_point.call("Heartbeat")
        await charge_point.cut()

    await until(
        lambda: not network.row("charge_point", charge_point)["is_online"], "shown offline", 5
    )
    assert network.row("connection", charge_point)["reason"] == "connection lost"
