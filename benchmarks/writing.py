"""The write path under load: frames per second, CPU, percentiles, rows counted afterwards."""

import os
import statistics
import uuid
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

import uvloop

from benchmarks import load as loads
from benchmarks.load import Failed, Outcome, Ready, Watch
from benchmarks.processes import usage
from benchmarks.servers import Stored, System, stored, want_descriptors
from testbench.embedded import EmbeddedPostgres


@dataclass(frozen=True, slots=True)
class Load:
    """What to do to a central system, and what it has to have stored of each CALL it confirmed."""

    stores: Stored
    run: Callable[[Sequence[str], str, Watch], Awaitable[Outcome]]


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


def measure(
    system: System,
    server: EmbeddedPostgres,
    load: Load,
    prefix: str | None = None,
    beside: Watch = lambda: None,
) -> Measured:
    """Put one load on one system and count what it stored.

    CPU is counted from the first frame that counts to the last, without connecting and booting.

    Args:
        prefix: Of the identities; None: of charge points that nobody has seen before.
        beside: Also called when the counted time begins and when it ends.

    Raises:
        Failed: If something confirmed is not stored: then no figure means anything.
    """
    assert server.pid is not None
    before = stored(system, load.stores)
    central, database = Clock(*system.pids), Clock(server.pid)

    def watch() -> None:
        central.look()
        database.look()
        beside()

    outcome = uvloop.run(go(load, system.urls, watch, prefix))
    rows = stored(system, load.stores) - before
    if rows < outcome.confirmed:
        raise Failed(f"{system.name}: confirmed {outcome.confirmed} {load.stores}, stored {rows}")
    thousands = max(outcome.confirmed, 1) / 1000
    return Measured(
        system.name,
        outcome,
        central.spent_s / thousands,
        database.spent_s / thousands,
        central.rss_bytes / 1e6,
        rows,
    )


async def go(
    load: Load, urls: Sequence[str], watch: Watch = lambda: None, prefix: str | None = None
) -> Outcome:
    """Make a load, with charge points that nobody has seen before unless a ``prefix`` is given."""
    return await load.run(urls, prefix or new_prefix(), watch)


def new_prefix() -> str:
    return f"LOAD-{uuid.uuid4().hex[:8]}"


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


def median(found: Iterable[Measured | Outcome], figure: str) -> float:
    """Return the median of one figure of the summaries, whichever run has it."""
    return statistics.median(float(str(each.summary()[figure])) for each in found)


def ratio(ours: list[Measured], other: list[Measured]) -> float:
    """Return the median of the ratios of frames per second, run by run."""
    return statistics.median(
        (mine.outcome.confirmed / mine.outcome.seconds)
        / (theirs.outcome.confirmed / theirs.outcome.seconds)
        for mine, theirs in zip(ours, other, strict=True)
    )


def saturating(stations: int, seconds: float, ready: Ready = loads.nothing) -> Load:
    want_descriptors(stations)
    return Load(
        "readings",
        lambda urls, prefix, watch: loads.saturate(urls, prefix, stations, seconds, watch, ready),
    )


def paced(
    stations: int, seconds: float, interval_s: float = 10.0, ready: Ready = loads.nothing
) -> Load:
    want_descriptors(stations)
    return Load(
        "readings",
        lambda urls, prefix, watch: loads.paced(
            urls, prefix, stations, interval_s, seconds, watch, ready
        ),
    )


def starting(stations: int) -> Load:
    want_descriptors(stations)
    return Load(
        "transactions",
        lambda urls, prefix, watch: loads.start_storm(urls, prefix, stations, watch),
    )


def reconnecting(stations: int, times: int) -> Load:
    want_descriptors(stations)
    return Load(
        "boots",
        lambda urls, prefix, watch: loads.reconnect_storm(urls, prefix, stations, times, watch),
    )
