"""The ways in which things break. Each breaks, waits, and puts right what an operator would.

What the programs have to put right themselves is left to them.
"""

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, LiteralString

import httpx
import psycopg
from websockets.exceptions import WebSocketException

from testbench.socket import connected
from tests.acceptance.conftest import CentralSystem
from tests.faults.plant import Plant
from tests.faults.scheduler import scheduled
from tests.faults.shifted_clock import wind

Breakage = Callable[[Plant, random.Random], Awaitable[None]]


class Amiss(Exception):
    """While things were broken something was seen that must not be."""


# These take a minute: once in a campaign is enough.
SELDOM = {"prefect killed", "readings locked for long"}
# Times of the central system may be wrong by an hour in these rounds.
OUR_CLOCK_JUMPS = {"clock jumped"}
_FRAMES_GO_TO: tuple[LiteralString, ...] = ("ocpp_message", "meter_value", "transaction")

_BACK_WITHIN_S = 20
_RUN_WITHIN_S = 90

BREAKAGES: dict[str, Breakage] = {}


def _breaks(breakage: Breakage) -> Breakage:
    BREAKAGES[name_of(breakage)] = breakage
    return breakage


def name_of(breakage: Breakage) -> str:
    return str(getattr(breakage, "__name__", breakage)).replace("_", " ")


# ---------------------------------------------------------------- the central system


@_breaks
async def ingest_killed(plant: Plant, chance: random.Random) -> None:
    plant.central_system.kill()
    await asyncio.sleep(chance.uniform(0, 1))
    await asyncio.to_thread(plant.central_system.start)


@_breaks
async def ingest_killed_twice(plant: Plant, chance: random.Random) -> None:
    """The second time in the storm of the charge points that come back."""
    for _ in range(2):
        plant.central_system.kill()
        await asyncio.to_thread(plant.central_system.start)
        await asyncio.sleep(chance.uniform(0, 0.6))


@_breaks
async def ingest_restarted(plant: Plant, chance: random.Random) -> None:
    if code := await asyncio.to_thread(plant.central_system.stop):
        raise Amiss(f"ingest ended with {code} after SIGTERM")
    await asyncio.to_thread(plant.central_system.start)


@_breaks
async def ingest_stopped_and_continued(plant: Plant, chance: random.Random) -> None:
    os.kill(plant.central_system.pid, signal.SIGSTOP)
    await asyncio.sleep(chance.uniform(1, 6))
    os.kill(plant.central_system.pid, signal.SIGCONT)


@_breaks
async def clock_jumped(plant: Plant, chance: random.Random) -> None:
    """By up to an hour, both ways; then, while it is wrong, sockets are cut or ingest killed."""
    clock = plant.folder / "clock"
    wind(clock, 0)
    async with _run_by(plant, ("tests.faults.shifted_clock", str(clock))):
        held = await asyncio.to_thread(_open_connections, plant)
        for _ in range(chance.randint(2, 4)):
            wind(clock, chance.choice((-1, 1)) * chance.uniform(60, 3600))
            await asyncio.sleep(chance.uniform(0.3, 1.2))
        if left := held - await asyncio.to_thread(_open_connections, plant):
            raise Amiss(f"left when the clock jumped: {left}")
        if chance.random() < 0.5:
            plant.proxy.cut()
        else:
            plant.central_system.kill()
            wind(clock, chance.choice((-1, 1)) * chance.uniform(60, 3600))
            await asyncio.to_thread(plant.central_system.start)
        await _connected_again(plant, len(held))
        wind(clock, 0)
        await asyncio.sleep(chance.uniform(0.3, 1))


# ---------------------------------------------------------------- the database


@_breaks
async def postgres_killed(plant: Plant, chance: random.Random) -> None:
    await asyncio.to_thread(plant.postgres.kill)
    await asyncio.sleep(chance.uniform(0, 1))
    await asyncio.to_thread(plant.postgres.start)


@_breaks
async def postgres_stopped_at_once(plant: Plant, chance: random.Random) -> None:
    await asyncio.to_thread(plant.postgres.stop, immediate=True)
    await asyncio.sleep(chance.uniform(0, 2))
    await asyncio.to_thread(plant.postgres.start)


