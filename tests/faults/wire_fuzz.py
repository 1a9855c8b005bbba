"""Mutated frames at a running central system: ``python -m tests.faults.wire_fuzz [--frames N]``.

Beside the sockets that send nonsense an honest charge point goes on. Nothing may end its socket,
no exception may reach the log, and the central system must still be the same process at the end.
"""

import argparse
import asyncio
import itertools
import json
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from sql.migrations import migrate
from testbench.embedded import EmbeddedPostgres, host
from testbench.socket import connected
from tests.acceptance.conftest import CentralSystem
from tests.faults.mutations import FRAMES, Mutator

SETTINGS = {
    "unknown_charge_points": "accept",
    "configure_on_boot": "false",
    "frames_per_second": "1000000",
    "log_level": "ERROR",
    # Who sends so much reads, and answers pings, in between only.
    "ping_interval": "300",
}
_AT_ONCE = 200  # frames between two heartbeats, which prove that all before were handled


@dataclass
class Tally:
    """What came of it; ``closed`` counts sockets that ended though every frame was legal."""

    sent: int = 0
    answered: int = 0
    honest: int = 0
    closed: list[str] = field(default_factory=list)


async def fuzz(central_system: CentralSystem, frames: int, sockets: int, seed: int) -> Tally:
    """Send ``frames`` mutated frames over ``sockets`` connections."""
    tally = Tally()
    async with connected(central_system.url, "HONEST") as honest:

        async def go_on() -> None:
            while True:
                await honest.call("Heartbeat", within=60)
                tally.honest += 1
                await asyncio.sleep(0.05)

        honestly = asyncio.create_task(go_on())
        async with asyncio.TaskGroup() as group:
            for number in range(sockets):
                mutator = Mutator(seed + number, FRAMES)
                share = frames // sockets
                group.create_task(_one(central_system, f"FUZZ-{number}", mutator, share, tally))
        if honestly.done():
            tally.closed.append(f"the honest one: {honestly.exception()!r}")
        honestly.cancel()
        await asyncio.gather(honestly, return_exceptions=True)
    return tally


async def _one(
    central_system: CentralSystem, identity: str, mutator: Mutator, left: int, tally: Tally
) -> None:
    numbers = itertools.count()
    while left > 0:
        async with connect(
            f"{central_system.url}/{identity}",
            subprotocols=[Subprotocol("ocpp1.6")],
            compression=None,
            ping_interval=None,
            proxy=None,
            max_size=None,
        ) as websocket:
            try:
                while left > 0:
                    await _burst(websocket, mutator, f"beat-{next(numbers)}", tally)
                    left -= _AT_ONCE
            except ConnectionClosed as exc:
                tally.closed.append(f"{identity}: {exc}")
                left -= _AT_ONCE


async def _burst(websocket: ClientConnection, mutator: Mutator, beat: str, tally: Tally) -> None:
    for _ in range(_AT_ONCE):
        await websocket.send(mutator.next())  # a binary frame: its bytes need be no text
    await websocket.send(json.dumps([2, beat, "Heartbeat", {}]))
    tally.sent += _AT_ONCE
    while True:
        async with asyncio.timeout(120):
            answer = json.loads(await websocket.recv())
        assert answer[0] in (3, 4), answer
        if answer[1] == beat:
            return
        tally.answered += 1


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.faults.wire_fuzz", description=__doc__)
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--sockets", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    log = Path(tempfile.mkdtemp(prefix="eletroposto-fuzz-")) / "ingest.log"
    with (
        host.temporary_folder(in_memory=True) as folder,
        EmbeddedPostgres(folder / "postgres", ephemeral=True) as server,
    ):
        url = server.create_database("fuzz")
        migrate(url)
        central_system = CentralSystem(url, log, SETTINGS)
        central_system.start()
        pid, began = central_system.pid, time.monotonic()
        tally = asyncio.run(
            fuzz(central_system, arguments.frames, arguments.sockets, arguments.seed)
        )
        took = time.monotonic() - began
        is_same = central_system.is_alive and central_system.pid == pid
        ended = central_system.stop()
        with psycopg.connect(url) as conn:
            logged = kept(conn)
    tracebacks = central_system.log.count("Traceback")
    print(
        f"seed {arguments.seed}: {tally.sent} mutated frames in {took:.0f} s over"
        f" {arguments.sockets} sockets, {tally.answered} answered, {logged} in the raw log;"
        f" honest heartbeats {tally.honest}; sockets closed {len(tally.closed)},"
        f" tracebacks {tracebacks}, exit code {ended} ({log})"
    )
    for case in tally.closed[:10]:
        print(f"CLOSED: {case}")
    is_clean = is_same and not tally.closed and not tracebacks and not ended
    return 0 if is_clean and logged >= tally.sent else 1


def kept(conn: psycopg.Connection[tuple[int]]) -> int:
    """Count the mutated frames in the raw log."""
    row = conn.execute(
        "SELECT count(*) FROM ocpp_message AS msg"
        " INNER JOIN charge_point AS cp ON msg.charge_point_id = cp.charge_point_id"
        " WHERE cp.identity LIKE 'FUZZ-%' AND raw NOT LIKE '%\"beat-%'"
    ).fetchone()
    return int(row[0]) if row else 0


if __name__ == "__main__":
    sys.exit(main())
