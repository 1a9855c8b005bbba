"""The flows on a day of many charge points, with and without a history behind it.

python -m benchmarks.flows
"""

import os
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, LiteralString

import psycopg
import typer

from benchmarks import servers
from benchmarks.tables import Findings, Table, publish, say
from flows.catalogue import UPDATE, carry_out
from flows.scope import Scope
from flows.settings import Settings
from sql.migrations import migrate
from testbench.embedded import EmbeddedPostgres

_HISTORY_EVERY_S = 600  # between readings of the history, unless said otherwise
COLUMNS = ("behind it", "run", "readings", "s", *UPDATE, "PostgreSQL CPU s")

_STATIONS: LiteralString = """
    WITH made AS (
        INSERT INTO charge_point (identity, site)
        SELECT 'CP-' || number, 'site ' || (number %% 20)
        FROM generate_series(1, %(stations)s) AS number
        RETURNING charge_point_id
    )
    INSERT INTO connector (charge_point_id, connector_id, current_type, rated_power_w)
    SELECT charge_point_id, 1, 'DC', 50000 FROM made"""
# Three sessions of 96 min each, 75 kWh, with the statuses around them.
_SESSIONS: LiteralString = """
    WITH made AS (
        INSERT INTO transaction (
            charge_point_id, connector_id, id_tag, id_tag_status, started_at, meter_start_wh,
            stopped_at, meter_stop_wh, reason, changed_at
        )
        SELECT
            cp.charge_point_id, 1, 'T' || cp.charge_point_id %% 50, 'Accepted', began.at,
            (%(days_ago)s * 3 + turn) * 75000.0, began.at + INTERVAL '96 min',
            (%(days_ago)s * 3 + turn + 1) * 75000.0, 'Local',
            now() - (%(days_ago)s - 1) * INTERVAL '1 day'
        FROM charge_point AS cp
        CROSS JOIN generate_series(0, 2) AS turn
        CROSS JOIN LATERAL (
            SELECT
                date_trunc('day', now()) - %(days_ago)s * INTERVAL '1 day'
                + turn * INTERVAL '8 h' + (cp.charge_point_id %% 60) * INTERVAL '1 min' AS at
        ) AS began
        RETURNING charge_point_id, started_at
    )
    INSERT INTO status_notification (
        at, received_at, charge_point_id, connector_id, status, error_code
    )
    SELECT made.started_at + told.after, made.started_at + told.after, made.charge_point_id, 1,
        told.status, 'NoError'
    FROM made
    CROSS JOIN (
        VALUES (INTERVAL '-30 s', 'Preparing'), (INTERVAL '1 s', 'Charging'),
        (INTERVAL '90 min', 'SuspendedEV'), (INTERVAL '96 min', 'Finishing'),
        (INTERVAL '100 min', 'Available')
    ) AS told (after, status)"""
_READINGS: LiteralString = """
    INSERT INTO meter_value (
        sampled_at, energy_wh, transaction_id, charge_point_id, power_w, current_a, voltage_v,
        soc_percent, temperature_c, connector_id, context
    )
    SELECT
        tx.started_at + step.s * INTERVAL '1 s', tx.meter_start_wh + step.s * 75000.0 / 5770,
        tx.transaction_id, tx.charge_point_id, 46800, 78, 600, 20 + step.s / 90.0, 35, 1, 0
    FROM transaction AS tx
    CROSS JOIN generate_series(10, 5760, %(every_s)s) AS step (s)
    WHERE tx.started_at >= date_trunc('day', now()) - %(days_ago)s * INTERVAL '1 day'
        AND tx.started_at < date_trunc('day', now()) - (%(days_ago)s - 1) * INTERVAL '1 day'
    ORDER BY step.s, tx.charge_point_id"""
# Half-way between those that are there.
_LATE_READINGS: LiteralString = _READINGS.replace(
    "generate_series(10,", "generate_series(10 + %(every_s)s / 2,"
)
_TOUCHED: LiteralString = """
    INSERT INTO touched_window (charge_point_id, hour, marked_at)
    SELECT cp.charge_point_id,
        date_trunc('day', now()) - %(days_ago)s * INTERVAL '1 day' + h * INTERVAL '1 h',
        now() - INTERVAL '5 min'
    FROM charge_point AS cp CROSS JOIN generate_series(0, 23) AS h"""


@dataclass(frozen=True, slots=True)
class Plan:
    """A day of 1,000 charge points at 10 s, 4.8 h of charging each: 1.7 million readings.

    The history has as many sessions a day, but a reading every 10 min: it is there to be in the
    way of indexes and chunks, not to be read. With an hour between readings 300 days fit.
    """

    stations: int = 1000
    history_days: int = 10
    repeats: int = 3
    history_every_s: int = _HISTORY_EVERY_S


