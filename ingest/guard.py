"""What one socket may cost us: a place at the door, frames a second, answers nobody reads.

A charge point that asks for too much is slowed by not being read, so TCP slows it at its end; only
what cannot be slowed is closed. Whoever it is stands in the log.
"""

import asyncio
import ssl
import types
from collections.abc import Awaitable, Coroutine, Generator
from dataclasses import dataclass
from typing import Any, cast

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import InvalidHandshake
from websockets.frames import CloseCode, Frame, Opcode

from ingest.admission import Admitted
from ingest.allowance import Allowance
from ingest.door import Door, network_of

_MOST_FRAGMENTS = 1024  # of one message; empty ones cost memory and add nothing to its size
_LONGEST_HOLD_S = 10.0
_LINGER_S = 5.0
_BYTES_OF_A_FRAME = 8192


@dataclass(frozen=True, slots=True)
class Limits:
    """What each socket is held to.

    Attributes:
        frames_per_s: What it may send.
        unread_s: A peer that leaves 64 KB of our small answers unread so long is not there.
    """

    frames_per_s: float
    unread_s: float


class GuardedConnection(ServerConnection):
    """A websocket that is read no quicker than it may send, and written to no longer than it reads.

    The library answers pings by itself, keeps reading while its answers pile up, gathers endless
    fragments, and waits for ever to write: these four are what is guarded here.
    """

    def __init__(self, *args: Any, door: Door, limits: Limits, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._door = door
        self._limits = limits
        self.admitted: Admitted | None = None  # set when its handshake is accepted
        self._place: str | None = None
        self._has_entered = False
        self._is_made = False
        self._allowance = Allowance(limits.frames_per_s, gathers_s=2.0)
        self._frames = 0
        self._fragments = 0
        self._wants_pause = False
        self._is_held = False
        self._is_paused = False

    @property
    def address(self) -> str:
        return peer_of(self.transport)

    @property
    def name(self) -> str:
        """The charge point's identity once it is known, else its address."""
        return self.admitted.registration.identity if self.admitted else self.address

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        address = peer_of(transport)
        if not self._door.enter(address):
            cast(asyncio.Transport, transport).abort()
            return
        self._place = address
        self._has_entered = True
        self._welcome(cast(asyncio.Transport, transport))

    def connection_lost(self, exc: Exception | None) -> None:
        self._go()
        if self._is_made:
            super().connection_lost(exc)

    async def handshake(self, *args: Any, **kwargs: Any) -> None:
        try:
            await super().handshake(*args, **kwargs)
        except InvalidHandshake as exc:
            self._name_stranger(exc)
            raise
        finally:
            self._leave_door()

    def _name_stranger(self, exc: InvalidHandshake) -> None:
        """Say what it was that the library refused, mostly without an answer.

        Who comes and goes without a word, as port scans do, is no news.
        """
        if not isinstance(exc.__cause__, EOFError):
            self._door.malformed += 1
            what = f"{exc}: {exc.__cause__}" if exc.__cause__ else str(exc)
            network = network_of(self.address)
            self._door.complain(network, f"no websocket: {what:.200}", about=f"{network} malformed")

    def _welcome(self, transport: asyncio.Transport) -> None:
        """Begin the websocket's handshake."""
        self._is_made = True
        super().connection_made(transport)
        self.recv_messages.pause = self._pause
        self.recv_messages.resume = self._resume

    def _go(self) -> None:
        self._leave_door()
        if self._has_entered:
            self._door.close()
            self._has_entered = False

    def _leave_door(self) -> None:
        if self._place is not None:
            self._door.leave(self._place)
            self._place = None

    def data_received(self, data: bytes) -> None:
        self._frames = 0
        super().data_received(data)
        cost = cost_of(self._frames, len(data))
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
            async with asyncio.timeout(self._limits.unread_s):
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
        self._door.complain(self.name, f"slowed to {self._limits.frames_per_s:g} frames a second")
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


class TlsConnection(GuardedConnection):
    """A guarded websocket within TLS.

    A server's TLS would tell us of a connection only when its handshake is over: who says nothing
    would not be counted. So TLS begins here, after the place at the door was taken.
    """

    def __init__(self, *args: Any, context: ssl.SSLContext, patience_s: float, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._context = context
        self._patience_s = patience_s
        self._securing: asyncio.Task[None] | None = None
        self._early = b""
        self._is_lost = False

    def _welcome(self, transport: asyncio.Transport) -> None:
        self._door.half_open.add(transport)
        securing = self.loop.start_tls(
            transport,
            self,
            self._context,
            server_side=True,
            ssl_handshake_timeout=self._patience_s,
        )
        # TLS has to have the transport before the first bytes are read, a task may begin too late.
        waits_for = securing.send(None)
        self._securing = self.loop.create_task(
            self._secure(transport, _go_on_with(securing, waits_for))
        )

    async def _secure(
        self, transport: asyncio.Transport, securing: Awaitable[asyncio.Transport | None]
    ) -> None:
        try:
            secured = await securing
        except OSError:  # of TLS too: port scans, clients that do not verify us, or say nothing
            transport.abort()
        else:
            self._welcome_secured(secured)
        finally:
            self._securing = None
            self._door.half_open.discard(transport)
            if not self._is_made:
                self._go()

    def _welcome_secured(self, secured: asyncio.Transport | None) -> None:
        if secured is None or self._is_lost:
            return
        super()._welcome(secured)
        if self._early:
            self.data_received(self._early)

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost = True
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_made:
            super().data_received(data)
        else:
            self._early += data  # it came with the last words of the handshake

    def eof_received(self) -> None:
        if self._is_made:
            super().eof_received()


@types.coroutine
def _go_on_with(
    coroutine: Coroutine[Any, Any, asyncio.Transport | None], waits_for: Any
) -> Generator[Any, Any, asyncio.Transport | None]:
    """Await the rest of a coroutine that was begun by hand, from its first wait on."""
    try:
        while True:
            try:
                sent = yield waits_for
            except BaseException as exc:
                waits_for = coroutine.throw(exc)
            else:
                waits_for = coroutine.send(sent)
    except StopIteration as end:
        result: asyncio.Transport | None = end.value
        return result


def cost_of(frames: int, size: int) -> float:
    """Return for how many frames counts what was read at once; larger ones count as several."""
    return max(frames, size / _BYTES_OF_A_FRAME)


def peer_of(transport: asyncio.BaseTransport) -> str:
    """Return the address at the other end."""
    address: Any = transport.get_extra_info("peername")
    return str(address[0]) if address else "unknown"
