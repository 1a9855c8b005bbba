"""The rows that wait for DOJOT: reading them, and what becomes of each."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
import psycopg
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool

import sql
from ingest.relay.metrics import Metrics

logger = logging.getLogger(__name__)

_QUERIES = sql.load("ingest")

# A later timestamp ends DOJOT's persister, and with it all of its history. A smaller number than
# the first of these it takes for seconds.
_FIRST_MS = 2_147_483_648
_END_MS = 253_402_300_800_000

LANES = ("fresh", "backlog")
_ROUNDING_S = 0.001
_GATHER_S = 0.05  # deletions that come together are one statement


@dataclass(slots=True, eq=False)
class Row:
    """A row of the outbox on its way.

    Attributes:
        since, until: Bounds of its readings in seconds since 1970.
        left: Messages not settled yet.
        load: How many of the messages in flight are of this row.
        back: Positions of readings that could not be sent and stay in the row.
    """

    row_id: int
    shard: int
    readings: int
    since: float
    until: float
    lane: str
    outbox: "Outbox"
    left: int = 0
    load: int = 0
    back: list[int] = field(default_factory=list)

    def settle(self, back: int | None = None) -> None:
        """One message less to wait for; ``back`` is the position of one that was not sent."""
        self.weigh(self.load - 1)
        if back is not None:
            self.back.append(back)
        self.one_less()

    def one_less(self) -> None:
        self.left -= 1
        if not self.left:
            self.outbox.settled(self)

    def weigh(self, load: int) -> None:
        """One that is not acknowledged keeps its row in flight, but not the room of the others."""
        self.outbox.loads[self.lane] += load - self.load
        self.load = load


@dataclass(slots=True, eq=False)
class Publication:
    """One publication. Whoever holds it calls exactly one of ``sent`` and ``give_back``."""

    row: Row
    position: int
    charge_point_id: int
    payload: bytes

    def sent(self) -> None:
        self.row.outbox.sent += 1
        self.row.outbox.acknowledged[self.row.lane].inc()
        self.row.settle()

    def give_back(self) -> None:
        """It cannot be sent now: the row keeps it for later."""
        self.row.settle(back=self.position)

    def park(self) -> None:
        """It waits for its device, in nobody's way: the others have its room until ``unpark``."""
        self.row.weigh(self.row.load - 1)

    def unpark(self) -> None:
        self.row.weigh(self.row.load + 1)


