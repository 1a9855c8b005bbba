"""Fills ``quality_finding``: what is odd about the data of a charge point on a day."""

from datetime import UTC, date, datetime, timedelta

from psycopg.rows import DictRow

from flows import days
from flows.database import Connection, ask, do, now
from flows.runs import Outcome
from flows.scope import Scope, charge_point_ids
from flows.turns import lock_batch
from flows.windows import forget, take

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_LOOK_BACK = timedelta(minutes=10)  # a fact is visible only some time after its received_at
_SEARCHES = (
    "find_in_readings",
    "find_in_sessions",
    "find_in_clocks",
    "find_missing_readings",
    "find_duplicates",
    "find_in_the_rest",
)


def compute(conn: Connection, scope: Scope) -> Outcome:
    """Look at the days whose facts changed, or those of the scope's window. Corrects nothing."""
    as_of = now(conn)
    if scope.is_incremental:
        take(conn, "quality")
        found = ask(conn, "quality_days", since=_since(conn))
    else:
        numbers = charge_point_ids(conn, scope)
        found = ask(
            conn,
            "consumption_days_between",
            since=scope.start,
            until=scope.end,
            charge_point_ids=numbers,
        )
    rows = sum(_look_at_day(conn, row, scope.dry_run) for row in found)
    if scope.is_incremental and not scope.dry_run:
        forget(conn, "quality")
        do(conn, "move_watermark", flow="quality", done_until=as_of)
    return Outcome(
        {"days": len(found), "findings": rows},
        f"{rows} findings in {len(found)} local days",
        ask(conn, "findings_table", since=as_of),
    )


def _since(conn: Connection) -> datetime:
    """From when on facts that mark no hour are new to this flow."""
    mark = ask(conn, "watermark", flow="quality")
    return mark[0]["done_until"] - _LOOK_BACK if mark else _LONG_AGO


def _look_at_day(conn: Connection, row: DictRow, dry_run: bool) -> int:
    day: date = row["day"]
    numbers: list[int] = row["charge_point_ids"]
    low, high = days.bounds(day)
    with conn.transaction(force_rollback=dry_run):
        lock_batch(conn, numbers)
        do(conn, "make_work_finding")
        for search in _SEARCHES:
            do(conn, search, day=day, charge_point_ids=numbers, low=low, high=high)
        do(conn, "delete_findings", day=day, charge_point_ids=numbers, low=low)
        return do(conn, "store_findings", day=day)
