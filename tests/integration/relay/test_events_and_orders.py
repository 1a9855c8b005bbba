"""What the relay sends besides readings, what it takes from DOJOT, what it tells of itself."""

import json
import re
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import httpx
import psycopg
import pytest
import pytest_asyncio
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool

import sql
from ingest.relay import order_desk
from ingest.relay.clock import OLDEST, DatabaseClock
from ingest.relay.dialects import Device
from ingest.relay.frame_log import FrameLog
from ingest.relay.metrics import Measure, Metrics
from ingest.relay.order_desk import OrderDesk
from ingest.relay.relay import Relay
from testbench.dojot import StandIn
from tests.relaying import (
    add_charge_points,
    all_there,
    ask,
    begin_all,
    end_all,
    logged_in,
    relaying,
    samples,
    start_feed,
    store,
)
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


def counted(relay: Relay, outcome: str) -> float | None:
    return counted_in(relay.metrics, outcome)


def counted_in(metrics: Metrics, outcome: str) -> float | None:
    name = "eletroposto_relay_commands_total"
    return metrics.registry.get_sample_value(name, {"outcome": outcome})


async def test_orders_of_dojot_become_commands(database_url: str, dojot: StandIn) -> None:
    """Only known actuators count; the template-shaped noise of an update does not."""
    (charge_point,) = add_charge_points(database_url, 1)
    start_feed(database_url)
    async with relaying(database_url, dojot) as relay:
        store(database_url, samples([charge_point], 1))
        await all_there(database_url, dojot, 1)
        async with logged_in(dojot) as client:
            device = (await client.get("/device")).json()["devices"][0]
            path = f"/device/{device['id']}"
            await client.put(path, json={"label": "CP-1", "templates": device["templates"]})
            for attrs in (
                {"reset": "gently"},
                {"remote_stop": "7" * 5000},
                {"reset": "soft"},
                {"remote_stop": 7},
            ):
                await client.put(f"{path}/actuate", json={"attrs": attrs})
        wanted = {"queued": 2, "ignored": 1, "unusable": 2}
        await until(lambda: {name: counted(relay, name) for name in wanted} == wanted)

    with psycopg.connect(database_url) as conn:
        commands = conn.execute(
            "SELECT charge_point_id, action, payload, requested_by FROM command ORDER BY 1, 2"
        ).fetchall()
    assert commands == [
        (charge_point, "RemoteStopTransaction", {"transactionId": 7}, "dojot:admin"),
        (charge_point, "Reset", {"type": "Soft"}, "dojot:admin"),
    ]


@pytest_asyncio.fixture(loop_scope="session")
async def pool(database_url: str) -> AsyncIterator[AsyncConnectionPool]:
    options = "-c role=eletroposto_ingest -c lock_timeout=300"
    kwargs = {"autocommit": True, "options": options}
    async with AsyncConnectionPool(database_url, min_size=1, max_size=2, kwargs=kwargs) as opened:
        yield opened


async def test_an_order_waits_for_the_database_and_is_done_once(
    database_url: str, pool: AsyncConnectionPool
) -> None:
    """Here it is the table that cannot be written to; that is as short as an outage."""
    (charge_point,) = add_charge_points(database_url, 1)
    device, metrics = Device(charge_point, "admin", "d1"), Metrics()
    desk = OrderDesk(pool, metrics)
    desk.take(device, b'{"reset": "Soft", "remote_stop": 7}')
    desk.take(device, b'{"reset": "Hard"}')
    with psycopg.connect(database_url) as conn:
        conn.execute("LOCK TABLE command IN ACCESS EXCLUSIVE MODE")
        for _ in range(2):
            with pytest.raises(psycopg.OperationalError):
                await desk.step()
    for _ in range(2):
        await desk.step()

    with psycopg.connect(database_url) as conn:
        commands = conn.execute(
            "SELECT action, payload, requested_by, expires_at - requested_at FROM command"
            " ORDER BY command_id"
        ).fetchall()
    assert [command[:3] for command in commands] == [
        ("Reset", {"type": "Soft"}, "dojot:admin"),
        ("RemoteStopTransaction", {"transactionId": 7}, "dojot:admin"),
        ("Reset", {"type": "Hard"}, "dojot:admin"),
    ]
    for command in commands:
        assert abs(command[3].total_seconds() - 60) < 1
    assert {name: counted_in(metrics, name) for name in ("queued", "failed", "expired")} == {
        "queued": 2,
        "failed": None,
        "expired": None,
    }


