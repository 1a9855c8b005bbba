"""A charge point as cheap as can be made: hand-framed websocket, prepared frames, no library.

It measures other software, so it must cost little beside it. It speaks to any OCPP 1.6J central
system and declines every CALL of it, as a charge point that has none of the optional profiles.
"""

import asyncio
import base64
import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import cast
from urllib.parse import urlsplit

_MEASURANDS = (
    ("Energy.Active.Import.Register", "Wh", "Outlet"),
    ("Power.Active.Import", "W", "Outlet"),
    ("Current.Import", "A", "Outlet"),
    ("Voltage", "V", "Outlet"),
    ("SoC", "Percent", "EV"),
    ("Temperature", "Celsius", "Outlet"),
    ("Current.Offered", "A", "Outlet"),
    ("Power.Offered", "W", "Outlet"),
)


_A_DAY = timedelta(days=1)


class Refused(Exception):
    """The server did not accept the websocket; the message has its first line."""


class Station(asyncio.Protocol):
    """One websocket.

    Attributes:
        on_answer: Called with every answer to a CALL that waits for one, and the seconds it took.
        on_lost: Called once when an open socket ended, unless ``close`` did that.
        clock: When it last read its meter. It begins ``behind`` the present and must not pass it:
            readings from the future are another matter than those that are measured here.
    """

    def __init__(
        self,
        url: str,
        identity: str,
        on_answer: Callable[["Station", bytes, float], None],
        behind: timedelta = _A_DAY,
    ) -> None:
        self.identity = identity
        self.on_answer = on_answer
        self.on_lost: Callable[[Station], None] = lambda station: None
        self.url = url
        self.calls = 0
        self.transaction_id = 0
        self.energy_wh = 0
        self.clock = datetime.now(UTC) - behind
        self.lost = False
        self._sent_at: dict[bytes, float] = {}  # by message id, of what is not answered
        self._url = urlsplit(url)
        self._buffer = bytearray()
        self._closing = False
        self._open: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._open.add_done_callback(lambda opened: opened.cancelled() or opened.exception())
        self._transport: asyncio.Transport | None = None

    @property
    def is_waiting(self) -> bool:
        return bool(self._sent_at)

    async def connect(self) -> None:
        """Connect and finish the handshake.

        Raises:
            Refused: If the answer is not 101.
        """
        loop = asyncio.get_running_loop()
        host, port = self._url.hostname or "127.0.0.1", self._url.port or 80
        await loop.create_connection(lambda: self, host, port)
        await self._open

    def close(self) -> None:
        self._closing = True
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is not a subclass
        if self._closing:
            self._transport.abort()
            return
        key = base64.b64encode(os.urandom(16)).decode()
        path = self._url.path.rstrip("/")
        request = (
            f"GET {path}/{self.identity} HTTP/1.1\r\nHost: {self._url.netloc}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Protocol: ocpp1.6\r\n\r\n"
        )
        self._transport.write(request.encode())

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._open.done():
            self._open.set_exception(Refused(f"{self.identity}: closed during the handshake"))
        elif not self._closing:
            self.lost = True
            self.on_lost(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._open.done() and not self._finish_handshake():
            return
        while (frame := self._next_frame()) is not None:
            opcode, payload = frame
            if opcode == 1:
                self._take(payload)
            elif opcode == 9:
                self._write(0x8A, payload)
            elif opcode == 8 and self._transport is not None:
                self._transport.close()

    def call(self, action: str, payload: str) -> None:
        """Send a CALL; ``payload`` is JSON."""
        self.calls += 1
        message_id = f"{self.identity}-{self.calls}"
        self._sent_at[message_id.encode()] = time.perf_counter()
        self._write(0x81, f'[2,"{message_id}","{action}",{payload}]'.encode())

    def meter_values(self, step: timedelta) -> None:
        """Send a reading of the bench's eight measurands, ``step`` after the last; 1,100 bytes."""
        self.clock += step
        self.energy_wh += 120 + self.calls % 17
        self.call("MeterValues", self._readings(self.clock.strftime("%Y-%m-%dT%H:%M:%SZ")))

    def _take(self, text: bytes) -> None:
        if text[:2] == b"[2":
            message_id = json.loads(text)[1]
            self._write(0x81, json.dumps([4, message_id, "NotImplemented", "", {}]).encode())
            return
        start = text.find(b'"') + 1
        sent_at = self._sent_at.pop(text[start : text.find(b'"', start)], None)
        if sent_at is not None:  # nobody waits for an answer that comes twice
            self.on_answer(self, text, time.perf_counter() - sent_at)

    def _readings(self, at: str) -> str:
        # No two are alike, as of a real meter: repeated text would flatter whoever compresses it.
        noise = self.calls * 7919 % 1009
        values = (
            self.energy_wh,
            46000 + noise,
            70 + noise / 100,
            650 + noise % 97 / 10,
            20 + self.calls % 70,
            30 + noise % 41 / 10,
            125,
            50000,
        )
        samples = ",".join(
            f'{{"value":"{value}","context":"Sample.Periodic","format":"Raw","measurand":"{name}",'
            f'"location":"{location}","unit":"{unit}"}}'
            for value, (name, unit, location) in zip(values, _MEASURANDS, strict=True)
        )
        return (
            f'{{"connectorId":1,"transactionId":{self.transaction_id},'
            f'"meterValue":[{{"timestamp":"{at}","sampledValue":[{samples}]}}]}}'
        )

    def _write(self, first: int, payload: bytes) -> None:
        """Send one frame; a mask of zeros is legal and costs nothing (RFC 6455 5.3)."""
        assert self._transport is not None
        if self._transport.is_closing():
            return
        size = len(payload)
        if size < 126:
            header = bytes((first, 0x80 | size))
        elif size < 65536:
            header = bytes((first, 0xFE)) + size.to_bytes(2, "big")
        else:
            header = bytes((first, 0xFF)) + size.to_bytes(8, "big")
        self._transport.write(header + b"\0\0\0\0" + payload)

    def _finish_handshake(self) -> bool:
        head, found, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        if not found:
            return False
        self._buffer = bytearray(rest)
        status = head.split(b"\r\n", 1)[0].decode()
        if " 101 " in status:
            self._open.set_result(None)
            return True
        self._open.set_exception(Refused(f"{self.identity}: {status}"))
        return False

    def _next_frame(self) -> tuple[int, bytes] | None:
        """Take one whole server frame off the buffer."""
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        size, start = buffer[1] & 0x7F, 2
        if size >= 126:
            start = 4 if size == 126 else 10
            if len(buffer) < start:
                return None
            size = int.from_bytes(buffer[2:start], "big")
        if len(buffer) < start + size:
            return None
        opcode, payload = buffer[0] & 0x0F, bytes(buffer[start : start + size])
        del buffer[: start + size]
        return opcode, payload
