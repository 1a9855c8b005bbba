"""Drops raw facts that are older than the settings allow; what was computed from them stays."""

from datetime import datetime, timedelta

from psycopg.errors import DiskFull
from psycopg.rows import DictRow

from flows.database import Connection, ask, ask_one, do, now
from flows.runs import Outcome
from flows.scope import Scope

_RUNS_KEPT = timedelta(days=90)


def compute(conn: Connection, scope: Scope) -> Outcome:
    """Drop the chunks beyond each hypertable's limit, unless a flow has still to read them.

    It is what frees a full disk: nothing is written before chunks are dropped, each hypertable's by
    itself, and what cannot be done for want of room leaves the rest as it is.
    """
    as_of = now(conn)
    rows, full = [], ""
    for limit in ask(conn, "retention_limits"):
        try:
            rows.append(_drop(conn, limit, as_of, scope.dry_run))
        except DiskFull as exc:
            full = str(exc)
    dropped = {str(row["hypertable"]): int(row["chunks"]) for row in rows}
    what = "would be dropped" if scope.dry_run else "dropped"
    verdict = f"{sum(dropped.values())} chunks {what}"
    if not scope.dry_run:
        try:
            forgotten = _forget(conn, as_of)
            verdict += f", {sum(forgotten.values())} records forgotten"
            dropped |= forgotten
        except DiskFull as exc:
            full = str(exc)
    broken = f"{verdict}, and the disk of the database is full still: {full}" if full else ""
    return Outcome(dropped, verdict, rows, broken)


def _forget(conn: Connection, as_of: datetime) -> dict[str, int]:
    """Delete pieces set aside, reports, commands and orphan stops as old as the facts may be.

    And the records of runs; then note that retention has run.
    """
    found = ask(conn, "forget_records", as_of=as_of)
    do(conn, "forget_runs", older_than=as_of - _RUNS_KEPT)
    do(conn, "move_watermark", flow="retention", done_until=as_of)
    return {str(row["record"]): int(row["forgotten"]) for row in found}


def _drop(conn: Connection, limit: DictRow, as_of: datetime, dry_run: bool) -> dict[str, int | str]:
    older_than = as_of - timedelta(days=limit["days"])
    waiting = ask_one(conn, "unprocessed_beyond", older_than=older_than)["waiting"]
    # The raw log feeds no flow but the rebuild, which is asked for by hand.
    is_needed = waiting > 0 and limit["hypertable"] != "ocpp_message"
    query = "chunks_beyond" if dry_run or is_needed else "drop_chunks_beyond"
    chunks = ask_one(conn, query, hypertable=limit["hypertable"], older_than=older_than)["chunks"]
    return {
        "hypertable": limit["hypertable"],
        "older_than": str(older_than),
        "chunks": 0 if is_needed else chunks,
        "held_back": chunks if is_needed else 0,
    }
