"""Cost as the work grows: more stations at one frame rate, more history in the database.

python -m benchmarks.growth --readings 50
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import psycopg
import typer

from benchmarks import servers, writing
from benchmarks.servers import System
from benchmarks.tables import Findings, Table, publish, say
from benchmarks.writing import Measured
from testbench.embedded import EmbeddedPostgres

STATIONS = (50, 500, 2000, 5000, 10000)
HISTORY_STATIONS = 1000
HISTORY_DAYS = 31
# Reading configurations goes on for longer the more stations came, and is no part of a frame.
_UNASKED = {"ELETROPOSTO_CONFIGURE_ON_BOOT": "false"}
COLUMNS = (
    "CPU-s per 1,000 frames: ingest",
    "database",
    "p50 ms",
    "p95 ms",
    "p99 ms",
    "left out",
    "ingest MB",
    "host load",
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured.

    Attributes:
        rate: Frames a second, whatever the number of stations.
        million_readings: In the database that is not empty.
    """

    stations: tuple[int, ...] = STATIONS
    rate: float = 1000.0
    seconds: float = 20.0
    repeats: int = 3
    million_readings: float = 5.0


def collect(findings: Findings, server: EmbeddedPostgres, plan: Plan) -> None:
    findings.begin("more stations")
    with servers.ours(server, **_UNASKED) as ours:
        _more_stations(findings, server, ours, plan)
    if plan.million_readings:
        findings.begin("more history")
        with (
            servers.ours(server, "empty", **_UNASKED) as empty,
            servers.ours(server, "full", **_UNASKED) as full,
        ):
            _more_history(findings, server, empty, full, plan)


def _more_stations(findings: Findings, server: EmbeddedPostgres, ours: System, plan: Plan) -> None:
    rows, raw = [], []
    for stations in plan.stations:
        runs = []
        for number in range(plan.repeats):
            say(f"{stations:,} stations, {plan.rate:,.0f} frames/s together, round {number + 1}")
            load = writing.paced(stations, plan.seconds, stations / plan.rate)
            runs.append(writing.measure(ours, server, load))
        rows.append((f"{stations:,}", f"{stations / plan.rate:.3g}", *_cells(runs)))
        raw += [each.summary() for each in runs]
    title = f"More stations, {plan.rate:,.0f} frames/s in all"
    columns = ("stations", "each sends every s", *COLUMNS)
    findings.add(Table("stations", title, columns, rows), raw)


def _more_history(
    findings: Findings, server: EmbeddedPostgres, empty: System, full: System, plan: Plan
) -> None:
    say(f"filling a database with {plan.million_readings:g} million readings")
    stored = prefill(full.database_url, round(plan.million_readings * 1e6))
    systems = {"0": empty, f"{stored / 1e6:,.1f} million": full}
    runs: dict[str, list[Measured]] = {name: [] for name in systems}
    for number in range(plan.repeats):
        for name, system in systems.items():
            say(f"{name} readings stored, 500 stations, round {number + 1} of {plan.repeats}")
            load = writing.paced(500, plan.seconds, 500 / plan.rate)
            runs[name].append(writing.measure(system, server, load))
    rows = [(name, *_cells(found)) for name, found in runs.items()]
    title = f"More history, 500 stations, {plan.rate:,.0f} frames/s in all"
    raw = {name: [each.summary() for each in found] for name, found in runs.items()}
    findings.add(Table("history", title, ("readings stored before", *COLUMNS), rows), raw)


def prefill(url: str, readings: int) -> int:
    """Store about so many readings of a thousand other charge points and return how many.

    They are spread over a month up to now in the order of time, as they would have come, so that
    the chunks the load writes to have their share of them.
    """
    step_s = HISTORY_DAYS * 86400 * HISTORY_STATIONS / readings
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(
            "INSERT INTO charge_point (identity)"
            " SELECT 'HISTORY-' || number FROM generate_series(1, %s) AS number",
            [HISTORY_STATIONS],
        )
        stored = 0
        for day in range(HISTORY_DAYS):
            cursor = conn.execute(_FILL, {"days_ago": HISTORY_DAYS - day, "step_s": step_s})
            stored += cursor.rowcount
        conn.execute("ANALYZE meter_value")
        conn.execute("CHECKPOINT")
    return stored


_FILL = """
INSERT INTO meter_value (
    sampled_at, charge_point_id, connector_id, context, transaction_id,
    energy_wh, power_w, current_a, voltage_v, soc_percent, temperature_c, current_offered_a, power_offered_w
)
SELECT
    at + charge_point_id * INTERVAL '1 millisecond', charge_point_id, 1, 0, charge_point_id,
    extract(EPOCH FROM at)::bigint %% 100000000, 46800, 71.2, 657.3, 50, 31.5, 125, 50000
FROM generate_series(
    now() - %(days_ago)s * INTERVAL '1 day',
    now() - (%(days_ago)s - 1) * INTERVAL '1 day' - INTERVAL '1 second',
    %(step_s)s * INTERVAL '1 second'
) AS at
CROSS JOIN (SELECT charge_point_id FROM charge_point WHERE identity LIKE 'HISTORY-%%') AS known
"""  # noqa: E501


def _cells(found: list[Measured]) -> tuple[str, ...]:
    return (
        f"**{writing.median(found, 'cpu_s_per_1000'):.3f}**",
        f"{writing.median(found, 'database_cpu_s_per_1000'):.3f}",
        f"{writing.median(found, 'p50_ms'):.1f}",
        f"**{writing.median(found, 'p95_ms'):.1f}**",
        f"{writing.median(found, 'p99_ms'):.1f}",
        f"{sum(each.outcome.skipped for each in found)}",
        f"{writing.median(found, 'rss_mb'):.0f}",
        f"{writing.median(found, 'host_load'):.1f}",
    )


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    stations: Annotated[str, typer.Option(help="Sizes to measure, with commas.")] = ",".join(
        map(str, STATIONS)
    ),
    rate: Annotated[float, typer.Option(min=1, help="Frames a second in all.")] = 1000.0,
    seconds: Annotated[float, typer.Option(min=1, help="Length of a run.")] = 20.0,
    repeats: Annotated[int, typer.Option(min=1)] = 3,
    readings: Annotated[
        float, typer.Option(min=0, help="Million readings of history; 0 leaves that part out.")
    ] = 5.0,
    output: Annotated[Path | None, typer.Option(help="Also write everything as JSON.")] = None,
) -> None:
    """Measure what a frame costs as stations and history grow."""
    sizes = tuple(int(size) for size in stations.split(",") if size)

    def run(findings: Findings) -> None:
        with servers.database_server() as server:
            collect(findings, server, Plan(sizes, rate, seconds, repeats, readings))

    publish(run, output)


if __name__ == "__main__":
    app()
