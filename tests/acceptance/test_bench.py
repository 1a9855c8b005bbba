"""The load generator: it counts right, and where it cannot measure it says why and no figure."""

import asyncio
import json
import resource
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import pytest
import uvloop
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from benchmarks import writing
from benchmarks.load import Failed
from tests.acceptance.conftest import free_port
from tests.acceptance.network import Network
from tests.acceptance.operator_desk import Spoken
from tests.scripted_central_system import port_of

Answer = Callable[[list[Any]], list[Any] | None]


def willing(frame: list[Any]) -> list[Any]:
    """Answer as a central system that is well."""
    now = datetime.now(UTC).isoformat()
    payload = {
        "BootNotification": {"status": "Accepted", "interval": 300, "currentTime": now},
        "StartTransaction": {"transactionId": 1, "idTagInfo": {"status": "Accepted"}},
    }
    return [3, frame[1], payload.get(frame[2], {})]


def unwell(frame: list[Any]) -> list[Any]:
    if frame[2] == "MeterValues":
        return [4, frame[1], "InternalError", "not stored, please repeat", {}]
    return willing(frame)


def full(frame: list[Any]) -> list[Any] | None:
    """Close the sockets when readings come, as one whose database is full."""
    return None if frame[2] == "MeterValues" else willing(frame)


@asynccontextmanager
async def central_system(
    answer: Answer = willing, refuse: HTTPStatus | None = None
) -> AsyncIterator[str]:
    async def talk(websocket: ServerConnection) -> None:
        async for text in websocket:
            if (frame := answer(json.loads(text))) is None:
                await websocket.close(1013)
                return
            await websocket.send(json.dumps(frame))

    def judge(websocket: ServerConnection, request: Request) -> Response | None:
        return None if refuse is None else websocket.respond(refuse, "no\n")

    async with serve(
        talk,
        "127.0.0.1",
        0,
        subprotocols=[Subprotocol("ocpp1.6")],
        process_request=judge,
        compression=None,
    ) as server:
        yield f"ws://127.0.0.1:{port_of(server)}/ocpp"


async def bench(*words: str, files: int | None = None) -> Spoken:
    """Run the benchmarks in a process of their own, with as many file descriptors as said."""

    def limit() -> None:
        if files is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))

    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks", "--repeats", "1", "--seconds", "0.2", *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=limit,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return Spoken(process.returncode, out.decode(), err.decode())


def check_it_gave_up(said: Spoken, reason: str) -> None:
    assert (said.code, said.out) == (1, ""), said
    assert f"bench: {reason}" in said.err
    assert "Traceback" not in said.err, said.err
    assert "never retrieved" not in said.err, said.err


async def test_nobody_there() -> None:
    url = f"ws://127.0.0.1:{free_port()}/ocpp"
    check_it_gave_up(await bench("--url", url), f"cannot reach {url}: Connection refused")


@pytest.mark.parametrize("status", [HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE])
async def test_a_server_that_lets_nobody_in(status: HTTPStatus) -> None:
    async with central_system(refuse=status) as url:
        said = await bench("--url", url)
    check_it_gave_up(said, "the server refused LOAD-")
    assert f"HTTP/1.1 {status.value}" in said.err


async def test_a_server_that_confirms_nothing() -> None:
    async with central_system(unwell) as url:
        said = await bench("--url", url)
    assert "CALLs were not confirmed, the first: [4" in said.err
    check_it_gave_up(said, "")


async def test_a_server_that_closes_the_sockets() -> None:
    async with central_system(full) as url:
        said = await bench("--url", url)
    check_it_gave_up(said, "the server closed 50 of 50 sockets during the load")


async def test_too_few_file_descriptors() -> None:
    said = await bench("--url", f"ws://127.0.0.1:{free_port()}", files=100)
    check_it_gave_up(said, "50 sockets need 250 file descriptors, the limit is 100")


def test_what_it_counts_is_what_is_stored(network: Network) -> None:
    ((before,),) = network.ask("SELECT count(*) FROM meter_value")

    saturated = uvloop.run(writing.go(writing.saturating(5, 0.5), (network.url,)))
    paced = uvloop.run(writing.go(writing.paced(20, 1, interval_s=0.5), (network.url,)))

    ((stored,),) = network.ask("SELECT count(*) - %s FROM meter_value", [before])
    assert stored == saturated.confirmed + paced.confirmed
    assert paced.confirmed == 40, "20 stations, twice each"
    assert 0 < saturated.percentile_ms(50) <= saturated.percentile_ms(99) < 1000 * 60


def test_every_replica_gets_its_share(network: Network) -> None:
    dead = f"ws://127.0.0.1:{free_port()}/ocpp"

    with pytest.raises(Failed, match=f"cannot reach {dead}"):
        uvloop.run(writing.go(writing.saturating(2, 0.2), (network.url, dead)))
