"""What is said on one socket, on its way into the raw log: without the secrets in it."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ingest.frames import CALL, LARGE, Call, CallError, CallResult, call_text
from ingest.items import Message
from ingest.redaction import (
    secrets_in,
    shown_call,
    shown_error,
    shown_result,
    shown_text,
    without_secrets,
)
from ingest.writer import Writer, forget

_MOST_TOLD = 16  # secrets we sent, which answers may repeat
_MOST_UNDER_WAY = 32  # frames on their way to the log that nobody waits for


@dataclass(slots=True)
class Transcript:
    """Makes frames fit to be kept, and logs those that nobody waits for."""

    charge_point_id: int
    writer: Writer
    _told: deque[str] = field(default_factory=lambda: deque(maxlen=_MOST_TOLD))
    _under_way: deque[asyncio.Future[None]] = field(default_factory=deque)

    async def call(
        self, call: Call, raw: str, received_at: datetime, answer: str | None = None
    ) -> Message:
        """Return a CALL of the charge point as it is kept."""
        raw = await self._shown(raw, shown_call, call)
        return self._message(call, raw, received_at, answer)

    async def unhandled(self, call: Call, raw: str, received_at: datetime, answer: str) -> Message:
        """Return a CALL that brought a defect to light: its payload is not looked into."""
        return self._message(call, await self.text(raw), received_at, answer)

    async def answer(
        self, frame: CallResult | CallError, raw: str
    ) -> tuple[CallResult | CallError, str]:
        """Return an answer and its text as they are kept; whoever asked gets a result whole."""
        if isinstance(frame, CallError):
            return shown_error(frame, self._told), await self.text(raw)
        return frame, await self._shown(raw, shown_result, frame)

    async def text(self, raw: str) -> str:
        """Return a text of any form as it is kept."""
        return await self._shown(raw, shown_text)

    async def log(self, message: Message) -> None:
        """Hand a frame to the log without waiting for it, unless many are on their way."""
        done = self.writer.submit(message)
        done.add_done_callback(forget)
        self._under_way.append(done)
        if len(self._under_way) > _MOST_UNDER_WAY:
            await asyncio.wait([self._under_way.popleft()])

    def note_sent(self, message_id: str, action: str, payload: dict[str, Any]) -> None:
        """Log a CALL of ours, and remember the secrets that leave with it."""
        self._told.extend(secrets_in(payload))
        raw = call_text(message_id, action, without_secrets(payload))
        now = datetime.now(UTC)
        self.writer.note(Message(self.charge_point_id, now, raw, CALL, "o", action, message_id))

    def _message(self, call: Call, raw: str, received_at: datetime, answer: str | None) -> Message:
        number, action = self.charge_point_id, call.action[:100]
        return Message(number, received_at, raw, CALL, "i", action, call.message_id, answer=answer)

    async def _shown(self, raw: str, show: Callable[..., str], *frame: object) -> str:
        told = tuple(self._told)
        if len(raw) > LARGE:
            return await asyncio.to_thread(show, *frame, raw, told)
        return show(*frame, raw, told)
