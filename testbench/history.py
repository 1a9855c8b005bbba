"""A month of charging, told through the websocket as fast as it is confirmed.

A charge point that was offline keeps its transaction-related messages and sends them in order,
with the timestamps of then, when it is back (OCPP 1.6 3.7). So history is what the charge points
of a small network would have kept. The same seed gives the same sessions on the same days,
whenever it is replayed.
"""

import asyncio
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from testbench import frames
from testbench.account import Account, SessionAccount
from testbench.bus import Bus, BusCharge, CarCharge, Charge, Reading
from testbench.charge_point import ChargePoint
from testbench.clock import Clock
from testbench.link import Address
from testbench.memory import Memory
from testbench.network import SITES, Fault, Planned, Site
from testbench.transaction_queue import Message, Transaction

ZONE = ZoneInfo("America/Sao_Paulo")


@dataclass(frozen=True, slots=True)
class Sampling:
    """How finely the past of a bus is told; a car is read every minute.

    The latest days are told as live ones are, one reading to a frame. Older ones are told more
    coarsely and several readings to a frame, which OCPP allows: a frame of ten costs little more
    than a frame of one.

    Attributes:
        interval_s: Between two readings in the latest ``single_days``.
        older_interval_s: Between two readings before them.
        per_frame: Readings in one frame before them.
    """

    interval_s: float = 10.0
    single_days: int = 1
    older_interval_s: float = 30.0
    per_frame: int = 10

    def at(self, age: timedelta) -> tuple[float, int]:
        """Return the interval and the readings in a frame of a session so long ago."""
        if age < timedelta(days=self.single_days):
            return self.interval_s, 1
        return self.older_interval_s, self.per_frame


def days_until(until: datetime, days: int) -> list[date]:
    """Return the last ``days`` days, that of ``until`` included, in the zone of the network."""
    last = until.astimezone(ZONE).date()
    return [last - timedelta(days=back) for back in range(days - 1, -1, -1)]


def events(
    site: Site, days: Iterable[date], seed: int, after: datetime, until: datetime
) -> list[Planned | Fault]:
    """Return what happens at ``site``, in order; nothing that is not over before ``until``."""
    found: list[Planned | Fault] = []
    free_at = after
    for day in days:
        draw = random.Random(f"{seed} {site.charge_point_id} {day}")
        midnight = datetime.combine(day, time(), ZONE).astimezone(UTC)
        for event in site.pattern(midnight, draw):
            if event.starts_at > free_at and event.latest_end < until:
                found.append(event)
                free_at = event.latest_end
    return found


class Past:
    """The messages of one charge point, made one after another as they are sent."""

    def __init__(
        self, site: Site, events: Sequence[Planned | Fault], memory: Memory, account: Account
    ) -> None:
        self._site = site
        self._events = events
        self._memory = memory
        self._account = account

    def messages(
        self, sampling: Sampling, until: datetime, told: Callable[[], None]
    ) -> Iterator[Message]:
        for event in self._events:
            if isinstance(event, Fault):
                yield from self._fault(event)
            else:
                yield from self._session(event, *sampling.at(until - event.starts_at))
            told()

    def _fault(self, fault: Fault) -> Iterator[Message]:
        status = "Unavailable" if fault.error_code == "NoError" else "Faulted"
        yield _status(fault.connector_id, status, fault.starts_at, fault.error_code, fault.info)
        yield _status(fault.connector_id, "Available", fault.latest_end)

    def _session(self, planned: Planned, interval_s: float, per_frame: int) -> Iterator[Message]:
        connector_id, at = planned.connector_id, planned.starts_at
        register_wh = self._memory.register_wh(self._site.charge_point_id, connector_id)
        charge = self._vehicle(planned)
        account = SessionAccount(
            self._site.charge_point_id, connector_id, planned.id_tag, at, round(register_wh)
        )
        transaction = Transaction(self._account.open(account))
        start = frames.start_transaction(connector_id, planned.id_tag, round(register_wh), at)
        yield _status(connector_id, "Preparing", at - timedelta(seconds=45))
        yield Message("StartTransaction", start, transaction)
        yield _status(connector_id, "Charging", at + timedelta(seconds=30))
        told = _Readings(transaction, connector_id, register_wh, per_frame)
        yield from told.messages(charge, planned, interval_s)
        yield from self._end(planned, transaction, told)

    def _vehicle(self, planned: Planned) -> Charge:
        outlet = self._site.nameplate.outlets[planned.connector_id - 1]
        seed = f"{self._site.charge_point_id} {planned.starts_at}"
        if outlet.phases:
            return CarCharge(outlet, planned.wanted_wh, ambient_c=planned.ambient_c, seed=seed)
        bus = Bus.drawn(planned.id_tag)
        return BusCharge(bus, outlet, planned.soc_percent, ambient_c=planned.ambient_c, seed=seed)

    def _end(
        self, planned: Planned, transaction: Transaction, told: "_Readings"
    ) -> Iterator[Message]:
        connector_id, at = planned.connector_id, told.at
        register_wh = told.register_wh
        self._memory.keep(self._site.charge_point_id, connector_id, register_wh, at)
        transaction.session.stop(at, round(register_wh), planned.reason)
        id_tag = planned.id_tag if planned.reason == "Local" else None
        stop = frames.stop_transaction(round(register_wh), at, planned.reason, id_tag)
        yield Message(
            "StopTransaction",
            stop,
            transaction,
            confirmed=lambda _: self._account.close(transaction.session),
        )
        yield _status(connector_id, "Finishing", at + timedelta(seconds=1))
        yield _status(connector_id, "Available", at + timedelta(seconds=planned.leave_s))


