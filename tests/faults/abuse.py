"""Every abuse at full size beside honest charge points: ``python -m tests.faults.abuse``.

Fifty charge points send some readings a second and wait for each confirmation, calmly first and
then during each abuse. Printed are the times that 99 of 100 confirmations stay below, the memory
of the central system, and whom it named in its log.
"""

import argparse
import asyncio
import contextlib
import resource
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psycopg

from sql.migrations import migrate
from testbench.embedded import EmbeddedPostgres, host
from testbench.socket import RawChargePoint, connected
from tests.abusers import (
    MEGABYTE,
    Listening,
    basic,
    confirmations_s,
    forget_peak,
    frame,
    p99,
    peak_mb,
    push,
    raw_socket,
    swallow,
)
from tests.acceptance.conftest import CentralSystem, ingest_login
from tests.acceptance.network import minutes_ago

_SETTINGS = {"unknown_charge_points": "refuse", "configure_on_boot": "false"}
_ABUSERS = ("FAST", "HUGE", "ENDLESS", "BIG", "ZIPPER", "DEAF", "PINGER", "ANSWERER", "STEADY")
_KEYED = 200  # registered identities that passwords are guessed of
_AT_ONCE = 500  # connections under way where thousands come one after the other


@dataclass(frozen=True, slots=True)
class Size:
    """How much of each; ``seconds`` is how long what has no end goes on."""

    identities: int
    seconds: float
    handshakes: int


@dataclass(slots=True)
class Seen:
    """What one abuse did to the others.

    Attributes:
        named: Lines of the log that name somebody.
    """

    calm_s: float
    under_s: float
    memory_mb: float
    confirmations: int
    named: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Port:
    """All that an abuser knows of the central system."""

    port: int


Abuse = Callable[[Listening, Size], Awaitable[None]]


async def strangers(central_system: Listening, size: Size) -> None:
    """Identities that nobody knows, from one address."""
    await _knock(central_system, (f"STRANGER-{n}" for n in range(size.identities)))


