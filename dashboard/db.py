"""Connections to the database, and the one place where its failures get a name."""

import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any, Literal, LiteralString

import pandas as pd
import psycopg
from psycopg.conninfo import make_conninfo
from psycopg_pool import ConnectionPool, PoolTimeout

logger = logging.getLogger(__name__)

Reason = Literal["away", "slow", "outdated", "refused"]

_REST_S = 5.0  # after a failed connect we answer at once for this long
_FLOATS = {700, 701, 1700}
_INTEGERS = {20, 21, 23}
_INSTANTS = {1184}

READER = "eletroposto_dashboard"
OPERATOR = "eletroposto_operator"


class NoAnswer(RuntimeError):
    """The database gave no answer; ``reason`` decides what the reader is told.

    Attributes:
        reason: away (no connection), slow (statement time-out), outdated (a view is missing:
            migrations), refused (the database said no; then ``detail`` is its sentence).
    """

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass
class _Breaker:
    """Keeps a page with twenty questions from waiting twenty times for a database that is away."""

    closed_until: float = 0.0

    def check(self) -> None:
        if time.monotonic() < self.closed_until:
            raise NoAnswer("away")

    def trip(self) -> None:
        self.closed_until = time.monotonic() + _REST_S


_pools: dict[tuple[str, str], ConnectionPool] = {}
_breakers: dict[str, _Breaker] = {}
_lock = Lock()


def url() -> str:
    """Where the database is; empty when the setting is missing."""
    return os.environ.get("ELETROPOSTO_DATABASE_URL", "")


def fetch(query: LiteralString, params: Mapping[str, Any]) -> pd.DataFrame:
    """Ask as the read-only role.

    Raises:
        NoAnswer: If the database is away, slow, or lacks the view.
    """
    with _failures(), _pool(READER).connection() as conn:
        cursor = conn.execute(query, params)
        return _frame(cursor)


def act(query: LiteralString, params: Mapping[str, Any]) -> Any:
    """Call one of the functions kept for operators and return its single value.

    Raises:
        NoAnswer: As ``fetch``; ``refused`` carries the database's own sentence.
    """
    with _failures(), _pool(OPERATOR).connection() as conn:
        row = conn.execute(query, params).fetchone()
        return row[0] if row else None


def retry_now() -> None:
    """Forget that the database was away: the reader pressed the button."""
    _breakers.clear()


def close_all() -> None:
    """Close every pool, when the process or a test ends."""
    with _lock:
        for pool in _pools.values():
            pool.close()
        _pools.clear()
    _breakers.clear()


def _pool(role: str) -> ConnectionPool:
    address = url()
    _breakers.setdefault(address, _Breaker()).check()
    with _lock:
        if (address, role) not in _pools:
            _pools[address, role] = _open(address, role)
        return _pools[address, role]


def _open(address: str, role: str) -> ConnectionPool:
    read_only = "on" if role == READER else "off"
    options = (
        f"-c role={role} -c statement_timeout=5000 -c timezone=UTC"
        f" -c default_transaction_read_only={read_only}"
    )
    return ConnectionPool(
        make_conninfo(address, connect_timeout=2, options=options),
        min_size=0,
        max_size=6,
        timeout=1.5,
        max_idle=60,
        reconnect_timeout=2,
        kwargs={"autocommit": True},
        open=True,
        name=f"dashboard-{role}",
    )


class _failures:
    """Turns what psycopg raises into NoAnswer."""

    def __enter__(self) -> None:
        if not url():
            raise NoAnswer("away", "ELETROPOSTO_DATABASE_URL is not set")

    def __exit__(self, _: object, exc: BaseException | None, __: object) -> None:
        match exc:
            case psycopg.errors.QueryCanceled():
                raise NoAnswer("slow") from exc
            case psycopg.errors.UndefinedTable() | psycopg.errors.UndefinedColumn():
                logger.warning("the schema is older than the dashboard: %s", exc)
                raise NoAnswer("outdated") from exc
            case psycopg.errors.UndefinedObject() | psycopg.errors.InvalidSchemaName():
                raise NoAnswer("outdated") from exc
            case PoolTimeout() | psycopg.OperationalError():
                _breakers.setdefault(url(), _Breaker()).trip()
                logger.warning("the database is away: %s", exc)
                raise NoAnswer("away") from exc
            case psycopg.IntegrityError() | psycopg.DataError() | psycopg.errors.NoDataFound():
                raise NoAnswer("refused", _sentence(exc)) from exc
            case psycopg.errors.InsufficientPrivilege() | psycopg.errors.RaiseException():
                raise NoAnswer("refused", _sentence(exc)) from exc


def _sentence(exc: psycopg.Error) -> str:
    return exc.diag.message_primary or "the database refused"


def _frame(cursor: psycopg.Cursor[Any]) -> pd.DataFrame:
    columns = cursor.description or []
    frame = pd.DataFrame(cursor.fetchall(), columns=[column.name for column in columns])
    for column in columns:
        frame[column.name] = _typed(frame[column.name], column.type_code)
    return frame


def _typed(values: "pd.Series[Any]", type_code: int) -> "pd.Series[Any]":
    """Give a column its type even when it is empty or all unknown."""
    if type_code in _FLOATS or (type_code in _INTEGERS and values.isna().any()):
        return values.astype("float64")
    if type_code in _INTEGERS:
        return values.astype("int64")
    if type_code in _INSTANTS:
        return pd.to_datetime(values, utc=True)
    # NaN in a column of texts would count as true.
    return values.astype(object).where(values.notna(), None)
