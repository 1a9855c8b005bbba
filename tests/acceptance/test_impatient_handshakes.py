"""Clients that are gone before their handshake is answered."""

import asyncio

import httpx

from tests.acceptance.conftest import StartCentralSystem

HANDSHAKE = (
    "GET /ocpp/{} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Protocol: ocpp1.6\r\n\r\n"
)


async def test_they_leave_no_traceback(start_central_system: StartCentralSystem) -> None:
    central_system = start_central_system(unknown_charge_points="refuse")

    async def knock(number: int) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", central_system.port)
        writer.write(HANDSHAKE.format(f"STRANGER-{number}").encode())
        await writer.drain()
        await asyncio.sleep(0.001 * (number % 20))
        writer.close()

    for _ in range(3):
        await asyncio.gather(*map(knock, range(60)))
    await asyncio.sleep(1)
    assert central_system.is_ready()
    assert "Traceback" not in central_system.log, central_system.log[-2000:]


async def test_who_speaks_no_websocket_is_named_and_counted(
    start_central_system: StartCentralSystem,
) -> None:
    central_system = start_central_system(unknown_charge_points="refuse")

    async def say(request: str) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", central_system.port)
        writer.write(request.encode())
        async with asyncio.timeout(5):
            await reader.read()
        writer.close()

    await say(HANDSHAKE.format("GARAGE 1"))  # the blank is not encoded
    await say(HANDSHAKE.format("CP-1").replace("HTTP/1.1", "HTTP/1.0"))

    async with httpx.AsyncClient() as client:
        counted = await client.get(central_system.health_url + "/metrics")
    assert "eletroposto_malformed_handshakes_total 2.0" in counted.text
    assert central_system.log.count("127.0.0.1: no websocket: ") == 1, "a line a minute is enough"
    assert "GARAGE 1" in central_system.log
