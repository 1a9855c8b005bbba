"""Rows of the outbox that two relays hold, and shards on their way from one to the other."""

from collections import Counter
from collections.abc import AsyncIterator
from uuid import uuid4

import psycopg
import pytest
import pytest_asyncio
from psycopg_pool import AsyncConnectionPool

from ingest.relay.claims import Claims
from ingest.relay.clock import OLDEST
from ingest.relay.lanes import Lanes, Speeds
from ingest.relay.metrics import Metrics
from ingest.relay.outbox import Outbox, Publication
from tests.relaying import (
    Sample,
    add_charge_points,
    ask,
    now_ms,
    samples,
    start_feed,
    store,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")
ALL = list(range(8))


@pytest_asyncio.fixture(loop_scope="session")
async def pool(database_url: str) -> AsyncIterator[AsyncConnectionPool]:
    kwargs = {"autocommit": True, "options": "-c role=eletroposto_ingest"}
    async with AsyncConnectionPool(database_url, min_size=1, max_size=3, kwargs=kwargs) as opened:
        yield opened


def outbox_of(pool: AsyncConnectionPool) -> Outbox:
    return Outbox("readings", pool, Metrics(), lambda: OLDEST, Counter())


async def taken_by(outbox: Outbox) -> list[Publication]:
    messages = await outbox.take(await outbox.fresh(0, ALL, [], 100))
    return sorted(messages, key=lambda message: message.payload)


def one_row_of(url: str, count: int) -> list[Sample]:
    (charge_point,) = add_charge_points(url, 1)
    start_feed(url)
    stored = samples([charge_point], count)
    store(url, stored)
    assert ask(url, "SELECT count(*) FROM dojot_outbox") == 1
    return stored


def left(url: str) -> set[int]:
    with psycopg.connect(url) as conn:
        rows = conn.execute(
            "SELECT dojot_timestamp_ms(unnest(sampled_ats)) FROM dojot_outbox"
        ).fetchall()
    return {row[0] for row in rows}


def settle(messages: list[Publication], back: int) -> None:
    for place, message in enumerate(messages):
        if place == back:
            message.give_back()
        else:
            message.sent()


@pytest.mark.parametrize("backs", [(1, 3), (3, 1), (0, 0)])
async def test_what_one_relay_keeps_another_one_does_not_lose(
    database_url: str, pool: AsyncConnectionPool, backs: tuple[int, int]
) -> None:
    """Each sends three of the four and gives one back, as after a claim that ran out."""
    stored = one_row_of(database_url, 4)
    first, second = outbox_of(pool), outbox_of(pool)
    messages = [await taken_by(outbox) for outbox in (first, second)]
    for outbox, held, back in zip((first, second), messages, backs, strict=True):
        settle(held, back)
        await outbox.settle()

    unsent_by_both = {stored[back].ms for back in backs} if backs[0] == backs[1] else set()
    assert unsent_by_both <= left(database_url) <= {stored[back].ms for back in backs}
    for message in await taken_by(third := outbox_of(pool)):
        message.sent()
    await third.settle()
    assert ask(database_url, "SELECT count(*) FROM dojot_outbox") == 0


@pytest.mark.parametrize("lane", ["fresh", "backlog"])
async def test_rows_of_a_shard_that_left_while_they_were_read_are_left_alone(
    database_url: str, pool: AsyncConnectionPool, lane: str
) -> None:
    outbox, delivered = outbox_of(pool), list[Publication]()
    shards = [frozenset(ALL)]
    lanes = Lanes(
        outbox,
        Speeds(1000),
        Metrics(),
        shards=lambda: shards.pop() if len(shards) > 1 else shards[0],
        unavailable=lambda: [],
        deliver=delivered.append,
    )
    if lane == "backlog":
        one_row_of(database_url, 3)
    await lanes.fresh_pass()  # from here on, what comes is fresh
    if lane == "fresh":
        one_row_of(database_url, 3)
    shards[:] = [frozenset(), frozenset(ALL)]  # all of them before the read, none after it
    await (lanes.fresh_pass() if lane == "fresh" else lanes.backlog_pass())

    assert not outbox.in_flight
    assert not delivered
    assert ask(database_url, "SELECT count(*) FROM dojot_outbox") == 1


async def test_nothing_more_is_sent_from_a_shard_once_it_is_found_empty(
    database_url: str, pool: AsyncConnectionPool
) -> None:
    seen: list[bool] = []

    def is_empty(shard: int) -> bool:
        seen.append(shard in claims.shards)
        return True

    figures = {
        "messages_per_s": 0.0,
        "has_sent": False,
        "broker_is_away": False,
        "problem": None,
    }
    claims = Claims(pool, uuid4(), is_empty, lambda: figures)
    await claims.renew()
    assert len(claims.shards) == 8
    other = Claims(pool, uuid4(), lambda _: True, lambda: figures)
    await other.renew()  # announces itself; there is nothing to have yet
    await claims.renew()
    await other.renew()

    assert (len(claims.shards), len(other.shards)) == (4, 4)
    assert seen == [False] * 4


async def test_what_is_sent_again_does_not_go_before_what_is_new(
    database_url: str, pool: AsyncConnectionPool
) -> None:
    """A reconciliation that misses 5,000 readings does not delay those of now."""
    (charge_point,) = add_charge_points(database_url, 1)
    old = samples([charge_point], 5000, since_ms=now_ms() - 5 * 3_600_000)
    store(database_url, old, per_commit=5000)  # before there was a feed
    start_feed(database_url)
    delivered: list[Publication] = []
    outbox = outbox_of(pool)
    lanes = Lanes(
        outbox,
        Speeds(200),
        Metrics(),
        shards=lambda: frozenset(ALL),
        unavailable=lambda: [],
        deliver=delivered.append,
    )
    await lanes.fresh_pass()
    store(database_url, new := [Sample(charge_point, now_ms(), 7)])
    with psycopg.connect(database_url) as conn:
        conn.execute(
            "SELECT dojot_enqueue(array_agg(charge_point_id), array_agg(sampled_at),"
            " array_agg(connector_id), array_agg(context), NULL) FROM meter_value"
            " WHERE power_w <> 7"
        )
    while not delivered:
        await lanes.fresh_pass()
    fresh = {bytes(message.payload) for message in delivered}
    for message in delivered:
        message.sent()
    delivered.clear()
    while not delivered:
        await lanes.backlog_pass()

    assert len(fresh) == 1
    assert b'{"timestamp": %d,' % new[0].ms in fresh.pop()
    assert {message.row.lane for message in delivered} == {"backlog"}
