"""Readings through the relay: each arrives, whatever breaks, in its turn and at its pace."""

import asyncio
import os
import random
import signal
import time

import psycopg
import pytest

from ingest.relay import clock, sessions
from ingest.relay.relay import Relay
from sql.migrations import migrate
from testbench.dojot import StandIn
from testbench.embedded import EmbeddedPostgres, host
from tests.relaying import (
    Sample,
    add_charge_points,
    all_there,
    ask,
    expected,
    found,
    let_claims_run_out,
    now_ms,
    relay_process,
    relaying,
    samples,
    start_feed,
    store,
    waiting,
)
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def provisioned(url: str, dojot: StandIn, charge_points: list[int]) -> dict[int, str]:
    """Send a reading of each, and return the user names of their devices."""
    store(url, samples(charge_points, 1))
    await all_there(url, dojot, len(charge_points))
    with psycopg.connect(url) as conn:
        rows = conn.execute("SELECT charge_point_id, tenant || ':' || device_id FROM dojot_device")
        return dict(rows.fetchall())


def errors(relay: Relay, name: str) -> float:
    registry = relay.metrics.registry
    return registry.get_sample_value("eletroposto_relay_errors_total", {"error": name}) or 0


async def test_the_relay_notices_a_database_that_is_gone_or_frozen(
    database_url: str, dojot: StandIn
) -> None:
    async with relaying(database_url, dojot) as relay:
        await until(lambda: relay.state()["ok"])
        async with relay._pool.connection() as conn:
            parameters = conn.info.get_parameters()
        assert 30 < relay._pool.patience_s < 120, "longer than a statement may take, and finite"
    assert (parameters["keepalives_idle"], parameters["tcp_user_timeout"]) == ("10", "20000")


async def test_every_reading_is_delivered_once(database_url: str, dojot: StandIn) -> None:
    stored = samples(add_charge_points(database_url, 12), 25)
    start_feed(database_url)
    async with relaying(database_url, dojot):
        store(database_url, stored)
        await all_there(database_url, dojot, len(stored))

    tally = found(database_url, dojot)
    assert set(tally) == expected(stored)
    assert set(tally.values()) == {1}


async def test_nothing_is_lost_when_the_broker_goes_and_comes_back(
    database_url: str, dojot: StandIn
) -> None:
    charge_points = add_charge_points(database_url, 10)
    start_feed(database_url)
    async with relaying(database_url, dojot):
        before = samples(charge_points, 10)
        store(database_url, before)
        await all_there(database_url, dojot, len(before))
        await dojot.stop_broker()
        during = samples(charge_points, 10)
        store(database_url, during)
        await asyncio.sleep(1)
        left = waiting(database_url)
        await dojot.start_broker()
        await all_there(database_url, dojot, len(before) + len(during))

    assert left > 0
    assert set(found(database_url, dojot)) == expected([*before, *during])


async def test_a_database_that_restarts_is_waited_for(dojot: StandIn) -> None:
    with (
        host.temporary_folder(in_memory=True) as folder,
        EmbeddedPostgres(folder / "postgres", ephemeral=True) as server,
    ):
        url = server.create_database("restarted")
        await asyncio.to_thread(migrate, url)
        charge_points = add_charge_points(url, 5)
        start_feed(url)
        async with relaying(url, dojot) as relay:
            before = samples(charge_points, 5)
            store(url, before)
            await all_there(url, dojot, len(before))
            await asyncio.to_thread(server.kill)
            await until(lambda: not relay.state()["ok"])
            await asyncio.to_thread(server.start)
            after = samples(charge_points, 5)
            store(url, after)
            await all_there(url, dojot, len(before) + len(after))
            await until(lambda: relay.state()["ok"])
        tally = found(url, dojot)

    assert expected(after) <= set(tally) <= expected([*before, *after])


