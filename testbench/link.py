"""The charge point's connection: kept up with backoff and jitter, one CALL outstanding."""

import asyncio
import dataclasses
import logging
import random
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidHandshake

from testbench.socket import CallError, OnCall, RawChargePoint, call_text, connected, to_json

logger = logging.getLogger(__name__)

Misbehave = Callable[[str], list[str]]


class Offline(ConnectionError):
    """There is no connection to the central system."""


# What a CALL of ours may end in without any fault in the simulator.
FAILURES = (CallError, TimeoutError, ConnectionClosed, Offline)


@dataclass(frozen=True, slots=True)
class Address:
    """Where the central system is and how the charge point proves itself.

    Attributes:
        url: Without the identity, such as ``ws://127.0.0.1:9000/ocpp``.
        ssl_context: For ``wss``; holds the client certificate of security profile 3.
    """

    url: str
    password: str | bytes | None = None
    ssl_context: ssl.SSLContext | None = None


@dataclass(slots=True)
class Backoff:
    """Doubling waits with jitter, so that a fleet does not come back in one instant."""

    first_s: float = 1.0
    most_s: float = 60.0
    jitter: random.Random = field(default_factory=random.Random)
    tries: int = 0

    def next_s(self) -> float:
        wait_s = min(self.most_s, self.first_s * 2.0 ** min(self.tries, 16))
        self.tries += 1
        return wait_s * self.jitter.uniform(0.5, 1.5)

    def reset(self) -> None:
        self.tries = 0


class Link:
    """Connects, reconnects, and carries one CALL at a time."""

    def __init__(
        self,
        charge_point_id: str,
        address: Address,
        on_call: OnCall,
        *,
        backoff: Backoff | None = None,
        within: float = 30.0,
        misbehave: Misbehave | None = None,
    ) -> None:
        self.charge_point_id = charge_point_id
        self.address = address
        self.backoff = backoff or Backoff()
        self.ping_interval: float | None = None
        self.within = within
        self._on_call = on_call
        self._misbehave = misbehave
        self._socket: RawChargePoint | None = None
        self._one_call = asyncio.Lock()
        self._permitted = asyncio.Event()
        self._permitted.set()
        self._online = asyncio.Event()
        self._told = ""

    def change_password(self, password: bytes) -> None:
        """Use ``password`` from the next connection on."""
        self.address = dataclasses.replace(self.address, password=password)

    @property
    def is_online(self) -> bool:
        return self._socket is not None

    async def online(self) -> None:
        """Return once the connection serves, which is after the Boot where there is one."""
        await self._online.wait()

    def ready(self) -> None:
        """Say that the connection serves: the next loss of it begins with short waits again."""
        self.backoff.reset()
        self._told = ""
        self._online.set()

    async def keep(self, serve: Callable[[], Awaitable[None]]) -> None:
        """Keep the connection up for ever; run ``serve`` anew on each one."""
        while True:
            await self._permitted.wait()
            try:
                await self._connect(serve)
            except* (OSError, InvalidHandshake, ConnectionClosed, TimeoutError) as lost:
                self._tell_loss(str(lost.exceptions[0]))
            await asyncio.sleep(self.backoff.next_s())

    def _tell_loss(self, cause: str) -> None:
        """Log why the connection is away; as long as the cause is the same, once for people."""
        level = logging.INFO if cause == self._told else logging.WARNING
        logger.log(level, "%s: offline, trying again: %s", self.charge_point_id, cause)
        self._told = cause

    async def _connect(self, serve: Callable[[], Awaitable[None]]) -> None:
        async with connected(
            self.address.url,
            self.charge_point_id,
            password=self.address.password,
            ssl_context=self.address.ssl_context,
            on_call=self._on_call,
            ping_interval=self.ping_interval,
        ) as self._socket:
            try:
                await _either(serve(), self._socket.wait_closed())
            finally:
                self._socket = None
                self._online.clear()

    async def call(self, action: str, payload: Mapping[str, Any] | str) -> dict[str, Any]:
        """Send a CALL when its turn comes.

        Raises:
            Offline: There is no connection.
            CallError, TimeoutError, ConnectionClosed: As ``RawChargePoint.call``.
        """
        async with self._one_call:
            if self._socket is None:
                raise Offline(f"{self.charge_point_id} is offline")
            if self._misbehave is None:
                return await self._socket.call(action, payload, within=self.within)
            return await self._odd_call(self._socket, self._misbehave, action, payload)

    async def _odd_call(
        self,
        socket: RawChargePoint,
        misbehave: Misbehave,
        action: str,
        payload: Mapping[str, Any] | str,
    ) -> dict[str, Any]:
        message_id = socket.next_message_id()
        body = payload if isinstance(payload, str) else to_json(payload)
        texts = misbehave(call_text(message_id, action, body))
        if not texts:
            return {}  # the charge point believes to have sent it
        answer = await socket.exchange(message_id, texts[0], within=self.within)
        for surplus in texts[1:]:
            await socket.send_text(surplus)
        return answer

    async def drop(self) -> None:
        """Lose the connection without a word; it comes back."""
        self._online.clear()
        if self._socket is not None:
            await self._socket.cut()

    async def go_offline(self) -> None:
        """Lose the connection until ``come_back``."""
        self._permitted.clear()
        await self.drop()

    def come_back(self) -> None:
        self._permitted.set()


async def _either(serve: Awaitable[None], closed: Awaitable[object]) -> None:
    """Run ``serve`` until it ends or the socket has ``closed``."""
    tasks = [asyncio.ensure_future(serve), asyncio.ensure_future(closed)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    if not tasks[0].cancelled():
        tasks[0].result()
