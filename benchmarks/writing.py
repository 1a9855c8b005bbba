"""The write path under load: frames per second, CPU, percentiles, rows counted afterwards."""

import os
import statistics
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import uvloop

from benchmarks import load
from benchmarks.load import Failed, Outcome
from benchmarks.processes import Usage, usage
from benchmarks.servers import System, stored, want_descriptors
from testbench.embedded import EmbeddedPostgres

Load = Callable[[str, str], Awaitable[Outcome]]


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

    Raises:
        Failed: If a confirmed reading is not stored: then no figure means anything.
    """
    assert server.pid is not None
    rows = stored(system)
    with _clock(system.pid) as central, _clock(server.pid) as database:
        outcome = uvloop.run(_run(run, system.url))
    rows = stored(system) - rows
    if rows < outcome.meter_values:
        raise Failed(f"{system.name}: confirmed {outcome.meter_values} readings, stored {rows}")
    thousands = max(outcome.confirmed, 1) / 1000
    return Measured(
        system.name,
        outcome,
        central[0].cpu_s / thousands,
        database[0].cpu_s / thousands,
        central[0].rss_bytes / 1e6,
        rows,
    )


async def _run(run: Load, url: str) -> Outcome:
    return await run(url, f"LOAD-{uuid.uuid4().hex[:8]}")


@contextmanager
def _clock(pid: int) -> Iterator[list[Usage]]:
    """Yield a list that holds the usage in between once the block ended."""
    before = usage(pid)
    spent: list[Usage] = []
    yield spent
    spent.append(usage(pid) - before)


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
    return lambda url, prefix: load.saturate(url, prefix, stations, seconds)


def paced(stations: int, seconds: float, interval_s: float = 10.0) -> Load:
    want_descriptors(stations)
    return lambda url, prefix: load.paced(url, prefix, stations, interval_s, seconds)


def starting(stations: int) -> Load:
    want_descriptors(stations)
    return lambda url, prefix: load.start_storm(url, prefix, stations)


def reconnecting(stations: int, times: int) -> Load:
    want_descriptors(stations)
    return lambda url, prefix: load.reconnect_storm(url, prefix, stations, times)
