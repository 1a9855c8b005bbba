"""Starts and stops as real charge points send them: early, late, twice, or not at all."""

import asyncio

import pytest

from tests.acceptance.network import (
    instant,
    meter_value,
    minutes_ago,
    send_meter_values,
    start,
    stop,
)

case = pytest.mark.conformance


# ---------------------------------------------------------------- starts


@case("extra", "a repeated StartTransaction has the same transactionId")
async def test_a_start_repeated_because_its_answer_was_lost_is_one_transaction(network):
    id_tag, at = network.add_id_tag(max_active=1), minutes_ago(10)
    async with network.charge_point() as charge_point:
        first = await start(charge_point, id_tag, at=at)
        again = await start(charge_point, id_tag, at=at)
        await charge_point.cut()
    async with network.charge_point(charge_point.charge_point_id) as charge_point:
        later = await start(charge_point, id_tag, at=at)

    assert first["idTagInfo"]["status"] == "Accepted"
    assert first == again == later
    assert network.row("transaction", charge_point)["transaction_id"] == first["transactionId"]


@case("extra", "a StartTransaction repeated in the same commit has the same transactionId")
async def test_a_start_repeated_in_one_breath_is_one_transaction(network):
    """Pipelined, so that both copies may meet in one commit."""
    payload = {
        "connectorId": 1,
        "idTag": network.add_id_tag(),
        "meterStart": 1,
        "timestamp": minutes_ago(1),
    }
    async with network.charge_point() as one, network.charge_point() as other:
        answers = await asyncio.gather(
            *[one.call("StartTransaction", payload) for _ in range(5)],
            *[other.call("StartTransaction", payload) for _ in range(5)],
        )

    assert len({answer["transactionId"] for answer in answers}) == 2


async def test_a_start_without_a_clock_is_known_again(network):
    id_tag = network.add_id_tag()
    async with network.charge_point() as charge_point:
        first = await start(charge_point, id_tag, at="1970-01-01T00:00:17Z")
        again = await start(charge_point, id_tag, at="1970-01-01T00:00:17Z")
        await stop(charge_point, first["transactionId"], at="1970-01-01T01:00:00Z")
        after = await start(charge_point, id_tag, at="1970-01-01T00:00:17Z")

    assert first["transactionId"] == again["transactionId"] != after["transactionId"]
    assert [row["flags"] for row in network.rows("transaction", charge_point)] == [
        ["clock", "clock"],
        ["clock"],
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {"connectorId": 4711},
        {"connectorId": -1},
        {"connectorId": "1", "meterStart": "1000"},
        {"meterStart": None},
        {"meterStart": "1e308"},
        {"idTag": ""},
        {"idTag": "x" * 4000},
        {"idTag": None, "reservationId": 2**40},
        {"timestamp": None},
    ],
)
async def test_a_start_is_always_answered_with_a_number_and_a_verdict(network, fields):
    """OCPP 1.6 4.8: whatever a sanity check may say."""
    async with network.charge_point() as charge_point:
        answer = await start(charge_point, network.add_id_tag(), **fields)

    assert answer["transactionId"] > 0
    assert answer["idTagInfo"]["status"] in {"Accepted", "Invalid"}
    assert network.row("transaction", charge_point)["transaction_id"] == answer["transactionId"]


async def test_one_tag_has_no_more_transactions_than_it_may(network):
    id_tag = network.add_id_tag(max_active=1)
    async with network.charge_point() as charge_point, network.charge_point() as other:
        first = await start(charge_point, id_tag)
        second = await start(other, id_tag.lower())
        await stop(charge_point, first["transactionId"])
        third = await start(other, id_tag, connectorId=2)

    statuses = [answer["idTagInfo"]["status"] for answer in (first, second, third)]
    assert statuses == ["Accepted", "ConcurrentTx", "Accepted"]
    assert second["transactionId"] > 0


# ---------------------------------------------------------------- stops


@pytest.mark.parametrize(
    ("meter_stop", "stored"),
    [
        (500, 500),
        (-1, -1),
        (None, None),
        ("9000", 9000),
        ("", None),
        (2**53, 2**53),
        (2**63 - 1, None),
    ],
)
async def test_a_stop_closes_whatever_its_register_says(network, meter_stop, stored):
    async with network.charge_point() as charge_point:
        begun = await start(charge_point, network.add_id_tag())
        assert await stop(charge_point, begun["transactionId"], meterStop=meter_stop) == {}

    row = network.row("transaction", charge_point)
    assert row["stopped_at"] is not None
    assert row["meter_stop_wh"] == stored
    assert row["flags"] == (["meter_stop"] if stored is None else [])


