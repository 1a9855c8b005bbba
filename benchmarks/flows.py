"""The flows on a day of many charge points, with and without a history behind it.

python -m benchmarks.flows
"""

import os
import statistics
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import psycopg
import typer

from benchmarks import servers
from benchmarks.history import Maker, make_past
from benchmarks.tables import Findings, Table, publish, say
from flows.catalogue import UPDATE, carry_out
from flows.scope import Scope
from flows.settings import Settings
from sql.migrations import migrate
from testbench.embedded import EmbeddedPostgres

_HISTORY_EVERY_S = 600  # between readings of the history, unless said otherwise
COLUMNS = ("behind it", "run", "readings", "s", *UPDATE, "PostgreSQL CPU s")


@dataclass(frozen=True, slots=True)
class Plan:
    """A day of 1,000 charge points at 10 s, 4.8 h of charging each: 1.7 million readings.

    The history has as many sessions a day, but a reading every 10 min: it is there to be in the
    way of indexes and chunks, not to be read.
    """

    stations: int = 1000
    history_days: int = 10
    repeats: int = 3
    history_every_s: int = _HISTORY_EVERY_S


@dataclass(frozen=True, slots=True)
class Run:
    """One update: seconds in all, by flow, and of the server's CPU."""

    seconds: float
    parts: dict[str, float]
    cpu_s: float


Runs = tuple[str, int, list[Run]]  # what they are called, the readings of each, and they


def collect(findings: Findings, server: EmbeddedPostgres, plan: Plan) -> None:
    """Time the update of a day: for the first time, again, and with a history behind it."""
    findings.begin("flows")
    runs = {
        "nothing": _without_history(server, plan),
        f"{plan.history_days} days": _with_history(server, plan),
    }
    rows = [_row(behind, *each) for behind, found in runs.items() for each in found]
    raw = {
        behind: {what: [asdict(run) for run in each] for what, _, each in found}
        for behind, found in runs.items()
    }
    title = f"Flows on one day of {plan.stations} charge points (must: 30 s, aim: 10 s)"
    findings.add(Table("flows", title, COLUMNS, rows), raw)


def _without_history(server: EmbeddedPostgres, plan: Plan) -> Iterable[Runs]:
    """A day that is alone in its database, in as many databases as there are repeats."""
    first: list[Run] = []
    again: list[Run] = []
    readings = 0
    for number in range(plan.repeats):
        say(f"flows: a day of {plan.stations} charge points, {number + 1} of {plan.repeats}")
        with _database(server, plan.stations) as maker:
            readings = _make_day(maker, 1)
            first.append(_update(maker.url))
            maker.settle(1)
            again.append(_update_again(maker, 1))
    return ("first", readings, first), ("repeated", readings, again)


def _with_history(server: EmbeddedPostgres, plan: Plan) -> Iterable[Runs]:
    """Days on top of a history, each of them new once, and late readings for some of its own."""
    newest = plan.repeats + 1
    oldest = plan.repeats + plan.history_days
    with _database(server, plan.stations) as maker:
        say(f"flows: {plan.history_days} days of history of {plan.stations} charge points")
        make_past(maker, oldest, newest, plan.history_every_s)
        first: list[Run] = []
        readings = added = 0
        for days_ago in range(plan.repeats, 0, -1):
            say(f"flows: a day after it, {plan.repeats - days_ago + 1} of {plan.repeats}")
            readings = _make_day(maker, days_ago)
            first.append(_update(maker.url))
            maker.settle(days_ago)
        again = [_update_again(maker, 1) for _ in range(plan.repeats)]
        late: list[Run] = []
        middle = (oldest + newest) // 2
        for days_ago in range(middle, max(middle - plan.repeats, newest - 1), -1):
            every_s = plan.history_every_s  # half-way between the readings that are there
            added = maker.readings(days_ago, every_s, 10 + every_s // 2)
            late.append(_update_again(maker, days_ago))
    return (
        ("first", readings, first),
        ("repeated", readings, again),
        ("late, mid history", added, late),
    )


@contextmanager
def _database(server: EmbeddedPostgres, stations: int) -> Iterator[Maker]:
    """A new database with charge points; gone afterwards."""
    name = f"bench_{time.monotonic_ns()}"
    url = server.create_database(name)
    migrate(url)
    with Maker.of(url) as maker:
        maker.stations(stations)
        yield maker
    server.drop_database(name)


def _make_day(maker: Maker, days_ago: int) -> int:
    readings = maker.day(days_ago, every_s=10, is_new=True)
    maker.conn.execute("VACUUM ANALYZE")
    return readings


def _update_again(maker: Maker, days_ago: int) -> Run:
    maker.touch(days_ago)
    return _update(maker.url)


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
        int, typer.Option(min=10, help="Between readings of the history.")
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
