"""Ten thousand stations for ten minutes, the relay beside them; then all of them come back at once.

python -m benchmarks.endurance --stations 10000 --minutes 10
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import path, relaying, servers, writing
from benchmarks.servers import System
from benchmarks.tables import Findings, Table, publish, say
from benchmarks.writing import Measured
from testbench.embedded import EmbeddedPostgres

COLUMNS = (
    "load",
    "confirmed",
    "errors",
    "p50 ms",
    "p95 ms",
    "p99 ms",
    "CPU-s per 1,000: ingest",
    "PostgreSQL",
    "ingest MB",
    "note",
)


@dataclass(frozen=True, slots=True)
class Plan:
    """How many, how long, and how many begin a transaction at one instant."""

    stations: int = 10_000
    minutes: float = 10.0
    starts: int = 1000
    with_relay: bool = True


def collect(findings: Findings, server: EmbeddedPostgres, plan: Plan) -> None:
    """Measure the crowd first, then the storms, on one database."""
    findings.begin("endurance")
    crowd_prefix = writing.new_prefix()
    again = writing.reconnecting(plan.stations, 1)
    with servers.ours(server) as ours:
        crowd, note = _crowd(server, ours, plan, crowd_prefix)
        say(f"{plan.starts:,} StartTransactions at one instant")
        starts = writing.measure(ours, server, writing.starting(plan.starts))
        say(f"{plan.stations:,} stations reconnect at once, then as many that nobody knows")
        known = writing.measure(ours, server, again, crowd_prefix)
        unknown = writing.measure(ours, server, again)
    storms = {
        f"{plan.starts:,} starts at once": starts,
        f"{plan.stations:,} reconnect at once, in their transactions": known,
        f"{plan.stations:,} connect at once that nobody knows": unknown,
    }
    rows = [
        _row(f"{plan.stations:,} at one per 10 s, {plan.minutes:g} min", crowd, note),
        *(_row(name, run, f"in {run.outcome.seconds:.1f} s") for name, run in storms.items()),
    ]
    title = "Endurance, every station in a transaction; one run"
    runs = [each.summary() for each in (crowd, *storms.values())]
    findings.add(Table("endurance", title, COLUMNS, rows), runs)


def _crowd(server: EmbeddedPostgres, ours: System, plan: Plan, prefix: str) -> tuple[Measured, str]:
    """Everybody at one reading per 10 s; with the relay, once DOJOT knows everybody."""
    say(f"{plan.stations:,} stations at one per 10 s for {plan.minutes:g} min")
    seconds = plan.minutes * 60
    if not plan.with_relay:
        run = writing.measure(ours, server, writing.paced(plan.stations, seconds), prefix)
        return run, f"{path.told(run)}; without relay"
    with relaying.relay(ours) as relay:
        crowd = writing.paced(plan.stations, seconds, ready=relay.ready)
        run = writing.measure(ours, server, crowd, prefix, relay.look)
    return run, (
        f"{path.told(run)}; {relay.handed_on():,.0f} handed on meanwhile,"
        f" relay {relay.cpu_s_per_1000():.3f} CPU-s/1,000"
    )


def _row(what: str, run: Measured, note: str) -> tuple[str, ...]:
    outcome = run.outcome
    percentiles = (f"{outcome.percentile_ms(percent):,.0f}" for percent in (50, 95, 99))
    return (
        what,
        f"{outcome.confirmed:,}",
        f"{outcome.errors}",
        *percentiles,
        f"{run.cpu_ms_per_frame:.3f}",
        f"{run.database_cpu_ms_per_frame:.3f}",
        f"{run.rss_mb:.0f}",
        note,
    )


def main(
    stations: Annotated[int, typer.Option(min=1)] = 10_000,
    minutes: Annotated[float, typer.Option(min=0.1)] = 10.0,
    starts: Annotated[int, typer.Option(min=1)] = 1000,
    relay: Annotated[bool, typer.Option(help="Hand everything on to DOJOT meanwhile.")] = True,
    output: Annotated[Path | None, typer.Option(help="Also write everything as JSON.")] = None,
) -> None:
    """Measure a large crowd and its storms."""

    def measure(findings: Findings) -> None:
        with servers.database_server() as server:
            collect(findings, server, Plan(stations, minutes, starts, relay))

    publish(measure, output)


if __name__ == "__main__":
    typer.run(main)
