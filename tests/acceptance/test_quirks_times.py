"""Clocks as real charge points set them, and what becomes of their readings."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.acceptance.network import (
    instant,
    meter_value,
    minutes_ago,
    sample,
    send_meter_values,
)

case = pytest.mark.conformance


@pytest.mark.parametrize(
    ("written", "offset_minutes"),
    [
        ("{}.123456789Z", 0),
        ("{}Z", 0),
        ("{}+01:00", -60),
        ("{}+01", -60),
        ("{}-0300", 180),
        ("{}+05:30", -330),
    ],
)
async def test_offsets_and_fractions_are_understood(network, written, offset_minutes):
    local = "2026-01-15T12:00:00"
    async with network.charge_point() as charge_point:
        await send_meter_values(charge_point, meter_value(1, at=written.format(local)))

    sampled_at = network.row("meter_value", charge_point)["sampled_at"].replace(microsecond=0)
    assert sampled_at == instant(local + "Z") + timedelta(minutes=offset_minutes)


async def test_a_time_without_a_zone_has_the_charge_points(network):
    identity = network.add_charge_point(time_zone="America/Belem")
    async with network.charge_point(identity) as charge_point:
        await send_meter_values(charge_point, meter_value(1, at="2026-01-15T09:00:00"))
        await charge_point.call(
            "StatusNotification",
            {"connectorId": 1, "status": "Available", "timestamp": "2026-01-15T09:00:00.5"},
        )

    row, status = network.row("meter_value", identity), network.row("status", identity)
    assert row["sampled_at"] == instant("2026-01-15T12:00:00Z")
    assert row["extra"] == {"flags": ["zone"]}
    assert status["at"] == instant("2026-01-15T12:00:00.5Z")
    assert status["flags"] == ["zone"]


async def test_local_time_that_claims_to_be_utc_is_kept_beside_ours(network):
    """One frame cannot tell; the two clocks over many frames can."""
    at = minutes_ago(180)
    async with network.charge_point() as charge_point:
        await send_meter_values(charge_point, meter_value(1, at=at))

    received_at = network.row("ocpp_exchange", charge_point)["received_at"]
    assert network.row("meter_value", charge_point)["sampled_at"] == instant(at)
    assert received_at - instant(at) > timedelta(minutes=179)


BAD_TIMES = [
    "1970-01-01T00:00:17Z",
    "0001-01-01T00:00:00Z",
    "2000-01-01T00:00:00Z",
    "2009-12-31T23:59:59Z",
    "2099-01-01T00:00:00Z",
    "9999-12-31T23:59:59-14:00",
    "soon",
    "",
    17,
]


@pytest.mark.parametrize("timestamp", [*BAD_TIMES, None])
async def test_our_time_stands_in_for_a_clock_that_is_not_set(network, timestamp):
    before = datetime.now(UTC) - timedelta(seconds=1)
    async with network.charge_point() as charge_point:
        await send_meter_values(
            charge_point, {"timestamp": timestamp, "sampledValue": [sample("17")]}
        )
        await charge_point.call(
            "StatusNotification",
            {"connectorId": 1, "status": "Charging", "timestamp": timestamp},
        )

    row, status = network.row("meter_value", charge_point), network.row("status", charge_point)
    assert row["energy_wh"] == 17
    assert before < row["sampled_at"] < status["at"] + timedelta(seconds=1)
    assert row["extra"]["flags"] == ["clock"]
    # Without a time a status means now (OCPP 1.6 4.9): there is nothing to flag.
    assert status["flags"] == ([] if timestamp in (None, "") else ["clock"])
