"""Fills ``state_interval``, ``availability_day``, ``outage`` and ``fault_episode``."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta

from psycopg.rows import DictRow

from flows import days
from flows.database import Connection, ask, ask_one, build, do, now, prepare
from flows.dropped import dropped_before, note
from flows.runs import Outcome
from flows.scope import Scope, charge_point_ids
from flows.turns import lock_batch
from flows.windows import forget, take

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
# A connection may be found closed a little later than it was, also across midnight.
_LOOK_BACK = timedelta(hours=1)
_CONNECTOR_DAYS = 30_000  # computed in one step


def compute(conn: Connection, scope: Scope) -> Outcome:
    """Compute the days the facts touched, and today; or the local days of the scope's window."""
    as_of = now(conn)
    if scope.is_incremental:
        found = _touched(conn, as_of)
    else:
        numbers = charge_point_ids(conn, scope)
        found = ask(
            conn,
            "availability_days_between",
            since=scope.start,
            until=scope.end,
            as_of=as_of,
            charge_point_ids=numbers,
        )
    kept_from = dropped_before(conn, "status_notification", "connection")
    asked, found = found, [row for row in found if days.midnight(row["day"]) >= kept_from]
    beyond = len(asked) - len(found)
    rows = sum(
        _compute_days(conn, numbers, group, as_of, scope.dry_run)
        for numbers, group in _groups(found)
    )
    if not scope.dry_run:
        _put_together(conn, found)
        if scope.is_incremental:
            forget(conn, "availability")
            do(conn, "move_watermark", flow="availability", done_until=as_of)
    return Outcome(
        {"days": len(found), "connector_days": rows, "beyond_retention": beyond},
        f"{rows} connector days in {len(found)} local days{note('days', beyond)}",
    )


def _touched(conn: Connection, as_of: datetime) -> list[DictRow]:
    take(conn, "availability")
    mark = ask(conn, "watermark", flow="availability")
    since = mark[0]["done_until"] - _LOOK_BACK if mark else _LONG_AGO
    return ask(conn, "availability_days", since=since, as_of=as_of)


def _groups(found: Sequence[DictRow]) -> Iterator[tuple[list[int], list[date]]]:
    """Join neighbouring days of the same charge points: a quiet year takes a dozen steps."""
    group: list[date] = []
    numbers: list[int] = []
    for row in found:
        most = max(1, _CONNECTOR_DAYS // len(row["charge_point_ids"]))
        follows = group and row["day"] == group[-1] + timedelta(days=1)
        if follows and row["charge_point_ids"] == numbers and len(group) < most:
            group.append(row["day"])
            continue
        if group:
            yield numbers, group
        group, numbers = [row["day"]], row["charge_point_ids"]
    if group:
        yield numbers, group


def _compute_days(
    conn: Connection, numbers: list[int], group: list[date], as_of: datetime, dry_run: bool
) -> int:
    first_day, last_day = group[0], group[-1]
    low, high = days.midnight(first_day), days.midnight(last_day + timedelta(days=1))
    with conn.transaction(force_rollback=dry_run):
        lock_batch(conn, numbers)
        prepare(conn)
        build(conn, "make_work_port", charge_point_ids=numbers)
        build(conn, "make_work_known", charge_point_ids=numbers)
        build(
            conn,
            "make_work_use",
            charge_point_ids=numbers,
            low=low,
            high=high,
            first_day=first_day,
            last_day=last_day,
        )
        build(conn, "make_work_link", charge_point_ids=numbers, low=low, high=high, as_of=as_of)
        build(conn, "make_work_status", low=low, high=high)
        build(
            conn,
            "make_work_state",
            low=low,
            high=high,
            first_day=first_day,
            last_day=last_day,
            as_of=as_of,
        )
        do(conn, "delete_states", charge_point_ids=numbers, low=low, high=high)
        do(conn, "store_states")
        do(
            conn,
            "delete_availability",
            charge_point_ids=numbers,
            first_day=first_day,
            last_day=last_day,
        )
        return do(conn, "store_availability", low=low, high=high)


def _put_together(conn: Connection, found: Sequence[DictRow]) -> None:
    """Join the states of neighbouring days into outages and fault episodes."""
    pairs = [(number, row["day"]) for row in found for number in row["charge_point_ids"]]
    if not pairs:
        return
    with conn.transaction():
        lock_batch(conn, sorted({number for number, _ in pairs}))
        prepare(conn)
        build(
            conn,
            "make_work_region",
            charge_point_ids=[number for number, _ in pairs],
            days=[day for _, day in pairs],
        )
        low = ask_one(conn, "region_low")["low"]
        do(conn, "delete_outages")
        do(conn, "delete_faults")
        build(conn, "make_work_episode", low=low)
        do(conn, "store_outages")
        do(conn, "store_faults")
