"""The time of the simulation."""

import asyncio
import time
from datetime import UTC, datetime, timedelta


class Clock:
    """Runs ``factor`` times as quick as ours from ``start`` on, until it has caught up with us.

    It never runs ahead of the real time, since a central system rightly distrusts readings from
    the future. A session of seven hours is therefore made quick by starting it seven hours ago.
    """

    def __init__(self, factor: float = 1.0, start: datetime | None = None) -> None:
        if factor <= 0:
            raise ValueError(f"time must move forward, not by {factor}")
        self._factor = factor
        self._start = start or datetime.now(UTC)
        self._began = time.monotonic()

    def now(self) -> datetime:
        elapsed = (time.monotonic() - self._began) * self._factor
        real = datetime.now(UTC)
        if elapsed >= (real - self._start).total_seconds():
            return real
        return self._start + timedelta(seconds=elapsed)

    def _real_seconds_until(self, at: datetime) -> float:
        simulated = self._began + (at - self._start).total_seconds() / self._factor
        real = (at - datetime.now(UTC)).total_seconds()
        return max(simulated - time.monotonic(), real)

    async def sleep(self, seconds: float) -> None:
        await self.sleep_until(self.now() + timedelta(seconds=seconds))

    async def sleep_until(self, at: datetime) -> None:
        await asyncio.sleep(max(0.0, self._real_seconds_until(at)))

    async def wait(self, event: asyncio.Event, until: datetime) -> bool:
        """Return whether ``event`` was set before the clock showed ``until``."""
        try:
            async with asyncio.timeout(max(0.0, self._real_seconds_until(until))):
                await event.wait()
        except TimeoutError:
            return event.is_set()
        return True


def timestamp(at: datetime) -> str:
    """Return ``at`` as OCPP writes it: UTC, milliseconds, Z."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def next_aligned(after: datetime, interval_s: int) -> datetime:
    """Return the first whole multiple of ``interval_s`` since midnight UTC after ``after``."""
    midnight = after.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    passed = (after - midnight) // timedelta(seconds=interval_s) + 1
    return midnight + passed * timedelta(seconds=interval_s)
