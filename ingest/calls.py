"""CALLs from us to one charge point: one outstanding at a time, answered by whoever reads."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from websockets.exceptions import ConnectionClosed

from ingest.frames import CallError, CallResult

LONGEST_WAIT_S = 120.0  # for the answer to one CALL; the next ones wait behind it
_MOST_LATE = 8

OnLate = Callable[[CallResult | CallError], None]


class CallFailed(Exception):
    """The charge point did not carry out a CALL.

    Attributes:
        code: Of its CALLERROR, or ours: ``Timeout``, ``ConnectionClosed``, ``FormationViolation``.
    """

    def __init__(self, code: str, description: str = "") -> None:
        super().__init__(f"{code}: {description}" if description else code)
        self.code = code
        self.description = description


@dataclass(slots=True)
class _Pending:
    message_id: str
    action: str
    done: asyncio.Future[dict[str, Any]]


@dataclass(slots=True)
class Calls:
    """The CALLs of one socket.

    Attributes:
        send: Puts a CALL on the wire, from its id, action and payload.
        turn: Held by whoever has a CALL outstanding.
        closed: The socket is gone.
    """

    send: Callable[[str, str, dict[str, Any]], Awaitable[None]]
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _pending: _Pending | None = None
    closed: bool = False
    _late: dict[str, tuple[str, OnLate]] = field(default_factory=dict)

    async def call(
        self,
        action: str,
        payload: dict[str, Any],
        timeout_s: float,
        message_id: str,
        on_late: OnLate,
    ) -> dict[str, Any]:
        """Send a CALL, for one who holds ``turn``, and return the answer's payload.

        Args:
            on_late: Told of the answer if it comes after ``timeout_s``, on this socket.

        Raises:
            CallFailed: On a CALLERROR, no answer within ``timeout_s`` of sending, or a
                socket that dies, at once.
        """
        assert self.turn.locked(), "another CALL may be outstanding"
        if self.closed:
            raise CallFailed("ConnectionClosed", "the charge point disconnected")
        done: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._pending = _Pending(message_id, action, done)
        try:
            async with asyncio.timeout(timeout_s):
                await self.send(message_id, action, payload)
                return await done
        except TimeoutError:
            self._late[message_id] = action, on_late
            if len(self._late) > _MOST_LATE:
                del self._late[next(iter(self._late))]
            raise CallFailed("Timeout", f"no answer within {timeout_s:g} s") from None
        except ConnectionClosed:
            raise CallFailed("ConnectionClosed", "the charge point disconnected") from None
        finally:
            self._pending = None
            _retrieve(done)

    def answer(self, frame: CallResult | CallError) -> str | None:
        """Hand an answer to its CALL; return the action it answers, None if it was never made."""
        pending = self._pending
        if pending is None or pending.message_id != frame.message_id:
            return self._answer_late(frame)
        if not pending.done.done():
            if isinstance(frame, CallResult):
                pending.done.set_result(frame.payload)
            else:
                pending.done.set_exception(CallFailed(frame.code, frame.description))
        return pending.action

    def _answer_late(self, frame: CallResult | CallError) -> str | None:
        if frame.message_id not in self._late:
            return None
        action, on_late = self._late.pop(frame.message_id)
        on_late(frame)
        return action

    def fail(self, message_id: str, reason: str) -> None:
        """End the CALL whose answer could not be read."""
        if self._pending and self._pending.message_id == message_id:
            self._end(CallFailed("FormationViolation", reason))

    def close(self) -> None:
        """End the waiting CALL, and refuse further ones: the socket is gone."""
        self.closed = True
        self._end(CallFailed("ConnectionClosed", "the charge point disconnected"))

    def _end(self, failure: CallFailed) -> None:
        if self._pending and not self._pending.done.done():
            self._pending.done.set_exception(failure)


def _retrieve(done: asyncio.Future[dict[str, Any]]) -> None:
    """Take note of a failure that nobody waits for any more."""
    if done.done() and not done.cancelled():
        done.exception()
