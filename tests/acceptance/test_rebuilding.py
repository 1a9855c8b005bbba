"""Readings put back from the raw log are the ones that were stored, in every column."""

from datetime import UTC, datetime, timedelta
from typing import Any

from eletroposto.rebuild import FrameReader
from flows import runs
from flows.rebuild import computer
from flows.scope import Scope
from tests.acceptance.network import (
    Network,
    meter_value,
    send_meter_values,
    settle,
    start,
    stop,
)

FREQUENCY = {"value": "60", "measurand": "Frequency"}
POWER = {"value": "36.5", "measurand": "Power.Active.Import", "unit": "kW"}


def rebuild(network: Network, identity: str, dry_run: bool = False) -> dict[str, int]:
    now = datetime.now(UTC)
    scope = Scope(now - timedelta(days=2), now + timedelta(days=1), (identity,), dry_run)
    counts = runs.run(network.database_url, "rebuild", scope, computer(FrameReader)).counts
    return dict(counts)


def stored(network: Network, identity: str) -> list[dict[str, Any]]:
    return [
        {key: value for key, value in row.items() if key != "origin"}
        for row in network.rows("meter_value", identity)
    ]


async def live_a_day(network: Network) -> str:
    """Send readings that name their transaction, leave it out, or can belong to none."""
    tag, now = network.add_id_tag(), datetime.now(UTC)

    def at(minutes: float) -> str:
        return (now - timedelta(minutes=minutes)).isoformat(timespec="milliseconds")

    async with network.charge_point() as charge_point:

        async def reading(minutes: float, *samples: Any, **fields: Any) -> None:
            value = meter_value({"value": "1000"}, *samples, at=at(minutes))
            await send_meter_values(charge_point, value, **fields)

        async def status(minutes: float, status: str) -> None:
            told = {"connectorId": 1, "errorCode": "NoError", "status": status}
            await charge_point.call("StatusNotification", {**told, "timestamp": at(minutes)})

        await reading(130)
        first = (await start(charge_point, tag, at=at(120)))["transactionId"]
        await reading(119, transactionId=first)
        await reading(118, POWER)
        await reading(118, FREQUENCY)  # more of the same instant
        await reading(117, connectorId=2)
        await charge_point.call(
            "MeterValues",
            {
                "transactionId": first,
                "meterValue": [meter_value({"value": "1100"}, at=at(116))],
            },
        )
        await stop(
            charge_point,
            first,
            at=at(100),
            transactionData=[meter_value({"value": "9000"}, FREQUENCY, at=at(100))],
        )
        await reading(90)
        second = (await start(charge_point, tag, at=at(80)))["transactionId"]
        await reading(79, POWER)
        await status(70, "Available")
        await reading(60)
        await start(charge_point, tag, at=at(50))
        await reading(49)
        await reading(81)
        await settle(charge_point)
        assert first != second
        return str(charge_point.charge_point_id)


async def test_a_rebuild_gives_every_column_that_was_stored(network: Network):
    identity = await live_a_day(network)
    before = stored(network, identity)
    assert len({row["transaction_id"] for row in before}) == 4, "three transactions and none"
    assert any(row["power_w"] and row["extra"] == {"Frequency": 60} for row in before)

    assert rebuild(network, identity, dry_run=True) == {
        "in_log": len(before),
        "missing": 0,
        "different": 0,
        "not_in_log": 0,
        "restored": 0,
    }
    network.database.execute(
        "DELETE FROM meter_value AS mv USING charge_point AS cp"
        " WHERE mv.charge_point_id = cp.charge_point_id AND cp.identity = %s",
        [identity],
    )
    assert rebuild(network, identity)["restored"] == len(before)

    assert stored(network, identity) == before


async def test_a_rebuild_names_every_kind_of_difference(network: Network):
    identity = await live_a_day(network)
    before = stored(network, identity)
    for change in ("transaction_id = NULL", "extra = '{\"Frequency\": 50}'", "power_w = 1"):
        network.database.execute(
            f"UPDATE meter_value AS mv SET {change} FROM charge_point AS cp"
            " WHERE mv.charge_point_id = cp.charge_point_id AND cp.identity = %s"
            " AND mv.sampled_at = %s",
            [identity, next(row["sampled_at"] for row in before if _is_touched(row, change))],
        )
        assert rebuild(network, identity, dry_run=True)["different"] == 1, change
        network.database.execute(
            "DELETE FROM meter_value AS mv USING charge_point AS cp"
            " WHERE mv.charge_point_id = cp.charge_point_id AND cp.identity = %s",
            [identity],
        )
        rebuild(network, identity)
        assert stored(network, identity) == before


def _is_touched(row: dict[str, Any], change: str) -> bool:
    column = change.split(" ")[0]
    return row[column] is not None
