"""A replica's sockets, and what the database says of them: told apart now and then, and mended.

A replica that is silent for long is taken for dead and its connections are closed by others; the
end of a socket may be lost in contention. Either would be shown for ever.
"""

import asyncio
import logging
import socket
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeAlias
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool

import sql
from ingest.central_system import CentralSystem
from ingest.charge_point import ChargePoint
from ingest.database import DATABASE_AWAY

logger = logging.getLogger(__name__)

_QUERIES = sql.load("ingest")
_SIGN_OF_LIFE_S = 5.0
_BEATS_PER_COMPARISON = 6  # it looks at every open connection of the replica
_LATE_S = 20.0  # after so long a silence others may have taken us for dead
_ENDING = timedelta(seconds=30)  # a socket that ends is recorded within it
_SERVICE_RESTART = 1012

_Socket: TypeAlias = tuple[int, datetime]


@dataclass(slots=True)
class Presence:
    """Says every few seconds that this replica lives, and keeps its records as its sockets are.

    Attributes:
        silent_intervals: A charge point whose heartbeats kept their interval is left after so
            many of them without a frame; 0: never.
        least_silence_s: It is not left sooner.
        ending: A record without a socket for so long is closed.
    """

    pool: AsyncConnectionPool
    replica_id: UUID
    central_system: CentralSystem
    silent_intervals: float = 0.0
    least_silence_s: float = 60.0
    ending: timedelta = _ENDING
    _beats: int = 0
    _beaten_at: float = 0.0
    _stray: dict[_Socket, datetime] = field(default_factory=dict)

    async def run(self) -> None:
        """Beat for ever."""
        while True:
            try:
                await self._beat()
                await self._leave_silent()
            except DATABASE_AWAY as exc:
                logger.warning("no sign of life: %s", str(exc).strip())
            await asyncio.sleep(_SIGN_OF_LIFE_S)

    async def compare(self) -> None:
        """Reopen what others closed while we held it, close what nobody holds any more."""
        held = {_socket_of(one): one for one in self._connected() if one.is_recorded}
        async with self.pool.connection() as conn:
            cursor = await conn.execute(_QUERIES["own_connections"], self._own)
            recorded: set[_Socket] = set(await cursor.fetchall())
            lost = {of for of in held.keys() - recorded if held[of].closed_because is None}
            kept = await self._reopen(conn, lost) if lost else set()
            await self._end_strays(conn, recorded)
        for charge_point_id, opened_at in lost - kept:
            reason = "its connection was closed elsewhere"
            self.central_system.leave(charge_point_id, reason, opened_at, _SERVICE_RESTART)

    @property
    def _own(self) -> dict[str, UUID]:
        return {"replica_id": self.replica_id}

    def _connected(self) -> list[ChargePoint]:
        return list(self.central_system.connected.values())

    async def _beat(self) -> None:
        async with self.pool.connection() as conn:
            parameters = {"host": socket.gethostname(), **self._own}
            await conn.execute(_QUERIES["announce_replica"], parameters)
            await conn.execute(_QUERIES["close_dead_replicas"])
        now = asyncio.get_running_loop().time()
        is_late, self._beaten_at = now - self._beaten_at > _LATE_S, now
        self._beats += 1
        if is_late or self._beats % _BEATS_PER_COMPARISON == 0:
            await self.compare()

    async def _leave_silent(self) -> None:
        """Close the sockets of charge points whose heartbeats stopped."""
        if not self.silent_intervals:
            return
        for charge_point in filter(self._is_silent, self._connected()):
            await self._ask_interval(charge_point)
            if self._is_silent(charge_point):
                charge_point_id, opened_at = _socket_of(charge_point)
                self.central_system.leave(charge_point_id, "silent", opened_at, _SERVICE_RESTART)

    def _is_silent(self, charge_point: ChargePoint) -> bool:
        now_s = time.monotonic()
        return charge_point.pulse.has_stopped(now_s, self.silent_intervals, self.least_silence_s)

    async def _ask_interval(self, charge_point: ChargePoint) -> None:
        """Somebody may have set a longer interval than we told at the boot."""
        parameters = {"charge_point_id": charge_point.charge_point_id}
        async with self.pool.connection() as conn:
            cursor = await conn.execute(_QUERIES["heartbeat_interval"], parameters)
            row = await cursor.fetchone()
        if row is not None:
            pulse = charge_point.pulse
            pulse.interval_s = max(pulse.interval_s, row[0])

    async def _reopen(self, conn: AsyncConnection, lost: set[_Socket]) -> set[_Socket]:
        """Return what is open again: others had taken us for dead, and it went nowhere else."""
        parameters = {
            "charge_point_ids": [charge_point_id for charge_point_id, _ in lost],
            "opened_ats": [opened_at for _, opened_at in lost],
            **self._own,
        }
        cursor = await conn.execute(_QUERIES["reopen_connections"], parameters)
        kept = set(await cursor.fetchall())
        logger.warning("%d connections were taken for closed, %d still are", len(lost), len(kept))
        return kept

    async def _end_strays(self, conn: AsyncConnection, recorded: set[_Socket]) -> None:
        """Close the records that for some time now had no socket."""
        now = datetime.now(UTC)
        strays = recorded - {_socket_of(one) for one in self._connected()}
        self._stray = {of: self._stray.get(of, now) for of in strays}
        ended = {of: since for of, since in self._stray.items() if now - since >= self.ending}
        if not ended:
            return
        rows = [
            {
                "charge_point_id": charge_point_id,
                "opened_at": opened_at,
                "closed_at": since,
                "reason": "its end was not recorded in time",
            }
            for (charge_point_id, opened_at), since in ended.items()
        ]
        await conn.execute(_QUERIES["close_connections"], {"connections": Jsonb(rows)})
        logger.warning("%d connections ended without a record", len(rows))


def _socket_of(charge_point: ChargePoint) -> _Socket:
    return charge_point.charge_point_id, charge_point.opened_at
