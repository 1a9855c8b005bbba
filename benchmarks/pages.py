"""The dashboard on a large network: every question it asks, and every page in a browser.

python -m benchmarks.pages
"""

import math
import os
import re
import shutil
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import psycopg
import typer
from playwright.sync_api import Browser, Error, Page, sync_playwright

from benchmarks import servers
from benchmarks.load import Failed
from benchmarks.tables import Findings, Table, publish, say
from sql import load
from sql.migrations import migrate
from testbench.embedded import EmbeddedPostgres, host
from testbench.seed.large import Large, make

PAGES = (
    "/", "/estacoes", "/estacao?ponto={charge_point}", "/sessoes", "/sessao?transacao={session}",
    "/consumo", "/disponibilidade", "/custos", "/relatorios", "/qualidade", "/mensagens", "/sobre",
    "/operacoes", "/cadastros",
)  # fmt: skip
MUST_COLD_S, MUST_RERUN_S, MUST_QUERY_MS = 4.0, 1.0, 300.0
PERIODS = {"30 days": 30, "365 days": 365}
_SHOWN = 15
_CANCELLED = math.inf  # the time limit of the dashboard's questions came first
_LONGEST_DAYS = {"energy_series": 60}  # the page offers its steps for no longer
_IN_SLICES = ("nevi_sessions",)  # answered by a file
_SLICE_DAYS = 5
_WITHOUT = "make bench OPTIONS=--no-pages does without"
_PATIENCE_MS = 60_000
# A quick script has run before anybody looks: note that it did.
_WATCH = """() => {
    window.hasRun = false;
    new MutationObserver(() => { window.hasRun = true; }).observe(
        document.querySelector('[data-testid=stApp]'),
        {attributes: true, attributeFilter: ['data-test-script-state']},
    );
}"""
_RUNNING = "document.querySelector('[data-testid=stApp]')?.dataset.testScriptState"


@dataclass(frozen=True, slots=True)
class Plan:
    """The network the figures are promised for: a year of aggregates, a month of readings."""

    charge_points: int = 1000
    days: int = 365
    raw_days: int = 30
    log_days: int = 1
    repeats: int = 5

    @property
    def large(self) -> Large:
        now = datetime.now(UTC).replace(second=0, microsecond=0)
        return Large(now, self.charge_points, self.days, self.raw_days, self.log_days)


def collect(findings: Findings, server: EmbeddedPostgres, plan: Plan) -> None:
    """Make the network, ask every question, open every page."""
    findings.begin("questions and pages")
    database = server.create_database(f"bench_{time.monotonic_ns()}")
    migrate(database)
    size = f"{plan.charge_points} charge points, {plan.days} days, {plan.raw_days} with readings"
    say(f"pages: seeding {size}")
    make(database, plan.large, say)
    measure(findings, database, size, plan.repeats)
    server.drop_database(database.rpartition("/")[2].partition("?")[0])


def measure(findings: Findings, database: str, size: str, repeats: int) -> None:
    """Time questions and pages on a database that was seeded before."""
    findings.begin("questions")
    say("pages: every question")
    times = {name: _questions(database, days, repeats) for name, days in PERIODS.items()}
    told = {
        period: {name: "cancelled" if ms == _CANCELLED else ms for name, ms in found.items()}
        for period, found in times.items()
    }
    findings.add(questions_table(times, size), told)
    findings.begin("pages")
    say("pages: every page")
    with _dashboard(database) as url, _browser() as browser:
        drawn = {}
        for path in PAGES:
            try:
                drawn[path] = _page(browser, url, path, database, repeats)
            except Error as exc:
                raise Failed(f"{path} was not drawn: {exc.message.splitlines()[0]}") from None
            cold, rerun = drawn[path]
            say(f"  {path}: first {cold[0]:.1f} s, again {statistics.median(rerun):.2f} s")
    findings.add(_pages_table(drawn, size), drawn)


def _questions(database: str, days: int, repeats: int) -> dict[str, float]:
    """Return the 95th percentile of each question that is asked of so many days, in ms."""
    options = "-c role=eletroposto_dashboard -c timezone=UTC -c statement_timeout=20000"
    with psycopg.connect(database, options=options, autocommit=True) as conn:
        asked = _parameters(conn, days)
        found = {}
        for name, query in load("dashboard").items():
            if not name.startswith("act_") and days <= _LONGEST_DAYS.get(name, days):
                slices = slices_of(asked(name)) if name in _IN_SLICES else [asked(name)]
                runs = [
                    _ask(conn, query.encode(), params) for params in slices for _ in range(repeats)
                ]
                found[name] = _p95(runs)
    return found


