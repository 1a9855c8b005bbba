"""What the tests of the relay share: a database with readings in it, a DOJOT to find them in."""

import asyncio
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import orjson
import psycopg

import sql
from ingest.relay.relay import Relay
from ingest.relay.settings import RelaySettings
from testbench.dojot import StandIn
from tests.waiting import until

_WRITER = sql.load("ingest")
_NO_MESSAGES: dict[str, Any] = {
    "received_ats": [],
    "charge_point_ids": [],
    "message_types": [],
    "directions": [],
    "actions": [],
    "message_ids": [],
    "raws": [],
    "answers": [],
    "answered_at": None,
}

Tally = Counter[tuple[int, int, float]]


@dataclass(frozen=True)
class Sample:
    """A reading as a test thinks of it; ``ms`` is its time since 1970."""

    charge_point_id: int
    ms: int
    power_w: float
    connector_id: int = 1

    def row(self) -> dict[str, Any]:
        return {
            "sampled_at": datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=self.ms),
            "charge_point_id": self.charge_point_id,
            "connector_id": self.connector_id,
            "context": 0,
            "origin": 0,
            "power_w": self.power_w,
        }


def now_ms() -> int:
    return int(datetime.now(UTC).timestamp() * 1000)


def samples(charge_points: Iterable[int], count: int, since_ms: int | None = None) -> list[Sample]:
    """``count`` readings of each charge point, a tenth of a second apart, no two alike."""
    first = now_ms() - count * 100 if since_ms is None else since_ms
    return [
        Sample(charge_point, first + 100 * number, charge_point * 100_000 + number)
        for number in range(count)
        for charge_point in charge_points
    ]


def add_charge_points(url: str, count: int, prefix: str = "CP") -> list[int]:
    with psycopg.connect(url) as conn:
        rows = conn.execute(
            "INSERT INTO charge_point (identity)"
            " SELECT %s || '-' || i FROM generate_series(1, %s) AS i RETURNING charge_point_id",
            [prefix, count],
        )
        return [row[0] for row in rows]


def add_charge_point(url: str, identity: str) -> int:
    with psycopg.connect(url) as conn:
        row = conn.execute(
            "INSERT INTO charge_point (identity) VALUES (%s) RETURNING charge_point_id", [identity]
        ).fetchone()
    assert row is not None
    return int(row[0])


def start_feed(url: str) -> None:
    """As a relay did that was here before."""
    with psycopg.connect(url) as conn:
        conn.execute("INSERT INTO dojot_feed DEFAULT VALUES ON CONFLICT DO NOTHING")


def store(url: str, stored: Sequence[Sample], per_commit: int = 50) -> None:
    """Store readings with the statement of the writer, so many in a commit."""
    with psycopg.connect(url, autocommit=True) as conn:
        for start in range(0, len(stored), per_commit):
            rows = [sample.row() for sample in stored[start : start + per_commit]]
            readings = orjson.dumps(rows).decode()
            conn.execute(_WRITER["store_messages"], _NO_MESSAGES | {"readings": readings})


def waiting(url: str) -> int:
    """Rows that wait for DOJOT."""
    readings = ask(url, "SELECT count(*) FROM dojot_outbox")
    return int(readings + ask(url, "SELECT count(*) FROM dojot_event"))


def ask(url: str, query: str) -> Any:
    """The first column of the first row."""
    with psycopg.connect(url) as conn:
        row = conn.execute(query.encode()).fetchone()
    return row[0] if row else None


def found(url: str, dojot: StandIn, attribute: str = "power_w_1") -> Tally:
    """(charge point, ms, value) of every stored message with this attribute, with its number.

    The charge point is 0 where nobody has the device any more.
    """
    with psycopg.connect(url) as conn:
        rows = conn.execute("SELECT device_id, charge_point_id FROM dojot_device").fetchall()
    known = dict(rows)
    messages = dojot.store.rows("SELECT device_id, ts_ms, attrs FROM message")
    tally: Tally = Counter()
    for device_id, ts_ms, text in messages:
        attrs = orjson.loads(text)
        if attribute in attrs:
            tally[known.get(device_id, 0), ts_ms, attrs[attribute]] += 1
    return tally


def expected(stored: Iterable[Sample]) -> set[tuple[int, int, float]]:
    return {(sample.charge_point_id, sample.ms, sample.power_w) for sample in stored}


def environment(url: str, dojot_url: str, mqtt: str, **changes: str) -> dict[str, str]:
    return {
        "ELETROPOSTO_DATABASE_URL": url,
        "ELETROPOSTO_DOJOT_URL": dojot_url,
        "ELETROPOSTO_DOJOT_MQTT": mqtt,
        "ELETROPOSTO_DOJOT_USER": "admin",
        "ELETROPOSTO_DOJOT_PASSWORD": "admin",
        "ELETROPOSTO_RELAY_HEALTH_PORT": "0",
        "ELETROPOSTO_DOJOT_NEW_TENANT_S": "0",
        **{f"ELETROPOSTO_{name.upper()}": value for name, value in changes.items()},
    }


def settings_of(url: str, dojot: StandIn, **changes: Any) -> RelaySettings:
    values = environment(url, dojot.url, dojot.mqtt)
    chosen = {name.removeprefix("ELETROPOSTO_").lower(): value for name, value in values.items()}
    return RelaySettings(**{**chosen, **changes})


@asynccontextmanager
async def relaying(url: str, dojot: StandIn, **changes: Any) -> AsyncIterator[Relay]:
    """A relay on this loop."""
    relay, stop = Relay(settings_of(url, dojot, **changes)), asyncio.Event()
    task = asyncio.create_task(relay.run(stop))
    try:
        yield relay
    finally:
        stop.set()
        await task


@contextmanager
def relay_process(url: str, dojot: StandIn, **changes: str) -> Iterator[subprocess.Popen[bytes]]:
    """A relay in a process of its own, which the test may kill."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ingest.relay"],
        env=os.environ | environment(url, dojot.url, dojot.mqtt, **changes),
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def all_there(url: str, dojot: StandIn, count: int, timeout_s: float = 60) -> None:
    """Wait until DOJOT has stored ``count`` messages and nothing waits any more."""
    await until(lambda: dojot.counters["stored"] >= count and not waiting(url), seconds=timeout_s)


@asynccontextmanager
async def logged_in(dojot: StandIn) -> AsyncIterator[httpx.AsyncClient]:
    """A client of DOJOT's API."""
    async with httpx.AsyncClient(base_url=dojot.url, timeout=10) as client:
        login = await client.post("/auth", json={"username": "admin", "passwd": "admin"})
        client.headers["Authorization"] = f"Bearer {login.json()['jwt']}"
        yield client


def begin_all(conn: psycopg.Connection[Any], charge_point: int) -> None:
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


def end_all(conn: psycopg.Connection[Any]) -> None:
    conn.execute(
        "UPDATE transaction SET stopped_at = now(), meter_stop_wh = 9, reason = 'EVDisconnected'"
    )
    conn.execute("UPDATE connection SET closed_at = now(), reason = 'no pong'")


def let_claims_run_out(url: str) -> None:
    """As six seconds after the death of a relay."""
    with psycopg.connect(url) as conn:
        conn.execute("UPDATE dojot_shard SET claimed_until = now()")
        conn.execute("DELETE FROM dojot_relay")
