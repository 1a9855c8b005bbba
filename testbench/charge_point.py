"""The simulated charge point: what it does by itself, as OCPP 1.6 has it do it."""

import asyncio
import logging
import random
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from testbench import frames
from testbench.account import Account, SessionAccount
from testbench.authorisation import Authorisation
from testbench.bus import Bus, BusCharge, CarCharge, Charge, Outlet
from testbench.certificates import CertificateStore
from testbench.charging_profiles import ChargingProfiles, Place
from testbench.clock import Clock, next_aligned
from testbench.configuration import Configuration
from testbench.link import FAILURES, Address, Backoff, Link
from testbench.quirks import misbehaving
from testbench.session import Session, Visit
from testbench.socket import CallError
from testbench.station import Reservation, Station
from testbench.transaction_queue import Message, TransactionQueue

logger = logging.getLogger(__name__)

_TERRA_54 = (Outlet(), Outlet())  # CCS and CHAdeMO


@dataclass(frozen=True, slots=True)
class Nameplate:
    """What the charge point says of itself in its BootNotification."""

    outlets: tuple[Outlet, ...] = _TERRA_54
    vendor: str = "ABB"
    model: str = "Terra 54 CJ HV"
    serial_number: str = "T54-0001"
    firmware_version: str = "5.9.1-sim"

    def boot(self, firmware_version: str | None) -> dict[str, str]:
        return {
            "chargePointVendor": self.vendor,
            "chargePointModel": self.model,
            "chargePointSerialNumber": self.serial_number,
            "firmwareVersion": firmware_version or self.firmware_version,
            "meterType": "AC meter" if self.outlets[0].phases else "DC meter",
        }


@dataclass(slots=True)
class Connector:
    """One outlet and what goes on there. ``register_wh`` counts for its whole life."""

    connector_id: int
    outlet: Outlet
    register_wh: float
    status: str = "Available"
    error_code: str = "NoError"
    is_operative: bool = True
    session: Session | None = None

    @property
    def is_free(self) -> bool:
        return self.session is None and self.is_operative and self.error_code == "NoError"


