"""What we ask of our own accord, at a pace that nobody's frames notice.

A power cut ends, and ten thousand charge points boot at once: each will be asked, one after the
other, while all of them are answered.
"""

import asyncio
from dataclasses import dataclass, field

from psycopg_pool import AsyncConnectionPool

from ingest.allowance import Allowance
from ingest.calls import CallFailed, Calls

_CALLS_PER_S, _CALLS_GATHER_S = 20.0, 5.0  # of the process: a CALL costs about 3 ms of its core
_LOOK_AGAIN_S = 0.05


@dataclass(slots=True)
class Line:
    """Who waits to be asked something, in their order.

    Attributes:
        allowance: Shared by the lines: where several wait, they take turns.
    """

    pool: AsyncConnectionPool
    allowance: Allowance
    _head: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def turn(self, calls: Calls) -> None:
        """Wait until a charge point may be asked; who needs the database otherwise comes first.

        Raises:
            CallFailed: It has gone meanwhile, at no cost for those behind it.
        """
        async with self._head:
            if not calls.closed:
                await asyncio.sleep(self.allowance.spend(1, asyncio.get_running_loop().time()))
                while self.pool.get_stats()["requests_waiting"]:  # noqa: ASYNC110 - it has no event
                    await asyncio.sleep(_LOOK_AGAIN_S)
        if calls.closed:
            raise CallFailed("ConnectionClosed", "the charge point disconnected")


def two_lines(pool: AsyncConnectionPool) -> tuple[Line, Line]:
    """Return the line of first questions, and that of who answered: neither waits for the other."""
    allowance = Allowance(_CALLS_PER_S, _CALLS_GATHER_S)
    return Line(pool, allowance), Line(pool, allowance)
