"""The connection of a simulated charge point, refused at the door."""

import asyncio
import http
import logging
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from testbench.link import Address, Backoff, Link


async def nobody_comes_in(websocket: ServerConnection) -> None:
    raise AssertionError("it was refused")


def nothing(*_of_a_call: object) -> Any:
    raise AssertionError("it was refused")


async def test_a_refusal_is_told_once_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    asked = asyncio.Event()
    answers = [http.HTTPStatus.UNAUTHORIZED] * 3 + [http.HTTPStatus.NOT_FOUND] * 2

    def refuse(websocket: ServerConnection, request: Request) -> Response:
        status = answers.pop(0)
        if not answers:
            asked.set()
            answers.append(status)
        return websocket.respond(status, "")

    async with serve(nobody_comes_in, "127.0.0.1", 0, process_request=refuse) as server:
        port = server.sockets[0].getsockname()[1]
        address = Address(f"ws://127.0.0.1:{port}/ocpp")
        link = Link("CP-1", address, nothing, backoff=Backoff(0.01, 0.01))
        async with asyncio.TaskGroup() as group:
            keeping = group.create_task(link.keep(nothing))
            async with asyncio.timeout(10):
                await asked.wait()
            keeping.cancel()

    told = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert len(told) == 2
    assert all(text.startswith("CP-1: offline, trying again: ") for text in told)
    assert "401" in told[0]
    assert "404" in told[1]