def slices_of(params: dict[str, Any]) -> list[dict[str, Any]]:
    """Cut the period as the program does for a file; each slice is a question."""
    slices, until = [], params["until"]
    while until > params["since"]:
        since = max(until - timedelta(days=_SLICE_DAYS), params["since"])
        slices.append(params | {"since": since, "until": until})
        until = since
    return slices


def _ask(conn: psycopg.Connection[Any], query: bytes, params: dict[str, Any]) -> float:
    began = time.perf_counter()
    try:
        conn.execute(query, params).fetchall()
    except psycopg.errors.QueryCanceled:
        return _CANCELLED
    return (time.perf_counter() - began) * 1000


def _p95(runs: list[float]) -> float:
    if _CANCELLED in runs:
        return _CANCELLED
    return statistics.quantiles(runs, n=20, method="inclusive")[-1]


def _parameters(conn: psycopg.Connection[Any], days: int) -> Any:
    """A function from the name of a question to what the pages would ask it with."""
    session = _a_session(conn)
    last: date = datetime.now(UTC).date()
    first = last - timedelta(days=days - 1)
    midnight = datetime.combine(last - timedelta(days=days), datetime.min.time(), UTC)
    period: dict[str, Any] = {
        "since": datetime.combine(first, datetime.min.time(), UTC) + timedelta(hours=3),
        "until": datetime.combine(last, datetime.min.time(), UTC) + timedelta(hours=27),
        "first_day": first, "last_day": last, "charge_points": None,
        "last_midnight": midnight + timedelta(hours=3), "cut_at": midnight + timedelta(hours=12),
    }  # fmt: skip
    filters = dict.fromkeys(
        ("connector_id", "tag", "min_wh", "max_wh", "min_s", "max_s", "reason", "action", "text",
         "direction", "message_id")
    )  # fmt: skip
    others = {
        "kind": "all", "rows": 200, "month": last.replace(day=1), "grain": "day",
        "width_s": 3600.0, "report_file_id": 1,
        "charge_point": session["charge_point"], "transaction_id": session["transaction_id"],
        "visit_id": session["transaction_id"],
    }  # fmt: skip
    span = {
        "since": session["started_at"], "until": session["last_evidence_at"],
        "connector_id": session["connector_id"], "started_at": session["started_at"],
        "width_s": 10.0,
    }  # fmt: skip

    def asked(name: str) -> dict[str, Any]:
        params = {**period, **filters, **others}
        if name.startswith("session_") and name != "session_totals":
            params |= span
        if name == "station_states":
            params["since"] = period["until"] - timedelta(days=30)
        if name == "messages":
            params["since"] = datetime.now(UTC) - timedelta(hours=1)
        return params

    return asked


def _a_session(conn: psycopg.Connection[Any]) -> dict[str, Any]:
    cursor = conn.execute(
        "SELECT * FROM report.session WHERE NOT is_open ORDER BY started_at DESC LIMIT 1"
    )
    row = cursor.fetchone()
    if row is None or cursor.description is None:
        raise Failed("the database to look at has no sessions")
    return dict(zip([column.name for column in cursor.description], row, strict=True))


@contextmanager
def _dashboard(database: str) -> Iterator[str]:
    port = host.free_port()
    environment = os.environ | {"ELETROPOSTO_DATABASE_URL": database}
    command = [sys.executable, "-m", "dashboard.launch", str(port)]
    with servers.process(command, environment, quiet=True):
        servers.wait_until_up(f"http://127.0.0.1:{port}/_stcore/health", 60)
        yield f"http://127.0.0.1:{port}"


def check_browser() -> None:
    """Raises Failed unless a Chromium is there and starts."""
    with _browser():
        pass


@contextmanager
def _browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise Failed(f"no Chromium was found to time pages with; {_WITHOUT}")
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(
                executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
            )
        except Error as exc:
            raise Failed(
                f"{chromium} does not start: {exc.message.splitlines()[0]}; {_WITHOUT}"
            ) from None
        yield browser
        browser.close()