@dataclass(frozen=True, slots=True)
class Run:
    seconds: float
    parts: dict[str, float]
    cpu_s: float


def collect(findings: Findings, server: EmbeddedPostgres, plan: Plan) -> None:
    """Time the update of a day: for the first time, again, and with a history behind it."""
    findings.begin("flows")
    rows: list[tuple[str, ...]] = []
    for days in (0, plan.history_days):
        database = server.create_database(f"bench_{time.monotonic_ns()}")
        migrate(database)
        say(f"flows: {days} days of history of {plan.stations} charge points")
        readings = _prepare(database, plan, days)
        behind = f"{days} days" if days else "nothing"
        first = _update(database)
        rows.append(_row(behind, "first", readings, [first]))
        again = [_touch_and_update(database) for _ in range(plan.repeats)]
        rows.append(_row(behind, "repeated", readings, again))
        if days > 1:
            late, added = _late(database, plan, days)
            rows.append(_row(behind, "late, mid history", added, [late]))
        server.drop_database(database.rpartition("/")[2].partition("?")[0])
    title = f"Flows on one day of {plan.stations} charge points (must: 30 s, aim: 10 s)"
    findings.add(Table("flows", title, COLUMNS, rows), {"rows": rows})


def _prepare(database: str, plan: Plan, days: int) -> int:
    """Make the history and compute it, then the day that is measured; return its readings."""
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(_STATIONS, {"stations": plan.stations})
        for days_ago in range(days + 1, 1, -1):
            _day(conn, days_ago, every_s=plan.history_every_s)
    if days:
        _update(database)
    with psycopg.connect(database, autocommit=True) as conn:
        count = _day(conn, 1, every_s=10)
        conn.execute("VACUUM ANALYZE")
    return count


def _day(conn: psycopg.Connection[Any], days_ago: int, every_s: int) -> int:
    asked = {"days_ago": days_ago, "every_s": every_s}
    conn.execute(_SESSIONS, asked)
    count = conn.execute(_READINGS, asked).rowcount
    conn.execute(_TOUCHED, asked)
    return count


def _late(database: str, plan: Plan, days: int) -> tuple[Run, int]:
    """Add readings between those of a day in the middle of the history, and time their update."""
    days_ago = 1 + days // 2
    with psycopg.connect(database, autocommit=True) as conn:
        asked = {"days_ago": days_ago, "every_s": plan.history_every_s}
        added = conn.execute(_LATE_READINGS, asked).rowcount
        conn.execute(_TOUCHED, {"days_ago": days_ago})
    return _update(database), added


def _touch_and_update(database: str) -> Run:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(_TOUCHED, {"days_ago": 1})
    return _update(database)


def _update(database: str) -> Run:
    parts: dict[str, float] = {}
    began = last = time.perf_counter()
    cpu = _server_cpu_s(database)
    for name, _ in carry_out(Settings(database), "update", Scope()):
        parts[name], last = time.perf_counter() - last, time.perf_counter()
    return Run(last - began, parts, _server_cpu_s(database) - cpu)


def _server_cpu_s(database: str) -> float:
    """Return the CPU time of the server and its processes that ended."""
    with psycopg.connect(database) as conn:
        postmaster = int(_stat(conn.info.backend_pid)[1])
    ticks = sum(int(field) for field in _stat(postmaster)[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat after the name: state, parent, ... utime at 11."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _row(behind: str, what: str, readings: int, runs: list[Run]) -> tuple[str, ...]:
    def median(of: list[float]) -> str:
        return f"{statistics.median(of):.1f}"

    return (
        behind,
        what,
        f"{readings:,}",
        f"**{median([run.seconds for run in runs])}**",
        *(median([run.parts[name] for run in runs]) for name in UPDATE),
        median([run.cpu_s for run in runs]),
    )


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    stations: Annotated[int, typer.Option(min=1)] = 1000,
    history_days: Annotated[int, typer.Option(min=1)] = 10,
    repeats: Annotated[int, typer.Option(min=1)] = 3,
    history_every_s: Annotated[
        int, typer.Option(min=10, help="Between readings of the history; 300 days fit with 3600.")
    ] = _HISTORY_EVERY_S,
    output: Annotated[Path | None, typer.Option(help="Also write everything as JSON.")] = None,
) -> None:
    """Time the flows."""

    def collect_all(findings: Findings) -> None:
        with servers.database_server() as server:
            collect(findings, server, Plan(stations, history_days, repeats, history_every_s))

    publish(collect_all, output)


if __name__ == "__main__":
    app()
