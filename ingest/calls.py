"""CALLs from us to one charge point: one outstanding at a time, answered by whoever reads."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from ingest.frames import CallError, CallResult, call_text


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
        send: Puts a frame on the wire.
        on_late: Told of answers that came after their CALL had timed out, by message id.
    """

    send: Callable[[str, str, str], Awaitable[None]]
    on_late: Callable[[str, dict[str, Any]], None] = lambda message_id, payload: None
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _pending: _Pending | None = None
    _late: dict[str, str] = field(default_factory=dict)
    _closed: bool = False

    async def call(
        self,
        action: str,
        payload: dict[str, Any],
        timeout_s: float = 30.0,
        message_id: str | None = None,
    ) -> dict[str, Any]:
        """Send a CALL when the one before it is answered, and return the answer's payload.

        Raises:
            CallFailed: On a CALLERROR, no answer within ``timeout_s`` of sending, or a
                socket that dies, at once.
        """
        async with self._lock:
            if self._closed:
                raise CallFailed("ConnectionClosed", "the charge point disconnected")
            message_id = message_id or str(uuid.uuid4())
            done: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
            self._pending = _Pending(message_id, action, done)
            try:
                await self.send(call_text(message_id, action, payload), action, message_id)
                return await asyncio.wait_for(done, timeout_s)
            except TimeoutError:
                self._remember_late(message_id, action)
                raise CallFailed("Timeout", f"no answer within {timeout_s:g} s") from None
            finally:
                self._pending = None

    def answer(self, frame: CallResult | CallError) -> str | None:
        """Hand an answer to its CALL; return the action it answers, None if it was never made."""
        pending = self._pending
        if pending is None or pending.message_id != frame.message_id:
            action = self._late.pop(frame.message_id, None)
            if action and isinstance(frame, CallResult):
                self.on_late(frame.message_id, frame.payload)
            return action
        if not pending.done.done():
            if isinstance(frame, CallResult):
                pending.done.set_result(frame.payload)
            else:
                pending.done.set_exception(CallFailed(frame.code, frame.description))
        return pending.action

    def fail(self, message_id: str, reason: str) -> None:
        """End the CALL whose answer could not be read."""
        if self._pending and self._pending.message_id == message_id:
            self._end(CallFailed("FormationViolation", reason))

    def close(self) -> None:
        """End the waiting CALL: its socket is gone."""
        self._closed = True
        self._end(CallFailed("ConnectionClosed", "the charge point disconnected"))

    def _end(self, failure: CallFailed) -> None:
        if self._pending and not self._pending.done.done():
            self._pending.done.set_exception(failure)

    def _remember_late(self, message_id: str, action: str) -> None:
        self._late[message_id] = action
        while len(self._late) > 8:
            self._late.pop(next(iter(self._late)))