async def test_cut_connections_lose_nothing(database_url: str, dojot: StandIn) -> None:
    """DOJOT cuts every connection after 30 minutes; here it is a fraction of a second."""
    dojot.faults.cut_after_s = 0.4
    stored = samples(add_charge_points(database_url, 5), 400)
    start_feed(database_url)
    async with relaying(database_url, dojot):
        for start in range(0, len(stored), 200):
            store(database_url, stored[start : start + 200])
            await asyncio.sleep(0.2)
        await until(lambda: not waiting(database_url))
        await until(lambda: expected(stored) <= set(found(database_url, dojot)))

    assert dojot.counters["cut_by_age"] > 5


async def test_a_killed_relay_leaves_nothing_behind(database_url: str, dojot: StandIn) -> None:
    """kill -9 in the middle: what was on its way may arrive twice, all of it arrives."""
    stored = samples(add_charge_points(database_url, 10), 150)
    start_feed(database_url)
    store(database_url, stored)
    with relay_process(database_url, dojot, dojot_rate="500") as relay:
        await until(lambda: dojot.counters["stored"] > 0)
        await asyncio.sleep(random.uniform(0, 0.3))
        os.kill(relay.pid, signal.SIGKILL)
        relay.wait()
    let_claims_run_out(database_url)
    left = waiting(database_url)
    async with relaying(database_url, dojot):
        await until(lambda: not waiting(database_url))
        await until(lambda: set(found(database_url, dojot)) == expected(stored))

    assert left > 0
    twice = sum(count - 1 for count in found(database_url, dojot).values())
    assert twice <= 500  # what was in flight at the kill, no more


async def test_two_relays_share_and_take_over(database_url: str, dojot: StandIn) -> None:
    """Each device has one session; the shards of a relay that ends go to the other."""
    charge_points = add_charge_points(database_url, 16)
    start_feed(database_url)
    async with relaying(database_url, dojot) as first:
        await until(lambda: len(first.state()["shards"]) == 8)
        async with relaying(database_url, dojot) as second:
            await until(lambda: len(first.state()["shards"]) == len(second.state()["shards"]) == 4)
            shared = samples(charge_points, 20)
            store(database_url, shared)
            await all_there(database_url, dojot, len(shared))
            connections = len(dojot.proxy.connections)
        await until(lambda: len(first.state()["shards"]) == 8)
        alone = samples(charge_points, 20)
        store(database_url, alone)
        await all_there(database_url, dojot, len(shared) + len(alone))

    assert connections == 16
    tally = found(database_url, dojot)
    assert set(tally) == expected([*shared, *alone])
    assert set(tally.values()) == {1}


async def test_a_backlog_does_not_delay_what_is_fresh(database_url: str, dojot: StandIn) -> None:
    charge_points = add_charge_points(database_url, 4)
    old = samples(charge_points, 250, since_ms=now_ms() - 3_600_000)
    start_feed(database_url)
    store(database_url, old)
    async with relaying(database_url, dojot, dojot_rate=50):  # 20 s for all of it
        await until(lambda: dojot.counters["stored"] > 0)
        fresh = samples(charge_points, 1)
        store(database_url, fresh)
        await until(lambda: expected(fresh) <= set(found(database_url, dojot)))
        sent = dojot.counters["stored"]

    assert sent < len(old) / 2


async def test_the_backlog_is_paced(database_url: str, dojot: StandIn) -> None:
    """A burst over DOJOT's queues is lost there without a sign."""
    stored = samples(add_charge_points(database_url, 4), 150, since_ms=now_ms() - 3_600_000)
    start_feed(database_url)
    store(database_url, stored)
    async with relaying(database_url, dojot, dojot_rate=200):
        await until(lambda: dojot.counters["stored"] > 0)
        began = time.monotonic()
        await all_there(database_url, dojot, len(stored))

    assert time.monotonic() - began > 1.5  # 600 messages, of which a second's worth at once


async def test_few_connections_serve_many_devices(database_url: str, dojot: StandIn) -> None:
    """At most so many sessions are open; one that rests makes room."""
    stored = samples(add_charge_points(database_url, 20), 5)
    start_feed(database_url)
    most = 0

    def watch() -> bool:
        nonlocal most
        most = max(most, len(dojot.proxy.connections))
        return not waiting(database_url)

    async with relaying(database_url, dojot, dojot_connections=4):
        store(database_url, stored, per_commit=5)
        await until(lambda: dojot.counters["stored"] > 0)
        await until(watch)
        await all_there(database_url, dojot, len(stored))

    assert most <= 6  # four, and what the proxy has not yet seen closed
    assert set(found(database_url, dojot)) == expected(stored)


