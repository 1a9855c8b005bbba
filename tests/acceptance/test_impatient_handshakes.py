"""Clients that are gone before their handshake is answered."""

import asyncio

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
