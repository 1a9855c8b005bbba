"""Fills ``session`` and ``energy_bucket``: what a transaction was, and when its energy flowed."""

import itertools
import logging
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

from psycopg.rows import DictRow

from flows.database import Connection, ask, ask_one, build, connect_beside, do, now, prepare
from flows.dropped import note, sessions_beyond
from flows.runs import Outcome
from flows.scope import Scope, charge_point_ids
from flows.turns import lock_sessions
from flows.windows import forget, take

logger = logging.getLogger(__name__)

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_LOOK_BACK = timedelta(minutes=10)  # a transaction is visible only after its changed_at
_BATCH = 500  # what is new waits for no more than this, when a backfill is at it
_MANY = 500
_SPAN = timedelta(days=31)


def compute(conn: Connection, scope: Scope) -> Outcome:
    """Compute sessions anew: those the facts changed, or those begun in the scope's window."""
    as_of = now(conn)
    rows = _changed(conn, as_of) if scope.is_incremental else _between(conn, scope)
    stored, beyond = _compute_all(conn, rows, as_of, scope.dry_run)
    if scope.is_incremental and not scope.dry_run:
        forget(conn, "sessions")
        do(conn, "move_watermark", flow="sessions", done_until=as_of)
    kept = "would be computed" if scope.dry_run else "computed"
    verdict = f"{stored} sessions {kept}{note('sessions', beyond)}"
    return Outcome({"sessions": stored, "beyond_retention": beyond}, verdict)


def _changed(conn: Connection, as_of: datetime) -> list[DictRow]:
    take(conn, "sessions")
    mark = ask(conn, "watermark", flow="sessions")
    since = mark[0]["done_until"] - _LOOK_BACK if mark else _LONG_AGO
    return ask(conn, "sessions_to_compute", changed_since=since, as_of=as_of)


def _between(conn: Connection, scope: Scope) -> list[DictRow]:
    numbers = charge_point_ids(conn, scope)
    return ask(
        conn, "sessions_between", since=scope.start, until=scope.end, charge_point_ids=numbers
    )


def _compute_all(
    conn: Connection, rows: Sequence[DictRow], as_of: datetime, dry_run: bool
) -> tuple[int, int]:
    """Return how many were computed, and how many left; many are computed on two connections.

    Each takes other stripes of charge points, so that neither waits for the other.
    """
    halves = [[row for row in rows if row["charge_point_id"] % 2 == odd] for odd in (0, 1)]
    if len(rows) < _MANY or not all(halves):
        return _compute_rows(conn, rows, as_of, dry_run)
    with connect_beside(conn) as second, ThreadPoolExecutor(1) as pool:
        other = pool.submit(_compute_rows, second, halves[1], as_of, dry_run)
        here, there = _compute_rows(conn, halves[0], as_of, dry_run), other.result()
    return here[0] + there[0], here[1] + there[1]


def _compute_rows(
    conn: Connection, rows: Iterable[DictRow], as_of: datetime, dry_run: bool
) -> tuple[int, int]:
    stored = beyond = 0
    for batch in batches(rows, _BATCH, _SPAN):
        left = sessions_beyond(conn, batch)
        wanted = [number for number in batch if number not in left]
        beyond += len(left)
        if wanted:
            stored += _compute_batch(conn, wanted, as_of, dry_run)
    return stored, beyond


def batches(rows: Iterable[DictRow], most: int, span: timedelta) -> Iterator[list[int]]:
    """Group transactions by the days they began on, so that few chunks are read for a batch.

    Quiet days share one, if they lie within ``span``. The rows are in the order of ``started_at``.
    """
    batch: list[int] = []
    begun = date.min
    for day, of_day in itertools.groupby(rows, key=lambda row: row["started_at"].date()):
        numbers = [row["transaction_id"] for row in of_day]
        if batch and (len(batch) + len(numbers) > most or day - begun >= span):
            yield batch
            batch = []
        begun = begun if batch else day
        batch += numbers
        while len(batch) > most:
            yield batch[:most]
            batch = batch[most:]
    if batch:
        yield batch


def _compute_batch(
    conn: Connection, transaction_ids: list[int], as_of: datetime, dry_run: bool
) -> int:
    with conn.transaction(force_rollback=dry_run):
        lock_sessions(conn, transaction_ids)
        prepare(conn)
        build(conn, "make_work_session", transaction_ids=transaction_ids, as_of=as_of)
        bounds = ask_one(conn, "work_bounds")
        if bounds["has_years"] and do(conn, "mend_starts"):
            bounds = ask_one(conn, "work_bounds")
        _read(conn, bounds)
        if do(conn, "read_from_connector_0", **bounds):
            do(conn, "drop_work_reading")
            _read(conn, bounds)
        build(conn, "make_work_end", as_of=as_of)
        do(conn, "choose_power")
        for step in ("used", "reach", "rise", "power", "interval", "energy", "crossing", "plug"):
            build(conn, f"make_work_{step}")
        return _store(conn, transaction_ids, as_of)


def _read(conn: Connection, bounds: DictRow) -> None:
    build(conn, "make_work_reading", **bounds)
    do(conn, "use_first_phase")
    do(conn, "drop_repeated_intervals")
    build(conn, "make_work_evidence")


def _store(conn: Connection, transaction_ids: list[int], as_of: datetime) -> int:
    known = ask_one(conn, "known_bounds")
    do(conn, "touch_days")
    build(conn, "make_work_bucket")
    do(conn, "delete_buckets", **known)
    do(conn, "store_buckets")
    stored = do(conn, "store_sessions", as_of=as_of)
    # By the prices that are known; what is new has none until the consumption flow gives it one.
    reach = ask_one(conn, "known_bounds")
    do(conn, "store_costs", transaction_ids=transaction_ids, **reach)
    do(conn, "touch_soc")
    # A link may rest on one that this very statement changes: again until nothing moves.
    while do(conn, "link_visits", transaction_ids=transaction_ids):
        pass
    return stored
