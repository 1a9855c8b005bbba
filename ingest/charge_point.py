"""One charge point's socket: frames in, answers out after the commit, our CALLs beside them."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from websockets.exceptions import ConnectionClosed

from ingest.calls import Calls
from ingest.facts import Meaning, SetAside, TransactionStart, TransactionStop, summary_of
from ingest.frames import (
    CALL_ERROR,
    CALL_RESULT,
    LARGE,
    Call,
    CallError,
    CallResult,
    Unreadable,
    call_text,
    clean,
    error_text,
    read_frame,
)
from ingest.guard import GuardedConnection
from ingest.inbox import Inbox
from ingest.items import Closing, Message, Opening
from ingest.meanings import meaning_of
from ingest.metrics import Metrics
from ingest.pulse import Pulse
from ingest.registration import Registration
from ingest.situation import Situation
from ingest.transcript import Transcript
from ingest.writer import DatabaseAway, NotStored, Writer

logger = logging.getLogger(__name__)

# A repeat of one of these under the same id is answered again, not stored again. The answers to
# the others are made anew: they carry the time, or a verdict that may have changed.
_ANSWERED_AGAIN = {
    "DiagnosticsStatusNotification",
    "FirmwareStatusNotification",
    "LogStatusNotification",
    "MeterValues",
    "SecurityEventNotification",
    "SignCertificate",
    "SignedFirmwareStatusNotification",
    "StartTransaction",
    "StatusNotification",
    "StopTransaction",
}
# What makes us ask something in return, once our answer has left.
_FOLLOWED_UP = {"BootNotification", "SignCertificate"}


@dataclass(slots=True)
class ChargePoint:
    """The session of one connected charge point.

    Attributes:
        follow_up: Told of a CALL that asks for more than an answer, once, after the answer left;
            it must not wait for the charge point.
        is_recorded: Whether the database knows of this socket.

    CALLs are handled in the order they came, one at a time, because a charge point that
    pipelines still means them in order; answers to our own CALLs pass them by.
    """

    registration: Registration
    websocket: GuardedConnection
    writer: Writer
    metrics: Metrics
    situation: Situation
    follow_up: Callable[["ChargePoint", Call], None]
    opened_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    opened_monotonic_s: float = field(default_factory=time.monotonic)
    is_recorded: bool = False
    closed_because: str | None = None
    calls: Calls = field(init=False)
    pulse: Pulse = field(init=False)
    _inbox: Inbox = field(init=False)
    _transcript: Transcript = field(init=False)
    _answers: dict[tuple[str, int], str] = field(default_factory=dict)
    _booted: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.situation.zone = self.registration.zone
        self.situation.opened_at = self.opened_at
        self.calls = Calls(self._send_call)
        self._inbox = Inbox(self._serve)
        self._transcript = Transcript(self.charge_point_id, self.writer)
        self.pulse = Pulse(self.situation.heartbeat_interval, self.opened_monotonic_s)

    @property
    def charge_point_id(self) -> int:
        return self.registration.charge_point_id

    @property
    def identity(self) -> str:
        return self.registration.identity

    async def run(self) -> None:
        """Serve the socket until it ends."""
        opening = Opening(self.charge_point_id, self.opened_at, self.websocket.address)
        try:
            await self.writer.submit(opening)
        except NotStored:
            await self.websocket.close(1013, "try again later")
            return
        self.is_recorded = True
        self.situation.transactions.update(opening.transactions)
        try:
            while True:
                await self._receive(await self.websocket.recv(decode=False))
        except ConnectionClosed as exc:
            self.closed_because = self.closed_because or _reason(exc)
        finally:
            await self._end()

    async def settled(self, within_s: float) -> None:
        """Wait until the charge point booted on this socket or had ``within_s`` to do so."""
        passed_s = time.monotonic() - self.opened_monotonic_s
        try:
            async with asyncio.timeout(max(0.0, within_s - passed_s)):
                await self._booted.wait()
        except TimeoutError:
            return

    @property
    def has_booted(self) -> bool:
        """Whether a BootNotification was answered on this socket."""
        return self._booted.is_set()

    async def close(self, code: int, reason: str) -> None:
        """Close the socket and remember why."""
        self.closed_because = self.closed_because or reason
        self.calls.close()  # the closing handshake may take seconds, an answer will not come
        await self.websocket.close(code, reason)

    async def _end(self) -> None:
        self.calls.close()
        self._inbox.close()
        reason = self.closed_because or "ended"
        closed_at = datetime.now(UTC)
        self.writer.note(Closing(self.charge_point_id, self.opened_at, closed_at, reason))

    async def _receive(self, data: bytes) -> None:
        received_at = datetime.now(UTC)
        raw = clean(data)
        text = data if len(raw) == len(data) else raw.encode()
        large = len(text) > LARGE
        frame = await asyncio.to_thread(read_frame, text) if large else read_frame(text)
        match frame:
            case Call():
                await self._inbox.put(frame, raw, received_at)
            case CallResult() | CallError():
                await self._take_answer(frame, raw, received_at)
            case Unreadable():
                await self._take_unreadable(frame, raw, received_at)

    async def _serve(self, call: Call, raw: str, received_at: datetime) -> None:
        """Answer a CALL; where it cannot be, leave it and what is behind it to the next socket."""
        try:
            await self._handle(call, raw, received_at)
        except ConnectionClosed:
            self._inbox.give_up()
        except DatabaseAway:
            self._inbox.give_up()
            await self.close(1013, "try again later")

    async def _handle(self, call: Call, raw: str, received_at: datetime) -> None:
        earlier = self._answers.get((call.message_id, hash(raw)))
        try:
            answer = await self._answer(call, raw, received_at, earlier)
        except DatabaseAway:
            raise
        except Exception:
            logger.exception("%s: %s was not handled: a defect", self.identity, call.action)
            answer = await self._keep_unhandled(call, raw, received_at)
        await self.websocket.send(answer)
        self.metrics.answered(call.action, received_at)
        if call.action in _FOLLOWED_UP and answer.startswith("[3") and earlier is None:
            if call.action == "BootNotification":
                self._booted.set()
            self.follow_up(self, call)

    async def _answer(
        self, call: Call, raw: str, received_at: datetime, earlier: str | None
    ) -> str:
        """Return the answer that may leave now, because what it confirms is committed.

        What came before under the same id is answered again, as ``earlier``. For the rest the
        store writes the answer: the facts, which it completed, tell the next CALL what is known.
        """
        self._hear(call)
        if earlier is not None:
            repeat = await self._transcript.call(call, raw, received_at, earlier)
            await self._transcript.log(repeat)
            return earlier
        message = await self._message(call, raw, received_at)
        if not await self._is_stored(message):
            return error_text(call.message_id, "InternalError", "not stored, please repeat")
        answer, meaning = message.answer, message.meaning
        assert answer is not None and meaning is not None, "the store answers every CALL"
        self.situation.learn(meaning.facts)
        self._tell(meaning)
        self._remember(call, raw, answer)
        return answer

    async def _is_stored(self, message: Message) -> bool:
        """Return whether the message is committed, once that is known; DatabaseAway is raised."""
        try:
            await self.writer.submit(message)
        except DatabaseAway:
            raise
        except NotStored as exc:
            logger.warning("%s: %s not stored: %s", self.identity, message.action, exc)
            return False
        return True

    async def _keep_unhandled(self, call: Call, raw: str, received_at: datetime) -> str:
        """Keep a frame that brought a defect of ours to light, and return what to answer."""
        answer = error_text(call.message_id, "InternalError", "kept, but not understood")
        message = await self._transcript.unhandled(call, raw, received_at, answer)
        aside = SetAside("not handled: a defect of the central system", message.raw)
        message.meaning = Meaning(aside=[aside])
        await self._is_stored(message)
        return answer

    async def _message(self, call: Call, raw: str, received_at: datetime) -> Message:
        if len(raw) > LARGE:
            meaning = await asyncio.to_thread(meaning_of, call, self.situation, received_at)
        else:
            meaning = meaning_of(call, self.situation, received_at)
        message = await self._transcript.call(call, raw, received_at)
        message.meaning = meaning
        if meaning.error:
            message.answer = error_text(call.message_id, *meaning.error)
        if meaning.aside:
            logger.warning("%s: set aside: %s", self.identity, summary_of(meaning.aside))
        return message

    def _hear(self, call: Call) -> None:
        now_s = time.monotonic()
        if call.action == "Heartbeat":
            self.pulse.beat(now_s)
        else:
            self.pulse.heard_s = now_s

    def _tell(self, meaning: Meaning) -> None:
        """Put transactions that begin and end into our log."""
        for fact in meaning.facts:
            if isinstance(fact, TransactionStart) and fact.transaction_id is not None:
                logger.info("%s/%d: transaction started", self.identity, fact.connector_id)
            elif isinstance(fact, TransactionStop) and fact.matched_id is not None:
                logger.info("%s: transaction stopped: %s", self.identity, fact.reason)

    def _remember(self, call: Call, raw: str, answer: str) -> None:
        if call.action in _ANSWERED_AGAIN:
            self._answers[call.message_id, hash(raw)] = answer
            if len(self._answers) > 4:
                del self._answers[next(iter(self._answers))]

    async def _take_answer(
        self, frame: CallResult | CallError, raw: str, received_at: datetime
    ) -> None:
        self.pulse.heard_s = time.monotonic()
        frame, raw = await self._transcript.answer(frame, raw)
        action = self.calls.answer(frame)
        if action is None:
            logger.warning("%s: an answer to no CALL of ours", self.identity)
        kind = CALL_RESULT if isinstance(frame, CallResult) else CALL_ERROR
        number, message_id = self.charge_point_id, frame.message_id
        await self._transcript.log(Message(number, received_at, raw, kind, "i", action, message_id))

    async def _take_unreadable(self, frame: Unreadable, raw: str, received_at: datetime) -> None:
        """Keep what could not be read; answer it if it was a CALL."""
        raw = await self._transcript.text(raw)
        logger.warning("%s: unreadable frame: %s", self.identity, frame.reason)
        self.metrics.unreadable += 1
        if frame.answers is not None:
            self.calls.fail(frame.answers, frame.reason)
        message = Message(
            self.charge_point_id,
            received_at,
            raw,
            meaning=Meaning(aside=[SetAside(frame.reason, raw)]),
            answer="",
        )
        if frame.message_id is not None:
            message.answer = error_text(frame.message_id, "FormationViolation", frame.reason)
            message.message_id = str(frame.message_id)
        try:
            await self.writer.submit(message)
        except NotStored:
            return
        if message.answer:
            await self.websocket.send(message.answer)

    async def _send_call(self, message_id: str, action: str, payload: dict[str, Any]) -> None:
        self._transcript.note_sent(message_id, action, payload)
        await self.websocket.send(call_text(message_id, action, payload))


def _reason(exc: ConnectionClosed) -> str:
    """Say who ended the socket, and how."""
    if exc.sent and exc.sent.code == 1011 and "ping" in exc.sent.reason:
        return "no pong in time"
    if exc.rcvd and not (exc.sent and exc.rcvd_then_sent is False):
        words = f": {exc.rcvd.reason}" if exc.rcvd.reason else ""
        return f"closed by the charge point ({exc.rcvd.code}{words})"
    if exc.sent:
        return f"closed by us ({exc.sent.code}: {exc.sent.reason})"
    return "connection lost"
