"""The load generator: it counts right, and where it cannot measure it says why and no figure."""

import asyncio
import json
import os
import resource
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import uvloop
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from benchmarks import foreign, writing
from benchmarks.load import Failed
from benchmarks.servers import OURS, System
from testbench.embedded import EmbeddedPostgres, host
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


def choosy(frame: list[Any]) -> list[Any]:
    if frame[2] == "BootNotification":
        return [3, frame[1], {"status": "Rejected", "interval": 300, "currentTime": "x"}]
    return willing(frame)


def without_a_number(frame: list[Any]) -> list[Any]:
    if frame[2] == "StartTransaction":
        return [3, frame[1], {"idTagInfo": {"status": "Accepted"}}]
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


async def bench(
    *words: str, files: int | None = None, environment: Mapping[str, str] | None = None
) -> Spoken:
    """Run the benchmarks in a process of their own, with as many file descriptors as said."""

    def limit() -> None:
        if files is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))

    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks", "--repeats", "1", "--seconds", "0.2", *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=limit,
        env=environment,
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
    url = f"ws://127.0.0.1:{host.free_port()}/ocpp"
    check_it_gave_up(await bench("--url", url), f"cannot reach {url}: Connection refused")


@pytest.mark.parametrize("status", [HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE])
async def test_a_server_that_lets_nobody_in(status: HTTPStatus) -> None:
    async with central_system(refuse=status) as url:
        said = await bench("--url", url)
    check_it_gave_up(said, "the server refused LOAD-")
    assert f"HTTP/1.1 {status.value}" in said.err


@pytest.mark.parametrize(
    ("answer", "action"),
    [(choosy, "BootNotification"), (without_a_number, "StartTransaction")],
)
async def test_a_server_that_takes_nobody_on(answer: Answer, action: str) -> None:
    async with central_system(answer) as url:
        said = await bench("--url", url)
    check_it_gave_up(said, f"{action} was answered b'[3, ")


@pytest.mark.parametrize(
    "url",
    [
        "localhost:9000/ocpp",
        "http://127.0.0.1:9000",
        "ws://127.0.0.1:abc/ocpp",
        "ws://127.0.0.1:99999",
        "ws:///ocpp",
        "ws://[::1/ocpp",
        "",
    ],
)
def test_no_address(url: str) -> None:
    with pytest.raises(Failed, match="is no address like ws://HOST:PORT/PATH"):
        foreign.check(url)


def test_tls_is_not_spoken() -> None:
    with pytest.raises(Failed, match="speaks no TLS"):
        foreign.check("wss://127.0.0.1:9000/ocpp")


async def test_what_is_missing_is_said_before_the_first_load(tmp_path: Path) -> None:
    without_browser = os.environ | {"PATH": str(tmp_path)}
    no_folder = tmp_path / "missing" / "bench.json"

    blind = await bench("--stations", "0", environment=without_browser)
    homeless = await bench("--output", str(no_folder))

    check_it_gave_up(blind, "no Chromium was found")
    check_it_gave_up(homeless, f"--output {no_folder}")
    assert blind.err.count("\n") == homeless.err.count("\n") == 1, "nothing was begun"


async def test_a_browser_that_does_not_start(tmp_path: Path) -> None:
    browser = tmp_path / "chromium"
    browser.write_text("#!/bin/sh\nexit 1\n")
    browser.chmod(0o755)

    said = await bench("--stations", "0", environment=os.environ | {"PATH": str(tmp_path)})

    check_it_gave_up(said, f"{browser} does not start: ")


async def test_loads_before_the_one_that_failed_are_told() -> None:
    boots = 0

    def full_house(frame: list[Any]) -> list[Any]:
        nonlocal boots
        boots += frame[2] == "BootNotification"
        return choosy(frame) if boots > 50 else willing(frame)

    async with central_system(full_house) as url:
        said = await bench("--url", url)

    reason = "INCOMPLETE: 500 at one per 10 s failed: BootNotification was answered"
    assert said.code == 1
    assert "| 50 saturated |" in said.out
    assert "| 500 " not in said.out
    assert reason in said.out
    assert f"bench: {reason}" in said.err
    assert "Traceback" not in said.err


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
    said = await bench("--url", f"ws://127.0.0.1:{host.free_port()}", files=100)
    check_it_gave_up(said, "50 sockets need 250 file descriptors, the limit is 100")


@asynccontextmanager
async def inquisitive(seen: list[list[Any]]) -> AsyncIterator[str]:
    """A central system that calls before each answer, and says everything twice."""

    async def talk(websocket: ServerConnection) -> None:
        async for text in websocket:
            seen.append(frame := json.loads(text))
            if frame[0] != 2:
                continue
            await websocket.send(json.dumps([2, f"ours-{frame[1]}", "GetConfiguration", {}]))
            for _ in range(2):
                await websocket.send(json.dumps(willing(frame)))

    async with serve(talk, "127.0.0.1", 0, subprotocols=[Subprotocol("ocpp1.6")]) as server:
        yield f"ws://127.0.0.1:{port_of(server)}/ocpp"


