"""Work that waits: handed to the flows, taken by a run, forgotten when it is done."""

from datetime import datetime

from flows.database import Connection, build, do
from flows.turns import alone


def claim(conn: Connection) -> int:
    """Hand touched hours to the flows and return how many marks were consumed.

    One short statement; ingest only adds marks, so it is never held up.
    """
    with alone(conn):
        return do(conn, "claim_windows")


def take(conn: Connection, flow: str, claimed_until: datetime | None = None) -> None:
    """Note in ``taken_work`` which hours wait for a flow; with a time, those it had by then."""
    build(conn, "make_taken_work", flow=flow, claimed_until=claimed_until)


def forget(conn: Connection, flow: str) -> None:
    """Drop the hours that were taken, unless they were handed over again meanwhile."""
    with alone(conn):
        do(conn, "forget_windows", flow=flow)