class _Readings:
    """The readings of one session, several to a frame."""

    def __init__(
        self, transaction: Transaction, connector_id: int, register_wh: float, per_frame: int
    ) -> None:
        self._transaction = transaction
        self._connector_id = connector_id
        self._meter_start_wh = register_wh
        self._per_frame = per_frame
        self._elements: list[str] = []
        self.register_wh = register_wh
        self.at = transaction.session.started_at

    def messages(self, charge: Charge, planned: Planned, interval_s: float) -> Iterator[Message]:
        step_s = max(interval_s, planned.interval_s)
        step, steps = timedelta(seconds=step_s), int(planned.duration_s / step_s)
        full_for_s = 0.0
        for _ in range(steps):
            self._take(self.at + step, charge.advance(step_s))
            if charge.is_full and full_for_s == 0:
                yield from self._flush()
                yield _status(self._connector_id, "SuspendedEV", self.at)
            full_for_s += step_s if charge.is_full else 0
            if full_for_s > planned.idle_s:
                break
            if len(self._elements) >= self._per_frame:
                yield from self._flush()
        yield from self._flush()

    def _take(self, at: datetime, reading: Reading) -> None:
        self.at, self.register_wh = at, self._meter_start_wh + reading.energy_wh
        session = self._transaction.session
        session.saw_soc(reading.soc_percent)
        session.readings_sent += 1
        self._elements.append(frames.meter_value(at, reading, self.register_wh))

    def _flush(self) -> Iterator[Message]:
        if self._elements:
            count, body = (
                len(self._elements),
                frames.meter_values(self._connector_id, self._elements),
            )
            self._elements = []
            yield Message("MeterValues", body, self._transaction, readings=count)


def _status(
    connector_id: int, status: str, at: datetime, error_code: str = "NoError", info: str = ""
) -> Message:
    body = frames.status_notification(connector_id, status, at, error_code, info)
    return Message("StatusNotification", body)


Progress = Callable[[int, int], None]


async def replay(
    url: str,
    *,
    days: int = 30,
    seed: int = 7,
    until: datetime | None = None,
    sites: Sequence[Site] = SITES,
    sampling: Sampling | None = None,
    passwords: Mapping[str, str] | None = None,
    account: Account | None = None,
    memory: Memory | None = None,
    progress: Progress = lambda told, total: None,
) -> int:
    """Tell the last ``days`` days and return how many sessions and faults they held.

    What ``memory`` has already told is left out. ``until`` is two hours ago where not given, so
    that live charging can follow. Returns once everything is confirmed.
    """
    until = until or datetime.now(UTC) - timedelta(hours=2)
    memory, account = memory or Memory(), account or Account()
    plans = {
        site: events(
            site, days_until(until, days), seed, memory.told_until(site.charge_point_id), until
        )
        for site in sites
    }
    total, told = sum(len(plan) for plan in plans.values()), 0

    def tell_one() -> None:
        nonlocal told
        told += 1
        progress(told, total)

    async with asyncio.TaskGroup() as group:
        for site, plan in plans.items():
            password = (passwords or {}).get(site.charge_point_id)
            source = Past(site, plan, memory, account).messages(
                sampling or Sampling(), until, tell_one
            )
            group.create_task(_tell(site, Address(url, password), source, account, until))
    memory.save()
    return total


async def _tell(
    site: Site, address: Address, source: Iterator[Message], account: Account, until: datetime
) -> None:
    """Tell everything in ``source``; the charge point lives at its end, before live charging."""
    charge_point = ChargePoint(
        site.charge_point_id,
        address,
        nameplate=site.nameplate,
        clock=Clock(start=until),
        account=account,
        source=source,
    )
    charge_point.reads_idle_connectors = False  # its registers are on their way through the past
    async with charge_point.running():
        await charge_point.queue.drained()
