"""Fills ``report_file``: monthly reports per network and charge point, the quarterly export."""

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any

from flows.database import Connection, ask, ask_one, ask_table, do, now
from flows.report_pages import Month, Table, csv_table, html_page, workbook
from flows.runs import Outcome
from flows.scope import LOCAL, Scope, charge_point_ids

_LANGUAGES = ("pt", "en")


def compute(conn: Connection, scope: Scope) -> Outcome:
    """Write the reports of the last full month, or of every month the scope's window touches.

    When a month ends a quarter, the quarterly export of its three months is written too.
    """
    as_of = now(conn)
    numbers = charge_point_ids(conn, scope)
    written = 0
    months = list(_months(scope, as_of.astimezone(LOCAL).date()))
    for first in months:
        for file in _files(conn, first, numbers):
            written += 1
            if not scope.dry_run:
                do(conn, "store_report", **file)
    if not scope.dry_run:
        do(conn, "move_watermark", flow="reports", done_until=as_of)
    return Outcome({"months": len(months), "files": written}, f"{written} files written")


def _months(scope: Scope, today: date) -> Iterator[date]:
    """Yield the first days of the months to report on."""
    if scope.start is None or scope.end is None:
        yield (today.replace(day=1) - timedelta(days=1)).replace(day=1)
        return
    first = scope.start.astimezone(LOCAL).date().replace(day=1)
    end = scope.end.astimezone(LOCAL)
    while first < end.date() or (first == end.date() and end.hour > 0):
        yield first
        first = after(first)


def after(first: date) -> date:
    """Return the first day of the month after the one that begins on ``first``."""
    return (first + timedelta(days=32)).replace(day=1)


def _files(conn: Connection, first: date, numbers: list[int] | None) -> Iterator[Mapping[str, Any]]:
    last = after(first)
    subjects = ask(conn, "report_subjects", first=first, last=last, charge_point_ids=numbers)
    named: list[tuple[int | None, str | None]] = [
        (row["charge_point_id"], row["identity"]) for row in subjects
    ]
    if numbers is None:
        named.insert(0, (None, None))
    for number, identity in named:
        month = _month(conn, first, last, number, identity)
        for language in _LANGUAGES:
            yield _file(month, number, language, "html", html_page(month, language).encode())
            yield _file(month, number, language, "xlsx", workbook(month, language))
    if numbers is None and last.month in (1, 4, 7, 10):
        yield from _quarter(conn, last)


def _month(
    conn: Connection, first: date, last: date, number: int | None, identity: str | None
) -> Month:
    asked = {"first": first, "last": last, "charge_point_id": number}
    return Month(
        first=first,
        charge_point=identity,
        totals=ask_one(conn, "report_totals", **asked),
        days=_table(conn, "report_days", **asked),
        connectors=_table(conn, "report_connectors", **asked),
        sessions=_table(conn, "report_sessions", **asked),
        outages=_table(conn, "report_outages", **asked),
        demand=_table(conn, "report_demand", **asked),
    )


def _table(conn: Connection, query: str, **asked: Any) -> Table:
    return Table(*ask_table(conn, query, **asked))


def _file(
    month: Month, number: int | None, language: str, form: str, content: bytes
) -> dict[str, Any]:
    whose = month.charge_point or "network"
    safe = "".join(sign if sign.isalnum() or sign in "-_" else "_" for sign in whose)
    return {
        "kind": "monthly",
        "period_start": month.first,
        "charge_point_id": number,
        "language": language,
        "format": form,
        "file_name": f"eletroposto-{month.first:%Y-%m}-{safe}-{language}.{form}",
        "content": content,
    }


def _quarter(conn: Connection, last: date) -> Iterator[dict[str, Any]]:
    """The quarter that ends before ``last``: a file of ports, of sessions, and of outages."""
    first = last
    for _ in range(3):
        first = (first - timedelta(days=1)).replace(day=1)
    quarter = f"{first.year}-Q{(first.month + 2) // 3}"
    for what in ("ports", "sessions", "outages"):
        yield {
            "kind": f"quarterly_{what}",
            "period_start": first,
            "charge_point_id": None,
            "language": "en",
            "format": "csv",
            "file_name": f"eletroposto-{quarter}-{what}.csv",
            "content": csv_table(_table(conn, f"quarter_{what}", first=first, last=last)),
        }