async def test_an_order_that_can_no_longer_be_stored_is_counted(
    database_url: str, pool: AsyncConnectionPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    (charge_point,) = add_charge_points(database_url, 1)
    metrics = Metrics()
    desk = OrderDesk(pool, metrics)
    desk.take(Device(charge_point + 1, "admin", "d2"), b'{"reset": "Soft"}')  # nobody any more
    monkeypatch.setattr(order_desk, "_LIFE_S", 0.0)
    desk.take(Device(charge_point, "admin", "d1"), b'{"reset": "Soft"}')
    with pytest.raises(psycopg.IntegrityError):
        await desk.step()
    await desk.step()

    assert (counted_in(metrics, "failed"), counted_in(metrics, "expired")) == (1, 1)
    assert ask(database_url, "SELECT count(*) FROM command") == 0


async def test_orders_that_came_before_the_end_are_stored(
    database_url: str, pool: AsyncConnectionPool
) -> None:
    """The broker was told that we have them, and sends them to nobody again."""
    charge_points = add_charge_points(database_url, 3)
    desk = OrderDesk(pool, Metrics())
    for charge_point in [charge_points[0], charge_points[-1] + 1, *charge_points[1:]]:
        desk.take(Device(charge_point, "admin", "d"), b'{"reset": "Soft"}')
    await desk.drain(5)

    assert ask(database_url, "SELECT count(*) FROM command") == 3


async def test_the_clock_of_the_database_counts(
    pool: AsyncConnectionPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours is years wrong here: what DOJOT would keep is known all the same, but not trusted."""
    clock = DatabaseClock(pool, timedelta(days=7), Metrics())
    await clock.look()
    agreed, right = clock.oldest_to_send(), clock.oldest()
    monkeypatch.setattr("ingest.relay.clock.time", SimpleNamespace(time=lambda: 1e9))
    await clock.look()

    assert abs(datetime.now(UTC) - timedelta(days=7) - right) < timedelta(seconds=60)
    assert abs(agreed - right) < timedelta(seconds=60)
    assert abs(clock.oldest() - right) < timedelta(seconds=60)
    assert clock.oldest_to_send() == OLDEST


async def test_events_are_sent_flat_and_with_legal_names(database_url: str, dojot: StandIn) -> None:
    (charge_point,) = add_charge_points(database_url, 1)
    start_feed(database_url)
    with psycopg.connect(database_url) as conn:
        begin_all(conn, charge_point)
        end_all(conn)
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


async def test_a_status_that_returns_at_its_instant_is_told_again(database_url: str) -> None:
    (charge_point,) = add_charge_points(database_url, 1)
    start_feed(database_url)
    at = datetime.now(UTC).replace(microsecond=0)
    with psycopg.connect(database_url, autocommit=True) as conn:
        for second, status in enumerate(("Available", "Preparing", "Available")):
            row = {
                "charge_point_id": charge_point,
                "connector_id": 1,
                "at": at.isoformat(),
                "received_at": (at + timedelta(seconds=second)).isoformat(),
                "status": status,
                "error_code": "NoError",
                "flags": [],
            }
            conn.execute(sql.load("ingest")["store_statuses"], {"statuses": Jsonb([row])})
        told = conn.execute(
            "SELECT attrs ->> 'status_1' FROM dojot_event ORDER BY event_id"
        ).fetchall()
    assert told == [("Available",), ("Preparing",), ("Available",)]


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


def put_frame(conn: psycopg.Connection[Any], charge_point: int, age_s: float, raw: str) -> None:
    conn.execute(
        "INSERT INTO ocpp_message (received_at, charge_point_id, direction, raw)"
        " VALUES (now() - make_interval(secs => %s), %s, 'i', %s)",
        [age_s, charge_point, raw],
    )


def queued_frames(url: str) -> list[tuple[str, bool]]:
    with psycopg.connect(url) as conn:
        rows = conn.execute(
            "SELECT attrs ->> 'ocpp_frame_in', is_old FROM dojot_event ORDER BY event_id"
        ).fetchall()
    return [(raw, is_old) for raw, is_old in rows]


def frame_log(pool: AsyncConnectionPool, shards: frozenset[int], rate: float = 1000) -> FrameLog:
    oldest = datetime.now(UTC) - timedelta(days=7)
    return FrameLog(pool, lambda: oldest, rate, shards=lambda: shards, unavailable=lambda: [])


async def test_a_frame_log_that_was_off_catches_up_bit_by_bit(
    database_url: str, pool: AsyncConnectionPool
) -> None:
    """From the retention on at the earliest, a minute a step, behind what is new."""
    charge_points = add_charge_points(database_url, 8)
    day_s = 24 * 3600
    ages_s = [8 * day_s, 6.9 * day_s, 3600, 1800, 100, 50]
    with psycopg.connect(database_url) as conn:
        conn.execute("INSERT INTO dojot_feed (since) VALUES (now() - INTERVAL '30 days')")
        for number, age_s in enumerate(ages_s):
            put_frame(conn, charge_points[number], age_s, str(number))
    log = frame_log(pool, frozenset(range(8)))
    steps = [await log.step() for _ in range(2)]
    with psycopg.connect(database_url) as conn:  # as if five days of steps were done
        conn.execute("UPDATE dojot_frame_cursor SET received_at = now() - INTERVAL '62 minutes'")
    while steps[-1] < 1:
        steps.append(await log.step())
    await log.step()

    assert queued_frames(database_url) == [
        ("2", True),
        ("3", True),
        ("4", True),
        ("5", False),
    ]
    assert 62 <= len(steps) - 2 <= 64


async def test_the_frame_log_waits_while_the_queue_is_full(
    database_url: str, pool: AsyncConnectionPool
) -> None:
    (charge_point,) = add_charge_points(database_url, 1)
    with psycopg.connect(database_url) as conn:
        conn.execute("INSERT INTO dojot_feed (since) VALUES (now() - INTERVAL '1 hour')")
        conn.execute(
            "SELECT dojot_tell(%s, now(), '{}') FROM generate_series(1, 20)", [charge_point]
        )
        put_frame(conn, charge_point, 10, "x")
    log = frame_log(pool, frozenset(range(8)), rate=2)
    rests = [await log.step() for _ in range(3)]

    assert rests == [1, 1, 1]
    assert ask(database_url, "SELECT count(*) FROM dojot_frame_cursor") == 0


async def test_a_frame_that_was_stored_late_is_logged_once(
    database_url: str, pool: AsyncConnectionPool
) -> None:
    """Whatever came before it in the meantime; an open transaction is what makes it late."""
    charge_point, other = add_charge_points(database_url, 2)
    start_feed(database_url)
    with psycopg.connect(database_url) as conn:
        put_frame(conn, other, 3600, "earlier")  # makes the chunk, which others would wait for
    log = frame_log(pool, frozenset(range(8)))
    await log.step()
    with psycopg.connect(database_url) as late, psycopg.connect(database_url) as conn:
        put_frame(late, charge_point, 0, "late")
        conn.execute("SELECT pg_sleep(0.01)")
        put_frame(conn, other, 0, "in time")
        conn.commit()
        await log.step()
        before = queued_frames(database_url)
        late.commit()
    for shards in ({charge_point % 8}, set(range(8)), set(range(8))):
        await frame_log(pool, frozenset(shards)).step()

    assert before == [("in time", False)]
    assert queued_frames(database_url) == [("in time", False), ("late", False)]


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


async def test_metrics_count_all_that_waits(database_url: str, pool: AsyncConnectionPool) -> None:
    """Readings, events, and frames that are not yet queued."""
    charge_points = add_charge_points(database_url, 2)
    with psycopg.connect(database_url) as conn:
        conn.execute("INSERT INTO dojot_feed (since) VALUES (now() - INTERVAL '1 hour')")
    store(database_url, samples(charge_points, 5))
    with psycopg.connect(database_url) as conn:
        begin_all(conn, charge_points[0])
        conn.execute("UPDATE dojot_event SET created_at = now() - INTERVAL '90 seconds'")
        conn.execute("UPDATE dojot_shard SET sent_at = to_timestamp(1795329600) WHERE shard = 3")
        conn.execute("INSERT INTO dojot_backfill VALUES (%s, now())", [charge_points[1]])
    metrics = Metrics()
    for logs_frames in (False, True):
        await Measure(pool, metrics, logs_frames, lambda: 7, lambda: True).step()

    def told(name: str) -> float | None:
        return metrics.registry.get_sample_value(f"eletroposto_relay_{name}")

    assert (told("backlog_readings"), told("backlog_events")) == (10, 5)
    assert told("backlog_oldest_seconds") == pytest.approx(90, abs=20)
    assert told("frame_log_behind_seconds") == pytest.approx(3600, abs=20)
    assert told("last_sent_timestamp_seconds") == 1795329600
    assert (told("backfill_charge_points"), told("in_flight"), told("broker_away")) == (1, 7, 1)


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
        await until(lambda: state()["problem"] is None and not state()["backlog_readings"])
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
