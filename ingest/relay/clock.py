"""The database's clock: by it the relay judges what is too old for DOJOT, never by its own."""

import asyncio
import logging
import time
from datetime import UTC, datetime, timedelta

from psycopg_pool import AsyncConnectionPool

import sql
from ingest.relay.metrics import Metrics

logger = logging.getLogger(__name__)

_QUERIES = sql.load("ingest")

OLDEST = datetime(1970, 1, 26, tzinfo=UTC)  # a smaller number DOJOT takes for seconds
_APART_S = 300.0  # clocks that differ by more: nobody knows which of the two is right


class DatabaseClock:
    """What the database's clock shows, told from ours by the difference at the last look.

    Attributes:
        is_doubtful: Whether it was never read, or is minutes away from this machine's: nothing
            may be thrown away then.
    """

    def __init__(self, pool: AsyncConnectionPool, retention: timedelta, metrics: Metrics) -> None:
        self._pool = pool
        self._retention = retention
        self._metrics = metrics
        self._ahead_s = 0.0  # of the loop's clock, which nobody sets
        self._was_told = False
        self.is_doubtful = True

    async def look(self) -> None:
        """Read it. Raises psycopg.Error."""
        async with self._pool.connection() as conn:
            row = await (await conn.execute(_QUERIES["clock"])).fetchone()
        assert row is not None
        self._ahead_s = row[0] - asyncio.get_running_loop().time()
        apart_s = row[0] - time.time()
        self.is_doubtful = abs(apart_s) > _APART_S
        if self.is_doubtful:
            self._metrics.error("clocks_differ")
        if self.is_doubtful and not self._was_told:
            logger.error("nothing expires: the database's clock is %+.0f s from ours", apart_s)
        self._was_told = self.is_doubtful

    def now(self) -> datetime:
        now_s = asyncio.get_running_loop().time() + self._ahead_s
        return datetime.fromtimestamp(now_s, UTC)

    def oldest(self) -> datetime:
        """From when on DOJOT would keep what it is sent."""
        return max(OLDEST, self.now() - self._retention) if self._retention else OLDEST

    def oldest_to_send(self) -> datetime:
        """The same, but for what would be thrown away: nothing is while the clock is doubtful."""
        return OLDEST if self.is_doubtful else self.oldest()