def _page(
    browser: Browser, url: str, path: str, database: str, repeats: int
) -> tuple[list[float], list[float]]:
    """Open a page with nothing cached in the browser, then draw it anew in the other language.

    The first opening also finds nothing cached in the server.
    """
    with psycopg.connect(database) as conn:
        session = _a_session(conn)
    address = url + path.format(
        charge_point=session["charge_point"], session=session["transaction_id"]
    )
    cold, rerun = [], []
    for _ in range(repeats):
        context = browser.new_context(viewport={"width": 1366, "height": 768})
        page = context.new_page()
        page.set_default_timeout(_PATIENCE_MS)
        began = time.perf_counter()
        page.goto(address)
        page.wait_for_selector("h1")
        _settle(page)
        cold.append(time.perf_counter() - began)
        page.evaluate(_WATCH)
        began = time.perf_counter()
        page.get_by_role("radio", name=re.compile("^en$")).or_(
            page.get_by_role("button", name="en", exact=True)
        ).first.click()
        page.wait_for_function("window.hasRun", timeout=5000, polling=5)
        _settle(page)
        rerun.append(time.perf_counter() - began)
        context.close()
    return cold, rerun


def _settle(page: Page) -> None:
    """Until the script has run and every chart it announced is drawn."""
    page.wait_for_function(
        f"{_RUNNING} === 'notRunning'"
        " && document.querySelectorAll('[data-testid=stSkeleton]').length === 0"
        " && [...document.querySelectorAll('[data-testid=stPlotlyChart]')]"
        ".every(chart => chart.querySelector('.main-svg'))",
        polling=20,
    )


def questions_table(times: dict[str, dict[str, float]], size: str) -> Table:
    worst = {
        name: max(each.get(name, 0) for each in times.values())
        for name in sorted(set().union(*times.values()))
    }
    rows: list[tuple[str, ...]] = [
        (_what(name), *(_question_ms(each.get(name)) for each in times.values()))
        for name in sorted(worst, key=worst.__getitem__, reverse=True)[:_SHOWN]
    ]
    over = sum(ms > MUST_QUERY_MS for ms in worst.values())
    rows.append((f"{len(worst)} questions, {over} above {MUST_QUERY_MS:g} ms", *[""] * len(times)))
    columns = ("question, p95 in ms", *times)
    title = f"Questions of the dashboard: {size} (must: {MUST_QUERY_MS:g} ms)"
    return Table("questions", title, columns, rows)


def _what(name: str) -> str:
    return f"{name}, {_SLICE_DAYS} days at a time" if name in _IN_SLICES else name


def _question_ms(value: float | None) -> str:
    if value is None:
        return "not asked"
    return "**cancelled**" if value == _CANCELLED else _judged(value, MUST_QUERY_MS, 0)


def _pages_table(drawn: dict[str, tuple[list[float], list[float]]], size: str) -> Table:
    rows: list[tuple[str, ...]] = [
        (
            path.partition("?")[0],
            _judged(cold[0], MUST_COLD_S, 1),
            _judged(statistics.median(cold[1:] or cold), MUST_COLD_S, 1),
            _judged(statistics.median(rerun), MUST_RERUN_S, 2),
        )
        for path, (cold, rerun) in drawn.items()
    ]
    columns = ("page", "first visit, s", "new browser, s", "rerun, s")
    title = f"Pages: {size} (must: cold {MUST_COLD_S:g} s, rerun {MUST_RERUN_S:g} s)"
    return Table("pages", title, columns, rows)


def _judged(value: float, must: float, digits: int) -> str:
    text = f"{value:,.{digits}f}"
    return f"**{text}**" if value > must else text


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    charge_points: Annotated[int, typer.Option(min=1)] = 1000,
    days: Annotated[int, typer.Option(min=2, help="Of sessions and aggregates.")] = 365,
    raw_days: Annotated[
        int, typer.Option(min=1, help="Of readings: a million a day for 1,000 charge points.")
    ] = 30,
    log_days: Annotated[int, typer.Option(min=0, help="Of frames.")] = 1,
    repeats: Annotated[int, typer.Option(min=2)] = 5,
    database: Annotated[
        str, typer.Option(help="Look at this database, seeded before, instead.")
    ] = "",
    output: Annotated[Path | None, typer.Option(help="Also write everything as JSON.")] = None,
) -> None:
    """Time the dashboard."""

    def collect_all(findings: Findings) -> None:
        check_browser()
        if database:
            measure(findings, database, "a database seeded before", repeats)
            return
        with servers.database_server() as server:
            collect(findings, server, Plan(charge_points, days, raw_days, log_days, repeats))

    publish(collect_all, output)


if __name__ == "__main__":
    app()
