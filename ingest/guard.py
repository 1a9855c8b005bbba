"""What one socket may cost us: handshakes at once, frames a second, answers nobody reads.

A charge point that asks for too much is slowed by not being read, so TCP slows it at its end; only
what cannot be slowed is closed. Whoever it is stands in the log.
"""

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.frames import CloseCode, Frame, Opcode

logger = logging.getLogger(__name__)

_MOST_FRAGMENTS = 1024  # of one message; empty ones cost memory and add nothing to its size
_BYTES_OF_A_FRAME = 8192  # a larger frame counts as several
_LONGEST_HOLD_S = 10.0
_COMPLAIN_EVERY_S = 60.0
_LINGER_S = 5.0


@dataclass(slots=True)
class Allowance:
    """So many a second, and as many at once as gather in ``gathers_s``."""

    per_s: float
    gathers_s: float
    _credit: float | None = None
    _at: float = 0.0

    def spend(self, cost: float, now: float) -> float:
        """Take ``cost`` and return the seconds until it is paid for; 0: it was there."""
        most = self.per_s * self.gathers_s
        credit = most if self._credit is None else self._credit + (now - self._at) * self.per_s
        self._credit, self._at = min(most, credit) - cost, now
        return max(0.0, -self._credit / self.per_s)

    def give_back(self, cost: float) -> None:
        """Take back what was spent on something that was refused."""
        self._credit = (self._credit or 0.0) + cost

    def forgive(self, debt_s: float) -> None:
        """Let the debt be no longer than ``debt_s``."""
        self._credit = max(self._credit or 0.0, -debt_s * self.per_s)


@dataclass(slots=True)
class Complaints:
    """Who is in the log already: one line a minute for each, however often it knocks."""

    _until: dict[str, float] = field(default_factory=dict)
    _unsaid: Counter[str] = field(default_factory=Counter)

    def about(self, name: str, now: float) -> int | None:
        """Return how many complaints were left out since the last one; None: say nothing."""
        if now < self._until.get(name, 0.0):
            self._unsaid[name] += 1
            return None
        if len(self._until) > 1000:
            self._until = {name: until for name, until in self._until.items() if until > now}
        self._until[name] = now + _COMPLAIN_EVERY_S
        return self._unsaid.pop(name, 0)


@dataclass(slots=True)
class Door:
    """Counts handshakes that are not finished, in all and from each address.

    Attributes:
        most, most_from_one: Beyond them a connection is reset.
        frames_per_s: What each socket may send.
        unread_s: A peer that leaves 64 KB of our small answers unread so long is not there.
    """

    most: int
    most_from_one: int
    frames_per_s: float
    unread_s: float
    refused: int = 0
    slowed: int = 0
    _waiting: Counter[str] = field(default_factory=Counter)
    _total: int = 0
    _complaints: Complaints = field(default_factory=Complaints)

    def enter(self, address: str) -> bool:
        if self._total >= self.most or self._waiting[address] >= self.most_from_one:
            self.refused += 1
            self.complain(address, "too many unfinished handshakes")
            return False
        self._total += 1
        self._waiting[address] += 1
        return True

    def leave(self, address: str) -> None:
        self._total -= 1
        self._waiting[address] -= 1
        if not self._waiting[address]:
            del self._waiting[address]

    def complain(self, name: str, what: str) -> None:
        """Name a culprit in the log, at most once a minute."""
        unsaid = self._complaints.about(f"{name} {what}", asyncio.get_running_loop().time())
        if unsaid is not None:
            again = f" ({unsaid} times more since the last line)" if unsaid else ""
            logger.warning("%s: %s%s", name, what, again)


class GuardedConnection(ServerConnection):
    """A websocket that is read no quicker than it may send, and written to no longer than it reads.

    The library answers pings by itself, keeps reading while its answers pile up, gathers endless
    fragments, and waits for ever to write: these four are what is guarded here.
    """

    def __init__(self, *args: Any, door: Door, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._door = door
        self._allowance = Allowance(door.frames_per_s, gathers_s=4.0)
        self._frames = 0
        self._fragments = 0
        self._wants_pause = False
        self._is_held = False
        self._is_paused = False

    @property
    def address(self) -> str:
        address: Any = self.remote_address
        return str(address[0]) if address else "unknown"

    @property
    def name(self) -> str:
        """The charge point's identity once it is known, else its address."""
        admitted = getattr(self, "admitted", None)
        return str(admitted.known.identity) if admitted else self.address

    async def handshake(self, *args: Any, **kwargs: Any) -> None:
        address = self.address
        if not self._door.enter(address):
            self.transport.abort()
            await super().handshake(*args, **kwargs)
            return
        try:
            await super().handshake(*args, **kwargs)
        finally:
            self._door.leave(address)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.recv_messages.pause = self._pause
        self.recv_messages.resume = self._resume

    def data_received(self, data: bytes) -> None:
        self._frames = 0
        super().data_received(data)
        cost = self._frames + len(data) / _BYTES_OF_A_FRAME
        debt_s = self._allowance.spend(cost, self.loop.time())
        if debt_s > 0:
            self._hold(debt_s)

    def process_event(self, event: Any) -> None:
        super().process_event(event)
        self._frames += 1
        if isinstance(event, Frame):
            self._count_fragments(event)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._regulate()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._regulate()

    async def drain(self) -> None:
        """Wait until the peer has read; not for ever. A TimeoutError ends the connection."""
        if not self.paused:
            await super().drain()
            return
        try:
            async with asyncio.timeout(self._door.unread_s):
                await super().drain()
        except TimeoutError:
            self._door.complain(self.name, "does not read our answers: closed")
            raise

    def _count_fragments(self, frame: Frame) -> None:
        if frame.opcode in (Opcode.PING, Opcode.PONG, Opcode.CLOSE):
            return
        self._fragments = 0 if frame.fin else self._fragments + 1
        if self._fragments > _MOST_FRAGMENTS:
            self._fragments = 0
            self._door.complain(self.name, "a message in endless fragments: closed")
            self.protocol.fail(CloseCode.MESSAGE_TOO_BIG, "too many fragments")
            self.send_data()
            self.loop.call_later(_LINGER_S, self.transport.abort)

    def _hold(self, debt_s: float) -> None:
        """Do not read until what was sent is paid for."""
        self._door.slowed += 1
        self._door.complain(self.name, f"slowed to {self._door.frames_per_s:g} frames a second")
        if debt_s > _LONGEST_HOLD_S:
            debt_s = _LONGEST_HOLD_S
            self._allowance.forgive(debt_s)
        self._is_held = True
        self._regulate()
        self.loop.call_later(debt_s, self._release)

    def _release(self) -> None:
        self._is_held = False
        self._regulate()

    def _pause(self) -> None:
        self._wants_pause = True
        self._regulate()

    def _resume(self) -> None:
        self._wants_pause = False
        self._regulate()

    def _regulate(self) -> None:
        """Read only while there is room for frames, for answers, and in the allowance."""
        should_pause = self._wants_pause or self._is_held or self.paused
        if should_pause == self._is_paused or self.transport.is_closing():
            return
        self._is_paused = should_pause
        if should_pause:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()
