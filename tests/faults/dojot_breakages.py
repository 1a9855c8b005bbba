"""The ways in which DOJOT's side breaks: relay, stand-in, broker, and its own known faults."""

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from testbench.dojot import Faults
from tests.faults.breakages import Breakage, name_of
from tests.faults.plant import Plant

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
    DOJOT_BREAKAGES[name_of(breakage)] = breakage
    return breakage


@_breaks
async def relay_killed(plant: Plant, chance: random.Random) -> None:
    assert plant.dojot is not None
    plant.dojot.relay.end(signal.SIGKILL)
    await asyncio.sleep(chance.uniform(0, 1))
    plant.dojot.relay.start()


@_breaks
async def relay_and_postgres_killed(plant: Plant, chance: random.Random) -> None:
    assert plant.dojot is not None
    plant.dojot.relay.end(signal.SIGKILL)
    await asyncio.to_thread(plant.postgres.kill)
    plant.dojot.relay.start()
    await asyncio.to_thread(plant.postgres.start)


@_breaks
async def broker_cut_off(plant: Plant, chance: random.Random) -> None:
    assert plant.dojot is not None
    for _ in range(chance.randint(1, 4)):
        await plant.dojot.control("cut-mqtt")
        await asyncio.sleep(chance.uniform(0.1, 0.5))


@_breaks
async def broker_killed(plant: Plant, chance: random.Random) -> None:
    assert plant.dojot is not None
    await plant.dojot.control("broker/stop")
    await asyncio.sleep(chance.uniform(0, 2))
    await plant.dojot.control("broker/start")


@_breaks
async def stand_in_killed(plant: Plant, chance: random.Random) -> None:
    assert plant.dojot is not None
    await asyncio.to_thread(plant.dojot.stand_in.end, signal.SIGKILL)
    await asyncio.sleep(chance.uniform(0, 2))
    await plant.dojot.start_stand_in()


@_breaks
async def relay_stopped_and_continued(plant: Plant, chance: random.Random) -> None:
    """Longer than its claims last: another relay would have its charge points meanwhile."""
    assert plant.dojot is not None and plant.dojot.relay.process is not None
    os.kill(plant.dojot.relay.process.pid, signal.SIGSTOP)
    await asyncio.sleep(chance.uniform(1, 8))
    os.kill(plant.dojot.relay.process.pid, signal.SIGCONT)


@_breaks
async def broker_cuts_young_sessions(plant: Plant, chance: random.Random) -> None:
    async with _switched(plant, cut_after_s=chance.uniform(0.2, 0.6)):
        await asyncio.sleep(chance.uniform(1, 3))


@_breaks
async def dojot_drops(plant: Plant, chance: random.Random) -> None:
    async with _switched(plant, drop_rate=chance.uniform(0.1, 0.9)):
        await asyncio.sleep(chance.uniform(1, 3))


@_breaks
async def dojot_forgets(plant: Plant, chance: random.Random) -> None:
    async with _switched(plant, forget=True):
        await asyncio.sleep(chance.uniform(0.5, 2))


@_breaks
async def dojot_doubles(plant: Plant, chance: random.Random) -> None:
    async with _switched(plant, duplicate_rate=chance.uniform(0.1, 0.9)):
        await asyncio.sleep(chance.uniform(1, 3))


@_breaks
async def dojot_poisoned(plant: Plant, chance: random.Random) -> None:
    """Somebody else's message ends the persister; what queues up behind it is stored later."""
    assert plant.dojot is not None
    await plant.dojot.control("poison")
    await asyncio.sleep(chance.uniform(1, 3))
    await plant.dojot.control("restart-persister?skip_poison=true")


@_breaks
async def api_away(plant: Plant, chance: random.Random) -> None:
    """A relay that starts without it serves the devices that are known."""
    assert plant.dojot is not None
    async with _switched(plant, next_500=-1):
        plant.dojot.relay.end(signal.SIGKILL)
        plant.dojot.relay.start()
        await asyncio.sleep(chance.uniform(2, 5))


@_breaks
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
