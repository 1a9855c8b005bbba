"""The stand-in as strict as DOJOT, and somebody who is logged in there."""

from collections.abc import AsyncIterator

import httpx
import pytest_asyncio

from testbench.dojot import StandIn
from tests.dojot_client import log_in


@pytest_asyncio.fixture(loop_scope="session")
async def dojot(dojot: StandIn) -> StandIn:
    dojot.faults.limit_logins = True
    dojot.auth.forget_logins()
    return dojot


@pytest_asyncio.fixture(loop_scope="session")
async def api(dojot: StandIn) -> AsyncIterator[httpx.AsyncClient]:
    """A client that is logged in as admin."""
    async with httpx.AsyncClient(base_url=dojot.url, verify=False, timeout=10) as client:
        answer = await log_in(client)
        client.headers["Authorization"] = f"Bearer {answer.json()['jwt']}"
        yield client
