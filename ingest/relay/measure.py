"""What /metrics tells of the queues: how much waits, since when, and when something last went."""

from collections.abc import Callable

from psycopg_pool import AsyncConnectionPool

import sql
from ingest.relay.metrics import Metrics

_QUERIES = sql.load("ingest")
_EVERY_S = 10.0


class Measure:
    """Looks at the queues of all relays every few seconds.

    Args:
        logs_frames: Whether the frame log is sent, and can be behind.
        in_flight, broker_is_away: Of this relay, asked each time.
    """

    def __init__(
        self,
        pool: AsyncConnectionPool,
        metrics: Metrics,
        logs_frames: bool,
        in_flight: Callable[[], int],
        broker_is_away: Callable[[], bool],
    ) -> None:
        self._pool = pool
        self._metrics = metrics
        self._logs_frames = logs_frames
        self._in_flight = in_flight
        self._broker_is_away = broker_is_away

    async def step(self) -> float:
        """Look once and return how many seconds to rest. Raises psycopg.Error."""
        async with self._pool.connection() as conn:
            row = await (await conn.execute(_QUERIES["backlog"])).fetchone()
        assert row is not None
        rows, readings, events, oldest_s, sent_at_s, backfill, frames_behind_s = row
        metrics = self._metrics
        metrics.rows.set(rows)
        metrics.readings.set(readings)
        metrics.events.set(events)
        metrics.oldest.set(oldest_s or 0)
        metrics.last_sent.set(sent_at_s or 0)
        metrics.backfill.set(backfill)
        metrics.frames_behind.set(frames_behind_s or 0 if self._logs_frames else 0)
        metrics.in_flight.set(self._in_flight())
        metrics.broker_away.set(self._broker_is_away())
        return _EVERY_S
