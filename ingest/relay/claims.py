"""Sharing the charge points with other relays: claims on shards, renewed or lost."""

import asyncio
import socket
from collections.abc import Callable, Mapping
from datetime import timedelta
from uuid import UUID

from psycopg_pool import AsyncConnectionPool

import sql
from ingest.relay.shares import SHARDS, divide

_QUERIES = sql.load("ingest")

# A relay that was killed is replaced after this time.
_LEASE = timedelta(seconds=6)
RENEW_EVERY_S = 1.5


class Claims:
    """The shards of this relay.

    Args:
        is_empty: Whether nothing of a shard is in flight, so that it can be handed over.
        figures: What is told of this relay with every renewal.
    """

    def __init__(
        self,
        pool: AsyncConnectionPool,
        relay_id: UUID,
        is_empty: Callable[[int], bool],
        figures: Callable[[], Mapping[str, object]],
    ) -> None:
        self._pool = pool
        self._relay_id = relay_id
        self._is_empty = is_empty
        self._figures = figures
        self.relays = 1  # that live, with this one
        self._hold: frozenset[int] = frozenset()
        self._valid_until = 0.0

    @property
    def shards(self) -> frozenset[int]:
        """Those to send from now; none if the claims could not be renewed in time."""
        if asyncio.get_running_loop().time() > self._valid_until:
            return frozenset()
        return self._hold

    async def renew(self) -> None:
        """Say that we live, claim our share, hand over what is above it. Raises psycopg.Error."""
        began = asyncio.get_running_loop().time()
        relay = {"relay_id": self._relay_id, "lease": _LEASE, **self._figures()}
        async with self._pool.connection() as conn, conn.transaction():
            announced = {**relay, "host": socket.gethostname()}
            await conn.execute(_QUERIES["announce_relay"], announced)
            row = await (await conn.execute(_QUERIES["count_relays"], relay)).fetchone()
            assert row is not None
            self.relays = row[0]
            rows: list[tuple[int, UUID | None]] = list(
                await (await conn.execute(_QUERIES["shards"])).fetchall()
            )
            holders = dict(rows)
            shares = divide(holders, self._relay_id, self.relays)
            self._hold &= shares.hold  # from here on nothing of the others is put in flight
            emptied = [shard for shard in shares.leave if self._is_empty(shard)]
            held = sorted((shares.hold | shares.leave) - set(emptied))
            await conn.execute(_QUERIES["hold_shards"], {**relay, "shards": held})
            await conn.execute(_QUERIES["release_shards"], {**relay, "shards": emptied})
        self._hold = shares.hold
        self._valid_until = began + _LEASE.total_seconds()

    async def release(self) -> None:
        """Hand over everything: this relay ends."""
        self._hold = frozenset()
        values = {"relay_id": self._relay_id, "shards": list(range(SHARDS))}
        async with self._pool.connection() as conn, conn.transaction():
            await conn.execute(_QUERIES["release_shards"], values)
            await conn.execute(_QUERIES["forget_relays"], values)
