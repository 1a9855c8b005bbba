"""CALLs of one charge point, waiting to be answered in the order they came."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime

from ingest.frames import LARGE, Call

# CALLs read ahead of a pipelining charge point, and their characters; then we stop reading.
_MOST_WAITING = 32
_MOST_WAITING_CHARACTERS = 1_000_000
# Its charge point rests so many times as long as a large frame took: others need the writer too.
_REST_AFTER_LARGE = 3


@dataclass(slots=True)
class Inbox:
    """Hands CALLs on one at a time: a charge point that pipelines still means them in order.

    Attributes:
        handle: Answers a CALL, given with its text and when it came.
    """

    handle: Callable[[Call, str, datetime], Awaitable[None]]
    _waiting: deque[tuple[Call, str, datetime]] = field(default_factory=deque)
    _characters: int = 0
    _room: asyncio.Event = field(default_factory=asyncio.Event)
    _has_given_up: bool = False
    _worker: asyncio.Task[None] | None = None

    async def put(self, call: Call, raw: str, received_at: datetime) -> None:
        """Take a CALL in; wait for room where many are waiting."""
        while not self._has_given_up and self._is_full():
            self._room.clear()
            await self._room.wait()
        if self._has_given_up:
            return
        self._waiting.append((call, raw, received_at))
        self._characters += len(raw)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())

    def give_up(self) -> None:
        """Hand nothing more on: the charge point keeps what we did not confirm.

        What came behind it comes again behind it, on the next socket.
        """
        self._has_given_up = True
        self._waiting.clear()
        self._room.set()

    def close(self) -> None:
        """Leave also the one that is being handled."""
        if self._worker is not None:
            self._worker.cancel()

    def _is_full(self) -> bool:
        return len(self._waiting) >= _MOST_WAITING or self._characters >= _MOST_WAITING_CHARACTERS

    async def _work(self) -> None:
        """Hand on what waits, in order."""
        now = asyncio.get_running_loop().time
        while self._waiting:
            call, raw, received_at = self._waiting[0]
            began = now()
            await self.handle(call, raw, received_at)
            if self._has_given_up:
                return
            if len(raw) > LARGE:
                await asyncio.sleep((now() - began) * _REST_AFTER_LARGE)
            self._waiting.popleft()
            self._characters -= len(raw)
            self._room.set()
