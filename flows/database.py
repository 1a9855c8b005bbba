"""The flows' connection to the database, and what every flow does with it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, LiteralString

import psycopg
from psycopg import sql as composed
from psycopg.conninfo import make_conninfo
from psycopg.rows import DictRow, dict_row

import sql

QUERIES = sql.load("flows")

Connection = psycopg.Connection[DictRow]


@contextmanager
def connect(url: str) -> Iterator[Connection]:
    """Yield a connection in autocommit, in the role of the flows, in UTC.

    Nothing is prepared: a plan for any window opens every chunk there is, one for this window few.
    """
    with psycopg.connect(
        url,
        autocommit=True,
        prepare_threshold=None,
        connect_timeout=10,
        options="-c role=eletroposto_flows -c timezone=UTC -c jit=off -c temp_buffers=64MB",
        application_name="eletroposto flows",
        row_factory=dict_row,
    ) as conn:
        yield conn


@contextmanager
def connect_beside(conn: Connection) -> Iterator[Connection]:
    """Yield a second connection to where this one leads, for work that is done at the same time."""
    password = {"password": conn.info.password} if conn.info.password else {}
    with connect(make_conninfo(conn.info.dsn, **password)) as other:
        yield other


def ask(conn: Connection, query: str, **parameters: Any) -> list[DictRow]:
    """Return the rows of a named query."""
    return conn.execute(QUERIES[query], parameters).fetchall()


def ask_one(conn: Connection, query: str, **parameters: Any) -> DictRow:
    """Return the one row of a named query that always has one."""
    row = conn.execute(QUERIES[query], parameters).fetchone()
    assert row is not None, query
    return row


def ask_table(conn: Connection, query: str, **parameters: Any) -> tuple[list[str], list[DictRow]]:
    """Return the columns of a named query, which it has without rows too, and its rows."""
    cursor = conn.execute(QUERIES[query], parameters)
    return [column.name for column in cursor.description or ()], cursor.fetchall()


def do(conn: Connection, query: str, **parameters: Any) -> int:
    """Run a named statement and return how many rows it touched."""
    return conn.execute(QUERIES[query], parameters).rowcount


def build(conn: Connection, query: str, **parameters: Any) -> None:
    """Run a ``make_<table>`` statement and tell the planner what came of it.

    CREATE TABLE AS takes no bound parameters, so the values are quoted into the text by psycopg.
    """
    with psycopg.ClientCursor(conn) as cursor:
        cursor.execute(QUERIES[query], parameters)
        cursor.execute(
            composed.SQL("ANALYZE {}").format(composed.Identifier(query.removeprefix("make_")))
        )


def prepare(conn: Connection) -> None:
    """Give the current transaction the memory that sorting a day of readings wants."""
    statements: Sequence[LiteralString] = (
        "SET LOCAL work_mem = '256MB'",
        "SET LOCAL max_parallel_workers_per_gather = 0",
    )
    for statement in statements:
        conn.execute(statement)


def now(conn: Connection) -> datetime:
    """Return the time of the database."""
    at: datetime = ask_one(conn, "clock")["now"]
    return at
