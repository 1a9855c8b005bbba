"""The write path: saturated, calm, in crowds and storms; the naive reference in the same run."""

import statistics
from dataclasses import dataclass

from benchmarks import relaying, servers, writing
from benchmarks.servers import System
from benchmarks.tables import Findings, Table, say
from benchmarks.writing import Load, Measured
from testbench.embedded import EmbeddedPostgres


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
    findings.begin("write path")
    found = {
        "saturated": saturated(server, repeats, seconds),
        "relayed": relayed(server, repeats, seconds),
        "calm": calm(server, repeats, max(seconds, 20)),
        "storms": storms(server, repeats),
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
    naive_rate = writing.median(theirs, "frames_per_s")
    rows = [
        Row(
            "confirmed frames/s, 50 saturated, relay stopped",
            f"{writing.median(mine, 'frames_per_s'):,.0f}",
            "4,000",
            "7,000",
            f"{writing.ratio(mine, theirs):.1f} x the naive reference ({naive_rate:,.0f})",
        ),
        Row("p95 confirmation, 50 saturated", f"{writing.median(mine, 'p95_ms'):.1f} ms",
            "20 ms", "8 ms", f"naive {writing.median(theirs, 'p95_ms'):.0f} ms"),
        Row("ingest CPU-s per 1,000 frames", f"{writing.median(mine, 'cpu_s_per_1000'):.3f}",
            "0.15", "0.10", f"naive {writing.median(theirs, 'cpu_s_per_1000'):.2f}"),
        Row("PostgreSQL CPU-s per 1,000 frames",
            f"{writing.median(mine, 'database_cpu_s_per_1000'):.3f}", "0.10", "0.05",
            f"naive {writing.median(theirs, 'database_cpu_s_per_1000'):.2f}"),
    ]  # fmt: skip
    return rows, [each.summary() for each in mine + theirs]


def relayed(server: EmbeddedPostgres, repeats: int, seconds: float) -> Found:
    """50 stations that never pause, the relay handing every reading on beside them.

    Each round begins once DOJOT knows its stations and nothing is left of the round before.
    """
    runs: list[Measured] = []
    share: list[float] = []
    relay_cpu: list[float] = []
    with servers.ours(server) as ours, relaying.relay(ours) as relay:
        for number in range(repeats):
            say(f"50 saturated stations beside the relay, round {number + 1} of {repeats}")
            load = writing.saturating(50, seconds, relay.ready)
            runs.append(writing.measure(ours, server, load, beside=relay.look))
            share.append(relay.handed_on() / runs[-1].outcome.confirmed)
            relay_cpu.append(relay.cpu_s_per_1000())
    return [
        Row("confirmed frames/s, 50 saturated, relay beside",
            f"{writing.median(runs, 'frames_per_s'):,.0f}", "2,500", "4,000",
            f"{statistics.median(share):.0%} of the readings handed on meanwhile"),
        Row("relay CPU-s per 1,000 readings", f"{statistics.median(relay_cpu):.3f}",
            "0.20", "0.10"),
    ], [
        run.summary() | {"handed_on": round(part, 3), "relay_cpu_s_per_1000": round(cpu, 4)}
        for run, part, cpu in zip(runs, share, relay_cpu, strict=True)
    ]  # fmt: skip


def calm(server: EmbeddedPostgres, repeats: int, seconds: float) -> Found:
    """500 stations at one reading per 10 s."""
    with servers.ours(server) as ours:
        runs = []
        for number in range(repeats):
            say(f"500 stations at one per 10 s, round {number + 1} of {repeats}")
            runs.append(writing.measure(ours, server, writing.paced(500, seconds)))
    return [
        Row("p95 confirmation, 500 at one per 10 s", f"{writing.median(runs, 'p95_ms'):.1f} ms",
            "12 ms", "6 ms", f"p99 {writing.median(runs, 'p99_ms'):.1f} ms"),
    ], [each.summary() for each in runs]  # fmt: skip


def crowd(server: EmbeddedPostgres, stations: int, seconds: float) -> Found:
    """Thousands of stations at one reading per 10 s, every one of them in a transaction."""
    with servers.ours(server) as ours:
        say(f"{stations:,} stations at one per 10 s for {seconds:g} s")
        run = writing.measure(ours, server, writing.paced(stations, seconds))
    return [
        Row(f"p99, {stations:,} stations at one per 10 s",
            f"{run.outcome.percentile_ms(99):.0f} ms",
            "5,000 under 1 s", "10,000 in 512 MB",
            f"one run of {seconds:g} s: {told(run)}, {run.rss_mb:.0f} MB RSS,"
            f" ingest {run.cpu_ms_per_frame:.3f} CPU-s/1,000"),
    ], run.summary()  # fmt: skip


def told(run: Measured) -> str:
    """What became of the readings of a paced load."""
    skipped = run.outcome.skipped
    return f"{skipped} left out, the others stored" if skipped else "all stored"


def storms(server: EmbeddedPostgres, repeats: int) -> Found:
    """Everybody at once: transactions, and stations that come back three times."""
    loads = {
        "500 starts at once": writing.starting(500),
        "500 reconnects, 3 times": writing.reconnecting(500, 3),
    }
    with servers.ours(server) as ours:
        found = {name: _storm(server, ours, repeats, name, load) for name, load in loads.items()}
    rows = [
        Row(name, f"0 errors, p99 {writing.median(runs, 'p99_ms'):.0f} ms",
            "0, p99 < 1 s", "p99 < 0.3 s", f"in {writing.median(runs, 'seconds'):.2f} s")
        for name, runs in found.items()
    ]  # fmt: skip
    return rows, {name: [each.summary() for each in runs] for name, runs in found.items()}


def _storm(
    server: EmbeddedPostgres, ours: System, repeats: int, name: str, load: Load
) -> list[Measured]:
    say(f"{name}, {repeats} rounds")
    return [writing.measure(ours, server, load) for _ in range(repeats)]
