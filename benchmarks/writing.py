"""The write path under load: frames per second, CPU, percentiles, rows counted afterwards."""

import os
import statistics
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import uvloop

from benchmarks import load
from benchmarks.load import Failed, Outcome, Watch
from benchmarks.processes import usage
from benchmarks.servers import System, stored, want_descriptors
from testbench.embedded import EmbeddedPostgres

Load = Callable[[Sequence[str], str, Watch], Awaitable[Outcome]]


@dataclass(slots=True)
class Measured:
    """One load on one system.

    Attributes:
        rss_mb: Of the central system, with all sockets open at the end of the load.
        host_load: Load average of the machine when it ended: how quiet it was.
    """

    system: str
    outcome: Outcome
    cpu_ms_per_frame: float
    database_cpu_ms_per_frame: float
    rss_mb: float
    rows: int
    host_load: float = field(default_factory=lambda: os.getloadavg()[0])

    def summary(self) -> dict[str, object]:
        return {
            "system": self.system,
            **self.outcome.summary(),
            "cpu_s_per_1000": round(self.cpu_ms_per_frame, 4),
            "database_cpu_s_per_1000": round(self.database_cpu_ms_per_frame, 4),
            "rss_mb": round(self.rss_mb, 1),
            "rows": self.rows,
            "host_load": round(self.host_load, 2),
        }


def measure(system: System, server: EmbeddedPostgres, run: Load) -> Measured:
    """Put one load on one system and count what it stored.

    CPU is counted from the first frame that counts to the last, without connecting and booting.

    Raises:
        Failed: If a confirmed reading is not stored: then no figure means anything.
    """
    assert server.pid is not None
    before = stored(system)
    central, database = Clock(*system.pids), Clock(server.pid)

    def watch() -> None:
        central.look()
        database.look()

    outcome = uvloop.run(go(run, system.urls, watch))
    rows = stored(system) - before
    if rows < outcome.meter_values:
        raise Failed(f"{system.name}: confirmed {outcome.meter_values} readings, stored {rows}")
    thousands = max(outcome.confirmed, 1) / 1000
    return Measured(
        system.name,
        outcome,
        central.spent_s / thousands,
        database.spent_s / thousands,
        central.rss_bytes / 1e6,
        rows,
    )


async def go(run: Load, urls: Sequence[str], watch: Watch = lambda: None) -> Outcome:
    """Make a load with charge points that nobody has seen before."""
    return await run(urls, f"LOAD-{uuid.uuid4().hex[:8]}", watch)


class Clock:
    """CPU seconds of processes between the first look and the last, memory at the last."""

    def __init__(self, *pids: int) -> None:
        self._pids = pids
        self._first_s: float | None = None
        self._last_s = 0.0
        self.rss_bytes = 0

    def look(self) -> None:
        found = [usage(pid) for pid in self._pids]
        self._last_s = sum(each.cpu_s for each in found)
        self.rss_bytes = sum(each.rss_bytes for each in found)
        if self._first_s is None:
            self._first_s = self._last_s

    @property
    def spent_s(self) -> float:
        return 0.0 if self._first_s is None else self._last_s - self._first_s


def median(measured: list[Measured]) -> Measured:
    """Return the run in the middle by frames per second."""
    ordered = sorted(measured, key=lambda each: each.outcome.confirmed / each.outcome.seconds)
    return ordered[len(ordered) // 2]


def ratio(ours: list[Measured], other: list[Measured]) -> float:
    """Return the median of the ratios of frames per second, run by run."""
    return statistics.median(
        (mine.outcome.confirmed / mine.outcome.seconds)
        / (theirs.outcome.confirmed / theirs.outcome.seconds)
        for mine, theirs in zip(ours, other, strict=True)
    )


def saturating(stations: int, seconds: float) -> Load:
    want_descriptors(stations)
    return lambda urls, prefix, watch: load.saturate(urls, prefix, stations, seconds, watch)


def paced(stations: int, seconds: float, interval_s: float = 10.0) -> Load:
    want_descriptors(stations)
    return lambda urls, prefix, watch: load.paced(
        urls, prefix, stations, interval_s, seconds, watch
    )


def starting(stations: int) -> Load:
    want_descriptors(stations)
    return lambda urls, prefix, watch: load.start_storm(urls, prefix, stations, watch)


def reconnecting(stations: int, times: int) -> Load:
    want_descriptors(stations)
    return lambda urls, prefix, watch: load.reconnect_storm(urls, prefix, stations, times, watch)
