"""Years of sessions, fed through the websocket in a moment, stand as their files tell them."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.acceptance.network import Network, meter_value, send_meter_values, start, stop

OPENED = datetime(2013, 6, 1, 8, tzinfo=UTC)
# Of one connector: minutes after opening, and length. The second begins the minute the first ends,
# the third while the second still runs.
VISITS = [(0, 60), (60, 90), (100, 45), (1440 * 400, 30)]


def at(minute: float) -> str:
    return (OPENED + timedelta(minutes=minute)).isoformat()


def samples(visit: int) -> list[tuple[str, float, float]]:
    """Instant, register and state of charge each 15 minutes, another pair for each visit."""
    began, length = VISITS[visit]
    return [
        (at(began + minute), 10_000.0 * visit + 100 * minute, 10.0 * visit + minute / 2)
        for minute in range(0, length + 1, 15)
    ]


async def charge(network: Network, charge_point: Any, visit: int, connector_id: int) -> int:
    """Replay one row of the file, with its samples, and return the number it got."""
    began, length = VISITS[visit]
    sent = samples(visit)
    place = {"connectorId": connector_id}
    begun = await start(charge_point, "A", at=at(began), meterStart=sent[0][1], **place)
    number: int = begun["transactionId"]
    for instant, register, soc in sent:
        value = meter_value(register, {"value": soc, "measurand": "SoC"}, at=instant)
        await send_meter_values(charge_point, value, transactionId=number, **place)
    await stop(charge_point, number, at=at(began + length), meterStop=sent[-1][1])
    return number


async def test_a_history_is_stored_as_its_file_has_it(network: Network) -> None:
    """Several charge points at once, connectors by the keys of a database, no status at all."""

    async def replay(connector_id: int) -> None:
        async with network.charge_point() as charge_point:
            numbers = [
                await charge(network, charge_point, visit, connector_id)
                for visit in range(len(VISITS))
            ]
        rows = network.rows("meter_value", charge_point)
        stored = [
            (
                row["transaction_id"],
                row["sampled_at"].isoformat(),
                row["energy_wh"],
                row["soc_percent"],
            )
            for row in rows
        ]
        expected = [
            (number, *sample) for visit, number in enumerate(numbers) for sample in samples(visit)
        ]
        assert sorted(stored) == sorted(expected)
        assert all(row["extra"] is None for row in rows)
        transactions = network.rows("transaction", charge_point)
        assert [
            (row["started_at"], row["stopped_at"], row["meter_stop_wh"] - row["meter_start_wh"])
            for row in transactions
        ] == [
            (
                OPENED + timedelta(minutes=began),
                OPENED + timedelta(minutes=began + length),
                100 * length,
            )
            for began, length in VISITS
        ]
        known = network.rows("connector", charge_point)
        assert [row["connector_id"] for row in known] == [connector_id]

    await asyncio.gather(*(replay(connector_id) for connector_id in (1, 117, 4711)))
