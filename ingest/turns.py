"""Turns at something slow: however many wait in one's name, the others are served in between."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class Turns:
    """So many at a time, and names one after the other: a crowd under one name waits for itself."""

    at_once: int
    _busy: int = 0
    _waiting: dict[str, deque[asyncio.Future[None]]] = field(default_factory=dict)

    @asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[None]:
        """Wait until it is the turn of ``name``, and keep it for the length of the block."""
        if self._busy < self.at_once:
            self._busy += 1
        else:
            await self._wait(name)
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, name: str) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(name, deque()).append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled():
                self._pass_on()  # the turn came in the moment it was given up
            raise

    def _pass_on(self) -> None:
        """Give the turn to the first of the name that has waited longest since its last one."""
        while self._waiting:
            name = next(iter(self._waiting))
            crowd = self._waiting.pop(name)
            waiter = crowd.popleft()
            if crowd:
                self._waiting[name] = crowd
            if not waiter.done():
                waiter.set_result(None)
                return
        self._busy -= 1
