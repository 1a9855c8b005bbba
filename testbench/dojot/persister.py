"""From Kafka to history: order, delay, poison and retention (contract sections 4b and 7)."""

import asyncio
import logging
import time
from collections import Counter, deque
from dataclasses import dataclass
from typing import Any

from testbench.dojot.faults import Dice, Faults
from testbench.dojot.payloads import DeviceData, Lost, Poison, check_storable, stored_ms
from testbench.dojot.store import Store

logger = logging.getLogger(__name__)

_PAUSE_S = 0.02
_BATCH = 5000


@dataclass(frozen=True, slots=True)
class _Queued:
    due: float
    queued: float
    data: DeviceData


class Persister:
    """One consumer without a guard: a poison message ends it until somebody restarts it."""

    def __init__(self, store: Store, faults: Faults, counters: Counter[str]) -> None:
        self._store = store
        self._faults = faults
        self._counters = counters
        self._dice = Dice()
        self._kafka: deque[_Queued] = deque()
        self._uncommitted: list[_Queued] = []  # dealt with since the consumer last said so
        self._committed_at = time.monotonic()
        self.alive = True

    @property
    def waiting(self) -> int:
        return len(self._kafka)

    def put(self, data: DeviceData) -> None:
        """Hand over a message that the bridge has read; the faults decide what arrives."""
        if self._faults.forget or self._dice.falls(self._faults.drop_rate):
            self._counters["dropped"] += 1
            return
        now = time.monotonic()
        copies = 2 if self._dice.falls(self._faults.duplicate_rate) else 1
        self._counters["duplicated"] += copies - 1
        self._kafka.extend([_Queued(now + self._faults.delay_s, now, data)] * copies)

    def restart(self, skip_poison: bool = False) -> None:
        """Start again where it ended: the poison comes again, unless it is skipped or aged out."""
        oldest = time.monotonic() - self._faults.kafka_retention_s
        while self._kafka and self._kafka[0].queued < oldest:
            self._kafka.popleft()
        if skip_poison:
            self._kafka = deque(item for item in self._kafka if not _is_poison(item.data))
        self.alive = True

    def commit(self) -> None:
        """What was dealt with does not come again."""
        self._uncommitted.clear()
        self._committed_at = time.monotonic()

    async def run(self) -> None:
        swept = float("-inf")
        while True:
            await asyncio.sleep(_PAUSE_S)
            if self.alive:
                self._store_due()
            if time.monotonic() >= swept + self._faults.sweep_every_s:
                self._sweep()
                swept = time.monotonic()

    def _store_due(self) -> None:
        now = time.monotonic()
        if now >= self._committed_at + self._faults.commit_every_s:
            self.commit()
        batch: list[tuple[str, str, int, Any]] = []
        while self._kafka and self._kafka[0].due <= now and len(batch) < _BATCH:
            data = self._kafka[0].data
            try:
                check_storable(data.attrs)
                batch.append((data.tenant, data.device_id, stored_ms(data.timestamp), data.attrs))
            except Lost as lost:
                self._counters["unstorable"] += 1
                logger.warning("%s:%s: lost: %s", data.tenant, data.device_id, lost)
            except Poison as poison:
                self._end(poison)
                break
            self._uncommitted.append(self._kafka.popleft())
        if batch:
            self._store.add_messages(batch)
            self._counters["stored"] += len(batch)

    def _end(self, poison: Poison) -> None:
        """What was stored and not committed comes again, in front of the poison."""
        self.alive = False
        logger.error("persister ended: %s", poison)
        self._kafka.extendleft(reversed(self._uncommitted))
        self.commit()

    def _sweep(self) -> None:
        """Retention counts from the timestamp of the row, not from its arrival."""
        if self._faults.retention_s is not None:
            oldest = time.time() - self._faults.retention_s
            self._counters["expired"] += self._store.forget_older_than(int(oldest * 1000))


def _is_poison(data: DeviceData) -> bool:
    try:
        stored_ms(data.timestamp)
    except Poison:
        return True
    return False
