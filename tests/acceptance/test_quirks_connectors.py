"""To which connector and which transaction a reading belongs."""

import asyncio

import pytest

from tests.acceptance.network import (
    BOOT,
    meter_value,
    minutes_ago,
    sample,
    send_meter_values,
    show,
    start,
    stop,
    stored,
)

case = pytest.mark.conformance


@pytest.mark.parametrize("connector_id", [-1, 2**15, 2**31, 2**64 - 1, 1e300, "A", [1]])
async def test_readings_of_an_impossible_connector_are_set_aside(network, connector_id):
    async with network.charge_point() as charge_point:
        answer = await charge_point.call(
            "MeterValues", {"connectorId": connector_id, "meterValue": [meter_value(1)]}
        )

    assert answer == {}
    assert network.rows("meter_value", charge_point) == []
    assert "no connector" in network.row("set_aside", charge_point)["reason"]


async def test_connector_0_is_the_main_meter_and_has_no_transaction(network):
    async with network.charge_point() as charge_point:
        await start(charge_point, network.add_id_tag())
        await send_meter_values(charge_point, meter_value(1), connectorId=0)

    row = network.row("meter_value", charge_point)
    assert (row["connector_id"], row["transaction_id"]) == (0, None)


@case("extra", "MeterValues without a transactionId are kept, with the open transaction")
@pytest.mark.parametrize("sent", [{}] + [{"transactionId": v} for v in (0, -1, None, "", "x")])
async def test_readings_without_a_usable_id_belong_to_the_open_transaction(network, sent):
    async with network.charge_point() as charge_point:
        begun = await start(charge_point, network.add_id_tag())
        before = meter_value(1, at=minutes_ago(60))
        await send_meter_values(charge_point, before, meter_value(2), **sent)
    async with network.charge_point(charge_point.charge_point_id) as charge_point:
        await send_meter_values(charge_point, meter_value(3, at=minutes_ago(0)), **sent)

    rows = network.rows("meter_value", charge_point)
    transaction_id = begun["transactionId"]
    assert [(row["energy_wh"], row["transaction_id"]) for row in rows] == [
        (1, None),
        (2, transaction_id),
        (3, transaction_id),
    ]


@case("extra", "MeterValues of an unknown transaction are kept")
async def test_readings_of_an_unknown_transaction_are_kept_with_its_id(network):
    row = await stored(network, sample("1"), transactionId=987654321)

    assert row["transaction_id"] == 987654321


async def test_readings_after_the_stop_stay_with_their_transaction_and_do_not_revive_it(network):
    async with network.charge_point() as charge_point:
        begun = await start(charge_point, network.add_id_tag())
        await stop(charge_point, begun["transactionId"])
        stopped = network.row("transaction", charge_point)
        await send_meter_values(
            charge_point,
            meter_value(sample("9001", context="Transaction.End")),
            transactionId=begun["transactionId"],
        )
        await send_meter_values(charge_point, meter_value(9002, at=minutes_ago(0)))

    rows = network.rows("meter_value", charge_point)
    assert [row["transaction_id"] for row in rows] == [begun["transactionId"], None]
    assert network.row("transaction", charge_point) == stopped


async def test_readings_after_an_operator_ended_the_transaction_are_of_none(network):
    """The socket that holds it is told."""
    async with network.charge_point() as charge_point:
        begun = await start(charge_point, network.add_id_tag())
        ended = network.ask(
            "SELECT operation.end_transaction(%s, 'a test')", [begun["transactionId"]]
        )
        placed = []
        while not placed or (placed[-1] is not None and len(placed) < 100):
            await asyncio.sleep(0.05)
            await send_meter_values(charge_point, meter_value(1, at=minutes_ago(-1)))
            placed = [row["transaction_id"] for row in network.rows("meter_value", charge_point)]
        await send_meter_values(charge_point, meter_value(2, at=minutes_ago(5)))

    assert (ended, placed[-1]) == ([(True,)], None)
    early = network.rows("meter_value", charge_point)[0]
    assert (early["energy_wh"], early["transaction_id"]) == (2, begun["transactionId"])


