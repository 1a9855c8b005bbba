"""Any central system that speaks OCPP 1.6J: only what is seen from outside can be told."""

import statistics

import uvloop

from benchmarks import writing
from benchmarks.load import Outcome
from benchmarks.tables import Findings, Table, say

COLUMNS = ("load", "frames/s", "p50 ms", "p95 ms", "p99 ms", "errors")


def collect(findings: Findings, url: str, repeats: int, seconds: float) -> None:
    """Measure the central system at ``url``, to which the identity is appended."""
    loads = {
        "50 saturated": writing.saturating(50, seconds),
        "500 at one per 10 s": writing.paced(500, max(seconds, 10)),
        "500 starts at once": writing.starting(500),
        "500 reconnects, 3 times": writing.reconnecting(500, 3),
    }
    rows, runs = [], {}
    for name, load in loads.items():
        say(f"{name}, {repeats} times")
        found = [uvloop.run(writing.go(load, (url,))) for _ in range(repeats)]
        rows.append((name, *_cells(found)))
        runs[name] = [outcome.summary() for outcome in found]
    findings.add(Table("foreign", f"Seen from outside: {url}", COLUMNS, rows), runs)


def _cells(found: list[Outcome]) -> tuple[str, ...]:
    def median(name: str) -> float:
        return statistics.median(outcome.summary()[name] for outcome in found)

    return (
        f"{median('frames_per_s'):,.0f}",
        *(f"{median(f'p{percent}_ms'):.1f}" for percent in (50, 95, 99)),
        str(sum(outcome.errors for outcome in found)),
    )