async def test_with_more_devices_than_connections_most_keep_theirs(
    database_url: str, dojot: StandIn
) -> None:
    """Seven of ten; all of them would open a new one each time if the least used made room."""
    charge_points = add_charge_points(database_url, 10)
    start_feed(database_url)
    async with relaying(database_url, dojot, dojot_connections=8) as relay:
        await provisioned(database_url, dojot, charge_points)
        before = dojot.counters["connects"]
        for number in range(1, 6):
            store(database_url, samples(charge_points, 1, since_ms=now_ms() + number))
            await all_there(database_url, dojot, 10 + 10 * number)
        opened = dojot.counters["connects"] - before
        beyond = "eletroposto_relay_devices_beyond_connections"
        await until(lambda: relay.metrics.registry.get_sample_value(beyond) == 2)

    assert opened <= 5 * 3


async def test_no_poison_leaves(database_url: str, dojot: StandIn) -> None:
    """A timestamp that ends DOJOT's persister, or that it takes for seconds, is set aside."""
    (charge_point,) = add_charge_points(database_url, 1)
    good = Sample(charge_point, now_ms(), 1)
    bad = Sample(charge_point, 1_000_000, 2)
    start_feed(database_url)
    store(database_url, [good, bad])
    with psycopg.connect(database_url) as conn:
        conn.execute(
            "INSERT INTO meter_value (sampled_at, charge_point_id, connector_id, context, power_w)"
            " VALUES ('10000-01-01Z', %s, 1, 0, 3)",
            [charge_point],
        )
        conn.execute(
            "SELECT dojot_enqueue(%s, ARRAY['10000-01-01Z'::timestamptz], ARRAY[1::smallint],"
            " ARRAY[0::smallint], NULL)",
            [[charge_point]],
        )
    async with relaying(database_url, dojot, dojot_retention="0"):
        await all_there(database_url, dojot, 1)
        await until(lambda: ask(database_url, "SELECT count(*) FROM set_aside") == 2)

    assert dojot.persister.alive
    assert set(found(database_url, dojot)) == expected([good])
    reason = ask(database_url, "SELECT reason FROM set_aside ORDER BY reason LIMIT 1")
    assert reason.startswith("dojot: timestamp 1000000 ms")


async def test_what_dojot_would_delete_at_once_is_not_sent(
    database_url: str, dojot: StandIn
) -> None:
    """Retention counts from the timestamp of a reading."""
    (charge_point,) = add_charge_points(database_url, 1)
    week_ms = 7 * 24 * 3_600_000
    old = Sample(charge_point, now_ms() - week_ms - 60_000, 1)
    young = Sample(charge_point, now_ms() - week_ms + 3_600_000, 2)
    start_feed(database_url)
    store(database_url, [old, young])
    async with relaying(database_url, dojot):
        await all_there(database_url, dojot, 1)

    assert dojot.counters["publishes"] == 1
    assert set(found(database_url, dojot)) == expected([young])


