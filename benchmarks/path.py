"""The write path: saturated, calm, in crowds and storms; the naive reference in the same run."""

import time
from dataclasses import dataclass

from benchmarks import servers, writing
from benchmarks.load import Failed
from benchmarks.processes import usage
from benchmarks.tables import Findings, Table, say
from benchmarks.writing import Measured
from testbench.embedded import EmbeddedPostgres, host

RELAYED = "eletroposto_relay_acknowledged_total"
_PATIENCE_S = 60


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table; ``must`` and ``aim`` are the targets as text."""

    what: str
    measured: str
    must: str
    aim: str
    note: str = ""

    def cells(self) -> tuple[str, ...]:
        return self.what, f"**{self.measured}**", self.must, self.aim, self.note


Found = tuple[list[Row], object]


def collect(
    findings: Findings,
    server: EmbeddedPostgres,
    repeats: int,
    seconds: float,
    stations: int,
    crowd_seconds: float,
) -> None:
    """Measure every row of the table of targets; ``stations`` 0 leaves the crowd out."""
    found = {
        "saturated": saturated(server, repeats, seconds),
        "relayed": relayed(server, repeats, seconds),
        "calm": calm(server, repeats, max(seconds, 20)),
        "storms": storms(server),
    }
    if stations:
        found["crowd"] = crowd(server, stations, crowd_seconds)
    rows = [row.cells() for rows, _ in found.values() for row in rows]
    title = "Write path (2 cores shared with load generator and database)"
    columns = ("what", "measured", "must", "aim", "note")
    runs = {name: raw for name, (_, raw) in found.items()}
    findings.add(Table("write-path", title, columns, rows), runs)


def saturated(server: EmbeddedPostgres, repeats: int, seconds: float) -> Found:
    """50 stations that never pause, ours and the naive reference by turns."""
    mine: list[Measured] = []
    theirs: list[Measured] = []
    with servers.ours(server) as ours, servers.naive(server) as naive:
        for number in range(repeats):
            say(f"50 saturated stations, round {number + 1} of {repeats}")
            mine.append(writing.measure(ours, server, writing.saturating(50, seconds)))
            theirs.append(writing.measure(naive, server, writing.saturating(50, seconds)))
    best, base = writing.median(mine), writing.median(theirs)
    times = writing.ratio(mine, theirs)
    facts = best.outcome.summary()
    rows = [
        Row(
            "confirmed frames/s, 50 saturated, relay stopped",
            f"{facts['frames_per_s']:,.0f}",
            "4,000",
            "7,000",
            f"{times:.1f} x the naive reference ({base.outcome.summary()['frames_per_s']:,.0f})",
        ),
        Row("p95 confirmation, 50 saturated", f"{facts['p95_ms']:.1f} ms", "20 ms", "8 ms",
            f"naive {base.outcome.summary()['p95_ms']:.0f} ms"),
        Row("ingest CPU-s per 1,000 frames", f"{best.cpu_ms_per_frame:.3f}", "0.15", "0.10",
            f"naive {base.cpu_ms_per_frame:.2f}"),
        Row("PostgreSQL CPU-s per 1,000 frames", f"{best.database_cpu_ms_per_frame:.3f}", "0.10",
            "0.05", f"naive {base.database_cpu_ms_per_frame:.2f}"),
    ]  # fmt: skip
    return rows, [each.summary() for each in mine + theirs]


def relayed(server: EmbeddedPostgres, repeats: int, seconds: float) -> Found:
    """50 stations that never pause, the relay handing every reading on beside them."""
    runs: list[Measured] = []
    relay_cpu: list[float] = []
    with (
        host.temporary_folder() as folder,
        servers.ours(server) as ours,
        servers.relay(server, ours, folder) as (pid, metrics),
    ):
        for number in range(repeats):
            say(f"50 saturated stations beside the relay, round {number + 1} of {repeats}")
            sent, cpu = servers.metric(metrics, RELAYED), usage(pid)
            runs.append(writing.measure(ours, server, writing.saturating(50, seconds)))
            done = _handed_on(metrics, sent)
            relay_cpu.append((usage(pid) - cpu).cpu_s / done * 1000)
            say(f"  relayed {done:,.0f} of {runs[-1].outcome.confirmed:,} meanwhile")
    middle = writing.median(runs)
    return [
        Row("confirmed frames/s, 50 saturated, relay beside",
            f"{middle.outcome.summary()['frames_per_s']:,.0f}", "2,500", "4,000"),
        Row("relay CPU-s per 1,000 readings", f"{sorted(relay_cpu)[len(relay_cpu) // 2]:.3f}",
            "0.20", "0.10"),
    ], [each.summary() for each in runs]  # fmt: skip


def _handed_on(metrics: str, before: float) -> float:
    """Return how many readings the relay handed on; the first ones wait for their devices."""
    end = time.monotonic() + _PATIENCE_S
    while not (done := servers.metric(metrics, RELAYED) - before):
        if time.monotonic() > end:
            raise Failed(f"the relay handed nothing on for {_PATIENCE_S} s")
        time.sleep(0.5)
    return done


def calm(server: EmbeddedPostgres, repeats: int, seconds: float) -> Found:
    """500 stations at one reading per 10 s."""
    with servers.ours(server) as ours:
        runs = []
        for number in range(repeats):
            say(f"500 stations at one per 10 s, round {number + 1} of {repeats}")
            runs.append(writing.measure(ours, server, writing.paced(500, seconds)))
    ordered = sorted(runs, key=lambda each: each.outcome.percentile_ms(95))
    middle = ordered[len(ordered) // 2].outcome
    return [
        Row("p95 confirmation, 500 at one per 10 s", f"{middle.percentile_ms(95):.1f} ms",
            "12 ms", "6 ms", f"p99 {middle.percentile_ms(99):.1f} ms"),
    ], [each.summary() for each in runs]  # fmt: skip


def crowd(server: EmbeddedPostgres, stations: int, seconds: float) -> Found:
    """Thousands of stations at one reading per 10 s, every one of them in a transaction."""
    with servers.ours(server) as ours:
        say(f"{stations:,} stations at one per 10 s for {seconds:g} s")
        run = writing.measure(ours, server, writing.paced(stations, seconds))
    verdict = "all stored" if not run.outcome.errors else f"{run.outcome.errors} ERRORS"
    return [
        Row(f"p99, {stations:,} stations at one per 10 s",
            f"{run.outcome.percentile_ms(99):.0f} ms",
            "5,000 under 1 s", "10,000 in 512 MB",
            f"{verdict}, {run.rss_mb:.0f} MB RSS, ingest {run.cpu_ms_per_frame:.3f} CPU-s/1,000"),
    ], run.summary()  # fmt: skip


def storms(server: EmbeddedPostgres) -> Found:
    """Everybody at once."""
    with servers.ours(server) as ours:
        say("500 StartTransactions at one instant; 500 reconnects at once, 3 times")
        starts = writing.measure(ours, server, writing.starting(500))
        returns = writing.measure(ours, server, writing.reconnecting(500, 3))
    rows = [
        Row(what, f"{run.outcome.errors} errors, p99 {run.outcome.percentile_ms(99):.0f} ms",
            "0, p99 < 1 s", "p99 < 0.3 s", f"in {run.outcome.seconds:.2f} s")
        for what, run in (("500 starts at once", starts), ("500 reconnects, 3 times", returns))
    ]  # fmt: skip
    return rows, [starts.summary(), returns.summary()]
