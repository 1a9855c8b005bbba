"""Numbers that DOJOT cannot hold: beyond 2^53 they arrive rounded, beyond 2^63 not at all."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from flows.catalogue import carry_out
from flows.scope import Scope
from flows.settings import Settings
from testbench.dojot import StandIn
from tests.relaying import add_charge_points, all_there, ask, relaying, start_feed

pytestmark = pytest.mark.asyncio(loop_scope="session")

HOUR = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=3)
READINGS: list[dict[str, Any]] = [
    {"power_w": 1, "extra": {"Frequency": 2**63, "RPM": 2**53, "Power.Factor": -0.5}},
    {"power_w": 2, "transaction_id": 2**63 - 1},
    {"power_w": 3, "transaction_id": 2**53 + 1, "extra": {"RPM": -(2**53) - 1}},
    {"energy_wh": 1e19, "power_w": 4},
    {"energy_wh": 5e15, "power_w": 3e38},
    {"energy_wh": 1e20},  # nothing that DOJOT could hold
    {"extra": {"RPM": 10**30}},  # the same
    {"energy_wh": 7, "extra": {"RPM": 1e300}},
]


def put(url: str, charge_point: int) -> None:
    with psycopg.connect(url) as conn:
        for place, reading in enumerate(READINGS):
            values = {"transaction_id": None, "energy_wh": None, "power_w": None, **reading}
            conn.execute(
                "INSERT INTO meter_value (sampled_at, charge_point_id, connector_id, context,"
                " transaction_id, energy_wh, power_w, extra) VALUES (%s, %s, 1, 0, %s, %s, %s, %s)",
                [
                    HOUR + timedelta(seconds=10 * place),
                    charge_point,
                    *(values[name] for name in ("transaction_id", "energy_wh", "power_w")),
                    Jsonb(reading["extra"], dumps=json.dumps) if "extra" in reading else None,
                ],
            )
        conn.execute(
            "SELECT dojot_enqueue(array_agg(charge_point_id), array_agg(sampled_at),"
            " array_agg(connector_id), array_agg(context), NULL) FROM meter_value"
        )


async def test_no_number_keeps_a_reading_out_of_dojot(database_url: str, dojot: StandIn) -> None:
    (charge_point,) = add_charge_points(database_url, 1)
    start_feed(database_url)
    put(database_url, charge_point)
    async with relaying(database_url, dojot):
        await all_there(database_url, dojot, 6)
    settings = Settings(database_url, dojot.url, dojot.username, dojot.password, dojot_settle_s=0)
    ((_, outcome),) = await asyncio.to_thread(
        lambda: list(carry_out(settings, "reconcile_dojot", Scope()))
    )

    assert not dojot.counters["unstorable"]
    rows = dojot.store.rows("SELECT attrs FROM message ORDER BY ts_ms")
    sent = [json.loads(row["attrs"]) for row in rows]
    for attrs in sent:
        attrs.pop("timestamp")
    assert sent == [
        {"power_w_1": 1, "fan_rpm_1": 2**53, "power_factor_1": -0.5},
        {"power_w_1": 2, "transaction_id_1": str(2**63 - 1)},
        {"power_w_1": 3, "transaction_id_1": str(2**53 + 1)},
        {"power_w_1": 4},
        {"energy_wh_1": 5 * 10**15},
        {"energy_wh_1": 7},
    ]
    assert [row["verdict"] for row in outcome.table] == ["ok"]
    assert (outcome.counts["rows_database"], outcome.counts["rows_dojot"]) == (6, 6)
    assert ask(database_url, "SELECT count(*) FROM dojot_outbox") == 0


async def test_no_number_keeps_an_event_out_of_dojot(database_url: str, dojot: StandIn) -> None:
    (charge_point,) = add_charge_points(database_url, 1)
    start_feed(database_url)
    with psycopg.connect(database_url) as conn:
        conn.execute(
            "INSERT INTO transaction (transaction_id, charge_point_id, connector_id, id_tag,"
            " id_tag_status, started_at, meter_start_wh)"
            " VALUES (2147483647, %s, 1, 'T', 'Accepted', now(), 1e19)",
            [charge_point],
        )
        conn.execute("UPDATE transaction SET stopped_at = now(), meter_stop_wh = 1e18")
    async with relaying(database_url, dojot):
        await all_there(database_url, dojot, 2)

    assert not dojot.counters["unstorable"]
    rows = dojot.store.rows("SELECT attrs FROM message")
    sent = [json.loads(row["attrs"]) for row in rows]
    assert {attrs["transaction_event_1"] for attrs in sent} == {"started", "stopped"}
    assert not any("meter_start_wh_1" in attrs or "meter_stop_wh_1" in attrs for attrs in sent)
