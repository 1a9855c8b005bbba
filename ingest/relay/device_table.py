"""The devices this database knows, and the turn that relays take at changing them."""

from collections.abc import AsyncIterator, Callable, Collection, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.errors import LockNotAvailable

import sql
from ingest.database import Pool
from ingest.relay.dialects import Device
from ingest.relay.dojot_api import FoundDevice, Template

_QUERIES = sql.load("ingest")
_LOCK_WAIT = "1s"  # at a time; far below the time a statement may take


class DeviceTable:
    """The devices of one DOJOT, by its URL and the tenant.

    Attributes:
        tenant: None until DOJOT told it.
    """

    def __init__(self, pool: Pool, url: str, username: str) -> None:
        self.tenant: str | None = None
        self._pool = pool
        self._url = url
        self._username = username

    @asynccontextmanager
    async def alone(self, on_waiting: Callable[[], None]) -> AsyncIterator[AsyncConnection]:
        """No other relay is inside at the same time: two that look together would both create.

        They take turns in the order they came; ``on_waiting`` is told while it is not ours.
        """
        async with self._pool.connection_for_long() as conn:
            while not await _lock(conn):
                on_waiting()
            try:
                yield conn
            finally:
                if not conn.closed:
                    await conn.execute(_QUERIES["unlock_provisioning"])

    async def remember_login(self, conn: AsyncConnection, tenant: str) -> None:
        values = {"url": self._url, "username": self._username, "tenant": tenant}
        await conn.execute(_QUERIES["remember_tenant"], values)
        self.tenant = tenant

    async def devices(self, shards: Iterable[int]) -> dict[int, Device]:
        """Those of the charge points of these shards, as far as they are known."""
        if self.tenant is None:
            return {}
        values = self._values(shards=sorted(shards))
        async with self._pool.connection() as conn:
            rows = await (await conn.execute(_QUERIES["devices"], values)).fetchall()
        return {number: Device(number, self.tenant, device_id) for number, device_id in rows}

    async def labels(
        self, conn: AsyncConnection, charge_points: Collection[int]
    ) -> list[tuple[int, str, str | None]]:
        """(charge point, label, device id if another relay found it) of these."""
        values = self._values(charge_point_ids=list(charge_points))
        return await (await conn.execute(_QUERIES["labels"], values)).fetchall()

    async def strange(
        self, conn: AsyncConnection, shards: Iterable[int], known: Collection[FoundDevice]
    ) -> list[int]:
        """Charge points of these shards whose device is not among those that DOJOT has.

        Those it has, but that we knew by another address, are known by this one afterwards.
        """
        values = self._values(
            shards=sorted(shards),
            device_ids=[device.id for device in known],
            labels=[device.label for device in known],
        )
        await conn.execute(_QUERIES["adopt_devices"], values)
        rows = await (await conn.execute(_QUERIES["strange_devices"], values)).fetchall()
        return [number for (number,) in rows]

    async def forget(
        self, conn: AsyncConnection, charge_points: Collection[int], since: datetime
    ) -> None:
        """Plan that all from ``since`` on goes to their next devices; nothing may go to these."""
        values = {"charge_point_ids": list(charge_points), "since": since}
        await conn.execute(_QUERIES["forget_devices"], values)

    async def other_holders(
        self, conn: AsyncConnection, charge_point_id: int, found: FoundDevice
    ) -> list[int]:
        """Charge points that had this device before somebody gave it another label."""
        values = self._values(charge_point_id=charge_point_id, device_id=found.id)
        rows = await (await conn.execute(_QUERIES["other_holders"], values)).fetchall()
        return [number for (number,) in rows]

    async def remember(
        self, conn: AsyncConnection, charge_point_id: int, found: FoundDevice, template: Template
    ) -> Device:
        assert self.tenant is not None
        values = self._values(
            charge_point_id=charge_point_id,
            device_id=found.id,
            label=found.label,
            template_id=str(template.id),
        )
        async with conn.transaction():
            await conn.execute("SET LOCAL synchronous_commit = on")  # unlike what is only sent
            await conn.execute(_QUERIES["remember_device"], values)
        return Device(charge_point_id, self.tenant, found.id)

    async def attributes(self, conn: AsyncConnection) -> dict[str, str]:
        """Value types of the dynamic attributes that readings and events may have."""
        return dict(await (await conn.execute(_QUERIES["template"])).fetchall())

    def _values(self, **others: Any) -> dict[str, Any]:
        return {"url": self._url, "tenant": self.tenant, **others}


async def _lock(conn: AsyncConnection) -> bool:
    try:
        async with conn.transaction():
            await conn.execute(_QUERIES["wait_for_lock"], {"wait": _LOCK_WAIT})
            await conn.execute(_QUERIES["lock_provisioning"])
    except LockNotAvailable:
        return False
    return True
