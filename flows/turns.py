"""Who may write when: batches of a backfill and of what is new take turns."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from flows.database import Connection, ask, ask_one


def lock_batch(conn: Connection, charge_point_ids: Sequence[int] | None) -> None:
    """Wait until nobody writes what is computed of these charge points (None: any of them).

    Held until the transaction ends. Call it before anything is written in it.
    """
    numbers = None if charge_point_ids is None else list(charge_point_ids)
    ask(conn, "lock_batch", charge_point_ids=numbers)


def lock_sessions(conn: Connection, transaction_ids: list[int]) -> None:
    """As ``lock_batch``, for the charge points of these transactions."""
    row = ask_one(conn, "charge_points_of", transaction_ids=transaction_ids)
    lock_batch(conn, row["charge_point_ids"] or [])


@contextmanager
def alone(conn: Connection) -> Iterator[None]:
    """Run a transaction while no batch is being written."""
    with conn.transaction():
        lock_batch(conn, None)
        yield
