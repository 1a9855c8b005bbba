"""Which charge points may connect: a copy of the table, renewed when the table says it changed."""

from dataclasses import dataclass, field
from zoneinfo import available_timezones

from psycopg import AsyncConnection
from psycopg.rows import class_row
from psycopg_pool import AsyncConnectionPool

import sql
from ingest.charge_point import Registration

_QUERIES = sql.load("ingest")
_MOST_PENDING = 1000  # knocks of strangers kept for approval


@dataclass(slots=True)
class Registry:
    """Charge points by identity.

    Attributes:
        accept_unknown: Register a charge point that knocks, instead of listing it for approval.
    """

    pool: AsyncConnectionPool
    accept_unknown: bool
    _known: dict[str, Registration] = field(default_factory=dict)
    _zones: frozenset[str] = field(default_factory=lambda: frozenset(available_timezones()))

    async def load(self, charge_point_id: int | None = None) -> None:
        """Read the table, or one row of it, anew."""
        async with self.pool.connection() as conn:
            for known in await self._ask(conn, "charge_points", charge_point_id=charge_point_id):
                self._known[known.identity] = known

    async def find(self, identity: str) -> Registration | None:
        """Return the charge point if it may connect; a stranger is registered or listed."""
        if (known := self._known.get(identity)) is None:
            known = await self._meet(identity)
        if known is None or known.registration != "registered":
            return None
        return known

    async def _meet(self, identity: str) -> Registration | None:
        async with self.pool.connection() as conn:
            found = await self._ask(conn, "find_charge_point", identity=identity)
            if not found:
                wanted = "registered" if self.accept_unknown else "pending"
                await conn.execute(
                    _QUERIES["register_charge_point"],
                    {"identity": identity, "registration": wanted, "most_pending": _MOST_PENDING},
                )
                found = await self._ask(conn, "find_charge_point", identity=identity)
        for known in found:
            if known.registration == "registered":
                self._known[identity] = known
            return known
        return None

    async def _ask(
        self, conn: AsyncConnection, name: str, **parameters: object
    ) -> list[Registration]:
        async with conn.cursor(row_factory=class_row(Registration)) as cursor:
            await cursor.execute(_QUERIES[name], parameters)
            return await cursor.fetchall()
