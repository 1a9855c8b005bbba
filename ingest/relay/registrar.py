"""Which device of DOJOT is which charge point: found by exact label, created if absent."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

import sql
from ingest.relay.dojot_api import DojotApi, DojotError, FoundDevice, Template
from ingest.relay.metrics import Metrics
from ingest.relay.orders import ACTUATORS
from ingest.relay.outbox import Message
from ingest.relay.pacing import Backoff
from ingest.relay.sessions import Device

logger = logging.getLogger(__name__)

_QUERIES = sql.load("relay")
_TEMPLATE = "eletroposto-charge-point"
_LONGEST_LABEL = 128
_GATHER_S = 0.2  # charge points that come together are looked up together
_CHECK_EVERY_S = 3600
_PENDING_AT_MOST = 20  # messages of one charge point; the others stay in the database
_LOOK_UP_AT_MOST = 20  # one by one; more are found in a list of all
_REFUSED_IN_A_ROW = 3  # so many devices: it is not about them
_LONGEST_REFUSED_S = 300
# Answers that may be about the one device that was asked about.
_ABOUT_ONE = {"refused", "not_found", "server_error", "not_json", "unexpected_shape"}


class Registrar:
    """Knows the devices of our shards, and asks DOJOT for those it does not know.

    Messages of an unknown charge point wait here while DOJOT is asked. If that fails they go back
    to the database, and the charge point is blocked until the next attempt.
    """

    def __init__(
        self,
        api: DojotApi,
        account: tuple[str, str],
        pool: AsyncConnectionPool,
        metrics: Metrics,
        on_found: Callable[[Device, list[Message]], None],
        on_lost: Callable[[int], None],
        new_tenant_s: float = 0,
    ) -> None:
        self.devices: dict[int, Device] = {}
        self.problem: str | None = None  # name of what stands in the way, if anything
        self._blocked: dict[int, float] = {}  # until when, by the loop's clock
        self._api = api
        self._account = account  # (url, user name)
        self._pool = pool
        self._metrics = metrics
        self._on_found = on_found
        self._on_lost = on_lost
        self._new_tenant_s = new_tenant_s
        self._is_new_tenant = False
        self._tenant: str | None = None
        self._shards: list[int] = []
        self._template: Template | None = None
        self._pending: defaultdict[int, list[Message]] = defaultdict(list)
        self._backoff = Backoff()
        self._refused: dict[int, Backoff] = {}  # by charge point whose device DOJOT will not give
        self._check_at: float | None = None
        self._wake = asyncio.Event()

    def want(self, message: Message) -> None:
        """Find the device of this message's charge point; it is handed on then, or back."""
        number = message.charge_point_id
        if number in self._blocked or len(self._pending.get(number, ())) >= _PENDING_AT_MOST:
            message.give_back()
            return
        self._pending[number].append(message)
        self._wake.set()

    def block(self, charge_point_id: int, seconds: float) -> None:
        """Serve it no more for a while."""
        self._blocked[charge_point_id] = asyncio.get_running_loop().time() + seconds
        self._metrics.blocked.set(len(self._blocked))

    def unavailable(self) -> list[int]:
        """Charge points that need not be read now: blocked, or with enough waiting here."""
        now = asyncio.get_running_loop().time()
        for charge_point_id in [number for number, end in self._blocked.items() if end <= now]:
            del self._blocked[charge_point_id]
        self._metrics.blocked.set(len(self._blocked))
        full = [n for n, waiting in self._pending.items() if len(waiting) >= _PENDING_AT_MOST]
        return [*self._blocked, *full]

    async def load(self, shards: Iterable[int]) -> None:
        """Read the devices of these shards, and of no others, from the database."""
        self._shards = sorted(shards)
        async with self._pool.connection() as conn:
            if self._tenant is None:
                self._tenant = await self._remembered_tenant(conn)
            if self._tenant is None:
                return
            values = {"tenant": self._tenant, "shards": self._shards}
            rows = await (await conn.execute(_QUERIES["devices"], values)).fetchall()
        tenant = self._tenant
        self.devices = {number: Device(number, tenant, device_id) for number, device_id in rows}

    async def _remembered_tenant(self, conn: AsyncConnection) -> str | None:
        url, username = self._account
        values = {"url": url, "username": username}
        row = await (await conn.execute(_QUERIES["tenant"], values)).fetchone()
        return str(row[0]) if row else None

    async def run(self) -> None:
        """Serve ``want`` for ever, and see once an hour that the known devices still exist."""
        while True:
            await self._work_to_do()
            try:
                self.problem = await self._pass()
                self._backoff.succeeded()
            except (DojotError, psycopg.Error) as error:
                await self._fail(error)

    async def _work_to_do(self) -> None:
        loop = asyncio.get_running_loop()
        if self._check_at is None:
            self._check_at = loop.time()  # at once: it also tells whether DOJOT knows us
        try:
            async with asyncio.timeout_at(self._check_at):
                await self._wake.wait()
                await asyncio.sleep(_GATHER_S)
        except TimeoutError:
            pass
        self._wake.clear()

    async def _fail(self, error: DojotError | psycopg.Error) -> None:
        """Give the waiting messages back and try again later."""
        asked_s = error.retry_after_s if isinstance(error, DojotError) else 0
        name = error.name if isinstance(error, DojotError) else "database"
        wait_s = self._backoff.failed(asked_s)
        self._metrics.error(name)
        self.problem = name
        logger.warning("devices: %s; again in %.0f s", str(error).strip(), wait_s)
        for charge_point_id in self.give_back():
            self.block(charge_point_id, wait_s)
        await asyncio.sleep(wait_s)

    def give_back(self) -> list[int]:
        """Return all that waits here to the database, and say of which charge points."""
        waiting, self._pending = self._pending, defaultdict(list)
        for messages in waiting.values():
            for message in messages:
                message.give_back()
        return list(waiting)

    async def _pass(self) -> str | None:
        """Find or create the devices of all pending charge points.

        Returns the name of what stood in the way of some of them.
        """
        is_check = asyncio.get_running_loop().time() >= (self._check_at or 0)
        if not self._pending and not is_check:
            return self.problem
        async with self._alone() as conn:
            await self._learn_tenant(conn)
            if is_check:
                self._template = None  # look again: somebody may have changed it
            template = await self._ensure_template(conn)
            known: dict[str, FoundDevice] | None = None
            if is_check or len(self._pending) > _LOOK_UP_AT_MOST:
                known = await self._find_all()
                self._is_new_tenant = not known
            if is_check and known is not None:
                await self._check(conn, known)
            return await self._provide(conn, template, known)

    async def _provide(
        self, conn: AsyncConnection, template: Template, known: dict[str, FoundDevice] | None
    ) -> str | None:
        """One that DOJOT refuses stays behind; the others get their devices."""
        problem, in_a_row = None, 0
        for charge_point_id, label in await self._labels(conn):
            try:
                found = await self._device(label, template, known)
            except DojotError as error:
                in_a_row += 1
                if error.name not in _ABOUT_ONE:
                    raise
                self._leave_out(charge_point_id, label, error)
                if in_a_row == _REFUSED_IN_A_ROW:
                    raise
                problem = error.name
            else:
                in_a_row = 0
                self._refused.pop(charge_point_id, None)
                await self._remember(conn, charge_point_id, found, template)
        return problem

    def _leave_out(self, charge_point_id: int, label: str, error: DojotError) -> None:
        refused = self._refused.setdefault(charge_point_id, Backoff(longest_s=_LONGEST_REFUSED_S))
        wait_s = refused.failed(error.retry_after_s)
        logger.warning("%s: no device: %s; again in %.0f s", label, error, wait_s)
        self._metrics.error(error.name)
        self.block(charge_point_id, wait_s)
        for message in self._pending.pop(charge_point_id, []):
            message.give_back()

    async def _device(
        self, label: str, template: Template, known: dict[str, FoundDevice] | None
    ) -> FoundDevice:
        """Find it in the list of all, if there is one, or by its label; or make it."""
        found = known.get(label) if known is not None else await self._look_up(label)
        return found or await self._create(label, template)

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[AsyncConnection]:
        """Two relays that look at the same time would both create."""
        async with self._pool.connection() as conn:
            await conn.execute(_QUERIES["lock_provisioning"])
            try:
                yield conn
            finally:
                if not conn.closed:
                    await conn.execute(_QUERIES["unlock_provisioning"])

    async def _learn_tenant(self, conn: AsyncConnection) -> None:
        tenant = await self._api.tenant()
        if tenant != self._tenant:
            url, username = self._account
            values = {"url": url, "username": username, "tenant": tenant}
            await conn.execute(_QUERIES["remember_tenant"], values)
            for charge_point_id in list(self.devices):
                self._lose(charge_point_id)
            self._tenant = tenant
            await self.load(self._shards)

    async def _ensure_template(self, conn: AsyncConnection) -> Template:
        """The oldest template of our label, with all attributes that we need."""
        rows = await (await conn.execute(_QUERIES["template"])).fetchall()
        wanted = {(label, "dynamic"): value_type for label, value_type in rows}
        wanted |= {(label, "actuator"): "string" for label in ACTUATORS}
        if self._template and _has(self._template, wanted):
            return self._template
        found = await self._api.templates(_TEMPLATE)
        if len(found) > 1:
            logger.warning("%d templates %r; using %d", len(found), _TEMPLATE, found[0].id)
        if not found:
            self._template = await self._api.create_template(_TEMPLATE, _definitions(wanted))
        elif not _has(found[0], wanted):
            self._template = await self._extend(found[0], wanted)
        else:
            self._template = found[0]
        return self._template

    async def _extend(self, template: Template, wanted: dict[tuple[str, str], str]) -> Template:
        """An update deletes what it does not name, so it names everything."""
        kept = [attr.definition() for attr in template.attrs]
        have = {(attr.label, attr.type) for attr in template.attrs}
        new = {key: value_type for key, value_type in wanted.items() if key not in have}
        await self._api.update_template(template, [*kept, *_definitions(new)])
        return (await self._api.templates(_TEMPLATE))[0]

    async def _find_all(self) -> dict[str, FoundDevice]:
        """Every device by label; of those that share one the oldest counts."""
        by_label: defaultdict[str, list[FoundDevice]] = defaultdict(list)
        for device in await self._api.devices():
            by_label[device.label].append(device)
        return {label: _oldest(devices) for label, devices in by_label.items()}

    async def _check(self, conn: AsyncConnection, known: dict[str, FoundDevice]) -> None:
        """Forget devices that somebody deleted: MQTT would go on accepting their data."""
        before = list(self.devices)
        await self.load(self._shards)
        for charge_point_id in before:
            if charge_point_id not in self.devices:  # another relay gave its device away
                self._on_lost(charge_point_id)
        ids = {device.id for device in known.values()}
        gone = [number for number, dev in self.devices.items() if dev.device_id not in ids]
        if gone:
            logger.warning("%d devices are no longer in DOJOT", len(gone))
            self._metrics.error("device_gone")
            values = {"tenant": self._tenant, "charge_point_ids": gone}
            await conn.execute(_QUERIES["forget_devices"], values)
        for charge_point_id in gone:
            self._lose(charge_point_id)
        self._check_at = asyncio.get_running_loop().time() + _CHECK_EVERY_S

    def _lose(self, charge_point_id: int) -> None:
        del self.devices[charge_point_id]
        self._on_lost(charge_point_id)

    async def _labels(self, conn: AsyncConnection) -> list[tuple[int, str]]:
        """(charge point, label) of those pending; one that can have no label is blocked."""
        values = {"charge_point_ids": list(self._pending)}
        rows = await (await conn.execute(_QUERIES["labels"], values)).fetchall()
        for label, charge_point_id in rows:
            if len(label) > _LONGEST_LABEL:
                logger.error("%s: too long for a label of DOJOT", label)
                self._metrics.error("label_too_long")
                self.block(charge_point_id, _CHECK_EVERY_S)
                for message in self._pending.pop(charge_point_id):
                    message.give_back()
        return [(number, label) for label, number in rows if len(label) <= _LONGEST_LABEL]

    async def _create(self, label: str, template: Template) -> FoundDevice:
        """Make a device, and look for it if that seems to fail: a 500 can mean created."""
        try:
            found = await self._api.create_device(label, template.id)
        except DojotError as error:
            maybe = await self._look_up(label) if error.maybe_done else None
            if maybe is None:
                raise
            found = maybe
            self._metrics.error(error.name)
            logger.warning("%s: created in spite of %s", label, error)
        if self._is_new_tenant:  # DOJOT subscribes to it only now, and only to what comes next
            await asyncio.sleep(self._new_tenant_s)
            self._is_new_tenant = False
        return found

    async def _look_up(self, label: str) -> FoundDevice | None:
        # DOJOT's filter is a bare LIKE, in which a backslash would hide what it stands before.
        piece = max(label.split("\\"), key=len)
        same = [device for device in await self._api.devices(piece) if device.label == label]
        return _oldest(same) if same else None

    async def _remember(
        self, conn: AsyncConnection, charge_point_id: int, found: FoundDevice, template: Template
    ) -> None:
        assert self._tenant is not None
        values = {
            "charge_point_id": charge_point_id,
            "tenant": self._tenant,
            "device_id": found.id,
            "label": found.label,
            "template_id": str(template.id),
        }
        async with conn.transaction():
            await conn.execute("SET LOCAL synchronous_commit = on")  # unlike what is only sent
            await self._take_over(conn, values)
            await conn.execute(_QUERIES["remember_device"], values)
        device = Device(charge_point_id, self._tenant, found.id)
        self.devices[charge_point_id] = device
        self._on_found(device, self._pending.pop(charge_point_id, []))

    async def _take_over(self, conn: AsyncConnection, values: dict[str, Any]) -> None:
        """Take a device from another charge point: somebody gave it this label since."""
        for (other,) in await (await conn.execute(_QUERIES["release_device"], values)).fetchall():
            logger.warning("device %(device_id)s is now labelled %(label)r", values)
            self._metrics.error("device_relabelled")
            if other in self.devices:
                self._lose(other)


def _oldest(devices: list[FoundDevice]) -> FoundDevice:
    """Always the same one of several with one label."""
    if len(devices) > 1:
        logger.warning("%d devices are labelled %r", len(devices), devices[0].label)
    return min(devices, key=lambda device: (device.created, device.id))


def _has(template: Template, wanted: dict[tuple[str, str], str]) -> bool:
    return wanted.keys() <= {(attr.label, attr.type) for attr in template.attrs}


def _definitions(wanted: dict[tuple[str, str], str]) -> list[dict[str, str]]:
    return [
        {"label": label, "type": kind, "value_type": value_type}
        for (label, kind), value_type in wanted.items()
    ]