class ChargePoint:
    """A charge point with a mind of its own; ``running`` gives it life.

    Args:
        clock: Its time; may run quicker than ours.
        source: Messages it already holds when it first connects, from its offline days.
        quirks: Names from ``testbench.quirks`` of how it misbehaves.
    """

    def __init__(
        self,
        charge_point_id: str,
        address: Address,
        *,
        nameplate: Nameplate | None = None,
        clock: Clock | None = None,
        account: Account | None = None,
        source: Iterator[Message] | None = None,
        seed: int | str = 0,
        quirks: tuple[str, ...] = (),
        backoff: Backoff | None = None,
        within: float = 30.0,
    ) -> None:
        self.charge_point_id = charge_point_id
        self.nameplate = nameplate or Nameplate()
        self.clock = clock or Clock()
        self.account = account or Account()
        self.random = random.Random(f"{charge_point_id} {seed}")
        self.configuration = Configuration(len(self.nameplate.outlets))
        self.authorisation = Authorisation()
        self.profiles = ChargingProfiles()
        self.certificates = CertificateStore()
        self.reservations: dict[int, Reservation] = {}
        self.queue = TransactionQueue(source)
        self.station = Station(self)
        self.firmware_version: str | None = None
        self.is_operative = True
        self.reads_idle_connectors = True
        self.on_transaction_started: Callable[[Session], None] = lambda session: None
        register_wh = self.random.randint(20_000_000, 60_000_000)
        self.connectors = {
            number: Connector(number, outlet, float(register_wh + 7_000_000 * number))
            for number, outlet in enumerate(self.nameplate.outlets, start=1)
        }
        self.link = Link(
            charge_point_id,
            address,
            self.station.answer,
            backoff=backoff or Backoff(jitter=self.random),
            within=within,
            misbehave=misbehaving(quirks) if quirks else None,
        )
        self._has_booted = False
        self._statuses: deque[tuple[int, str]] = deque()
        self._status_waits = asyncio.Event()
        self._telling = asyncio.Lock()
        self._beat_anew, self._align_anew = asyncio.Event(), asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()

    # --- life -----------------------------------------------------------------------------------

    @asynccontextmanager
    async def running(self) -> AsyncIterator["ChargePoint"]:
        """Switch it on, and off at the end. What is still queued then is lost with it."""
        life = [self.later(self.link.keep(self._serve)), self.later(self._align())]
        try:
            yield self
        finally:
            ended = [task for task in life if task.done()]
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self.account.close_all(self.charge_point_id)
        for task in ended:
            task.result()  # it should have gone on for ever

    def later(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Do ``work`` beside everything else, for as long as the charge point runs."""
        task = asyncio.create_task(self._watched(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _watched(self, work: Coroutine[Any, Any, Any]) -> Any:
        try:
            return await work
        except FAILURES as failure:
            logger.info("%s: %s", self.charge_point_id, failure)
        except Exception:
            logger.exception("%s: a task of the simulator failed", self.charge_point_id)
            raise

    async def _serve(self) -> None:
        """Everything that needs the connection, until it is lost."""
        if not self._has_booted:
            await self.boot()
        latest = {connector_id: body for connector_id, body in self._statuses}
        self._statuses = deque(latest.items())  # a state that passed while offline is not told
        await self._tell_statuses()
        self.link.ready()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._report())
            group.create_task(self._beat())
            group.create_task(self._deliver())

    async def boot(self) -> None:
        """Send BootNotification until it is accepted, then the status of every connector."""
        self.link.ping_interval = self.configuration.number("WebSocketPingInterval") or None
        while (wait_s := await self.boot_once()) is not None:
            await self.clock.sleep(wait_s)
        self._has_booted = True
        self.show(0, "Available" if self.is_operative else "Unavailable")
        for connector in self.connectors.values():
            self.show(connector.connector_id, connector.status, connector.error_code)

    async def boot_once(self) -> float | None:
        """Return the seconds to wait before the next try, or None if there need be none."""
        try:
            answer = await self.link.call(
                "BootNotification", self.nameplate.boot(self.firmware_version)
            )
        except (CallError, TimeoutError) as failure:
            logger.info("%s: no answer to the boot: %s", self.charge_point_id, failure)
            return 10.0
        interval_s = int(answer.get("interval") or 0)
        if answer.get("status") != "Accepted":
            return interval_s or 60.0
        if interval_s:
            self.configuration.set("HeartbeatInterval", str(interval_s))
        return None

    async def reboot(self, reason: str) -> None:
        """End the transactions, lose the connection and boot again."""
        self._has_booted = False
        for connector in self.connectors.values():
            if connector.session is not None:
                connector.session.stop(reason)
                await connector.session.ended.wait()
        await self.link.drop()

    # --- what it says ---------------------------------------------------------------------------

    async def ask(self, action: str, payload: dict[str, Any] | str) -> dict[str, Any] | None:
        """Return the answer to a CALL that is not repeated, or None if there was none."""
        try:
            return await self.link.call(action, payload)
        except (CallError, TimeoutError) as failure:
            logger.info("%s: %s: %s", self.charge_point_id, action, failure)
            return None

    def show(
        self, connector_id: int, status: str, error_code: str = "NoError", info: str = ""
    ) -> None:
        """Take a status and tell it; while offline only the last one of a connector waits."""
        connector = self.connectors.get(connector_id)
        if connector is not None:
            connector.status, connector.error_code = status, error_code
        body = frames.status_notification(connector_id, status, self.clock.now(), error_code, info)
        self._statuses.append((connector_id, body))
        self._status_waits.set()

    def show_idle(self, connector: Connector) -> None:
        """Show the status of a connector without a vehicle."""
        reserved = any(
            held.connector_id == connector.connector_id for held in self.reservations.values()
        )
        idle = "Reserved" if reserved else "Available"
        self.show(connector.connector_id, idle if connector.is_operative else "Unavailable")

    async def _report(self) -> None:
        while True:
            await self._status_waits.wait()
            self._status_waits.clear()
            await self._tell_statuses()

    async def _tell_statuses(self) -> None:
        async with self._telling:
            while self._statuses:
                await self.ask("StatusNotification", self._statuses[0][1])
                self._statuses.popleft()

    async def _beat(self) -> None:
        beaten_at = self.clock.now()
        while True:
            interval_s = self.configuration.number("HeartbeatInterval") or 86_400
            due = beaten_at + timedelta(seconds=interval_s)
            self._beat_anew.clear()
            if not await self.clock.wait(self._beat_anew, due):
                await self.ask("Heartbeat", {})
                beaten_at = self.clock.now()

    async def _deliver(self) -> None:
        """Send the queue in order; the message in front is repeated until it is through."""
        while True:
            message = await self.queue.first()
            try:
                answer = await self.link.call(message.action, message.payload())
            except (CallError, TimeoutError) as failure:
                wait_s = self.queue.fail(
                    self.configuration.number("TransactionMessageAttempts"),
                    self.configuration.number("TransactionMessageRetryInterval"),
                )
                logger.info("%s: %s: %s", self.charge_point_id, message.action, failure)
                await self.clock.sleep(wait_s or 0)
            else:
                self.queue.confirm(answer)
            if message.action == "StopTransaction" and message.transaction is not None:
                self._close_if_over(message.transaction.session)

    def _close_if_over(self, session: SessionAccount) -> None:
        if session.stop_confirmed:
            self.account.close(session)

    async def _align(self) -> None:
        """Read idle connectors at whole multiples of ClockAlignedDataInterval since midnight."""
        due = self.clock.now()
        while True:
            interval_s = self.configuration.number("ClockAlignedDataInterval")
            due = next_aligned(due, interval_s) if interval_s else due + timedelta(days=365)
            self._align_anew.clear()
            if await self.clock.wait(self._align_anew, due):
                due = self.clock.now()
                continue
            for connector in self.connectors.values():
                if connector.session is None and self.reads_idle_connectors:
                    self._put_idle_values(connector, due, "Sample.Clock")

    def put_meter_values(self, key: str, context: str, connector_id: int | None = None) -> None:
        """Queue a reading of each connector, or of the one asked for, outside sessions too."""
        for connector in self.connectors.values():
            if connector_id not in (None, 0, connector.connector_id):
                continue
            if connector.session is not None and connector.session.transaction is not None:
                connector.session.put_meter_values(key, context)
            else:
                self._put_idle_values(connector, self.clock.now(), context)

    def _put_idle_values(self, connector: Connector, at: datetime, context: str) -> None:
        reading = BusCharge(Bus(), connector.outlet, 0).advance(0)
        element = frames.meter_value(
            at, reading, connector.register_wh, frames.MEASURANDS[:2], context
        )
        body = frames.meter_values(connector.connector_id, [element])
        self.queue.put(Message("MeterValues", body, readings=1))

    # --- what happens at it ---------------------------------------------------------------------

    async def authorise(self, id_tag: str) -> str:
        """Return the status of ``id_tag``: asked where possible, else as known here (3.5)."""
        known = self.authorisation.status(id_tag, self.clock.now())
        if known == "Accepted" and self.configuration.switch("LocalPreAuthorize"):
            return known
        try:
            await self._tell_statuses()
            answer = await self.link.call("Authorize", {"idTag": id_tag})
        except FAILURES:
            return self._offline_status(known)
        info = answer.get("idTagInfo") or {"status": "Invalid"}
        self.authorisation.remember(id_tag, info)
        return str(info["status"])

    def _offline_status(self, known: str | None) -> str:
        if known is not None and self.configuration.switch("LocalAuthorizeOffline"):
            return known
        unknown_too = self.configuration.switch("AllowOfflineTxForUnknownId")
        return "Accepted" if known is None and unknown_too else "Invalid"

    async def charge(self, connector_id: int, visit: Visit) -> SessionAccount | None:
        """Let a vehicle charge; return its account, or None if it was not authorised."""
        return await Session(self, self.connectors[connector_id], visit).run()

    def vehicle(self, connector: Connector) -> Charge:
        """Return the vehicle that comes when nobody said which."""
        seed = f"{self.charge_point_id} {self.random.random()}"
        if connector.outlet.phases:
            return CarCharge(connector.outlet, self.random.uniform(8_000, 40_000), seed=seed)
        soc_percent = self.random.uniform(18.0, 45.0)
        return BusCharge(Bus.drawn(seed), connector.outlet, soc_percent, seed=seed)

    def limit_w(self, connector: Connector, at: datetime) -> float | None:
        return self.profiles.limit_w(self.place(connector), at)

    def place(self, connector: Connector) -> Place:
        volts = 230.0 * connector.outlet.phases or 600.0
        session = connector.session
        return Place(
            connector.connector_id,
            volts,
            None if session is None else session.transaction_id,
            None if session is None else session.started_at,
        )

    def session_of(self, transaction_id: int) -> Session | None:
        sessions = [connector.session for connector in self.connectors.values()]
        return next((it for it in sessions if it and it.transaction_id == transaction_id), None)

    def transaction_started(self, session: Session) -> None:
        self.on_transaction_started(session)

    def reconfigured(self) -> None:
        """Let changed keys and limits take effect now."""
        self._beat_anew.set()
        self._align_anew.set()
        for connector in self.connectors.values():
            if connector.session is not None:
                connector.session.nudge()
