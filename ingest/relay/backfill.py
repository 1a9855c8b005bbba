"""Opening the feed to DOJOT, and queueing what was stored before that, or before a device came."""

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

import sql
from ingest.relay.clock import DatabaseClock

logger = logging.getLogger(__name__)

_QUERIES = sql.load("ingest")

_WINDOW = timedelta(hours=2)  # of one charge point, in one transaction
_UNCOMPRESSED = timedelta(days=13)  # chunks are compressed a day later at the earliest
_SECONDS_AHEAD = 10  # of the backlog's pace: not more is queued than will be sent soon
_LOCK_WAIT = "2s"
_BUSY_S, _FULL_S, _DONE_S = 0.02, 1.0, 10.0


class Backfill:
    """Puts readings and events that no commit will queue any more into the outbox, bit by bit.

    A step is a transaction that also says how far it came, so that any relay can go on after any
    kill and nothing is queued twice.

    Args:
        rate: The pace of the backlog; the outbox is never filled further than some seconds of it.
        shards, unavailable: As for the lanes.
    """

    def __init__(
        self,
        pool: AsyncConnectionPool,
        clock: DatabaseClock,
        rate: float,
        shards: Callable[[], frozenset[int]],
        unavailable: Callable[[], list[int]],
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._ahead = rate * _SECONDS_AHEAD
        self._shards = shards
        self._unavailable = unavailable

    async def open_feed(self) -> None:
        """From now on commits fill the outbox; what is there already is planned if we are first.

        Raises psycopg.Error, and may be called again then.
        """
        async with self._pool.connection() as conn:
            if await _first(conn, "feed_is_open", {}):
                return
            async with conn.transaction():
                await conn.execute(_QUERIES["wait_for_lock"], {"wait": _LOCK_WAIT})
                await conn.execute(_QUERIES["lock_feed"])
                if await _first(conn, "open_feed", {}):
                    since = self._clock.oldest_to_send()
                    await conn.execute(_QUERIES["plan_backfill"], {"since": since})
                    logger.info("the feed is open; what was stored before is sent too")

    async def step(self) -> float:
        """Queue a bit of one charge point and return how many seconds to rest."""
        if self._clock.is_doubtful:  # it would pass over what DOJOT can still keep
            return _FULL_S
        shards = sorted(self._shards())
        async with self._pool.connection() as conn, conn.transaction():
            cursor = await conn.execute(_QUERIES["next_backfill"], {"shards": shards})
            row = await cursor.fetchone()
            if row is None:
                return _DONE_S if shards else _FULL_S
            waiting = {"shards": shards, "blocked": self._unavailable()}
            if await _first(conn, "waiting_for_backfill", waiting) >= self._ahead:
                return _FULL_S
            charge_point_id, reached, events_told = row
            since = max(reached, self._clock.oldest())
            values = {"charge_point_id": charge_point_id, "since": since}
            if not events_told:
                await conn.execute(_QUERIES["tell_events_again"], values, prepare=False)
                await conn.execute(_QUERIES["events_are_told"], values)
            else:
                await _queue_readings(conn, values, self._clock)
        return _BUSY_S


async def _queue_readings(
    conn: AsyncConnection, values: dict[str, Any], clock: DatabaseClock
) -> None:
    since = await _first(conn, "next_reading", values)
    if since is None:
        await conn.execute(_QUERIES["end_backfill"], values)
        return
    window = {**values, "since": since, "until": since + _WINDOW}
    is_recent = window["until"] > clock.now() - _UNCOMPRESSED
    query = "queue_readings" if is_recent else "queue_old_readings"
    await conn.execute(_QUERIES[query], window, prepare=False)
    await conn.execute(_QUERIES["backfill_reached"], window)


async def _first(conn: AsyncConnection, query: str, values: dict[str, Any]) -> Any:
    """The first column of the first row, None without one; planned anew for its bounds."""
    row = await (await conn.execute(_QUERIES[query], values, prepare=False)).fetchone()
    return row[0] if row else None
