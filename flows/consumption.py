"""Fills prices in ``energy_bucket``, then ``consumption_day`` and ``site_demand``."""

from datetime import date

from psycopg.rows import DictRow

from flows import days
from flows.database import Connection, ask, ask_one, build, do, now
from flows.dropped import dropped_before
from flows.runs import Outcome
from flows.scope import Scope, charge_point_ids
from flows.turns import lock_batch
from flows.windows import forget, take


def compute(conn: Connection, scope: Scope) -> Outcome:
    """Compute the days whose sessions or tariffs changed, or those of the scope's window."""
    as_of = now(conn)
    if scope.is_incremental:
        take(conn, "consumption")
        found = ask(conn, "consumption_days")
    else:
        numbers = charge_point_ids(conn, scope)
        found = ask(
            conn,
            "consumption_days_between",
            since=scope.start,
            until=scope.end,
            charge_point_ids=numbers,
        )
    rows = sum(_compute_day(conn, row, scope.dry_run) for row in found)
    if scope.is_incremental and not scope.dry_run:
        forget(conn, "consumption")
        do(conn, "move_watermark", flow="consumption", done_until=as_of)
    return Outcome(
        {"days": len(found), "connector_days": rows},
        f"{rows} connector days in {len(found)} local days",
    )


def _compute_day(conn: Connection, row: DictRow, dry_run: bool) -> int:
    day: date = row["day"]
    numbers: list[int] = row["charge_point_ids"]
    low, high = days.bounds(day)
    with conn.transaction(force_rollback=dry_run):
        lock_batch(conn, None)
        build(
            conn,
            "make_work_kept",
            day=day,
            charge_point_ids=numbers,
            are_statuses_gone=low < dropped_before(conn, "status_notification"),
        )
        do(conn, "price_buckets", day=day, charge_point_ids=numbers, low=low, high=high)
        priced = ask_one(conn, "priced_sessions", charge_point_ids=numbers, low=low, high=high)
        do(conn, "store_costs", **priced)
        do(conn, "delete_consumption", day=day, charge_point_ids=numbers)
        stored = do(
            conn, "store_consumption", day=day, charge_point_ids=numbers, low=low, high=high
        )
        do(conn, "store_demand", low=low, high=high)
        do(conn, "touch_unpriced", day=day, charge_point_ids=numbers)
        return stored
