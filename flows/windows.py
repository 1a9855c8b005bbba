"""Takes over the hours that ingest marked as touched, for the flows that follow them."""

from flows.database import Connection, do
from flows.turns import alone


def claim(conn: Connection) -> int:
    """Hand touched hours to the flows and return how many marks were consumed.

    One short statement; ingest only adds marks, so it is never held up.
    """
    with alone(conn):
        return do(conn, "claim_windows")
