"""The way to the database: connections that notice when nobody is at the other end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

# Away, restarting, or too busy (the pool's time-out is one of them); InternalError is what a
# read-only database says, as during a failover.
DATABASE_AWAY = (psycopg.OperationalError, psycopg.InternalError)
# A server whose machine or network is gone says nothing: TCP is asked to notice.
KEEPALIVE: dict[str, Any] = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20000,
}
OPTIONS = "-c role=eletroposto_ingest -c statement_timeout=10000 -c timezone=UTC"
_PATIENCE_S = 25.0


class Pool(AsyncConnectionPool):
    """Connections for everything but the writer.

    A server that is there but never answers, as one that is frozen, fails what is asked of it after
    ``patience_s``, which is longer than a statement may take.
    """

    def __init__(
        self,
        url: str,
        patience_s: float = _PATIENCE_S,
        *,
        options: str = OPTIONS,
        most: int = 4,
        autocommit: bool = False,
    ) -> None:
        kwargs = {
            "options": options,
            "autocommit": autocommit,
            "connect_timeout": 10,
            **KEEPALIVE,
        }
        super().__init__(url, min_size=1, max_size=most, timeout=10, open=False, kwargs=kwargs)
        self.patience_s = patience_s

    @asynccontextmanager
    async def connection(
        self,
        timeout: float | None = None,  # noqa: ASYNC109 - the pool's own: how long to wait for one
    ) -> AsyncIterator[AsyncConnection]:
        """Lend a connection. An OperationalError ends what takes longer than our patience."""
        try:
            async with asyncio.timeout(self.patience_s), super().connection(timeout) as conn:
                yield conn
        except TimeoutError as exc:
            sentence = f"the database did not answer within {self.patience_s:g} s"
            raise psycopg.OperationalError(sentence) from exc

    def connection_for_long(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Lend a connection for work that waits for others than the database too."""
        return super().connection()
