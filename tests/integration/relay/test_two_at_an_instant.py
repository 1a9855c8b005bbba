"""Readings of two transactions at one instant of a connector are two messages."""

import json
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
import pytest_asyncio
from psycopg_pool import AsyncConnectionPool

from ingest.relay.metrics import Metrics
from ingest.relay.outbox import Outbox, Publication
from tests.relaying import add_charge_points, ask, start_feed

pytestmark = pytest.mark.asyncio(loop_scope="session")

SHARED = datetime.now(UTC) - timedelta(minutes=1)
KEYS = (
    "array_agg(charge_point_id), array_agg(sampled_at), array_agg(connector_id), array_agg(context)"
)


@pytest_asyncio.fixture(loop_scope="session")
async def outbox(database_url: str) -> AsyncIterator[Outbox]:
    kwargs = {"autocommit": True, "options": "-c role=eletroposto_ingest"}
    oldest = datetime(1970, 2, 1, tzinfo=UTC)
    async with AsyncConnectionPool(database_url, min_size=1, max_size=3, kwargs=kwargs) as pool:
        yield Outbox("readings", pool, Metrics(), lambda: oldest, Counter())


def put(url: str, keys: str, where: str = "TRUE") -> None:
    """Store a reading of each of two transactions, and one of none; queue those asked for."""
    (charge_point,) = add_charge_points(url, 1)
    start_feed(url)
    with psycopg.connect(url) as conn:
        for energy_wh, transaction_id in ((1, 7), (2, 8), (3, None)):
            conn.execute(
                "INSERT INTO meter_value (sampled_at, charge_point_id, connector_id, context,"
                " transaction_id, energy_wh) VALUES (%s, %s, 1, 0, %s, %s)",
                [SHARED, charge_point, transaction_id, energy_wh],
            )
        conn.execute(f"SELECT dojot_enqueue({keys}) FROM meter_value WHERE {where}")


async def taken(outbox: Outbox) -> list[Publication]:
    return await outbox.take(await outbox.backlog(0, 2**62, list(range(8)), [], 100))


def energies(messages: list[Publication]) -> list[float]:
    return sorted(json.loads(message.payload)["energy_wh_1"] for message in messages)


async def test_each_is_sent_and_what_is_given_back_stays(database_url: str, outbox: Outbox) -> None:
    put(database_url, f"{KEYS}, array_agg(transaction_id)")
    messages = await taken(outbox)
    assert energies(messages) == [1, 2, 3]

    for message in messages:
        if b'"transaction_id_1":8' in message.payload.replace(b" ", b""):
            message.give_back()
        else:
            message.sent()
    await outbox.settle()
    left = await taken(outbox)

    assert energies(left) == [2]
    left[0].sent()
    await outbox.settle()
    assert ask(database_url, "SELECT count(*) FROM dojot_outbox") == 0


async def test_one_of_them_is_sent_without_the_others(database_url: str, outbox: Outbox) -> None:
    put(database_url, f"{KEYS}, array_agg(transaction_id)", "transaction_id IS NULL")

    assert energies(await taken(outbox)) == [3]


async def test_keys_from_before_the_transaction_was_one_of_them_find_their_reading(
    database_url: str, outbox: Outbox
) -> None:
    put(database_url, f"{KEYS}, NULL", "transaction_id = 7")

    assert len(await taken(outbox)) == 1
