"""The pace of what we ask of our own accord."""

import asyncio
import time
from typing import Any

import pytest
from psycopg_pool import AsyncConnectionPool

from ingest.calls import CallFailed, Calls
from ingest.pace import Line, two_lines

BURST, PER_S = 100, 20


async def nowhere(message_id: str, action: str, payload: dict[str, Any]) -> None:
    """Send nothing: nobody is asked here."""


@pytest.fixture
async def lines() -> tuple[Line, Line]:
    """Two lines whose burst is used up."""
    first, further = two_lines(AsyncConnectionPool("", open=False))
    for _ in range(BURST):
        await first.turn(Calls(nowhere))
    return first, further


async def test_after_a_burst_so_many_a_second_are_asked(lines: tuple[Line, Line]) -> None:
    began = time.monotonic()
    await asyncio.gather(*(lines[0].turn(Calls(nowhere)) for _ in range(10)))
    assert time.monotonic() - began > 9 / PER_S


async def test_who_is_gone_keeps_nobody_waiting(lines: tuple[Line, Line]) -> None:
    gone = Calls(nowhere)
    gone.close()
    waiting = [asyncio.create_task(lines[0].turn(gone)) for _ in range(1000)]
    await asyncio.wait_for(lines[0].turn(Calls(nowhere)), 5)
    for task in waiting:
        with pytest.raises(CallFailed, match="disconnected"):
            await task


async def test_who_has_answered_does_not_stand_behind_all_who_have_not(
    lines: tuple[Line, Line],
) -> None:
    first, further = lines
    crowd = [asyncio.create_task(first.turn(Calls(nowhere))) for _ in range(1000)]
    await asyncio.wait_for(further.turn(Calls(nowhere)), 5)
    for task in crowd:
        task.cancel()
    await asyncio.gather(*crowd, return_exceptions=True)
