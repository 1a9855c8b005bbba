"""Orders from DOJOT on their way into the table of commands."""

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool

import sql
from ingest.relay.dialects import Device
from ingest.relay.metrics import Metrics
from ingest.relay.orders import Command, NotAnOrder, UnusableOrder, read_orders

logger = logging.getLogger(__name__)

_QUERIES = sql.load("ingest")
_AT_MOST = 1000
_AGAIN_S = 0.2
_LIFE_S = 60.0  # of an order, as of every command: done late is worse than not done


@dataclass(frozen=True, slots=True)
class _Order:
    device: Device
    payload: bytes
    came_at: datetime
    good_until: float  # by the loop's clock


class OrderDesk:
    """Takes what comes on the config topics; ``step`` passes it on, one after the other.

    What becomes of each is counted: ``queued`` is a command, ``ignored`` is no order, the rest is
    an order that was not carried out.
    """

    def __init__(self, pool: AsyncConnectionPool, metrics: Metrics) -> None:
        self._pool = pool
        self._outcomes = metrics.commands
        self._waiting: asyncio.Queue[_Order] = asyncio.Queue(_AT_MOST)
        self._current: _Order | None = None

    def take(self, device: Device, payload: bytes) -> None:
        good_until = asyncio.get_running_loop().time() + _LIFE_S
        try:
            self._waiting.put_nowait(_Order(device, payload, datetime.now(UTC), good_until))
        except asyncio.QueueFull:
            self._count("too many")

    async def step(self) -> float:
        """Pass the next order on; called again after an error of the database, it tries again.

        Raises psycopg.Error.
        """
        if self._current is None:
            self._current = await self._waiting.get()
        order = self._current
        try:
            outcome = await self._pass_on(order)
        except psycopg.OperationalError:
            raise  # the order waits for the database, as far as it can
        except psycopg.Error:
            self._done("failed")
            raise
        self._done(outcome)
        return 0

    async def drain(self, seconds: float) -> None:
        """Pass on what came before the end, for the broker was told that we have it."""
        try:
            async with asyncio.timeout(seconds):
                while self._current is not None or not self._waiting.empty():
                    await self._try_step()
        except TimeoutError:
            lost = self._waiting.qsize() + (self._current is not None)
            logger.error("%d orders of DOJOT are lost: the database took none of them", lost)

    async def _try_step(self) -> None:
        try:
            await self.step()
        except psycopg.Error as error:
            logger.warning("orders: %s", str(error).strip())
            await asyncio.sleep(_AGAIN_S)

    async def _pass_on(self, order: _Order) -> str:
        left_s = order.good_until - asyncio.get_running_loop().time()
        try:
            commands = read_orders(order.payload)
        except NotAnOrder:
            return "ignored"
        except UnusableOrder as error:
            logger.warning("%s: %s", order.device.user, error)
            return "unusable"
        if left_s <= 0:
            logger.error("%s: an order of DOJOT expired while we waited", order.device.user)
            return "expired"
        await self._insert(order, commands, left_s)
        return "queued"

    async def _insert(self, order: _Order, commands: list[Command], left_s: float) -> None:
        async with self._pool.connection() as conn, conn.transaction():
            await conn.execute("SET LOCAL synchronous_commit = on")  # nobody would send it again
            for action, payload in commands:
                values: dict[str, Any] = {
                    "charge_point_id": order.device.charge_point_id,
                    "action": action,
                    "payload": Jsonb(payload),
                    "requested_by": f"dojot:{order.device.tenant}",
                    "requested_at": order.came_at,
                    "left_s": left_s,
                }
                await conn.execute(_QUERIES["insert_command"], values)
                logger.info("%s: DOJOT asks for %s", order.device.user, action)

    def _done(self, outcome: str) -> None:
        self._current = None
        self._count(outcome)

    def _count(self, outcome: str) -> None:
        self._outcomes.labels(outcome).inc()