class Outbox:
    """One of the tables whose rows wait, ``readings`` or ``events``.

    A row stays in the database until all its messages are acknowledged, and in ``in_flight``
    until that deletion is committed: killed at any moment, the relay sends twice but never loses.

    Args:
        oldest: What has an earlier timestamp is not sent, as DOJOT would delete it at once.
        loads: Where the messages in flight are counted, by lane.
    """

    def __init__(
        self,
        kind: str,
        pool: AsyncConnectionPool,
        metrics: Metrics,
        oldest: Callable[[], datetime],
        loads: Counter[str],
    ) -> None:
        self.kind = kind
        self.sent = 0  # messages acknowledged
        self.in_flight: dict[int, Row] = {}
        self.loads = loads
        self.acknowledged = {lane: metrics.acknowledged.labels(lane) for lane in LANES}
        self._pool = pool
        self._metrics = metrics
        self._oldest = oldest
        self._settled: list[Row] = []
        self._wake = asyncio.Event()

    async def newest(self) -> int:
        return int((await self._fetch("newest", None))[0][0])

    async def fresh(
        self, after: int, shards: list[int], blocked: list[int], limit: int
    ) -> list[Row]:
        """Return the newest rows behind ``after``, newest first."""
        values = {"after": after, "shards": shards, "blocked": blocked, "rows": limit}
        return self._rows("fresh", await self._fetch("fresh", values))

    async def backlog(
        self, after: int, until: int, shards: list[int], blocked: list[int], limit: int
    ) -> list[Row]:
        """Return the oldest rows behind ``after``, also those in flight; if they are news, only
        up to ``until``."""
        values = {"after": after, "until": until, "shards": shards, "blocked": blocked}
        return self._rows("backlog", await self._fetch("backlog", {**values, "rows": limit}))

    def _rows(self, lane: str, found: list[tuple[Any, ...]]) -> list[Row]:
        return [
            Row(row_id, shard, readings, since, until, lane, self)
            for row_id, shard, readings, since, until in found
        ]

    async def take(self, rows: Sequence[Row]) -> list[Publication]:
        """Put rows in flight and return their messages, without those that need not be sent."""
        by_id = {row.row_id: row for row in rows}
        self._put_in_flight(rows)  # before the first await: the other lane must see it
        bounds = {
            "since": min(row.since for row in rows) - _ROUNDING_S,
            "until": max(row.until for row in rows) + _ROUNDING_S,
        }
        try:
            found = await self._fetch("read", {"ids": list(by_id), **bounds})
            messages, aside = self._messages(by_id, found)
            await self._set_aside(aside)
        except psycopg.Error:
            self._take_out(rows)
            raise
        for message in messages:
            message.row.left += 1
        for row in rows:
            row.weigh(row.left - 1)
            row.one_less()
        return messages

    def _put_in_flight(self, rows: Iterable[Row]) -> None:
        for row in rows:
            row.left = 1  # until all its messages are counted, so that it settles once
            self.in_flight[row.row_id] = row
            row.weigh(row.readings)

    def _take_out(self, rows: Iterable[Row]) -> None:
        for row in rows:
            del self.in_flight[row.row_id]
            row.weigh(0)

    def _messages(
        self, by_id: dict[int, Row], found: Iterable[tuple[Any, ...]]
    ) -> tuple[list[Publication], list[dict[str, Any]]]:
        messages, aside = [], []
        passed_over = self._metrics.passed_over
        oldest_ms = self._oldest().timestamp() * 1000
        for row_id, position, charge_point_id, ms, attrs in found:
            if attrs is None or attrs == "{}":
                passed_over.labels("nothing to send").inc()
            elif ms is None or not _FIRST_MS <= ms < _END_MS:
                passed_over.labels("set aside").inc()
                aside.append(_piece(charge_point_id, ms, attrs))
            elif ms < oldest_ms:
                passed_over.labels("expired").inc()
            else:
                payload = f'{{"timestamp": {ms}, {attrs[1:]}'.encode()
                messages.append(Publication(by_id[row_id], position, charge_point_id, payload))
        return messages, aside

    async def _set_aside(self, pieces: list[dict[str, Any]]) -> None:
        if not pieces:
            return
        logger.warning("%d %s set aside: no legal timestamp for DOJOT", len(pieces), self.kind)
        async with self._pool.connection() as conn:
            await conn.execute(_QUERIES["set_aside"], {"pieces": Jsonb(pieces, dumps=orjson.dumps)})

    def settled(self, row: Row) -> None:
        self._settled.append(row)
        self._wake.set()

    async def settle(self) -> float:
        """Delete what was sent and keep what was not, and return how many seconds to rest.

        Raises psycopg.Error, and may be called again then.
        """
        if not self._settled:
            self._wake.clear()
            await self._wake.wait()
        rows = self._settled[:]
        done = [row.row_id for row in rows if not row.back]
        in_part = [row for row in rows if row.back and len(row.back) < row.readings]
        async with self._pool.connection() as conn:
            if done:
                await conn.execute(_QUERIES[f"delete_{self.kind}"], {"ids": done})
            if in_part:
                await _keep(conn, in_part)
        del self._settled[: len(rows)]
        self._take_out(rows)
        return _GATHER_S

    async def _fetch(self, name: str, values: dict[str, Any] | None) -> list[tuple[Any, ...]]:
        # Never prepared: a plan made for any bounds would look into every chunk.
        query = _QUERIES[f"{name}_{self.kind}"]
        async with self._pool.connection() as conn:
            return await (await conn.execute(query, values, prepare=False)).fetchall()


async def _keep(conn: AsyncConnection, rows: Sequence[Row]) -> None:
    """Leave in each row what was not sent of it."""
    async with conn.transaction():
        for row in rows:
            kept = {"id": row.row_id, "readings": row.readings, "positions": row.back}
            await conn.execute(_QUERIES["keep_readings"], kept)


def _piece(charge_point_id: int, ms: int | None, attrs: str) -> dict[str, Any]:
    return {
        "charge_point_id": charge_point_id,
        "reason": f"dojot: timestamp {ms} ms is outside of what DOJOT can store",
        "raw": attrs,
    }
