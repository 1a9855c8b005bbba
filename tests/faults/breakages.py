"""The ways in which things break. Each breaks, waits, and puts right what an operator would.

What the programs have to put right themselves is left to them.
"""

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, LiteralString

import psycopg

from testbench.dojot import Faults
from tests.faults.plant import Plant

Breakage = Callable[[Plant, random.Random], Awaitable[None]]

_FRAMES_GO_TO: tuple[LiteralString, ...] = ("ocpp_message", "meter_value", "transaction")

BREAKAGES: dict[str, Breakage] = {}
DOJOT_BREAKAGES: dict[str, Breakage] = {}
# Where the broker said "got it" and forgot: DOJOT's own loss, which reconcile_dojot repairs.
LOSE_IN_DOJOT = {"broker killed", "stand in killed", "dojot drops", "dojot forgets"}

# Where neither relay nor broker nor database breaks, DOJOT must get everything once. Elsewhere what
# was on its way is sent again; DOJOT doubles by a switch, and after a poison.
NEVER_DOUBLE_IN_DOJOT = {
    *("ingest killed", "ingest killed twice", "ingest restarted", "ingest stopped and continued"),
    *("network cut", "network torn mid frame", "network half open", "network slow"),
    *("dojot drops", "dojot forgets"),
}


def _breaks(breakage: Breakage) -> Breakage:
    BREAKAGES[_name(breakage)] = breakage
    return breakage


def _breaks_dojot(breakage: Breakage) -> Breakage:
    DOJOT_BREAKAGES[_name(breakage)] = breakage
    return breakage


def _name(breakage: Breakage) -> str:
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
    code = await asyncio.to_thread(plant.central_system.stop)
    assert code == 0, f"ingest ended with {code} after SIGTERM"
    await asyncio.to_thread(plant.central_system.start)


@_breaks
async def ingest_stopped_and_continued(plant: Plant, chance: random.Random) -> None:
    os.kill(plant.central_system.pid, signal.SIGSTOP)
    await asyncio.sleep(chance.uniform(1, 6))
    os.kill(plant.central_system.pid, signal.SIGCONT)


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


# ---------------------------------------------------------------- DOJOT


@_breaks_dojot
async def relay_killed(plant: Plant, chance: random.Random) -> None:
    assert plant.dojot is not None
    plant.dojot.relay.end(signal.SIGKILL)
    await asyncio.sleep(chance.uniform(0, 1))
    plant.dojot.relay.start()


@_breaks_dojot
async def relay_and_postgres_killed(plant: Plant, chance: random.Random) -> None:
    assert plant.dojot is not None
    plant.dojot.relay.end(signal.SIGKILL)
    await asyncio.to_thread(plant.postgres.kill)
    plant.dojot.relay.start()
    await asyncio.to_thread(plant.postgres.start)


@_breaks_dojot
async def broker_cut_off(plant: Plant, chance: random.Random) -> None:
    assert plant.dojot is not None
    for _ in range(chance.randint(1, 4)):
        await plant.dojot.control("cut-mqtt")
        await asyncio.sleep(chance.uniform(0.1, 0.5))


@_breaks_dojot
async def broker_killed(plant: Plant, chance: random.Random) -> None:
    assert plant.dojot is not None
    await plant.dojot.control("broker/stop")
    await asyncio.sleep(chance.uniform(0, 2))
    await plant.dojot.control("broker/start")


@_breaks_dojot
async def stand_in_killed(plant: Plant, chance: random.Random) -> None:
    assert plant.dojot is not None
    await asyncio.to_thread(plant.dojot.stand_in.end, signal.SIGKILL)
    await asyncio.sleep(chance.uniform(0, 2))
    await plant.dojot.start_stand_in()


@_breaks_dojot
async def relay_stopped_and_continued(plant: Plant, chance: random.Random) -> None:
    """Longer than its claims last: another relay would have its charge points meanwhile."""
    assert plant.dojot is not None and plant.dojot.relay.process is not None
    os.kill(plant.dojot.relay.process.pid, signal.SIGSTOP)
    await asyncio.sleep(chance.uniform(1, 8))
    os.kill(plant.dojot.relay.process.pid, signal.SIGCONT)


@_breaks_dojot
async def broker_cuts_young_sessions(plant: Plant, chance: random.Random) -> None:
    async with _switched(plant, cut_after_s=chance.uniform(0.2, 0.6)):
        await asyncio.sleep(chance.uniform(1, 3))


@_breaks_dojot
async def dojot_drops(plant: Plant, chance: random.Random) -> None:
    async with _switched(plant, drop_rate=chance.uniform(0.1, 0.9)):
        await asyncio.sleep(chance.uniform(1, 3))


@_breaks_dojot
async def dojot_forgets(plant: Plant, chance: random.Random) -> None:
    async with _switched(plant, forget=True):
        await asyncio.sleep(chance.uniform(0.5, 2))


@_breaks_dojot
async def dojot_doubles(plant: Plant, chance: random.Random) -> None:
    async with _switched(plant, duplicate_rate=chance.uniform(0.1, 0.9)):
        await asyncio.sleep(chance.uniform(1, 3))


@_breaks_dojot
async def dojot_poisoned(plant: Plant, chance: random.Random) -> None:
    """Somebody else's message ends the persister; what queues up behind it is stored later."""
    assert plant.dojot is not None
    await plant.dojot.control("poison")
    await asyncio.sleep(chance.uniform(1, 3))
    await plant.dojot.control("restart-persister?skip_poison=true")


@_breaks_dojot
async def api_away(plant: Plant, chance: random.Random) -> None:
    """A relay that starts without it serves the devices that are known."""
    assert plant.dojot is not None
    async with _switched(plant, next_500=-1):
        plant.dojot.relay.end(signal.SIGKILL)
        plant.dojot.relay.start()
        await asyncio.sleep(chance.uniform(2, 5))


@_breaks_dojot
async def api_answers_nonsense(plant: Plant, chance: random.Random) -> None:
    """While all devices have to be found again, of which none may be made twice."""
    assert plant.dojot is not None
    counted = ("next_429", "next_500", "next_500_but_done", "next_html", "next_half_json")
    chosen = chance.sample((*counted, "next_wrong_types", "next_403"), 3)
    answers = {name: chance.randint(1, 2) for name in chosen}
    scope = chance.choice(("/device", "/template"))
    async with _switched(plant, http_scope=scope, enforce_exp=True, token_lifetime_s=1, **answers):
        plant.dojot.relay.end(signal.SIGKILL)
        with plant.connect() as conn:
            conn.execute("DELETE FROM dojot_device")
        plant.dojot.relay.start()
        await asyncio.sleep(chance.uniform(2, 6))


# ---------------------------------------------------------------- how


@asynccontextmanager
async def _switched(plant: Plant, **faults: Any) -> AsyncIterator[None]:
    """Turn switches of the stand-in, and back."""
    assert plant.dojot is not None
    usual = Faults().model_dump(include=set(faults))
    await plant.dojot.switch(**faults)
    try:
        yield
    finally:
        await plant.dojot.switch(**usual)


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