async def guesses(central_system: Listening, size: Size) -> None:
    """A wrong password for one registered identity after the other."""
    identities = (f"KEYED-{n % _KEYED}" for n in range(size.identities // 4))
    await _knock(central_system, identities, password="guess")


async def slow_handshakes(central_system: Listening, size: Size) -> None:
    """Connections that begin a handshake and leave it at that."""
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(size.handshakes):
            with contextlib.suppress(OSError):
                _, writer, _ = await stack.enter_async_context(raw_socket(central_system))
                writer.write(b"GET /ocpp/SLOW HTTP/1.1\r\nX-")
        await asyncio.sleep(size.seconds)


async def as_fast_as_it_can(central_system: Listening, size: Size) -> None:
    """Frames as many as TCP takes."""
    beats = frame(b'[2,"1","Heartbeat",{}]') * 200
    async with _reading(central_system, "FAST") as writer:
        await push(writer, beats, size.seconds)


async def a_thousand_a_second(central_system: Listening, size: Size) -> None:
    """One charge point with 1,000 readings a second."""
    reading = '{"timestamp":"%s","sampledValue":[{"value":"1"}]}'
    body = '[2,"%d","MeterValues",{"connectorId":1,"meterValue":[' + reading + "]}]"
    async with _reading(central_system, "STEADY") as writer:
        for second in range(int(size.seconds)):
            for tenth in range(10):
                texts = [body % (n, minutes_ago(second + n / 1e4)) for n in range(100)]
                await push(writer, b"".join(frame(text.encode()) for text in texts), 0.0001)
                await asyncio.sleep(0.1 if tenth else 0.09)


async def huge_frames(central_system: Listening, size: Size) -> None:
    """Thirty thousand readings in a frame, one frame behind the other."""
    element = '{"timestamp":"%s","sampledValue":[{"value":"%d"}]}'
    elements = ",".join(element % (minutes_ago(n / 1000), n) for n in range(30_000))
    text = f'[2,"1","MeterValues",{{"connectorId":1,"meterValue":[{elements}]}}]'
    async with _reading(central_system, "HUGE") as writer:
        await push(writer, frame(text.encode()), size.seconds)


async def endless_message(central_system: Listening, size: Size) -> None:
    """A message in fragments that never ends, again and again."""
    more = frame(b"x" * 1000, 0, fin=False) * 10
    await _again_and_again(central_system, "ENDLESS", frame(b"[2,", fin=False), more, size)


async def oversized_frame(central_system: Listening, size: Size) -> None:
    """A frame that announces a terabyte, again and again."""
    head = b"\x81\xff" + (2**40).to_bytes(8, "big") + bytes(4)
    await _again_and_again(central_system, "BIG", head, bytes(MEGABYTE), size)


async def compression_bomb(central_system: Listening, size: Size) -> None:
    """Compressed frames, which nobody agreed to."""
    bomb = bytearray(frame(b"\x00" * 1000))
    bomb[0] |= 0x40
    await _again_and_again(central_system, "ZIPPER", bytes(bomb), bytes(bomb), size)


async def answers_unread(central_system: Listening, size: Size) -> None:
    """CALLs whose answers nobody reads."""
    nonsense = frame(b'[2,"' + b"i" * 250 + b'","Nonsense",{}]') * 100
    async with raw_socket(central_system, "DEAF") as (reader, writer, _):
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        await push(writer, nonsense, size.seconds)


async def pings(central_system: Listening, size: Size) -> None:
    """Pings whose pongs nobody reads."""
    async with raw_socket(central_system, "PINGER") as (reader, writer, _):
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        await push(writer, frame(b"p" * 125, 9) * 500, size.seconds)


async def answers_to_nothing(central_system: Listening, size: Size) -> None:
    """Answers to CALLs that were never made."""
    answers = frame(b'[3,"nothing",{"x":"' + b"y" * 2000 + b'"}]') * 50
    async with _reading(central_system, "ANSWERER") as writer:
        await push(writer, answers, size.seconds)


ABUSES: dict[str, Abuse] = {
    "strangers from one address": strangers,
    "passwords guessed over many identities": guesses,
    "slow handshakes": slow_handshakes,
    "frames as fast as TCP takes them": as_fast_as_it_can,
    "1,000 readings a second of one": a_thousand_a_second,
    "30,000 readings in each frame": huge_frames,
    "messages without end": endless_message,
    "frames of a terabyte": oversized_frame,
    "compression bombs": compression_bomb,
    "answers left unread": answers_unread,
    "pings, pongs left unread": pings,
    "answers to nothing": answers_to_nothing,
}


@contextlib.asynccontextmanager
async def _reading(central_system: Listening, identity: str) -> AsyncIterator[asyncio.StreamWriter]:
    """A socket of ``identity`` whose answers are read and forgotten."""
    async with raw_socket(central_system, identity) as (reader, writer, _):
        swallowing = asyncio.create_task(swallow(reader))
        try:
            yield writer
        finally:
            swallowing.cancel()


async def _knock(central_system: Listening, identities: Iterator[str], password: str = "") -> None:
    """Let one identity after the other try to come in, many at a time."""

    async def some() -> None:
        for identity in identities:
            headers = [basic(identity, password)] if password else []
            with contextlib.suppress(OSError, EOFError, TimeoutError):
                async with raw_socket(central_system, identity, *headers, patience_s=60):
                    pass

    await asyncio.gather(*(some() for _ in range(_AT_ONCE)))


async def _again_and_again(
    central_system: Listening, identity: str, first: bytes, more: bytes, size: Size
) -> None:
    """Send it on a new socket whenever the one before was closed."""
    end = asyncio.get_running_loop().time() + size.seconds
    while (left := end - asyncio.get_running_loop().time()) > 0:
        with contextlib.suppress(OSError, EOFError, TimeoutError):
            async with raw_socket(central_system, identity) as (reader, writer, _):
                writer.write(first)
                pushing = asyncio.create_task(push(writer, more, left))
                await asyncio.wait_for(swallow(reader), left)
                pushing.cancel()
        await asyncio.sleep(0.05)


async def abused(central_system: CentralSystem, name: str, size: Size) -> None:
    """Abuse it from a process of its own: ours measures how others are served meanwhile."""
    numbers = {"port": central_system.port, **asdict(size)}
    arguments = [word for key, value in numbers.items() for word in (f"--{key}", str(value))]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.faults.abuse", "--only", name, *arguments
    )
    assert await process.wait() == 0, f"{name}: it could not be done"


async def measure(central_system: CentralSystem, name: str, size: Size, honest: int) -> Seen:
    """Let the honest ones go on for a while, then beside the abuse until it is over."""
    async with contextlib.AsyncExitStack() as stack:
        charge_points = [
            await stack.enter_async_context(connected(central_system.url, f"HONEST-{number}"))
            for number in range(honest)
        ]
        calm = await _confirm(charge_points, 3.0)
        log_began = len(central_system.log)
        took = []
        forget_peak(central_system)
        task = asyncio.create_task(abused(central_system, name, size))
        while not task.done():
            took += await _confirm(charge_points, 1.0)
        await task
    lines = central_system.log[log_began:].splitlines()
    named = [line.partition(" WARNING ingest.door ")[2] for line in lines]
    named = [line for line in named if line]
    return Seen(p99(calm), p99(took), peak_mb(central_system), len(took), named)


async def _confirm(charge_points: list[RawChargePoint], seconds: float) -> list[float]:
    took = await asyncio.gather(*(confirmations_s(one, seconds, 0.2) for one in charge_points))
    return [second for one in took for second in one]


def _register(url: str, honest: int) -> None:
    with psycopg.connect(url) as conn, conn.cursor() as cursor:
        identities = [*_ABUSERS, *(f"HONEST-{number}" for number in range(honest))]
        insert = "INSERT INTO charge_point (identity, password_hash) VALUES (%s, %s)"
        cursor.executemany(insert, [(identity, None) for identity in identities])
        hashed = "scrypt$" + "00" * 16 + "$" + "00" * 32
        cursor.executemany(insert, [(f"KEYED-{number}", hashed) for number in range(_KEYED)])


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.faults.abuse", description=__doc__)
    parser.add_argument("--identities", type=int, default=10_000)
    parser.add_argument("--handshakes", type=int, default=13_000)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--honest", type=int, default=50)
    parser.add_argument("--only", default="", help="abuses with this in their name")
    parser.add_argument("--port", type=int, help="abuse who listens there, and measure nothing")
    arguments = parser.parse_args()
    size = Size(arguments.identities, arguments.seconds, arguments.handshakes)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    chosen = [name for name in ABUSES if arguments.only in name]
    if arguments.port is None:
        return campaign(chosen, size, arguments.honest)
    for name in chosen:
        asyncio.run(_alone(ABUSES[name], Port(arguments.port), size))
    return 0


async def _alone(abuse: Abuse, central_system: Listening, size: Size) -> None:
    await abuse(central_system, size)


def campaign(chosen: list[str], size: Size, honest: int) -> int:
    """Start a central system, abuse it in each of these ways, print what was seen."""
    log = Path(tempfile.mkdtemp(prefix="eletroposto-abuse-")) / "ingest.log"
    with (
        host.temporary_folder(in_memory=True) as folder,
        EmbeddedPostgres(folder / "postgres", ephemeral=True) as server,
    ):
        url = server.create_database("abuse")
        migrate(url)
        _register(url, honest)
        central_system = CentralSystem(ingest_login(url), log, _SETTINGS)
        central_system.start()
        print(f"{honest} honest charge points; log in {log}\n", flush=True)
        print("| abuse | p99 calm | p99 under it | confirmations | memory | named |")
        print("|---|---|---|---|---|---|", flush=True)
        for name in chosen:
            _show(name, asyncio.run(measure(central_system, name, size, honest)))
        is_alive, ended = central_system.is_alive, central_system.stop()
    tracebacks = central_system.log.count("Traceback")
    print(f"\ntracebacks {tracebacks}, exit code {ended}")
    return 0 if is_alive and not ended and not tracebacks else 1


def _show(name: str, seen: Seen) -> None:
    named = f"{len(seen.named)}: {seen.named[0][:70]}" if seen.named else "nobody"
    print(
        f"| {name} | {seen.calm_s * 1000:.0f} ms | {seen.under_s * 1000:.0f} ms"
        f" | {seen.confirmations} | {seen.memory_mb:.0f} MB | {named} |",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
