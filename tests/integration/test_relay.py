"""The relay with a real database, a real broker and the stand-in for DOJOT."""

import asyncio
import json
import os
import random
import re
import signal
import socket
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import psycopg
import pytest
from psycopg.rows import dict_row

from sql.migrations import migrate
from testbench.dojot import StandIn, running
from testbench.embedded import EmbeddedPostgres, host
from tests.relaying import (
    Sample,
    add_charge_points,
    ask,
    expected,
    found,
    now_ms,
    relay_process,
    relaying,
    samples,
    start_feed,
    store,
    until,
    waiting,
)


@pytest.fixture
async def dojot() -> AsyncIterator[StandIn]:
    with host.temporary_folder() as folder:
        async with running(folder / "broker") as stand_in:
            stand_in.faults.limit_logins = False  # the tests log in as often as they like
            yield stand_in


async def all_there(url: str, dojot: StandIn, count: int, timeout_s: float = 20) -> None:
    """Wait until DOJOT has stored ``count`` messages and nothing waits any more."""
    await until(lambda: dojot.counters["stored"] >= count and not waiting(url), timeout_s)


async def test_every_reading_is_delivered_once(database_url: str, dojot: StandIn) -> None:
    stored = samples(add_charge_points(database_url, 12), 25)
    start_feed(database_url)
    async with relaying(database_url, dojot):
        store(database_url, stored)
        await all_there(database_url, dojot, len(stored))

    tally = found(database_url, dojot)
    assert set(tally) == expected(stored)
    assert set(tally.values()) == {1}


async def test_what_waited_before_the_relay_came_is_sent_too(
    database_url: str, dojot: StandIn
) -> None:
    stored = samples(add_charge_points(database_url, 3), 200)
    start_feed(database_url)
    store(database_url, stored)
    async with relaying(database_url, dojot):
        await all_there(database_url, dojot, len(stored))

    assert set(found(database_url, dojot)) == expected(stored)


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
        _begin_all(conn, charge_point)
        async with relaying(database_url, dojot):
            await all_there(database_url, dojot, 4)
            _end_all(conn)
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


def _begin_all(conn: psycopg.Connection, charge_point: int) -> None:
    """One event of each kind that begins something."""
    conn.execute(
        "INSERT INTO status_notification"
        " (at, received_at, charge_point_id, connector_id, status, error_code)"
        " VALUES (now(), now(), %s, 1, 'Charging', 'NoError')",
        [charge_point],
    )
    conn.execute(
        "INSERT INTO transaction"
        " (charge_point_id, connector_id, id_tag, id_tag_status, started_at, meter_start_wh)"
        " VALUES (%s, 1, 'SECRET', 'Accepted', now(), 5)",
        [charge_point],
    )
    conn.execute(
        "INSERT INTO connection (opened_at, charge_point_id, replica_id)"
        " VALUES (now(), %s, gen_random_uuid())",
        [charge_point],
    )
    conn.execute("UPDATE charge_point SET booted_at = now(), vendor = 'ABB'")


def _end_all(conn: psycopg.Connection) -> None:
    conn.execute(
        "UPDATE transaction SET stopped_at = now(), meter_stop_wh = 9, reason = 'EVDisconnected'"
    )
    conn.execute("UPDATE connection SET closed_at = now(), reason = 'no pong'")


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
    with relay_process(database_url, dojot, dojot_rate="10") as relay:  # a hundred queued at most
        await until(lambda: waiting(database_url))
        await until(lambda: dojot.counters["stored"] >= 40)
        os.kill(relay.pid, signal.SIGKILL)
    unfinished = ask(database_url, "SELECT count(*) FROM dojot_backfill")
    queued = ask(database_url, "SELECT sum(cardinality(sampled_ats)) FROM dojot_outbox")
    async with relaying(database_url, dojot):
        await until(lambda: set(found(database_url, dojot)) == expected(before))
        await until(lambda: not waiting(database_url))

    assert unfinished == 8
    assert queued <= 120 + 20
    twice = sum(count - 1 for count in found(database_url, dojot).values())
    assert twice <= 60  # what was in flight at the kill: the backfill itself doubled nothing


