"""What retention took away: what was computed from it cannot be computed again."""

from datetime import UTC, datetime
from typing import LiteralString

from flows.database import Connection, ask, ask_one

_NEVER = datetime(1, 1, 1, tzinfo=UTC)


def dropped_before(conn: Connection, *hypertables: LiteralString) -> datetime:
    """Return the instant before which facts of one of the hypertables are gone."""
    row = ask_one(conn, "dropped_before", hypertables=list(hypertables))
    at: datetime = row["dropped_before"] or _NEVER
    return at


def sessions_beyond(conn: Connection, transaction_ids: list[int]) -> set[int]:
    """Return those of these sessions that began before readings or statuses were dropped.

    A session that is not computed yet has nothing to lose, and an open one has to end some day:
    they are computed from what is left.
    """
    gone = dropped_before(conn, "meter_value", "status_notification")
    rows = ask(conn, "sessions_beyond", transaction_ids=transaction_ids, dropped_before=gone)
    return {row["transaction_id"] for row in rows}


def note(kind: str, number: int) -> str:
    """Return what to add to a verdict."""
    return f"; {number} {kind} left as they were: their facts were dropped" if number else ""
