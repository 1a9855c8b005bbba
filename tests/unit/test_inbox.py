"""CALLs wait in their order, not without limit, and are left where nobody can confirm them."""

import asyncio
from datetime import UTC, datetime

from ingest.frames import Call
from ingest.inbox import Inbox

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Desk:
    """Handles a CALL when it is let, and notes in which order."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.let = asyncio.Semaphore(0)
        self.one_more = asyncio.Condition()
        self.inbox = Inbox(self.handle)

    async def handle(self, call: Call, raw: str, received_at: datetime) -> None:
        self.begun.append(call.message_id)
        await self.let.acquire()
        async with self.one_more:
            self.ended.append(call.message_id)
            self.one_more.notify_all()

    async def put(self, name: str, raw: str = "[]") -> None:
        await self.inbox.put(Call(name, "Heartbeat", {}), raw, NOW)

    async def handled(self, *names: str) -> None:
        async with asyncio.timeout(5), self.one_more:
            await self.one_more.wait_for(lambda: self.ended == list(names))


async def test_one_is_handled_at_a_time_in_the_order_they_came() -> None:
    desk = Desk()
    for name in ("a", "b", "c"):
        await desk.put(name)
    await asyncio.sleep(0)
    assert desk.begun == ["a"]

    for _ in range(3):
        desk.let.release()
    await desk.handled("a", "b", "c")
    await desk.put("d")  # after a pause there is somebody to handle it again
    desk.let.release()
    await desk.handled("a", "b", "c", "d")


async def test_who_sends_many_has_to_wait_for_room() -> None:
    desk = Desk()
    for number in range(32):
        await desk.put(str(number))
    one_more = asyncio.create_task(desk.put("32"))
    await asyncio.sleep(0.01)
    assert not one_more.done()

    desk.let.release()
    await asyncio.wait_for(one_more, 5)


async def test_long_ones_need_room_too() -> None:
    desk = Desk()
    await desk.put("long", " " * 1_000_000)
    next_one = asyncio.create_task(desk.put("short"))
    await asyncio.sleep(0.01)
    assert not next_one.done()
    desk.let.release()
    await asyncio.wait_for(next_one, 5)


async def test_nothing_is_handled_once_it_was_given_up() -> None:
    desk = Desk()
    for number in range(32):
        await desk.put(str(number))
    waiting = asyncio.create_task(desk.put("32"))
    await asyncio.sleep(0.01)
    desk.inbox.give_up()
    desk.let.release()
    await asyncio.wait_for(waiting, 5)
    await desk.put("33")
    await desk.handled("0")
    await asyncio.sleep(0.01)
    assert desk.begun == ["0"]