async def test_devices_are_found_by_exact_label_before_any_is_made(
    database_url: str, dojot: StandIn
) -> None:
    """DOJOT's label filter is a LIKE, and labels are not unique: the oldest one counts."""
    numbers = add_charge_points(database_url, 2, prefix="CP_1")  # CP_1-1 and CP_1-2
    async with httpx.AsyncClient(base_url=dojot.url) as client:
        login = await client.post("/auth", json={"username": "admin", "passwd": "admin"})
        client.headers["Authorization"] = f"Bearer {login.json()['jwt']}"
        made = {}
        for label in ("CPX1-1", "CP_1-1x", "CP_1-1", "CP_1-1"):
            answer = await client.post("/device", json={"label": label, "templates": []})
            made.setdefault(label, answer.json()["devices"][0]["id"])
    start_feed(database_url)
    store(database_url, samples(numbers, 1))
    async with relaying(database_url, dojot):
        await all_there(database_url, dojot, 2)

    with psycopg.connect(database_url) as conn:
        known = dict(conn.execute("SELECT label, device_id FROM dojot_device").fetchall())
    assert known["CP_1-1"] == made["CP_1-1"]
    assert dojot.store.count("SELECT count(*) FROM device WHERE label = 'CP_1-2'") == 1
    assert dojot.store.count("SELECT count(*) FROM template") == 1


async def test_a_500_that_created_makes_no_second_device(database_url: str, dojot: StandIn) -> None:
    stored = samples(add_charge_points(database_url, 3), 1)
    start_feed(database_url)
    store(database_url, stored)
    dojot.faults.change({"next_500_but_done": 2, "http_scope": "/device"})
    async with relaying(database_url, dojot):
        await all_there(database_url, dojot, 3)

    assert dojot.store.count("SELECT count(*) FROM device") == 3


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        ("next_html", "not_json"),
        ("next_half_json", "not_json"),
        ("next_wrong_types", "unexpected_shape"),
        ("next_500", "server_error"),
        ("next_403", "forbidden"),
        ("next_429", "rate_limited"),
    ],
)
async def test_what_the_api_does_wrong_has_a_name_and_is_tried_again(
    database_url: str, dojot: StandIn, fault: str, name: str
) -> None:
    stored = samples(add_charge_points(database_url, 2), 3)
    start_feed(database_url)
    store(database_url, stored)
    dojot.faults.change({fault: 1, "http_scope": "/template"})
    async with relaying(database_url, dojot) as relay:
        await all_there(database_url, dojot, len(stored))
        errors = relay.metrics.registry.get_sample_value(
            "eletroposto_relay_errors_total", {"error": name}
        )

    assert errors == 1
    assert set(found(database_url, dojot)) == expected(stored)
    assert dojot.store.count("SELECT count(*) FROM template") == 1


async def test_an_expired_token_is_renewed_once(database_url: str, dojot: StandIn) -> None:
    """401: log in once and try again."""
    dojot.faults.change({"enforce_exp": True, "token_lifetime_s": 1})
    stored = samples(add_charge_points(database_url, 20), 1)
    start_feed(database_url)
    async with relaying(database_url, dojot):
        for number in range(2):
            store(database_url, stored[number * 10 : number * 10 + 10])
            await all_there(database_url, dojot, number * 10 + 10)
            await asyncio.sleep(1.1)

    assert set(found(database_url, dojot)) == expected(stored)


async def test_known_devices_are_served_while_the_api_is_away(
    database_url: str, dojot: StandIn
) -> None:
    old, new = add_charge_points(database_url, 2)
    start_feed(database_url)
    async with relaying(database_url, dojot):
        store(database_url, samples([old], 1))
        await all_there(database_url, dojot, 1)
    dojot.faults.next_500 = -1
    stored = samples([old, new], 10)
    async with relaying(database_url, dojot):
        store(database_url, stored)
        await until(lambda: dojot.counters["stored"] == 11)
        await until(lambda: waiting(database_url) == 1 or not waiting(database_url))
        left = ask(database_url, "SELECT sum(cardinality(charge_point_ids)) FROM dojot_outbox")
        dojot.faults.next_500 = 0
        await all_there(database_url, dojot, 21)

    assert left == 10
    assert expected(stored) <= set(found(database_url, dojot))
    assert set(found(database_url, dojot).values()) == {1}


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
        await all_there(database_url, dojot, len(before) + len(during), timeout_s=40)

    assert left > 0
    assert set(found(database_url, dojot)) == expected([*before, *during])