async def test_the_data_of_a_stop_become_readings_beside_its_register(network):
    ended = minutes_ago(2)
    async with network.charge_point() as charge_point:
        begun = await start(charge_point, network.add_id_tag(), connectorId=2)
        sent_before = meter_value(8900, at=minutes_ago(3))
        await send_meter_values(
            charge_point, sent_before, connectorId=2, transactionId=begun["transactionId"]
        )
        data = [sent_before, meter_value({"value": "8950", "context": "Transaction.End"}, at=ended)]
        await stop(
            charge_point, begun["transactionId"], at=ended, meterStop=9000, transactionData=data
        )

    rows = network.rows("meter_value", charge_point)
    assert [(row["energy_wh"], row["connector_id"], row["transaction_id"]) for row in rows] == [
        (8900, 2, begun["transactionId"]),
        (8950, 2, begun["transactionId"]),
    ]
    assert network.row("transaction", charge_point)["meter_stop_wh"] == 9000


@case("extra", "a repeated StopTransaction changes nothing")
async def test_a_stop_that_comes_again_changes_nothing(network):
    """Also its data, on the next socket, when the transaction is no longer open."""
    id_tag, at = network.add_id_tag(), minutes_ago(2)
    answers = []
    async with network.charge_point() as charge_point:
        begun = await start(charge_point, id_tag, connectorId=2)
    for _ in range(2):
        async with network.charge_point(charge_point.charge_point_id) as charge_point:
            answers.append(
                await stop(
                    charge_point,
                    begun["transactionId"],
                    at=at,
                    idTag=id_tag,
                    transactionData=[meter_value(8950, at=at)],
                )
            )

    assert answers == [{"idTagInfo": {"status": "Accepted"}}] * 2
    assert network.row("meter_value", charge_point)["connector_id"] == 2
    assert network.rows("orphan_stop", charge_point) == []


@pytest.mark.parametrize("named", [0, -1, None, "", "unknown", 2**31 - 1])
async def test_a_stop_without_a_usable_id_closes_the_only_open_transaction(network, named):
    at = minutes_ago(2)
    async with network.charge_point() as charge_point:
        begun = await start(charge_point, network.add_id_tag())
        for _ in range(2):
            data = [meter_value(8950, at=at)]
            assert await stop(charge_point, named, at=at, transactionData=data) == {}

    row = network.row("transaction", charge_point)
    assert row["meter_stop_wh"] == 9000
    assert row["flags"] == ["matched"]
    reading = network.row("meter_value", charge_point)
    assert (reading["connector_id"], reading["transaction_id"]) == (1, begun["transactionId"])
    assert network.rows("orphan_stop", charge_point) == []


async def test_a_stop_without_a_clock_that_comes_again_closes_nothing_else(network):
    async with network.charge_point() as charge_point:
        first = await start(charge_point, network.add_id_tag(), connectorId=1)
        for _ in range(2):
            assert await stop(charge_point, -1, at="1970-01-01T00:00:00Z") == {}
            if len(network.rows("transaction", charge_point)) == 1:
                await start(charge_point, network.add_id_tag(), connectorId=2)

    stopped, running = network.rows("transaction", charge_point)
    assert (stopped["transaction_id"], stopped["meter_stop_wh"]) == (first["transactionId"], 9000)
    assert running["stopped_at"] is None
    assert network.rows("orphan_stop", charge_point) == []


async def test_two_sessions_of_nothing_without_a_clock_are_two(network):
    """Their stops look alike; the second is of what began since."""
    async with network.charge_point() as charge_point:
        for _ in range(2):
            await start(charge_point, network.add_id_tag(), at="1970-01-01T00:00:00Z")
            await stop(charge_point, -1, at="1970-01-01T00:00:00Z", meterStop=1000)

    rows = network.rows("transaction", charge_point)
    assert [row["meter_stop_wh"] for row in rows] == [1000, 1000]


async def test_an_orphan_without_a_clock_is_kept_once(network):
    async with network.charge_point() as charge_point:
        for _ in range(2):
            await stop(charge_point, 2**31 - 1, at="1970-01-01T00:00:00Z")

    assert len(network.rows("orphan_stop", charge_point)) == 1


async def test_a_stop_nobody_is_open_for_is_kept_as_an_orphan(network):
    async with network.charge_point() as charge_point:
        assert await stop(charge_point, 2**31 - 1, idTag="ORPHAN", reason="PowerLoss") == {}

    orphan = network.row("orphan_stop", charge_point)
    assert (orphan["transaction_id"], orphan["reason"]) == (2**31 - 1, "PowerLoss")


