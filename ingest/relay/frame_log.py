"""The log of frames on its way into the outbox, where that is switched on."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

import sql

_QUERIES = sql.load("ingest")

_WINDOW = timedelta(seconds=60)  # of one step; more only if the log was off, or DOJOT away
_LATE = timedelta(minutes=10)  # a frame is stored within this time after it came, or not sent
# Versions of rows are only asked for where no chunk can be compressed: there they have none.
_UNCOMPRESSED = timedelta(days=1)
_SECONDS_AHEAD = 10  # of the backlog's pace, as for the backfill
_BUSY_S, _REST_S = 0.02, 1.0


class FrameLog:
    """Queues frames window by window; how far it came is in the database, per shard.

    Args:
        oldest: From when on DOJOT would keep them.
        rate: The pace of the backlog; while that is behind, the log waits.
        shards, unavailable: As for the lanes.
    """

    def __init__(
        self,
        pool: AsyncConnectionPool,
        oldest: Callable[[], datetime],
        rate: float,
        shards: Callable[[], frozenset[int]],
        unavailable: Callable[[], list[int]],
    ) -> None:
        self._pool = pool
        self._oldest = oldest
        self._ahead = rate * _SECONDS_AHEAD
        self._shards = shards
        self._unavailable = unavailable

    async def step(self) -> float:
        """Queue the frames of the next window and return how many seconds to rest."""
        shards = sorted(self._shards())
        if not shards:
            return _REST_S
        async with self._pool.connection() as conn, conn.transaction():
            waiting = {"shards": shards, "blocked": self._unavailable()}
            if (await _row(conn, "waiting_for_backfill", waiting))[0] >= self._ahead:
                return _REST_S
            values = {"shards": shards, "oldest": self._oldest()}
            since, now = await _row(conn, "frames_since", values)
            if since is None:  # there is no feed yet
                return _REST_S
            until = min(since + _WINDOW, now)
            window = {"until": until, "low": since - _LATE, "is_old": now - until > _WINDOW}
            query = "queue_frames" if now - since < _UNCOMPRESSED else "queue_old_frames"
            await conn.execute(_QUERIES[query], {**values, **window}, prepare=False)
        return _REST_S if until == now else _BUSY_S


async def _row(conn: AsyncConnection, query: str, values: dict[str, Any]) -> tuple[Any, ...]:
    row = await (await conn.execute(_QUERIES[query], values, prepare=False)).fetchone()
    assert row is not None
    return row
