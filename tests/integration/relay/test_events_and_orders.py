"""What the relay sends besides readings, what it takes from DOJOT, what it tells of itself."""

import json
import re
import socket
from typing import Any

import httpx
import psycopg
import pytest
from psycopg.rows import dict_row

from ingest.relay.main import Relay
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
    until,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")


def counted(relay: Relay, outcome: str) -> float | None:
    return relay.metrics.registry.get_sample_value(
        "eletroposto_relay_commands_total", {"outcome": outcome}
    )


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