async def test_nothing_expires_while_nobody_knows_what_time_it_is(
    database_url: str, dojot: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Minutes between the clocks of database and relay; here anything is too much."""
    monkeypatch.setattr(clock, "_APART_S", -1.0)
    (charge_point,) = add_charge_points(database_url, 1)
    old = samples([charge_point], 3, since_ms=now_ms() - 8 * 24 * 3_600_000)
    start_feed(database_url)
    store(database_url, old)
    async with relaying(database_url, dojot) as relay:
        await until(lambda: dojot.counters["publishes"] == 3)
        told = errors(relay, "clocks_differ")

    assert told >= 1


async def test_sessions_are_renewed_before_dojot_cuts_them(
    database_url: str, dojot: StandIn
) -> None:
    """At a moment when nothing is on its way: nothing is sent twice, nothing is late."""
    dojot.faults.cut_after_s = 5
    stored = samples(add_charge_points(database_url, 5), 100)
    start_feed(database_url)
    async with relaying(database_url, dojot, dojot_session_s=1.5):
        for start in range(0, len(stored), 50):
            await asyncio.to_thread(store, database_url, stored[start : start + 50], 5)
            await asyncio.sleep(0.2)
        await until(lambda: dojot.counters["connects"] >= 10)
        await all_there(database_url, dojot, len(stored))

    assert not dojot.counters["cut_by_age"]
    tally = found(database_url, dojot)
    assert set(tally) == expected(stored)
    assert set(tally.values()) == {1}


async def test_a_device_the_broker_refuses_is_named_and_holds_up_nobody(
    database_url: str, dojot: StandIn
) -> None:
    """A forbidden publish closes the connection without an acknowledgement (3.1.1)."""
    charge_points = add_charge_points(database_url, 2)
    stored = samples(charge_points, 20)
    start_feed(database_url)
    dojot.faults.refuse_publishes = True
    async with relaying(database_url, dojot) as relay:
        store(database_url, stored)
        await until(lambda: errors(relay, "device_refused") == 2)
        left = waiting(database_url)
        dojot.faults.refuse_publishes = False
        for charge_point in charge_points:
            relay.registrar.block(charge_point, 0)  # a minute passes
        await all_there(database_url, dojot, len(stored))

    assert left > 0
    tally = found(database_url, dojot)
    assert set(tally) == expected(stored)
    assert set(tally.values()) == {1}


async def test_a_device_that_is_never_acknowledged_holds_up_nobody(
    database_url: str, dojot: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its backlog is many times what may be in flight, and shares its rows with the others'."""
    monkeypatch.setattr(sessions, "_STALLED_S", 0.5)
    monkeypatch.setattr(sessions, "_DEADLINE_S", 4.0)
    charge_points = add_charge_points(database_url, 16, "CP")
    stuck, *others = charge_points[::8] + charge_points[1:8]  # the first two share a shard
    start_feed(database_url)
    async with relaying(database_url, dojot, dojot_rate=100) as relay:
        users = await provisioned(database_url, dojot, [stuck, *others])
        dojot.faults.change({"silent_for": users[stuck]})
        queued = samples([stuck], 600, since_ms=now_ms() - 3_600_000)
        store(database_url, queued, per_commit=600)
        mixed = samples([stuck, *others], 30)
        store(database_url, mixed, per_commit=30)
        theirs = expected([sample for sample in mixed if sample.charge_point_id != stuck])
        began = time.monotonic()
        await until(lambda: theirs <= set(found(database_url, dojot)), seconds=20)
        took_s = time.monotonic() - began
        await until(lambda: errors(relay, "no_acknowledgement") >= 1)
        in_time = errors(relay, "connection_closed")
        dojot.faults.change({"silent_for": ""})
        relay.registrar.block(stuck, 0)
        everything = expected([*queued, *mixed])
        await until(lambda: everything <= set(found(database_url, dojot)), seconds=60)

    assert took_s < 10  # 240 messages at 100/s and 500/s
    assert in_time == 0
    tally = found(database_url, dojot)
    assert set(tally.values()) == {1}  # what vanished was never stored


async def test_a_device_that_may_not_connect_does_not_close_the_gate_for_others(
    database_url: str, dojot: StandIn
) -> None:
    charge_points = add_charge_points(database_url, 4)
    start_feed(database_url)
    async with relaying(database_url, dojot) as relay:
        users = await provisioned(database_url, dojot, charge_points)
        refused = charge_points[0]
        dojot.faults.change({"refuse_connect_of": users[refused]})
        dojot.cut_mqtt()
        stored = samples(charge_points, 5)
        store(database_url, stored)
        theirs = expected([sample for sample in stored if sample.charge_point_id != refused])
        await until(lambda: theirs <= set(found(database_url, dojot)), seconds=10)
        await until(lambda: errors(relay, "connect_refused") >= 1)
        was_away = relay.sessions.broker_is_away
        dojot.faults.change({"refuse_connect_of": ""})
        relay.registrar.block(refused, 0)
        await until(lambda: expected(stored) <= set(found(database_url, dojot)))

    assert not was_away
    assert not errors(relay, "broker_unreachable")
