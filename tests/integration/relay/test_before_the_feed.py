"""What was stored before the first relay came is sent too."""

import asyncio
import json
import os
import signal

import psycopg
import pytest

import sql
from testbench.dojot import StandIn
from tests.relaying import (
    add_charge_points,
    all_there,
    ask,
    begin_all,
    end_all,
    expected,
    found,
    let_claims_run_out,
    now_ms,
    relay_process,
    relaying,
    samples,
    store,
    waiting,
)
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_first_relay_also_sends_what_was_stored_before_it(
    database_url: str, dojot: StandIn
) -> None:
    """And once only, while charge points go on; DOJOT would delete what is older than a week."""
    charge_points = add_charge_points(database_url, 9)
    hour_ms = 3_600_000
    old = samples(charge_points[:3], 40, since_ms=now_ms() - 6 * 24 * hour_ms)
    recent = samples(charge_points, 40)
    ahead = samples(charge_points[:1], 5, since_ms=now_ms() + 24 * hour_ms)  # its clock is fast
    expired = samples(charge_points, 5, since_ms=now_ms() - 8 * 24 * hour_ms)
    before = [*old, *recent, *ahead]
    store(database_url, [*expired, *before])
    queued_before = waiting(database_url)
    # Late readings, too, from among those that are being queued.
    late = samples(charge_points[:3], 40, since_ms=now_ms() - 6 * 24 * hour_ms + 50)
    during = [*samples(charge_points, 40, since_ms=now_ms() + 10), *late]
    async with relaying(database_url, dojot):
        await asyncio.to_thread(store, database_url, during, 5)
        await all_there(database_url, dojot, len(before) + len(during))
        await until(lambda: not ask(database_url, "SELECT count(*) FROM dojot_backfill"))
        await until(lambda: not waiting(database_url))

    assert queued_before == 0
    tally = found(database_url, dojot)
    assert set(tally) == expected([*before, *during])
    assert set(tally.values()) == {1}


async def test_the_first_relay_tells_earlier_events_once(database_url: str, dojot: StandIn) -> None:
    """A transaction that began before the feed and ends after it has both ends in DOJOT."""
    (charge_point,) = add_charge_points(database_url, 1)
    with psycopg.connect(database_url, autocommit=True) as conn:
        begin_all(conn, charge_point)
        async with relaying(database_url, dojot):
            await all_there(database_url, dojot, 4)
            end_all(conn)
            await all_there(database_url, dojot, 6)
            await until(lambda: not ask(database_url, "SELECT count(*) FROM dojot_backfill"))

    rows = dojot.store.rows("SELECT attrs FROM message")
    attributes = [frozenset(json.loads(row["attrs"]).items()) for row in rows]
    for one in (
        ("status_1", "Charging"),
        ("transaction_event_1", "started"),
        ("transaction_event_1", "stopped"),
        ("connected", True),
        ("connected", False),
        ("boot", "accepted"),
    ):
        assert sum(one in attrs for attrs in attributes) == 1, one


async def test_the_backfill_goes_on_where_a_killed_relay_left_it(
    database_url: str, dojot: StandIn
) -> None:
    """It is queued in bits, each of which says how far it came; never more than is sent soon."""
    day_ms = 24 * 3_600_000
    charge_points = add_charge_points(database_url, 8)
    before = [
        sample
        for day in range(6)
        for sample in samples(charge_points, 20, since_ms=now_ms() - (day + 1) * day_ms)
    ]
    store(database_url, before)
    with relay_process(database_url, dojot, dojot_rate="20") as relay:
        await until(lambda: dojot.counters["stored"] >= 20)
        os.kill(relay.pid, signal.SIGKILL)
        relay.wait()
    let_claims_run_out(database_url)
    unfinished = ask(database_url, "SELECT count(*) FROM dojot_backfill")
    queued = ask(database_url, "SELECT sum(cardinality(sampled_ats)) FROM dojot_outbox")
    async with relaying(database_url, dojot):
        await until(lambda: set(found(database_url, dojot)) == expected(before))
        await until(lambda: not waiting(database_url))

    assert unfinished == 8
    # Ten seconds of the pace, a window, and what each device may have with the registrar.
    assert queued <= 200 + 20 + 8 * 20
    twice = sum(count - 1 for count in found(database_url, dojot).values())
    assert twice <= 100  # what was in flight at the kill: the backfill itself doubled nothing


async def test_readings_that_may_be_compressed_are_sent_too(
    database_url: str, dojot: StandIn
) -> None:
    """Rows of a compressed chunk have no xmin: a query that only names it fails."""
    dojot.faults.retention_s = None
    day_ms = 24 * 3_600_000
    charge_points = add_charge_points(database_url, 2)
    before = [
        sample
        for age in (40, 20, 13, 1)
        for sample in samples(charge_points, 10, since_ms=now_ms() - age * day_ms)
    ]
    store(database_url, before)
    async with relaying(database_url, dojot, dojot_retention="0"):
        await all_there(database_url, dojot, len(before))
        await until(lambda: not ask(database_url, "SELECT count(*) FROM dojot_backfill"))
        await until(lambda: not waiting(database_url))

    tally = found(database_url, dojot)
    assert set(tally) == expected(before)
    assert set(tally.values()) == {1}
    assert "xmin" not in sql.load("ingest")["queue_old_readings"]
    assert "xmin" not in sql.load("ingest")["queue_old_frames"]