async def test_a_database_that_restarts_is_waited_for(dojot: StandIn) -> None:
    with (
        host.temporary_folder() as folder,
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
    stored = samples(add_charge_points(database_url, 10), 300)
    start_feed(database_url)
    store(database_url, stored)
    with relay_process(database_url, dojot) as relay:
        await until(lambda: dojot.counters["stored"] > 0)
        await asyncio.sleep(random.uniform(0, 0.3))
        os.kill(relay.pid, signal.SIGKILL)
    left = waiting(database_url)
    with relay_process(database_url, dojot):
        await until(lambda: not waiting(database_url), timeout_s=40)
        await until(lambda: set(found(database_url, dojot)) == expected(stored))

    assert left > 0
    twice = sum(count - 1 for count in found(database_url, dojot).values())
    assert twice <= 1000  # what was in flight at the kill, no more


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
    old = samples(charge_points, 600, since_ms=now_ms() - 3_600_000)
    start_feed(database_url)
    store(database_url, old)
    async with relaying(database_url, dojot, dojot_rate=400):
        await until(lambda: dojot.counters["stored"] > 200)
        began = time.monotonic()
        fresh = samples(charge_points, 1)
        store(database_url, fresh)
        await until(lambda: expected(fresh) <= set(found(database_url, dojot)))
        took_s = time.monotonic() - began
        left = waiting(database_url)
        await all_there(database_url, dojot, len(old) + len(fresh), timeout_s=30)

    assert took_s < 2
    assert left > 10  # rows of 50: much of the backlog still waited
    assert set(found(database_url, dojot)) == expected([*old, *fresh])


async def test_the_backlog_is_paced(database_url: str, dojot: StandIn) -> None:
    """A burst over DOJOT's queues is lost there without a sign."""
    stored = samples(add_charge_points(database_url, 4), 300, since_ms=now_ms() - 3_600_000)
    start_feed(database_url)
    store(database_url, stored)
    async with relaying(database_url, dojot, dojot_rate=300):
        await until(lambda: dojot.counters["stored"] > 0)
        began = time.monotonic()
        await all_there(database_url, dojot, len(stored), timeout_s=30)

    assert time.monotonic() - began > 2.5  # 1200 messages, of which a second's worth at once


async def test_few_connections_serve_many_devices(database_url: str, dojot: StandIn) -> None:
    """At most so many sessions are open; the least used one makes room."""
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
            " ARRAY[0::smallint])",
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


async def test_orders_of_dojot_become_commands(database_url: str, dojot: StandIn) -> None:
    """Only known actuators count; the template-shaped noise of an update does not."""
    (charge_point,) = add_charge_points(database_url, 1)
    start_feed(database_url)
    async with relaying(database_url, dojot) as relay:
        store(database_url, samples([charge_point], 1))
        await all_there(database_url, dojot, 1)
        async with httpx.AsyncClient(base_url=dojot.url) as client:
            login = await client.post("/auth", json={"username": "admin", "passwd": "admin"})
            client.headers["Authorization"] = f"Bearer {login.json()['jwt']}"
            device = (await client.get("/device")).json()["devices"][0]
            path = f"/device/{device['id']}"
            await client.put(path, json={"label": "CP-1", "templates": device["templates"]})
            for attrs in ({"reset": "soft"}, {"remote_stop": 7}, {"reset": "gently"}):
                await client.put(f"{path}/actuate", json={"attrs": attrs})
        await until(lambda: ask(database_url, "SELECT count(*) FROM command") == 2)
        outcomes = {
            name: relay.metrics.registry.get_sample_value(
                "eletroposto_relay_commands_total", {"outcome": name}
            )
            for name in ("queued", "ignored", "unusable")
        }

    with psycopg.connect(database_url) as conn:
        commands = conn.execute(
            "SELECT charge_point_id, action, payload, requested_by FROM command ORDER BY 1, 2"
        ).fetchall()
    assert commands == [
        (charge_point, "RemoteStopTransaction", {"transactionId": 7}, "dojot:admin"),
        (charge_point, "Reset", {"type": "Soft"}, "dojot:admin"),
    ]
    assert outcomes == {"queued": 2, "ignored": 1, "unusable": 1}


async def test_events_are_sent_flat_and_with_legal_names(database_url: str, dojot: StandIn) -> None:
    (charge_point,) = add_charge_points(database_url, 1)
    start_feed(database_url)
    with psycopg.connect(database_url) as conn:
        _begin_all(conn, charge_point)
        _end_all(conn)
    async with relaying(database_url, dojot):
        await all_there(database_url, dojot, 6)

    texts = [row["attrs"] for row in dojot.store.rows("SELECT attrs FROM message")]
    sent: dict[str, Any] = {}
    for text in texts:
        sent |= {k: v for k, v in json.loads(text).items() if k != "timestamp"}
    assert sent == {
        "status_1": "Charging",
        "error_code_1": "NoError",
        "transaction_event_1": "stopped",
        "transaction_id_1": 1,
        "meter_start_wh_1": 5,
        "meter_stop_wh_1": 9,
        "stop_reason_1": "EVDisconnected",
        "connected": False,
        "disconnect_reason": "no pong",
        "boot": "accepted",
        "vendor": "ABB",
    }
    assert not any("SECRET" in text for text in texts)


async def test_the_frame_log_is_sent_when_switched_on(database_url: str, dojot: StandIn) -> None:
    (charge_point,) = add_charge_points(database_url, 1)
    async with relaying(database_url, dojot, dojot_frame_log=True):
        await until(lambda: ask(database_url, "SELECT count(*) FROM dojot_feed"))
        with psycopg.connect(database_url) as conn:
            conn.execute(
                "INSERT INTO ocpp_message (received_at, charge_point_id, direction, raw, answer)"
                """ VALUES (now(), %s, 'i', '[2,"1","Heartbeat",{}]', '[3,"1",{}]')""",
                [charge_point],
            )
        await all_there(database_url, dojot, 1)

    attrs = json.loads(dojot.store.rows("SELECT attrs FROM message")[0]["attrs"])
    assert attrs["ocpp_frame_in"] == '[2,"1","Heartbeat",{}]'
    assert attrs["ocpp_frame_out"] == '[3,"1",{}]'


async def test_health_and_metrics_are_told(database_url: str, dojot: StandIn) -> None:
    stored = samples(add_charge_points(database_url, 1), 3)
    start_feed(database_url)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    async with (
        relaying(database_url, dojot, relay_health_port=port) as relay,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        store(database_url, stored)
        await all_there(database_url, dojot, 3)
        health = await client.get("/healthz")
        metrics = await client.get("/metrics")

    assert (health.status_code, health.json()["ok"]) == (200, True)
    assert health.json()["relay"] == str(relay.relay_id)
    counted = re.findall(r"^eletroposto_relay_acknowledged_total{.*} (.*)$", metrics.text, re.M)
    assert sum(map(float, counted)) == 3


async def test_the_state_is_told_to_the_dashboard(database_url: str, dojot: StandIn) -> None:
    def state() -> dict[str, Any]:
        role = "-c role=eletroposto_dashboard"
        with psycopg.connect(database_url, options=role, row_factory=dict_row) as conn:
            return conn.execute("SELECT * FROM report.dojot_state").fetchone() or {}

    charge_points = add_charge_points(database_url, 2)
    nothing_yet = state()
    start_feed(database_url)
    store(database_url, samples(charge_points, 30))
    before = state()
    dojot.faults.change({"next_500": -1})
    async with relaying(database_url, dojot):
        await until(lambda: state()["problem"] == "server_error")
        dojot.faults.change({"next_500": 0})
        await until(lambda: state()["messages_per_s"] > 0)
        during = state()
        await until(lambda: state()["problem"] is None)
    after = state()

    assert nothing_yet == {}
    assert (before["backlog_readings"], before["relays_running"]) == (60, 0)
    assert before["oldest_age_s"] > 0
    assert before["last_sent_at"] is None
    assert during["relays_running"] == 1
    assert (after["relays_running"], after["backlog_readings"]) == (0, 0)
    assert after["oldest_age_s"] is None
    assert during["feeding_since"] < after["last_sent_at"]
    assert not after["backlog_is_more"]
