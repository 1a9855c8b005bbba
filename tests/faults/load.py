"""Charge points that behave as the standard says, in quick time, while everything breaks."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from testbench.account import Account
from testbench.bus import BusCharge
from testbench.charge_point import ChargePoint
from testbench.clock import Clock
from testbench.link import Address
from testbench.quirks import FRAME
from testbench.session import Session, Visit
from tests.faults.witness import Book, Habit, bear_witness

ID_TAG = "FAULT-BUS"
# One in three tells the time of its statuses, one none, one has a clock that was never set.
_HABITS: tuple[Habit | None, ...] = (None, FRAME["status_without_timestamp"], FRAME["clock_1970"])
_WITHIN_S = 5.0  # less than many faults last: charge points repeat under new message ids


@dataclass
class Load:
    """Some charge points with a bus at each connector, again and again.

    Attributes:
        quickness: Seconds of theirs in one of ours; a reading is due every ten of theirs.
    """

    url: str
    count: int
    chance: random.Random
    quickness: float = 60.0
    book: Book = field(default_factory=Book)
    account: Account = field(default_factory=Account)
    charge_points: list[ChargePoint] = field(default_factory=list)
    clock: Clock = field(init=False)
    _on: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = Clock(self.quickness, datetime.now(UTC) - timedelta(days=6))

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Load"]:
        async with AsyncExitStack() as stack:
            for number in range(1, self.count + 1):
                habit = _HABITS[(number - 1) % len(_HABITS)]
                charge_point = self._charge_point(f"FAULT-{number}", habit)
                self.charge_points.append(await stack.enter_async_context(charge_point.running()))
                for connector_id in charge_point.connectors:
                    task = asyncio.create_task(self._visits(charge_point, connector_id))
                    self._tasks.append(task)
            try:
                yield self
            finally:
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)

    def _charge_point(self, identity: str, habit: Habit | None) -> ChargePoint:
        address = Address(self.url)
        charge_point = ChargePoint(identity, address, clock=self.clock, account=self.account)
        charge_point.configuration.set("TransactionMessageRetryInterval", "30")
        charge_point.configuration.set("WebSocketPingInterval", "2")
        charge_point.configuration.set("StopTxnSampledData", "Energy.Active.Import.Register")
        bear_witness(charge_point, address, self.book, _WITHIN_S, habit)
        return charge_point

    def begin(self) -> None:
        """Let buses come."""
        self._on.set()

    async def end(self, within_s: float) -> None:
        """Let the buses leave; return once every charge point has told all it had to tell.

        Raises:
            TimeoutError: They had not within ``within_s``.
        """
        self._on.clear()
        async with asyncio.timeout(within_s):
            while sessions := self._sessions():  # one may have begun in this very moment
                for session in sessions:
                    session.stop("Local")
                await asyncio.sleep(0.05)
            await asyncio.gather(*(it.queue.drained() for it in self.charge_points))

    def _sessions(self) -> list[Session]:
        return [
            connector.session
            for charge_point in self.charge_points
            for connector in charge_point.connectors.values()
            if connector.session is not None
        ]

    def stuck(self) -> list[str]:
        """Name the charge points that still have something to tell."""
        return [
            f"{it.charge_point_id} ({'online' if it.link.is_online else 'offline'},"
            f" {len(it.queue)} waiting)"
            for it in self.charge_points
            if len(it.queue)
        ]

    async def _visits(self, charge_point: ChargePoint, connector_id: int) -> None:
        connector = charge_point.connectors[connector_id]
        while True:
            await self._on.wait()
            vehicle = charge_point.vehicle(connector)
            assert isinstance(vehicle, BusCharge)
            seconds = self.chance.uniform(100, 500)
            visit = Visit(vehicle, ID_TAG, duration_s=seconds, leave_s=5)
            await charge_point.charge(connector_id, visit)
            await asyncio.sleep(self.chance.uniform(0.02, 0.2))
