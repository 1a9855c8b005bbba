"""Fills ``session_soc``: state of charge at the edges of sessions, and what follows from it."""

from datetime import timedelta

from flows.database import Connection, ask, ask_one, build, do, now
from flows.dropped import note, sessions_beyond
from flows.runs import Outcome
from flows.scope import Scope, charge_point_ids
from flows.sessions import batches
from flows.turns import alone, lock_sessions

_BATCH = 2000
_SPAN = timedelta(days=4)  # each session looks into every chunk of its batch


def compute(conn: Connection, scope: Scope) -> Outcome:
    """Compute the state of charge of sessions computed anew, or begun in the scope's window."""
    as_of = now(conn)
    if scope.is_incremental:
        build(conn, "make_taken_session", flow="soc")
        rows = ask(conn, "soc_work")
    else:
        numbers = charge_point_ids(conn, scope)
        rows = ask(
            conn, "sessions_between", since=scope.start, until=scope.end, charge_point_ids=numbers
        )
    beyond = sessions_beyond(conn, [row["transaction_id"] for row in rows])
    wanted = [row for row in rows if row["transaction_id"] not in beyond]
    stored = sum(_store(conn, batch, scope.dry_run) for batch in batches(wanted, _BATCH, _SPAN))
    if scope.is_incremental and not scope.dry_run:
        with alone(conn):
            do(conn, "forget_sessions", flow="soc")
        do(conn, "move_watermark", flow="soc", done_until=as_of)
    verdict = f"state of charge in {stored} of {len(wanted)} sessions"
    return Outcome(
        {"sessions": len(wanted), "with_soc": stored, "beyond_retention": len(beyond)},
        verdict + note("sessions", len(beyond)),
    )


def _store(conn: Connection, transaction_ids: list[int], dry_run: bool) -> int:
    bounds = ask_one(conn, "soc_bounds", transaction_ids=transaction_ids)
    with conn.transaction(force_rollback=dry_run):
        lock_sessions(conn, transaction_ids)
        return do(
            conn,
            "store_soc",
            transaction_ids=transaction_ids,
            low=bounds["low"],
            high=bounds["high"],
        )
