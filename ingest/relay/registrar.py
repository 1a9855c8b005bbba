"""Which device of DOJOT is which charge point: known, found by exact label, or made."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime

import psycopg
from psycopg import AsyncConnection

from ingest.relay.backoff import Backoff
from ingest.relay.catalogue import Catalogue
from ingest.relay.device_table import DeviceTable
from ingest.relay.dialects import Device
from ingest.relay.dojot_api import ABOUT_ONE, DojotApi, DojotError, FoundDevice, Template
from ingest.relay.metrics import Metrics
from ingest.relay.outbox import Publication

logger = logging.getLogger(__name__)

_LONGEST_LABEL = 128
_GATHER_S = 0.2  # charge points that come together are looked up together
_CHECK_EVERY_S = 3600
_PENDING_AT_MOST = 20  # messages of one charge point; the others stay in the database
_PARKED_AT_MOST = 5000  # messages of all of them; beyond it each has one
_LOOK_UP_AT_MOST = 20  # one by one; more are found in a list of all
_SLICE = 50  # charge points, then it is another relay's turn
_REFUSED_IN_A_ROW = 3  # so many devices: it is not about them
_LONGEST_REFUSED_S = 300


class Registrar:
    """Knows the devices of our shards, and asks DOJOT for those it does not know.

    Messages of an unknown charge point wait here while DOJOT is asked. If that fails they go back
    to the database, and the charge point is blocked until the next attempt.

    Args:
        oldest: From when on DOJOT would keep what it is sent.

    Attributes:
        checked: Shards whose remembered devices are known to be in DOJOT. Its broker takes
            messages for any id, so nothing is sent from others.
        problem: Name of what stands in the way, if anything.
    """

    def __init__(
        self,
        api: DojotApi,
        catalogue: Catalogue,
        table: DeviceTable,
        metrics: Metrics,
        oldest: Callable[[], datetime],
        on_found: Callable[[Device, list[Publication]], None],
        on_lost: Callable[[int], None],
    ) -> None:
        self.devices: dict[int, Device] = {}
        self.checked: frozenset[int] = frozenset()
        self.problem: str | None = None
        self._api = api
        self._catalogue = catalogue
        self._table = table
        self._metrics = metrics
        self._oldest = oldest
        self._on_found = on_found
        self._on_lost = on_lost
        self._shards: frozenset[int] = frozenset()
        self._blocked: dict[int, float] = {}  # until when, by the loop's clock
        self._pending: defaultdict[int, list[Publication]] = defaultdict(list)
        self._parked = 0  # messages in it
        self._backoff = Backoff()
        self._refused: dict[int, Backoff] = {}  # by charge point whose device DOJOT will not give
        self._check_at: float | None = None  # by the loop's clock; None: there are no shards yet
        self._reading = asyncio.Lock()  # devices are read, or forgotten
        self._wake = asyncio.Event()

    def want(self, message: Publication) -> None:
        """Find the device of this message's charge point; it is handed on then, or back."""
        number = message.charge_point_id
        if number in self._blocked or self._is_full(number):
            message.give_back()
            return
        message.park()
        self._parked += 1
        self._pending[number].append(message)
        self._wake.set()

    def _is_full(self, charge_point_id: int) -> bool:
        waiting = len(self._pending.get(charge_point_id, ()))
        return waiting >= (_PENDING_AT_MOST if self._parked < _PARKED_AT_MOST else 1)

    def _no_longer_pending(self, charge_point_id: int) -> list[Publication]:
        messages = self._pending.pop(charge_point_id, [])
        self._parked -= len(messages)
        for message in messages:
            message.unpark()
        return messages

    def _give_back(self, charge_point_id: int) -> None:
        for message in self._no_longer_pending(charge_point_id):
            message.give_back()

    def give_back(self) -> list[int]:
        """Return all that waits here to the database, and say of which charge points."""
        numbers = list(self._pending)
        for number in numbers:
            self._give_back(number)
        return numbers

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
        return [*self._blocked, *filter(self._is_full, self._pending)]

    async def load(self, shards: Iterable[int]) -> None:
        """Read the devices of these shards, and of no others; new shards have to be checked."""
        self._shards = frozenset(shards)
        self.checked &= self._shards
        if not self._shards <= self.checked:
            self.check_soon()
        async with self._reading:
            self.devices = await self._table.devices(self._shards)

    def check_soon(self) -> None:
        """See at once whether the devices we know still exist."""
        if self._shards:
            self._check_at = asyncio.get_running_loop().time()
            self._wake.set()

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
        if isinstance(error, DojotError):
            self._doubt(error)
        for charge_point_id in self.give_back():
            self.block(charge_point_id, wait_s)
        await asyncio.sleep(wait_s)

    def _doubt(self, error: DojotError) -> None:
        """What was there is gone: is this still the same DOJOT?"""
        if error.name == "not_found":
            self.check_soon()

    async def _pass(self) -> str | None:
        """Find or create the devices of all pending charge points, and check those we know.

        Returns the name of what stood in the way of some of them.
        """
        if not self._pending and not self._is_time_to_check():
            return self.problem
        async with self._table.alone(self._wait_for_turn) as conn:
            await self._learn_tenant(conn)
            if self._is_time_to_check():
                template, known = await self._check(conn)
            else:
                template = await self._template(conn)
                is_many = len(self._pending) > _LOOK_UP_AT_MOST
                known = await self._catalogue.all() if is_many else None
        return await self._provide(template, known)

    def _is_time_to_check(self) -> bool:
        return self._check_at is not None and asyncio.get_running_loop().time() >= self._check_at

    def _wait_for_turn(self) -> None:
        self.problem = "waits_for_other_relay"

    @contextmanager
    def _checking(self) -> Iterator[None]:
        """The next check is in an hour if this one passes, and nobody asks for it meanwhile."""
        self._check_at = asyncio.get_running_loop().time() + _CHECK_EVERY_S
        try:
            yield
        except BaseException:
            self.check_soon()
            raise

    async def _learn_tenant(self, conn: AsyncConnection) -> None:
        tenant = await self._api.tenant()
        if tenant != self._table.tenant:
            await self._table.remember_login(conn, tenant)
            self.checked = frozenset()
            self.check_soon()
            for charge_point_id in list(self.devices):
                self._lose(charge_point_id)

    async def _template(self, conn: AsyncConnection) -> Template:
        return await self._catalogue.template(await self._table.attributes(conn))

    async def _check(self, conn: AsyncConnection) -> tuple[Template, dict[str, FoundDevice] | None]:
        """Look at all that DOJOT has, and at ours among it. Returns the template and all of it."""
        with self._checking():
            self._catalogue.look_again()
            template, known = await self._template(conn), await self._catalogue.all()
            await self._compare(conn, known)
            ours = {device.device_id for device in self.devices.values()}
            for device in known.values():
                if device.id in ours:
                    await self._catalogue.complete(device, template)
        return template, known

    async def _compare(self, conn: AsyncConnection, known: dict[str, FoundDevice]) -> None:
        """Forget devices that this DOJOT does not have: MQTT would go on accepting their data."""
        shards = self._shards
        async with self._reading:
            strange = await self._table.strange(conn, shards, known.values())
            if strange:
                await self._forget(conn, strange)
                logger.warning("%d devices are not in DOJOT, or not in this one", len(strange))
                self._metrics.error("device_gone")
            before, self.devices = self.devices, await self._table.devices(self._shards)
        for charge_point_id in before.keys() - self.devices.keys():
            self._on_lost(charge_point_id)  # another relay gave its device away
        self.checked = shards & self._shards

    async def _forget(self, conn: AsyncConnection, charge_points: list[int]) -> None:
        """What was sent to their devices goes to the next ones too."""
        for charge_point_id in charge_points:
            if charge_point_id in self.devices:
                self._lose(charge_point_id)
        await self._table.forget(conn, charge_points, self._oldest())

    def _lose(self, charge_point_id: int) -> None:
        del self.devices[charge_point_id]
        self._on_lost(charge_point_id)

    async def _provide(
        self, template: Template, known: dict[str, FoundDevice] | None
    ) -> str | None:
        """Find or make all that are pending, slice by slice; other relays may want to, too."""
        pending, problem = list(self._pending), None
        for start in range(0, len(pending), _SLICE):
            async with self._table.alone(self._wait_for_turn) as conn:
                piece = await self._labels(conn, pending[start : start + _SLICE])
                problem = await self._provide_some(conn, piece, template, known) or problem
        return problem

    async def _provide_some(
        self,
        conn: AsyncConnection,
        wanted: list[tuple[int, str, str | None]],
        template: Template,
        known: dict[str, FoundDevice] | None,
    ) -> str | None:
        """One that DOJOT refuses stays behind; the others get their devices."""
        problem, in_a_row = None, 0
        for charge_point_id, label, device_id in wanted:
            try:
                if device_id is not None:
                    found = FoundDevice(id=device_id, label=label)
                else:
                    found = await self._catalogue.provide(label, template, known)
            except DojotError as error:
                in_a_row += 1
                if error.name not in ABOUT_ONE:
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
        self._give_back(charge_point_id)
        self._doubt(error)

    async def _labels(
        self, conn: AsyncConnection, charge_points: list[int]
    ) -> list[tuple[int, str, str | None]]:
        """Those that can have a label; one that cannot is blocked."""
        rows = await self._table.labels(conn, charge_points)
        for charge_point_id, label, _ in rows:
            if len(label) > _LONGEST_LABEL:
                logger.error("%s: too long for a label of DOJOT", label)
                self._metrics.error("label_too_long")
                self.block(charge_point_id, _CHECK_EVERY_S)
                self._give_back(charge_point_id)
        return [row for row in rows if len(row[1]) <= _LONGEST_LABEL]

    async def _remember(
        self, conn: AsyncConnection, charge_point_id: int, found: FoundDevice, template: Template
    ) -> None:
        if others := await self._table.other_holders(conn, charge_point_id, found):
            logger.warning("device %s is now labelled %r", found.id, found.label)
            self._metrics.error("device_relabelled")
            await self._forget(conn, others)
        device = await self._table.remember(conn, charge_point_id, found, template)
        self.devices[charge_point_id] = device
        self._on_found(device, self._no_longer_pending(charge_point_id))
