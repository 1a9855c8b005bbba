"""Ten thousand stations for ten minutes, the relay beside them; then all of them come back at once.

python -m benchmarks.endurance --stations 10000 --minutes 10
"""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import psycopg
import typer

from benchmarks import servers, writing
from benchmarks.path import RELAYED
from benchmarks.processes import usage
from benchmarks.servers import System
from benchmarks.tables import Findings, Table, publish, say
from benchmarks.writing import Measured
from testbench.embedded import EmbeddedPostgres, host

COLUMNS = ("load", "confirmed", "errors", "p50 ms", "p95 ms", "p99 ms", "ingest MB", "note")


@dataclass(frozen=True, slots=True)
class Plan:
    """How many, how long, and how many begin a transaction at one instant."""

    stations: int = 10_000
    minutes: float = 10.0
    starts: int = 1000
    with_relay: bool = True


def collect(findings: Findings, server: EmbeddedPostgres, plan: Plan) -> None:
    """Measure the crowd first, then its two storms, on one database."""
    with servers.ours(server) as ours:
        crowd, note = _crowd(server, ours, plan)
        say(f"{plan.starts:,} StartTransactions at one instant")
        starts = writing.measure(ours, server, writing.starting(plan.starts))
        say(f"{plan.stations:,} stations reconnect at once")
        returns = writing.measure(ours, server, writing.reconnecting(plan.stations, 1))
    rows = [
        _row(f"{plan.stations:,} at one per 10 s, {plan.minutes:g} min", crowd, note),
        _row(f"{plan.starts:,} starts at once", starts, f"in {starts.outcome.seconds:.1f} s"),
        _row(
            f"{plan.stations:,} reconnect at once", returns, f"in {returns.outcome.seconds:.1f} s"
        ),
    ]
    title = "Endurance, every station in a transaction"
    runs = [each.summary() for each in (crowd, starts, returns)]
    findings.add(Table("endurance", title, COLUMNS, rows), runs)


def _crowd(server: EmbeddedPostgres, ours: System, plan: Plan) -> tuple[Measured, str]:
    load = writing.paced(plan.stations, plan.minutes * 60)
    say(f"{plan.stations:,} stations at one per 10 s for {plan.minutes:g} min")
    with ExitStack() as stack:
        if not plan.with_relay:
            return writing.measure(ours, server, load), "without relay"
        folder = stack.enter_context(host.temporary_folder())
        relay = _Relay(*stack.enter_context(servers.relay(server, ours, folder)))
        is_over = threading.Event()
        pool = stack.enter_context(ThreadPoolExecutor())
        stack.callback(is_over.set)
        known = pool.submit(relay.once_all_are_known, ours, plan.stations, is_over)
        run = writing.measure(ours, server, load)
        is_over.set()
        return run, f"all stored; {relay.since(known.result())}"


@dataclass(frozen=True, slots=True)
class _Relay:
    """What the relay spends on handing on, without making the devices before."""

    pid: int
    metrics: str

    def spent(self) -> tuple[float, float]:
        """Messages handed on so far, and CPU seconds."""
        return servers.metric(self.metrics, RELAYED), usage(self.pid).cpu_s

    def once_all_are_known(
        self, ours: System, stations: int, is_over: threading.Event
    ) -> tuple[float, float] | None:
        """Wait until DOJOT has a device for each; None if that takes longer than the load."""
        with psycopg.connect(ours.database_url, autocommit=True) as conn:
            while not is_over.wait(1):
                row = conn.execute("SELECT count(*) FROM dojot_device").fetchone()
                if row is not None and row[0] >= stations:
                    say(f"  all {stations:,} devices are known")
                    return self.spent()
        return None

    def since(self, before: tuple[float, float] | None) -> str:
        if before is None:
            return "not all devices were known in the end"
        sent, cpu_s = (now - then for now, then in zip(self.spent(), before, strict=True))
        per_1000 = cpu_s / max(sent, 1) * 1000
        return f"{sent:,.0f} handed on once all were known, relay {per_1000:.3f} CPU-s/1,000"


def _row(what: str, run: Measured, note: str) -> tuple[str, ...]:
    outcome = run.outcome
    percentiles = (f"{outcome.percentile_ms(percent):,.0f}" for percent in (50, 95, 99))
    return (
        what,
        f"{outcome.confirmed:,}",
        f"{outcome.errors}",
        *percentiles,
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
