"""A central system of one charge point that answers as it is told; real sockets, no storage.

What the charge point sends and answers is held against the JSON schemas of OCPP 1.6.
"""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

from jsonschema import ValidationError
from ocpp.messages import MessageType, get_validator
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

Payload = dict[str, Any]

ACCEPTED = {"status": "Accepted"}
# What may be done instead of answering a CALL.
SILENCE, CUT, ERROR = "silence", "cut", "error"


class ScriptedCentralSystem:
    """Receives CALLs, sends CALLs.

    ``trouble`` is asked for each CALL, with its action, payload and number, and returns SILENCE,
    CUT, ERROR or None. ``received`` holds every CALL, ``processed`` those that were answered well.
    """

    def __init__(self) -> None:
        self.received: list[tuple[str, Payload]] = []
        self.processed: list[tuple[str, Payload]] = []
        self.handshakes: list[Any] = []
        self.answers: dict[str, Payload] = {}
        self.trouble: Callable[[str, Payload, int], str | None] = lambda *_: None
        self.url = ""
        self._socket: ServerConnection | None = None
        self._numbers = itertools.count(1)
        self._transaction_ids = itertools.count(71)
        self._started: dict[str, int] = {}
        self._pending: dict[str, asyncio.Future[list[Any]]] = {}
        self.complaints: list[str] = []
        self._heard = asyncio.Condition()

    async def until(self, true: Callable[[], bool], seconds: float = 10.0) -> None:
        async with asyncio.timeout(seconds), self._heard:
            await self._heard.wait_for(true)

    async def until_processed(self, action: str, times: int = 1) -> list[Payload]:
        await self.until(lambda: len(self.payloads(action)) >= times)
        return self.payloads(action)

    def payloads(self, action: str) -> list[Payload]:
        return [payload for name, payload in self.processed if name == action]

    async def call(self, action: str, payload: Payload) -> Payload:
        """Send a CALL to the charge point and return the payload of its CALLRESULT."""
        frame = await self._ask(action, payload)
        assert frame[0] == 3, frame
        self._check(MessageType.CallResult, action, frame[2])
        return dict(frame[2])

    async def call_refused(self, action: str, payload: Payload) -> str:
        """Send a CALL and return the code of the CALLERROR that answers it."""
        frame = await self._ask(action, payload)
        assert frame[0] == 4, frame
        return str(frame[2])

    async def _ask(self, action: str, payload: Payload) -> list[Any]:
        message_id = f"cs-{next(self._numbers)}"
        answer: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._pending[message_id] = answer
        assert self._socket is not None
        await self._socket.send(json.dumps([2, message_id, action, payload]))
        async with asyncio.timeout(10):
            return await answer

    def _check(self, message_type: int, action: str, payload: Payload) -> None:
        try:
            validator: Any = get_validator(message_type, action, "1.6", Decimal)
            validator.validate(payload)
        except ValidationError as invalid:
            self.complaints.append(f"{action}: {invalid.message} in {payload}")

    async def serve(self, socket: ServerConnection) -> None:
        self._socket = socket
        self.handshakes.append(socket.request)
        async with self._heard:
            self._heard.notify_all()
        try:
            async for text in socket:
                await self._take(socket, json.loads(text, parse_float=Decimal))
        except ConnectionClosed:
            return

    async def _take(self, socket: ServerConnection, frame: list[Any]) -> None:
        if frame[0] != 2:
            self._pending.pop(frame[1]).set_result(frame)
            return
        _, message_id, action, payload = frame
        self.received.append((action, payload))
        self._check(MessageType.Call, action, payload)
        match self.trouble(action, payload, len(self.received)):
            case "cut":
                socket.transport.abort()
            case "error":
                await socket.send(json.dumps([4, message_id, "InternalError", "", {}]))
            case None:
                self.processed.append((action, payload))
                await socket.send(json.dumps([3, message_id, self._answer(action, payload)]))
        async with self._heard:
            self._heard.notify_all()

    def _answer(self, action: str, payload: Payload) -> Payload:
        if action in self.answers:
            return self.answers[action]
        match action:
            case "BootNotification":
                now = "2026-01-01T00:00:00.000Z"
                return {**ACCEPTED, "currentTime": now, "interval": 600}
            case "Heartbeat":
                return {"currentTime": "2026-01-01T00:00:00.000Z"}
            case "Authorize" | "StopTransaction":
                return {"idTagInfo": ACCEPTED}
            case "StartTransaction":
                return {"transactionId": self._started_as(payload), "idTagInfo": ACCEPTED}
            case "DataTransfer" | "SignCertificate":
                return ACCEPTED
            case _:
                return {}

    def _started_as(self, payload: Payload) -> int:
        """Return the same id for the same start, as an idempotent central system does."""
        key = json.dumps(payload, sort_keys=True)
        return self._started.setdefault(key, 0) or self._given(key)

    def _given(self, key: str) -> int:
        self._started[key] = next(self._transaction_ids)
        return self._started[key]


@asynccontextmanager
async def scripted_central_system() -> AsyncIterator[ScriptedCentralSystem]:
    central_system = ScriptedCentralSystem()
    async with serve(
        central_system.serve,
        "127.0.0.1",
        0,
        subprotocols=[Subprotocol("ocpp1.6")],
        compression=None,
        close_timeout=1,
    ) as server:
        central_system.url = f"ws://127.0.0.1:{port_of(server)}/ocpp"
        yield central_system
    assert central_system.complaints == []


def port_of(server: Server) -> int:
    return int(next(iter(server.sockets)).getsockname()[1])
