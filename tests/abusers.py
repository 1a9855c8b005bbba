"""Those who ask for too much, at the wire: raw TCP where a library would be too well behaved."""

import asyncio
import base64
import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

from testbench.socket import RawChargePoint
from tests.acceptance.conftest import CentralSystem
from tests.acceptance.network import minutes_ago

MEGABYTE = 2**20


class Listening(Protocol):
    """Somebody at a port of this machine."""

    @property
    def port(self) -> int: ...


def memory_mb(central_system: CentralSystem) -> float:
    """The memory that is resident in the process now."""
    return _status_mb(central_system, "VmRSS")


def peak_mb(central_system: CentralSystem) -> float:
    """The most memory that was resident in the process since ``forget_peak``."""
    return _status_mb(central_system, "VmHWM")


def forget_peak(central_system: CentralSystem) -> float:
    """Let the peak begin at what is resident now, and return that."""
    Path(f"/proc/{central_system.pid}/clear_refs").write_text("5")
    return memory_mb(central_system)


def _status_mb(central_system: CentralSystem, name: str) -> float:
    lines = Path(f"/proc/{central_system.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def frame(payload: bytes, opcode: int = 1, *, fin: bool = True) -> bytes:
    """A client frame with a mask of zeros."""
    first = bytes([(0x80 if fin else 0) | opcode])
    size = len(payload)
    if size < 126:
        return first + bytes([0x80 | size, 0, 0, 0, 0]) + payload
    if size < 65536:
        return first + b"\xfe" + size.to_bytes(2, "big") + bytes(4) + payload
    return first + b"\xff" + size.to_bytes(8, "big") + bytes(4) + payload


def handshake(identity: str, *headers: str) -> bytes:
    """The request of a websocket."""
    key = base64.b64encode(os.urandom(16)).decode()
    lines = (
        f"GET /ocpp/{identity} HTTP/1.1",
        "Host: x",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {key}",
        *headers,
        "Sec-WebSocket-Protocol: ocpp1.6",
    )
    return "\r\n".join((*lines, "", "")).encode()


def basic(identity: str, password: str) -> str:
    """The header of Basic authentication."""
    return f"Authorization: Basic {base64.b64encode(f'{identity}:{password}'.encode()).decode()}"


@contextlib.asynccontextmanager
async def raw_socket(
    central_system: Listening,
    identity: str | None = None,
    *headers: str,
    port: int | None = None,
    source: str = "127.0.0.1",
    patience_s: float = 10,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter, bytes]]:
    """A TCP connection, after the handshake of ``identity`` where one is given.

    It has small buffers: what is not read soon fills those of the other side.
    """
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.setblocking(False)
    connection.bind((source, 0))
    loop = asyncio.get_running_loop()
    await loop.sock_connect(connection, ("127.0.0.1", port or central_system.port))
    reader, writer = await asyncio.open_connection(sock=connection)
    try:
        head = b""
        if identity is not None:
            writer.write(handshake(identity, *headers))
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), patience_s)
        yield reader, writer, head
    finally:
        writer.transport.abort()


async def push(writer: asyncio.StreamWriter, data: bytes, seconds: float) -> int:
    """Write ``data`` again and again for as long as the other side takes it; count the times."""
    end, times = time.monotonic() + seconds, 0
    with contextlib.suppress(TimeoutError, ConnectionError):
        while not writer.transport.is_closing() and (left := end - time.monotonic()) > 0:
            writer.write(data)
            times += 1
            async with asyncio.timeout(left):
                await writer.drain()
    return times


async def swallow(reader: asyncio.StreamReader) -> None:
    """Read what comes, until nothing does."""
    with contextlib.suppress(ConnectionError):
        while await reader.read(65536):
            pass


async def was_ended(reader: asyncio.StreamReader, within_s: float = 0.01) -> bool:
    """Return whether the other side has closed or reset the connection."""
    try:
        return await asyncio.wait_for(reader.read(1), within_s) == b""
    except ConnectionError:
        return True
    except TimeoutError:
        return reader.exception() is not None


async def meter_values(charge_point: RawChargePoint) -> None:
    """Send one reading and wait for its confirmation."""
    sample = {"timestamp": minutes_ago(1), "sampledValue": [{"value": "1"}]}
    await charge_point.call("MeterValues", {"connectorId": 1, "meterValue": [sample]}, within=60)


async def confirmations_s(
    charge_point: RawChargePoint, seconds: float, pause_s: float = 0.02
) -> list[float]:
    """Send readings for so long, and return the times to their confirmations."""
    end, took = time.monotonic() + seconds, []
    while time.monotonic() < end:
        began = time.monotonic()
        await meter_values(charge_point)
        took.append(time.monotonic() - began)
        await asyncio.sleep(pause_s)
    return took


def p99(took: list[float]) -> float:
    """The time that 99 of 100 stay below."""
    return sorted(took)[int(len(took) * 0.99)]