async def test_a_stop_that_could_mean_two_transactions_closes_none(network):
    async with network.charge_point() as charge_point:
        await start(charge_point, network.add_id_tag(), connectorId=1)
        await start(charge_point, network.add_id_tag(), connectorId=2)
        await stop(charge_point, -1)

    assert [row["stopped_at"] for row in network.rows("transaction", charge_point)] == [None, None]
    assert len(network.rows("orphan_stop", charge_point)) == 1


async def test_a_second_stop_of_a_closed_transaction_does_not_change_it(network):
    async with network.charge_point() as charge_point:
        begun = await start(charge_point, network.add_id_tag())
        await stop(charge_point, begun["transactionId"])
        closed = network.row("transaction", charge_point)
        assert (
            await stop(charge_point, begun["transactionId"], meterStop=1, at=minutes_ago(1)) == {}
        )

    assert network.row("transaction", charge_point) == closed
    assert network.row("orphan_stop", charge_point)["meter_stop_wh"] == 1


async def test_a_charge_point_cannot_stop_the_transaction_of_another(network):
    async with network.charge_point() as charge_point, network.charge_point() as other:
        begun = await start(charge_point, network.add_id_tag())
        await stop(other, begun["transactionId"])

    assert network.row("transaction", charge_point)["stopped_at"] is None
    assert len(network.rows("orphan_stop", other)) == 1


async def test_the_next_start_ends_a_transaction_that_was_never_stopped(network):
    """Its stop is still taken when it comes."""
    async with network.charge_point() as charge_point:
        first = await start(charge_point, network.add_id_tag(max_active=1), at=minutes_ago(60))
        second = await start(charge_point, network.add_id_tag(), at=minutes_ago(30))
        await send_meter_values(charge_point, meter_value(5, at=minutes_ago(20)))
        await stop(charge_point, first["transactionId"], at=minutes_ago(40), meterStop=4000)

    reading = network.row("meter_value", charge_point)
    assert reading["transaction_id"] == second["transactionId"]
    rows = network.rows("transaction", charge_point)
    assert [row["meter_stop_wh"] for row in rows] == [4000, None]


async def test_an_offline_past_that_arrives_after_the_present_is_in_its_place(network):
    id_tag, began = network.add_id_tag(max_active=1), minutes_ago(240)
    async with network.charge_point() as charge_point:
        present = await start(charge_point, network.add_id_tag(), at=minutes_ago(5))
        past = await start(charge_point, id_tag, at=began)
        await send_meter_values(charge_point, meter_value(7, at=minutes_ago(1)))
        await stop(charge_point, past["transactionId"], at=minutes_ago(200))

    rows = {row["transaction_id"]: row for row in network.rows("transaction", charge_point)}
    assert rows[past["transactionId"]]["started_at"] == instant(began)
    assert rows[present["transactionId"]]["stopped_at"] is None
    reading = network.row("meter_value", charge_point)
    assert reading["transaction_id"] == present["transactionId"]


async def test_a_card_of_the_same_parent_may_stop(network):
    family = network.add_id_tag()
    driver = network.add_id_tag(parent_id_tag=family)
    colleague = network.add_id_tag(parent_id_tag=family)
    async with network.charge_point() as charge_point:
        begun = await start(charge_point, driver)
        answer = await stop(charge_point, begun["transactionId"], idTag=colleague)

    assert begun["idTagInfo"] == {"status": "Accepted", "parentIdTag": family}
    assert answer == {"idTagInfo": {"status": "Accepted", "parentIdTag": family}}
    assert network.row("transaction", charge_point)["stop_id_tag"] == colleague


@pytest.mark.parametrize(
    ("sent", "stored"),
    [(None, "Local"), ("evdisconnected", "EVDisconnected"), ("PowerLoss", "PowerLoss"), ("?", "?")],
)
async def test_the_reason_of_a_stop_is_normalised_or_kept(network, sent, stored):
    async with network.charge_point() as charge_point:
        begun = await start(charge_point, network.add_id_tag())
        await stop(charge_point, begun["transactionId"], reason=sent)

    assert network.row("transaction", charge_point)["reason"] == stored


async def test_a_stop_before_its_start_closes_it(network):
    async with network.charge_point() as charge_point:
        begun = await start(charge_point, network.add_id_tag(), at=minutes_ago(10))
        await stop(charge_point, begun["transactionId"], at=minutes_ago(20))

    row = network.row("transaction", charge_point)
    assert row["stopped_at"] < row["started_at"]
