"""How the work of a process ends."""

import asyncio

from ingest.process import end_all


async def test_work_that_misses_its_cancellation_ends_all_the_same() -> None:
    lost = 0

    async def forgetful() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                lost += 1
                if lost == 2:
                    raise

    tasks = [asyncio.create_task(forgetful()), asyncio.create_task(asyncio.sleep(60))]
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await end_all(tasks)

    assert [task.cancelled() for task in tasks] == [True, True]
