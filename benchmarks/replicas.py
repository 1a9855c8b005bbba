"""One replica against two on one database, directly and behind the balancer.

python -m benchmarks.replicas
"""

from pathlib import Path
from typing import Annotated

import typer

from benchmarks import servers, writing
from benchmarks.tables import Findings, Table, publish, say
from benchmarks.writing import Measured
from testbench.embedded import EmbeddedPostgres

COLUMNS = (
    "system",
    "frames/s",
    "of one replica, round by round",
    "p95 ms",
    "CPU-s per 1,000: central system",
    "database",
    "host load",
)


def collect(findings: Findings, server: EmbeddedPostgres, repeats: int, seconds: float) -> None:
    """Measure the three by turns, so that a busy machine is unfair to all of them."""
    findings.begin("replicas")
    runs: dict[str, list[Measured]] = {}
    with servers.ours(server, "one replica") as one, servers.ours_twice(server) as two:
        for number in range(repeats):
            say(f"one replica and two, 50 saturated stations, round {number + 1} of {repeats}")
            for system in (one, *two):
                load = writing.saturating(50, seconds)
                runs.setdefault(system.name, []).append(writing.measure(system, server, load))
    alone = runs[one.name]
    rows = [_cells(name, found, alone) for name, found in runs.items()]
    raw = [each.summary() for found in runs.values() for each in found]
    findings.add(Table("replicas", "Replicas, 50 saturated stations", COLUMNS, rows), raw)


def _cells(name: str, found: list[Measured], alone: list[Measured]) -> tuple[str, ...]:
    return (
        name,
        f"**{writing.median(found, 'frames_per_s'):,.0f}**",
        f"{writing.ratio(found, alone):.2f}",
        f"{writing.median(found, 'p95_ms'):.1f}",
        f"{writing.median(found, 'cpu_s_per_1000'):.3f}",
        f"{writing.median(found, 'database_cpu_s_per_1000'):.3f}",
        f"{writing.median(found, 'host_load'):.1f}",
    )


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    repeats: Annotated[int, typer.Option(min=1)] = 3,
    seconds: Annotated[float, typer.Option(min=0.1, help="Length of a run.")] = 8.0,
    output: Annotated[Path | None, typer.Option(help="Also write everything as JSON.")] = None,
) -> None:
    """Measure the throughput of two replicas on one database."""

    def run(findings: Findings) -> None:
        with servers.database_server() as server:
            collect(findings, server, repeats, seconds)

    publish(run, output)


if __name__ == "__main__":
    app()