@pytest.mark.parametrize("followed", [False, True], ids=["last", "before another"])
async def test_a_reading_that_comes_again_after_the_stop_is_the_one_it_was(network, followed):
    """The answer is lost, then the queue comes: the stop first. And late ones find their place."""
    tag = network.add_id_tag()
    aligned = {"connectorId": 1, "meterValue": [meter_value(2, at=minutes_ago(30))]}
    async with network.charge_point() as charge_point:
        begun = await start(charge_point, tag, at=minutes_ago(60))
        await charge_point.call("MeterValues", aligned, message_id="a")
    async with network.charge_point(charge_point.charge_point_id) as charge_point:
        await stop(charge_point, begun["transactionId"], at=minutes_ago(20))
        if followed:
            await start(charge_point, tag, at=minutes_ago(10))
        await charge_point.call("MeterValues", aligned, message_id="b")
        await send_meter_values(charge_point, meter_value(1, at=minutes_ago(40)))
        await send_meter_values(charge_point, meter_value(9, at=minutes_ago(15)))
    async with network.charge_point(charge_point.charge_point_id) as charge_point:
        await charge_point.call("MeterValues", aligned, message_id="c")
        await send_meter_values(charge_point, meter_value(3, at=minutes_ago(25)))

    rows = network.rows("meter_value", charge_point)
    number = begun["transactionId"]
    assert sorted((row["energy_wh"], row["transaction_id"]) for row in rows) == [
        (1, number),
        (2, number),
        (3, number),
        (9, None),
    ]


@pytest.mark.parametrize(
    "boots, status, belongs",
    [
        (False, "Available", False),
        (True, "Available", False),
        (True, "Preparing", False),
        (False, "Preparing", True),
        (True, "SuspendedEV", True),
        (True, "Charging", True),
    ],
)
async def test_readings_after_a_lost_stop_do_not_belong_to_what_was_stopped(
    network, boots, status, belongs
):
    """As the socket knows it, and as the next one learns it from the database."""
    async with network.charge_point() as charge_point:
        begun = await start(charge_point, network.add_id_tag(), at=minutes_ago(60))
        if boots:
            await charge_point.call("BootNotification", BOOT)
        await show(charge_point, "Available", connector_id=2, timestamp=minutes_ago(45))
        await show(charge_point, status, timestamp=minutes_ago(30) if not boots else minutes_ago(0))
        await send_meter_values(charge_point, meter_value(1, at=minutes_ago(50)))
        await send_meter_values(charge_point, meter_value(2, at=minutes_ago(-1)))
    async with network.charge_point(charge_point.charge_point_id) as charge_point:
        await send_meter_values(charge_point, meter_value(3, at=minutes_ago(49)))
        await send_meter_values(charge_point, meter_value(4, at=minutes_ago(-2)))

    found = {
        row["energy_wh"]: row["transaction_id"] for row in network.rows("meter_value", charge_point)
    }
    number = begun["transactionId"]
    later = number if belongs else None
    assert found == {1: number, 2: later, 3: number, 4: later}


@pytest.mark.parametrize("written", ["1970-01-01T00:05:10Z", "garbage", None])
async def test_readings_without_a_clock_that_come_again_are_one(network, written):
    """On the same socket, under another message id, and on the next one."""
    first, second = (
        {**meter_value(sample(value), sample("7.3", "Power.Active.Import", "kW")), "timestamp": at}
        for value, at in (("1", written), ("2", written))
    )
    async with network.charge_point() as charge_point:
        await send_meter_values(charge_point, first)
        await send_meter_values(charge_point, first)
        await charge_point.cut()
    async with network.charge_point(charge_point.charge_point_id) as charge_point:
        await send_meter_values(charge_point, first)
        await send_meter_values(charge_point, second)

    rows = network.rows("meter_value", charge_point)
    assert [row["energy_wh"] for row in rows] == [1, 2]
    assert {row["power_w"] for row in rows} == {7300}
