"""DOJOT's stand-in behind a real HTTP server, and a charge point that has a device there."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from testbench.dojot import Faults, StandIn, running
from testbench.embedded import host
from tests.flow_facts import Facts
from tests.reconciling import DEVICE


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def the_dojot() -> AsyncIterator[StandIn]:
    with host.temporary_folder() as folder:
        async with running(folder / "broker") as stand_in:
            yield stand_in


@pytest_asyncio.fixture(loop_scope="module")
async def dojot(the_dojot: StandIn) -> StandIn:
    """The same for all tests, with an empty history and on a good day."""
    the_dojot.faults.change(Faults().model_dump())
    the_dojot.auth.forget_logins()
    for table in ("message", "seen"):
        the_dojot.store.run(f"DELETE FROM {table}")
    return the_dojot


@pytest.fixture
def facts(database_url: str) -> Iterator[Facts]:
    made = Facts(database_url)
    cp = made.charge_point()
    assert cp == 1
    made.conn.execute(
        "INSERT INTO dojot_device (charge_point_id, tenant, device_id, label, template_id)"
        " VALUES (1, 'admin', %s, 'CP-1', '1')",
        [DEVICE],
    )
    made.conn.execute("INSERT INTO dojot_feed DEFAULT VALUES")
    yield made
    made.conn.close()