async def test_calls_of_the_central_system_are_declined_and_start_nothing() -> None:
    seen: list[list[Any]] = []
    async with inquisitive(seen) as url:
        outcome = await writing.go(writing.saturating(1, 0.2), (url,))

    calls = [frame for frame in seen if frame[0] == 2]
    declined = [frame for frame in seen if frame[0] != 2]
    assert [frame[:3] for frame in declined] == [
        [4, f"ours-{frame[1]}", "NotImplemented"] for frame in calls
    ]
    assert outcome.confirmed == len(calls) - 2, "all but the boot and the start, each once"
    assert len({frame[1] for frame in calls}) == len(calls)


async def test_a_station_that_waits_for_an_answer_leaves_a_reading_out() -> None:
    readings: list[str] = []

    async def talk(websocket: ServerConnection) -> None:
        async for text in websocket:
            frame = json.loads(text)
            if frame[2] == "MeterValues":
                readings.append(frame[1])
                await asyncio.sleep(0.25)
            await websocket.send(json.dumps(willing(frame)))

    async with serve(talk, "127.0.0.1", 0, subprotocols=[Subprotocol("ocpp1.6")]) as server:
        url = f"ws://127.0.0.1:{port_of(server)}"
        outcome = await writing.go(writing.paced(1, 1.0, interval_s=0.1), (url,))

    assert outcome.confirmed == len(readings)
    assert outcome.skipped == 10 - len(readings) > 0
    assert outcome.percentile_ms(50) >= 250


def ours(network: Network, **other: str) -> System:
    counts: Any = {**OURS} | other
    return System("ours", (network.url,), (os.getpid(),), network.database_url, counts)


def test_storms_are_counted_in_the_database(
    network: Network, postgres_server: EmbeddedPostgres
) -> None:
    prefix = writing.new_prefix()
    system = ours(network)

    starts = writing.measure(system, postgres_server, writing.starting(5), prefix)
    returns = writing.measure(system, postgres_server, writing.reconnecting(5, 2), prefix)

    assert (starts.rows, returns.rows) == (5, 10)
    known = "SELECT count(*) FROM charge_point WHERE identity LIKE %s"
    assert network.ask(known, [f"{prefix}-%"]) == [(5,)], "the same ones came back"


@pytest.mark.parametrize(
    ("load", "stores"),
    [
        (writing.saturating(1, 0.1), "readings"),
        (writing.starting(3), "transactions"),
        (writing.reconnecting(3, 1), "boots"),
    ],
)
def test_what_was_confirmed_and_is_not_stored_is_a_failure(
    network: Network, postgres_server: EmbeddedPostgres, load: writing.Load, stores: str
) -> None:
    forgetful = ours(network, **{stores: "SELECT 0"})

    with pytest.raises(Failed, match=rf"ours: confirmed \d+ {stores}, stored 0"):
        writing.measure(forgetful, postgres_server, load)


def test_what_it_counts_is_what_is_stored(network: Network) -> None:
    ((before,),) = network.ask("SELECT count(*) FROM meter_value")

    saturated = uvloop.run(writing.go(writing.saturating(5, 0.5), (network.url,)))
    paced = uvloop.run(writing.go(writing.paced(20, 1, interval_s=0.5), (network.url,)))
    prefix = writing.new_prefix()
    alone = uvloop.run(writing.go(writing.saturating(1, 0.2), (network.url,), prefix=prefix))

    ((stored,),) = network.ask("SELECT count(*) - %s FROM meter_value", [before])
    assert stored == saturated.confirmed + paced.confirmed + alone.confirmed
    assert paced.confirmed == 40, "20 stations, twice each"
    ((span_s,),) = network.ask(
        "SELECT extract(EPOCH FROM max(sampled_at) - min(sampled_at))::int FROM report.meter_value"
        " WHERE charge_point LIKE %s",
        [f"{prefix}-%"],
    )
    assert span_s == alone.confirmed - 1, "a day of the clock lasts for 86,400 readings"
    assert 0 < saturated.percentile_ms(50) <= saturated.percentile_ms(99) < 1000 * 60


def test_every_replica_gets_its_share(network: Network) -> None:
    dead = f"ws://127.0.0.1:{host.free_port()}/ocpp"

    with pytest.raises(Failed, match=f"cannot reach {dead}"):
        uvloop.run(writing.go(writing.saturating(2, 0.2), (network.url, dead)))
