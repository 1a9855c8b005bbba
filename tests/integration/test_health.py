"""``/healthz`` and ``/readyz`` as those who probe it ask: the balancer, and others."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from ingest.health import serve_health

CONFIGURATION = Path(__file__).parents[2] / "docker/haproxy.cfg"


@asynccontextmanager
async def health(**state: bool) -> AsyncIterator[int]:
    """Serve /healthz and /readyz, and return the port."""
    server = await serve_health("127.0.0.1", 0, CollectorRegistry(), lambda: {"ok": True} | state)
    try:
        yield next(iter(server.sockets)).getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


async def answer(port: int, request: bytes) -> bytes:
    """Send these very bytes and return all that comes back."""
    async with asyncio.timeout(5):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        said = await reader.read()
        writer.close()
        await writer.wait_closed()
    return said


def check_of_the_balancer() -> bytes:
    """The bytes that HAProxy makes of its configuration, as its manual has it."""
    text = CONFIGURATION.read_text()
    options = re.findall(r"^ *option httpchk *(.*)$", text, re.M)
    assert options == [""], "with arguments it is a request of its own, of HTTP/1.0"
    (words,) = re.findall(r"^ *http-check send (.*)$", text, re.M)
    said = dict(re.findall(r"(meth|uri|ver) (\S+)", words))
    headers = re.findall(r"hdr (\S+) (\S+)", words)
    lines = [f"{said.get('meth', 'OPTIONS')} {said.get('uri', '/')} {said.get('ver', 'HTTP/1.0')}"]
    lines += [f"{name.lower()}: {value}" for name, value in headers]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode()


@pytest.mark.parametrize(
    ("is_ready", "status"), [(True, b"200 OK"), (False, b"503 Service Unavailable")]
)
async def test_the_balancer_is_told_whether_to_send_chargers(is_ready: bool, status: bytes) -> None:
    """Not whether all is well: a replica whose database is slow keeps its chargers."""
    request = check_of_the_balancer()
    assert request.startswith(b"GET /readyz HTTP/1.1\r\n")
    async with health(ok=False, ready=is_ready) as port:
        assert (await answer(port, request)).startswith(b"HTTP/1.1 " + status)


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
@pytest.mark.parametrize(("ok", "status"), [(True, 200), (False, 503)])
async def test_who_knows_no_difference_says_the_same_twice(
    path: str, ok: bool, status: int
) -> None:
    async with health(ok=ok) as port:
        said = await answer(port, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert said.startswith(f"HTTP/1.1 {status} ".encode())


async def test_a_probe_of_http_1_0_is_answered_too() -> None:
    async with health() as port:
        said = await answer(port, b"GET /healthz HTTP/1.0\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Connection: close\r\n" in said and said.endswith(b'{"ok": true}\n')
