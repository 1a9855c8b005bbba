"""``make bench``: the loads of docs/performance.md, the naive reference beside them, one table."""

import json
import platform
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import servers, writing
from benchmarks.load import Failed
from benchmarks.processes import usage
from benchmarks.writing import Measured
from testbench.embedded import EmbeddedPostgres, EmbeddedUnavailable, host

RELAYED = "eletroposto_relay_acknowledged_total"
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table; ``must`` and ``aim`` are the targets as text."""

    what: str
    measured: str
    must: str
    aim: str
    note: str = ""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def saturated(server: EmbeddedPostgres, repeats: int, seconds: float) -> tuple[list[Row], object]:
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


def relayed(server: EmbeddedPostgres, repeats: int, seconds: float) -> tuple[list[Row], object]:
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
            done = servers.metric(metrics, RELAYED) - sent
            if not done:
                raise Failed("the relay handed nothing on during the load")
            relay_cpu.append((usage(pid) - cpu).cpu_s / done * 1000)
            say(f"  relayed {done:,.0f} of {runs[-1].outcome.confirmed:,} meanwhile")
    middle = writing.median(runs)
    return [
        Row("confirmed frames/s, 50 saturated, relay beside",
            f"{middle.outcome.summary()['frames_per_s']:,.0f}", "2,500", "4,000"),
        Row("relay CPU-s per 1,000 readings", f"{sorted(relay_cpu)[len(relay_cpu) // 2]:.3f}",
            "0.20", "0.10"),
    ], [each.summary() for each in runs]  # fmt: skip


def calm(server: EmbeddedPostgres, repeats: int, seconds: float) -> tuple[list[Row], object]:
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


def crowd(server: EmbeddedPostgres, stations: int, seconds: float) -> tuple[list[Row], object]:
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


def storms(server: EmbeddedPostgres) -> tuple[list[Row], object]:
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


def table(rows: list[Row]) -> str:
    """Return the rows as a Markdown table."""
    lines = ["| what | measured | must | aim | note |", "|---|---|---|---|---|"]
    lines += [f"| {r.what} | **{r.measured}** | {r.must} | {r.aim} | {r.note} |" for r in rows]
    return "\n".join(lines)


@app.command()
def main(
    repeats: Annotated[int, typer.Option(help="Runs of which the median counts.")] = 3,
    seconds: Annotated[float, typer.Option(help="Length of a saturating run.")] = 8.0,
    stations: Annotated[int, typer.Option(help="Size of the crowd; 0 leaves it out.")] = 5000,
    crowd_seconds: Annotated[float, typer.Option(help="How long the crowd stays.")] = 60.0,
    output: Annotated[Path | None, typer.Option(help="Also write everything as JSON.")] = None,
) -> None:
    """Measure the write path. Exit code 1, and no figure, where a load cannot be made."""
    rows: list[Row] = []
    raw: dict[str, object] = {"at": datetime.now(UTC).isoformat(), "machine": platform.platform()}
    try:
        with servers.database_server() as server:
            found, raw["saturated"] = saturated(server, repeats, seconds)
            rows += found
            found, raw["relayed"] = relayed(server, repeats, seconds)
            rows += found
            found, raw["calm"] = calm(server, repeats, max(seconds, 20))
            rows += found
            found, raw["storms"] = storms(server)
            rows += found
            if stations:
                found, raw["crowd"] = crowd(server, stations, crowd_seconds)
                rows += found
    except (Failed, EmbeddedUnavailable, OSError) as exc:
        say(f"bench: {exc}")
        raise typer.Exit(1) from None
    print(table(rows))
    if output:
        output.write_text(json.dumps(raw, indent=2))


if __name__ == "__main__":
    app()
