"""A neutral OCPP-J socket: raw frames out, raw answers in, nothing interpreted in between.

    async with connected(url, "CP-1") as charge_point:
        answer = await charge_point.call("BootNotification", {...})
        await charge_point.send_text("[2,")
        await charge_point.receive()

Answers to a pending ``call`` go to that call. Every other frame waits in line for ``receive``, but
CALLs of the central system go to ``on_call`` where one is given.
"""

import asyncio
import base64
import itertools
import secrets
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

CALL, CALL_RESULT, CALL_ERROR = 2, 3, 4


class CallError(Exception):
    """A CALLERROR, received as an answer or raised by ``on_call`` to be sent as one."""

    def __init__(
        self, code: str, description: str = "", details: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(f"{code}: {description}" if description else code)
        self.code = code
        self.description = description
        self.details = dict(details or {})


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer with something to do once it has left, such as the Boot that follows a Reset."""

    payload: Mapping[str, Any]
    then: Callable[[], object] | None = None


OnCall = Callable[[str, dict[str, Any]], Reply | Mapping[str, Any]]


def call_text(message_id: str, action: str, payload: str) -> str:
    """Return a CALL frame; ``payload`` is JSON already."""
    return f'[2,"{message_id}","{action}",{payload}]'


def to_json(value: object) -> str:
    return orjson.dumps(value).decode()


class RawChargePoint:
    """One websocket of a charge point. Frames are sent as they are given, sense or nonsense."""

    def __init__(
        self, websocket: ClientConnection, charge_point_id: str, on_call: OnCall | None = None
    ) -> None:
        self.websocket = websocket
        self.charge_point_id = charge_point_id
        self._on_call = on_call
        self._pending: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._frames: asyncio.Queue[str | None] = asyncio.Queue()
        self._closed: ConnectionClosed | None = None
        self._prefix = secrets.token_hex(4)
        self._numbers = itertools.count(1)
        self._answering: set[asyncio.Task[None]] = set()
        self._reader = asyncio.create_task(self._read())

    def next_message_id(self) -> str:
        return f"{self._prefix}-{next(self._numbers)}"

    async def send_text(self, text: str | bytes) -> None:
        """Send ``text`` as one frame: a text frame if it is ``str``, else a binary one."""
        await self.websocket.send(text)

    async def send(self, frame: Sequence[Any]) -> None:
        await self.send_text(to_json(frame))

    async def receive_text(self, within: float = 10.0) -> str:
        """Return the next frame that is no answer to a pending ``call``.

        Raises:
            TimeoutError: Nothing came ``within`` so many seconds.
            ConnectionClosed: The socket is closed and every frame was read.
        """
        text = await asyncio.wait_for(self._frames.get(), within)
        if text is None:
            self._frames.put_nowait(None)
            assert self._closed is not None
            raise self._closed
        return text

    async def receive(self, within: float = 10.0) -> Any:
        """Return the next frame, parsed. Raises as ``receive_text`` does."""
        return orjson.loads(await self.receive_text(within))

    async def call(
        self,
        action: str,
        payload: Mapping[str, Any] | str | None = None,
        *,
        message_id: str | None = None,
        within: float = 30.0,
    ) -> dict[str, Any]:
        """Send a CALL and return the payload of its CALLRESULT.

        Args:
            payload: JSON text is sent as it is.

        Raises:
            CallError: The answer was a CALLERROR.
            TimeoutError: No answer ``within`` so many seconds.
            ConnectionClosed: The socket closed first.
        """
        message_id = message_id or self.next_message_id()
        body = payload if isinstance(payload, str) else to_json(payload or {})
        return await self.exchange(message_id, call_text(message_id, action, body), within=within)

    async def exchange(self, message_id: str, text: str, *, within: float = 30.0) -> dict[str, Any]:
        """Send ``text`` as it is and return the answer to ``message_id``. Raises as ``call``."""
        if self._closed is not None:
            raise self._closed
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        answer.add_done_callback(_retrieve)
        self._pending[message_id] = answer
        try:
            await self.websocket.send(text)
            async with asyncio.timeout(within):
                return await answer
        finally:
            del self._pending[message_id]

    async def wait_closed(self) -> ConnectionClosed:
        """Return how the socket closed, once it has."""
        await asyncio.wait({self._reader})
        assert self._closed is not None
        return self._closed

    async def close(self) -> None:
        await self.websocket.close()
        await self.wait_closed()

    async def cut(self) -> None:
        """Drop the connection without a closing handshake, as a lost mobile network does."""
        self.websocket.transport.abort()
        await self.wait_closed()

    async def _read(self) -> None:
        try:
            while True:
                self._take(await self.websocket.recv())
        except ConnectionClosed as closed:
            self._closed = closed
        for answer in self._pending.values():
            if not answer.done():
                answer.set_exception(self._closed)
        self._frames.put_nowait(None)

    def _take(self, data: str | bytes) -> None:
        match _parsed(data):
            case [3, str(message_id), dict(payload)] if message_id in self._pending:
                _settle(self._pending[message_id], payload)
            case [4, str(message_id), str(code), *rest] if message_id in self._pending:
                _settle(self._pending[message_id], CallError(code, *rest[:2]))
            case [2, str(message_id), str(action), dict(payload)] if self._on_call is not None:
                task = asyncio.create_task(self._answer(self._on_call, message_id, action, payload))
                self._answering.add(task)
                task.add_done_callback(self._answering.discard)
            case _:
                text = data if isinstance(data, str) else data.decode(errors="replace")
                self._frames.put_nowait(text)

    async def _answer(
        self, on_call: OnCall, message_id: str, action: str, payload: dict[str, Any]
    ) -> None:
        then = None
        try:
            reply = on_call(action, payload)
        except CallError as error:
            frame = [CALL_ERROR, message_id, error.code, error.description, error.details]
        else:
            reply = reply if isinstance(reply, Reply) else Reply(reply)
            frame = [CALL_RESULT, message_id, reply.payload]
            then = reply.then
        try:
            await self.send(frame)
        except ConnectionClosed:
            return
        if then is not None:
            then()


def _parsed(data: str | bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return None


def _retrieve(answer: asyncio.Future[dict[str, Any]]) -> None:
    # A failed send raises on its own: the same failure in the future is then nobody's news.
    if not answer.cancelled():
        answer.exception()


def _settle(answer: asyncio.Future[dict[str, Any]], outcome: dict[str, Any] | CallError) -> None:
    # The caller may have been cancelled in this very turn of the loop.
    if answer.done():
        return
    if isinstance(outcome, CallError):
        answer.set_exception(outcome)
    else:
        answer.set_result(outcome)


def charge_point_url(url: str, charge_point_id: str) -> str:
    return f"{url.rstrip('/')}/{quote(charge_point_id, safe='')}"


def basic_auth(charge_point_id: str, password: str | bytes) -> dict[str, str]:
    """Return the header of security profiles 1 and 2; ``bytes`` go out as they are (OCPP-J 6)."""
    key = password.encode() if isinstance(password, str) else password
    token = base64.b64encode(charge_point_id.encode() + b":" + key).decode()
    return {"Authorization": f"Basic {token}"}


@asynccontextmanager
async def connected(
    url: str,
    charge_point_id: str,
    *,
    password: str | bytes | None = None,
    ssl_context: ssl.SSLContext | None = None,
    subprotocols: Sequence[str] = ("ocpp1.6",),
    headers: Mapping[str, str] | None = None,
    on_call: OnCall | None = None,
    ping_interval: float | None = None,
    open_timeout: float = 10.0,
) -> AsyncIterator[RawChargePoint]:
    """Connect ``charge_point_id`` to ``url`` (without the identity) and close at the end.

    Raises:
        websockets.exceptions.InvalidStatus: The handshake was refused, for example with 404.
        OSError: Nobody listens.
    """
    given = dict(headers or {})
    if password is not None:
        given |= basic_auth(charge_point_id, password)
    async with connect(
        charge_point_url(url, charge_point_id),
        additional_headers=given,
        subprotocols=[Subprotocol(name) for name in subprotocols] or None,
        ssl=ssl_context,
        compression=None,
        proxy=None,
        ping_interval=ping_interval,
        open_timeout=open_timeout,
        close_timeout=2.0,
        max_size=16 * 2**20,
    ) as websocket:
        charge_point = RawChargePoint(websocket, charge_point_id, on_call)
        try:
            yield charge_point
        finally:
            await charge_point.close()