@_breaks
async def postgres_backend_killed(plant: Plant, chance: random.Random) -> None:
    """The kernel's choice when memory runs out: every backend restarts with it."""
    backends = [pid for pid in _processes(plant) if _is_backend(pid)]
    os.kill(chance.choice(backends), signal.SIGKILL)


@_breaks
async def postgres_frozen(plant: Plant, chance: random.Random) -> None:
    frozen = _processes(plant)
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    await asyncio.sleep(chance.uniform(1, 6))
    for pid in reversed(frozen):
        _continue(pid)


@_breaks
async def database_connections_terminated(plant: Plant, chance: random.Random) -> None:
    for _ in range(chance.randint(1, 4)):
        _terminate(plant)
        await asyncio.sleep(chance.uniform(0.05, 0.5))


@_breaks
async def database_read_only(plant: Plant, chance: random.Random) -> None:
    async with _changed_server(plant, "default_transaction_read_only", "on"):
        await asyncio.sleep(chance.uniform(0.5, 3))


@_breaks
async def database_closed(plant: Plant, chance: random.Random) -> None:
    with plant.administrator() as conn:
        conn.execute("ALTER DATABASE faults ALLOW_CONNECTIONS false")
        _terminate(plant)
        await asyncio.sleep(chance.uniform(0.5, 3))
        conn.execute("ALTER DATABASE faults ALLOW_CONNECTIONS true")


@_breaks
async def database_full(plant: Plant, chance: random.Random) -> None:
    """As the server says it: 53100 on the first write that needs room."""
    with plant.connect() as conn:
        conn.execute(
            "CREATE OR REPLACE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$"
            " BEGIN RAISE EXCEPTION 'No space left on device' USING ERRCODE = '53100'; END $$"
        )
        conn.execute(
            "CREATE TRIGGER full_disk BEFORE INSERT ON ocpp_message"
            " FOR EACH STATEMENT EXECUTE FUNCTION no_room()"
        )
        await asyncio.sleep(chance.uniform(0.5, 3))
        conn.execute("DROP TRIGGER full_disk ON ocpp_message")


@_breaks
async def readings_locked(plant: Plant, chance: random.Random) -> None:
    """By a long migration for example; transactions are numbered before the batch must wait."""
    await _hold(plant, "LOCK TABLE meter_value", chance.uniform(1, 5))


@_breaks
async def readings_locked_too_long(plant: Plant, chance: random.Random) -> None:
    async with _changed_server(plant, "lock_timeout", "150ms"):
        await _hold(plant, "LOCK TABLE meter_value", chance.uniform(1, 2))


@_breaks
async def transactions_locked_too_long(plant: Plant, chance: random.Random) -> None:
    async with _changed_server(plant, "lock_timeout", "150ms"):
        await _hold(plant, "LOCK TABLE transaction, connector", chance.uniform(0.5, 2))


@_breaks
async def readings_locked_for_long(plant: Plant, chance: random.Random) -> None:
    """Beyond the statement timeout of the writer, once or twice: batches fail and come again."""
    await _hold(plant, "LOCK TABLE meter_value", chance.uniform(16, 40))


@_breaks
async def pool_used_up(plant: Plant, chance: random.Random) -> None:
    """Answers to commands wait for a lock, in all connections but the writer's; others knock."""
    strangers = [asyncio.create_task(_knock(plant, f"STRANGER-{n}")) for n in range(8)]
    asked = await asyncio.to_thread(_ask_configurations, plant)
    await _hold(plant, "LOCK TABLE configuration_key", chance.uniform(8, 16))
    await asyncio.gather(*strangers)
    give_up = time.monotonic() + _BACK_WITHIN_S
    while left := await asyncio.to_thread(_unanswered, plant, asked):
        if time.monotonic() > give_up:
            raise Amiss(f"commands whose answers were not stored: {left}")
        await asyncio.sleep(0.2)


@_breaks
async def connections_used_up(plant: Plant, chance: random.Random) -> None:
    taken: list[psycopg.Connection[Any]] = []
    try:
        _terminate(plant)
        for _ in range(100):
            taken.append(await asyncio.to_thread(plant.administrator))
    except psycopg.OperationalError:
        await asyncio.sleep(chance.uniform(0.5, 3))
    finally:
        for conn in taken:
            conn.close()


