"""One stand-in for DOJOT serves all tests of a process; each finds it empty and faultless."""

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio

from testbench.dojot import Faults, StandIn, running
from testbench.embedded import host

_REMEMBERED = (
    *("sequence", "template", "attribute", "device", "device_template", "override"),
    *("seen", "message"),
)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def one_dojot() -> AsyncIterator[StandIn]:
    with host.temporary_folder() as folder:
        async with running(folder / "broker") as stand_in:
            yield stand_in


@pytest_asyncio.fixture(loop_scope="session")
async def dojot(one_dojot: StandIn) -> StandIn:
    # The tests log in as often as they like.
    one_dojot.faults.change(Faults().model_dump() | {"limit_logins": False})
    await _quiet(one_dojot)
    for table in _REMEMBERED:
        one_dojot.store.run(f"DELETE FROM {table}")
    one_dojot.counters.clear()
    return one_dojot


async def _quiet(stand_in: StandIn) -> None:
    """What the test before sent last may be on its way still."""
    seen: dict[str, int] | None = None
    while seen != dict(stand_in.counters) or stand_in.persister.waiting:
        seen = dict(stand_in.counters)
        await asyncio.sleep(0.05)
    stand_in.persister.commit()
