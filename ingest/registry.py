"""Which charge points may connect: a copy of the table, renewed when the table says it changed."""

import asyncio
import logging
from dataclasses import dataclass, field, replace

from psycopg import AsyncConnection
from psycopg.rows import class_row
from psycopg_pool import AsyncConnectionPool

import sql
from ingest.admission import Admitted
from ingest.database import DATABASE_AWAY
from ingest.registration import Registration
from ingest.writer import forget

logger = logging.getLogger(__name__)

_QUERIES = sql.load("ingest")
_DIGESTS_GATHER_S = 1.0
_DIGEST_TRIES = 10
_MOST_PENDING = 1000  # knocks of strangers kept for approval


@dataclass(slots=True)
class Registry:
    """Charge points by identity.

    Attributes:
        accept_unknown: Register a charge point that knocks, instead of listing it for approval.
    """

    pool: AsyncConnectionPool
    accept_unknown: bool
    _registered: dict[str, Registration] = field(default_factory=dict)
    _asked: dict[str, asyncio.Future[Registration | None]] = field(default_factory=dict)
    _asking: asyncio.Task[None] | None = None
    _digests: dict[int, str] = field(default_factory=dict)
    _keeping: asyncio.Task[None] | None = None

    async def load(self, charge_point_id: int | None = None) -> list[Registration]:
        """Read the table, or one row of it, anew, and return what was read."""
        async with self.pool.connection() as conn:
            found = await self._ask(conn, "charge_points", charge_point_id=charge_point_id)
        for row in found:
            self._remember(row)
        return found

    async def find(self, identity: str) -> Registration | None:
        """Return the charge point if it may connect; a stranger is registered or listed."""
        registration = self._registered.get(identity)
        if registration is None:
            registration = await self._meet(identity)  # it may have been approved this very moment
        if registration is None or registration.status != "registered":
            return None
        return registration

    def newest(self, identity: str) -> Registration | None:
        """Return what is known by now of a charge point that came in; None: it may not stay."""
        return self._registered.get(identity)

    async def stands_by(self, admitted: Admitted) -> bool:
        """Return whether a new password still counts: it may have been refused this very moment."""
        if admitted.new_password_hash is None:
            return True
        found = await self.load(admitted.registration.charge_point_id)
        return any(admitted.new_password_hash in row.password_hashes for row in found)

    async def strengthen(self, admitted: Admitted) -> None:
        """Write down that a charge point used its new password, or a higher security profile."""
        registration = admitted.registration
        parameters = {
            "charge_point_id": registration.charge_point_id,
            "password_hash": admitted.new_password_hash,
            "security_profile": admitted.security_profile,
        }
        async with self.pool.connection() as conn:
            if admitted.new_password_hash is not None:
                await conn.execute(_QUERIES["use_new_password"], parameters)
            await conn.execute(_QUERIES["raise_security_profile"], parameters)
        await self.load(registration.charge_point_id)

    def keep_digest(self, registration: Registration, digest: str) -> None:
        """Have the digest written down, with those of others; it may be lost, and is made again."""
        self._digests[registration.charge_point_id] = digest
        if (newest := self._registered.get(registration.identity)) is not None:
            self._registered[registration.identity] = replace(newest, password_digest=digest)
        if self._keeping is None or self._keeping.done():
            self._keeping = asyncio.create_task(self._keep_digests())

    async def familiar_addresses(self) -> list[str]:
        """Return the addresses that charge points came from in the last days."""
        async with self.pool.connection() as conn:
            cursor = await conn.execute(_QUERIES["familiar_addresses"])
            return [address for (address,) in await cursor.fetchall()]

    async def _keep_digests(self) -> None:
        tries = _DIGEST_TRIES
        while self._digests and tries:
            await asyncio.sleep(_DIGESTS_GATHER_S)
            digests, self._digests = self._digests, {}
            kept = await self._store_digests(digests)
            locked = {number: digest for number, digest in digests.items() if number not in kept}
            self._digests = locked | self._digests
            tries = tries - 1 if locked else _DIGEST_TRIES
        self._digests.clear()

    async def _store_digests(self, digests: dict[int, str]) -> set[int]:
        parameters = {"charge_point_ids": list(digests), "digests": list(digests.values())}
        try:
            async with self.pool.connection() as conn:
                cursor = await conn.execute(_QUERIES["keep_password_digests"], parameters)
                return {number for (number,) in await cursor.fetchall()}
        except DATABASE_AWAY as exc:
            logger.warning("password digests are not kept: %s", str(exc).strip())
            return set()

    async def _meet(self, identity: str) -> Registration | None:
        """Ask the table, together with whoever else knocks meanwhile: thousands may at once."""
        answer = self._asked.get(identity)
        if answer is None:
            answer = self._asked[identity] = asyncio.get_running_loop().create_future()
            answer.add_done_callback(forget)
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._answer_all())
        return await asyncio.shield(answer)  # others may wait for the same one

    async def _answer_all(self) -> None:
        while self._asked:
            asked, self._asked = self._asked, {}
            try:
                found = await self._look_up(list(asked))
            except Exception as exc:  # whatever it is, it is theirs who wait
                for answer in asked.values():
                    answer.set_exception(exc)
            else:
                for identity, answer in asked.items():
                    answer.set_result(found.get(identity))

    async def _look_up(self, identities: list[str]) -> dict[str, Registration]:
        """Find, and register or list whom nobody knows."""
        async with self.pool.connection() as conn:
            found = await self._ask(conn, "find_charge_points", identities=identities)
            strangers = sorted(set(identities) - {row.identity for row in found})
            if strangers and self.accept_unknown:
                found += await self._ask(conn, "register_charge_points", identities=strangers)
            elif strangers:
                parameters = {"identities": strangers, "most": _MOST_PENDING}
                await conn.execute(_QUERIES["list_strangers"], parameters)
        for row in found:
            self._remember(row)
        return {row.identity: row for row in found}

    def _remember(self, registration: Registration) -> None:
        """Keep those who may connect; strangers are without number."""
        if registration.status == "registered":
            self._registered[registration.identity] = registration
        else:
            self._registered.pop(registration.identity, None)

    async def _ask(
        self, conn: AsyncConnection, name: str, **parameters: object
    ) -> list[Registration]:
        async with conn.cursor(row_factory=class_row(Registration)) as cursor:
            await cursor.execute(_QUERIES[name], parameters)
            return await cursor.fetchall()