@_breaks
async def migration_failed(plant: Plant, chance: random.Random) -> None:
    """It holds the tables that frames go to, and ends half done."""
    with suppress(psycopg.errors.DivisionByZero), plant.connect() as conn, conn.transaction():
        await asyncio.to_thread(_widen, conn)
        await asyncio.sleep(chance.uniform(0.5, 3))
        conn.execute("SELECT 1 / 0")


@_breaks
async def migration_applied(plant: Plant, chance: random.Random) -> None:
    """While the central system goes on with statements prepared before it."""
    with plant.connect() as conn:
        with conn.transaction():
            await asyncio.to_thread(_widen, conn)
        await asyncio.sleep(chance.uniform(0.2, 1))
        with conn.transaction():
            for table in _FRAMES_GO_TO:
                await asyncio.to_thread(conn.execute, f"ALTER TABLE {table} DROP COLUMN later")


# ---------------------------------------------------------------- the flows


@_breaks
async def flows_killed(plant: Plant, chance: random.Random) -> None:
    """In the middle of what they compute; the next run does what this one left."""
    flows = plant.flows()
    flows.start()
    await asyncio.sleep(chance.uniform(0.8, 3))
    await asyncio.to_thread(flows.end, signal.SIGKILL)


@_breaks
async def prefect_killed(plant: Plant, chance: random.Random) -> None:
    """The server or who serves the flows, in the middle of a run; then runs are made again."""
    try:
        async with scheduled(plant) as scheduler:
            await scheduler.ask("update")
            await asyncio.sleep(chance.uniform(0.5, 4))
            if chance.random() < 0.5:
                await asyncio.to_thread(scheduler.server.end, signal.SIGKILL)
                await asyncio.sleep(chance.uniform(0, 2))
                await scheduler.start_server()
            else:
                await asyncio.to_thread(scheduler.served.end, signal.SIGKILL)
                await scheduler.start_serving()
            state = await scheduler.state_after(await scheduler.ask("sessions"), _RUN_WITHIN_S)
    except (TimeoutError, httpx.HTTPError) as exc:
        raise Amiss(f"Prefect: {exc!r}") from exc
    if state != "COMPLETED":
        raise Amiss(f"after that a run was {state}")


# ---------------------------------------------------------------- the network


@_breaks
async def network_cut(plant: Plant, chance: random.Random) -> None:
    plant.proxy.refusing = True
    plant.proxy.cut()
    await asyncio.sleep(chance.uniform(0.2, 3))
    plant.proxy.heal()


@_breaks
async def network_torn_mid_frame(plant: Plant, chance: random.Random) -> None:
    for _ in range(chance.randint(2, 6)):
        plant.proxy.tear_after = chance.randint(1, 20_000)
        await asyncio.sleep(chance.uniform(0.2, 0.6))
    plant.proxy.heal()


@_breaks
async def network_half_open(plant: Plant, chance: random.Random) -> None:
    """Bytes vanish in one direction or both; nobody is told. Answers that vanish are repeats."""
    ways = chance.choice((["up"], ["down"], ["down"], ["up", "down"]))
    plant.proxy.swallowing = frozenset(ways)
    await asyncio.sleep(chance.uniform(0.5, 4))
    plant.proxy.heal()


@_breaks
async def network_slow(plant: Plant, chance: random.Random) -> None:
    plant.proxy.delay_s = chance.uniform(0.1, 0.8)
    await asyncio.sleep(chance.uniform(1, 4))
    plant.proxy.heal()


# ---------------------------------------------------------------- two at once


@_breaks
async def ingest_and_postgres_killed(plant: Plant, chance: random.Random) -> None:
    plant.central_system.kill()
    await asyncio.to_thread(plant.postgres.kill)
    await asyncio.to_thread(plant.postgres.start)
    await asyncio.to_thread(plant.central_system.start)


@_breaks
async def answers_lost_then_ingest_killed(plant: Plant, chance: random.Random) -> None:
    plant.proxy.swallowing = frozenset({"down"})
    await asyncio.sleep(chance.uniform(0.2, 1))
    plant.central_system.kill()
    plant.proxy.heal()
    await asyncio.to_thread(plant.central_system.start)


