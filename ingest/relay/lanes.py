"""From the outbox to the sessions: a lane for what is fresh and one for what is left behind.

The fresh lane takes the newest rows first, so that DOJOT is up to date at once after any pause.
Rows it has no time for, that were committed out of order, that were there before this relay came,
or that are no news (sent again, or stored before there was a feed) are backlog: the other lane
walks through them from the oldest on, at the pace that DOJOT's queues bear (a burst over 10,000
messages is lost there without a sign).
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence

from ingest.allowance import Allowance
from ingest.relay.metrics import Metrics
from ingest.relay.outbox import Outbox, Publication, Row

_FRESH_TIMES = 5  # the fresh lane may be so many times faster than the backlog lane
_GATHERS_S = 1.0  # while nothing is sent
_MOST_ROWS = 2000  # of one pass
_MOST_SECONDS_IN_FLIGHT = 1.0  # of a lane's pace: not more is read than can be sent soon
# Rests: with more to read, with no more just now, at the end of the backlog.
_BUSY_S, _IDLE_S, _END_S = 0.03, 0.15, 1.0


class Speeds:
    """The pace of both lanes, shared by the outboxes of a relay and by the relays of a DOJOT."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.loads: Counter[str] = Counter()  # messages in flight, by lane
        self._clock = clock
        self._rates = {"fresh": rate * _FRESH_TIMES, "backlog": rate}
        self._allowances = {lane: Allowance(rate, _GATHERS_S) for lane, rate in self._rates.items()}
        for lane, rate in self._rates.items():
            self.spend(lane, rate * _GATHERS_S)  # nothing has gathered yet

    def divide(self, relays: int) -> None:
        """Be one of so many relays."""
        for lane, allowance in self._allowances.items():
            allowance.per_s = self._rates[lane] / max(1, relays)

    def room(self, lane: str) -> int:
        """How many messages may be read now: by the pace, and by what is still in flight.

        Half of it, at least one, so that one outbox leaves something for the other.
        """
        allowance = self._allowances[lane]
        in_flight_at_most = max(1, int(allowance.per_s * _MOST_SECONDS_IN_FLIGHT))
        room = min(int(allowance.left(self._clock())), in_flight_at_most - self.loads[lane])
        return max(room // 2, min(room, 1))

    def spend(self, lane: str, messages: float) -> None:
        """May overdraw, since a row is sent whole; the debt is waited for."""
        self._allowances[lane].spend(messages, self._clock())


class Lanes:
    """The two lanes of one outbox; ``deliver`` gets every message.

    Args:
        speeds: Shared by all lanes of the relay.
        shards: The shards this relay may read from just now.
        unavailable: Charge points that cannot be served just now.
    """

    def __init__(
        self,
        outbox: Outbox,
        speeds: Speeds,
        metrics: Metrics,
        shards: Callable[[], frozenset[int]],
        unavailable: Callable[[], list[int]],
        deliver: Callable[[Publication], None],
    ) -> None:
        self._outbox = outbox
        self._speeds = speeds
        self._metrics = metrics
        self._shards = shards
        self._unavailable = unavailable
        self._deliver = deliver
        self._newest: int | None = None
        self._reached = 0

    async def fresh_pass(self) -> float:
        """Send some of the newest rows and return how many seconds to rest."""
        if self._newest is None:
            self._newest = await self._outbox.newest()
        room, shards = self._speeds.room("fresh"), self._shards()
        if room < 1 or not shards:
            return _BUSY_S
        rows = await self._outbox.fresh(
            self._newest, sorted(shards), self._unavailable(), min(room, _MOST_ROWS)
        )
        if not rows:
            return _IDLE_S
        self._newest = rows[0].row_id
        ours = self._ours(rows)
        taken = _fitting(ours, room)
        await self._send("fresh", taken)
        # A few at a time would cost as many queries as if there were many.
        return _IDLE_S if taken == ours and len(rows) < _MOST_ROWS else _BUSY_S

    async def backlog_pass(self) -> float:
        """Send some of the oldest rows and return how many seconds to rest."""
        room, shards = self._speeds.room("backlog"), self._shards()
        if room < 1 or not shards or self._newest is None:
            return _BUSY_S
        rows = await self._outbox.backlog(
            self._reached, self._newest, sorted(shards), self._unavailable(), min(room, _MOST_ROWS)
        )
        if not rows:
            self._reached = 0  # from the start again: what came back or was committed late
            return _END_S
        waiting = [row for row in self._ours(rows) if row.row_id not in self._outbox.in_flight]
        taken = _fitting(waiting, room)
        self._reached = taken[-1].row_id if taken else rows[-1].row_id
        await self._send("backlog", taken)
        return _BUSY_S

    def _ours(self, rows: Sequence[Row]) -> list[Row]:
        """Without those of shards that we began to hand over while the rows were read."""
        shards = self._shards()
        return [row for row in rows if row.shard in shards]

    async def _send(self, lane: str, rows: Sequence[Row]) -> None:
        if not rows:
            return
        messages = await self._outbox.take(rows)
        self._speeds.spend(lane, len(messages))
        self._metrics.published.labels(lane).inc(len(messages))
        for message in messages:
            self._deliver(message)
        await asyncio.sleep(0)


def _fitting(rows: Sequence[Row], room: int) -> list[Row]:
    """The first rows whose readings fit, and at least one."""
    fitting: list[Row] = []
    for row in rows:
        room -= row.readings
        if fitting and room < 0:
            break
        fitting.append(row)
    return fitting