# ---------------------------------------------------------------- how


@asynccontextmanager
async def _run_by(plant: Plant, program: tuple[str, ...]) -> AsyncIterator[None]:
    """Have another program run the central system for a while."""
    usual, count = plant.central_system.program, len(_open_connections(plant))
    await _restarted(plant.central_system, program)
    try:
        await _connected_again(plant, count)
        yield
    finally:
        await _restarted(plant.central_system, usual)


async def _restarted(central_system: CentralSystem, program: tuple[str, ...]) -> None:
    await asyncio.to_thread(central_system.stop)
    central_system.program = program
    await asyncio.to_thread(central_system.start)


def _open_connections(plant: Plant) -> set[tuple[Any, ...]]:
    with plant.connect() as conn:
        return set(
            conn.execute(
                "SELECT charge_point, opened_at FROM report.connection WHERE closed_at IS NULL"
            ).fetchall()
        )


async def _connected_again(plant: Plant, count: int) -> None:
    """Wait until as many charge points are connected, which takes them a second or two."""
    give_up = time.monotonic() + _BACK_WITHIN_S
    while len(found := await asyncio.to_thread(_open_connections, plant)) < count:
        if time.monotonic() > give_up:
            raise Amiss(f"of {count} charge points only {sorted(found)} came back")
        await asyncio.sleep(0.2)


async def _knock(plant: Plant, identity: str) -> None:
    """Try to connect, until somebody has time for it or says no."""
    await asyncio.sleep(0.2)
    with suppress(OSError, WebSocketException):
        async with connected(plant.url, identity, open_timeout=30):
            return


def _ask_configurations(plant: Plant) -> list[int]:
    """Queue a command for every charge point that is connected."""
    with plant.connect() as conn:
        rows = conn.execute(
            "SELECT operation.queue_command(charge_point, 'GetConfiguration', '{}', 'campaign')"
            " FROM report.connection WHERE closed_at IS NULL"
        ).fetchall()
    return [number for (number,) in rows]


def _unanswered(plant: Plant, commands: list[int]) -> list[tuple[Any, ...]]:
    with plant.connect() as conn:
        return conn.execute(
            "SELECT charge_point, status, error_description FROM report.command"
            " WHERE command_id = ANY(%s) AND status <> 'answered'",
            [commands],
        ).fetchall()


def _terminate(plant: Plant) -> None:
    """End every connection to the database but our own."""
    with plant.administrator() as conn:
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'faults'"
        )


def _widen(conn: psycopg.Connection[Any]) -> None:
    for table in _FRAMES_GO_TO:
        conn.execute(f"ALTER TABLE {table} ADD COLUMN later integer")


async def _hold(plant: Plant, lock: str, seconds: float) -> None:
    def take(conn: psycopg.Connection[Any]) -> None:
        conn.execute(lock.encode())

    with plant.connect() as conn, conn.transaction():
        conn.execute("SET LOCAL lock_timeout = 0")
        await asyncio.to_thread(take, conn)
        await asyncio.sleep(seconds)


@asynccontextmanager
async def _changed_server(plant: Plant, name: str, value: str) -> AsyncIterator[None]:
    """Change a setting for all connections, those that are open too."""
    with plant.administrator() as conn:
        conn.execute(f"ALTER SYSTEM SET {name} = '{value}'".encode())
        conn.execute("SELECT pg_reload_conf()")
    try:
        yield
    finally:
        with plant.administrator() as conn:
            conn.execute("SET default_transaction_read_only = off")
            conn.execute(f"ALTER SYSTEM RESET {name}".encode())
            conn.execute("SELECT pg_reload_conf()")


def _processes(plant: Plant) -> list[int]:
    """The postmaster and its children."""
    postmaster = plant.postgres.pid
    assert postmaster is not None
    return [postmaster, *_children(postmaster)]


def _children(pid: int) -> Iterator[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return (int(child) for child in text.split())


def _is_backend(pid: int) -> bool:
    """Whether it serves a connection to the database of the campaign."""
    return b" faults " in Path(f"/proc/{pid}/cmdline").read_bytes()


def _continue(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGCONT)
    except ProcessLookupError:
        return
