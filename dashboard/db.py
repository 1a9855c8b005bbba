"""Connections to the database, and the one place where its failures get a name."""

import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Literal, LiteralString, TypeVar

import pandas as pd
import psycopg
from psycopg.abc import PQGen
from psycopg.conninfo import make_conninfo
from psycopg.pq import TransactionStatus
from psycopg_pool import ConnectionPool, PoolTimeout

logger = logging.getLogger(__name__)

Reason = Literal["away", "slow", "busy", "outdated", "refused"]

_REST_S = 5.0  # after a failed connect we answer at once for this long
_STATEMENT_S = 5
# The server ends a statement itself; beyond this it is not there to do so.
_PATIENCE_S = _STATEMENT_S + 2.0
_CONNECTIONS = 6
# Of SQLSTATE: connection exceptions, and a server that shuts down or starts.
_LOST = ("08", "57P")
_FLOATS = {700, 701, 1700}
_INTEGERS = {20, 21, 23}
_INSTANTS = {1184}

READER = "eletroposto_dashboard"
OPERATOR = "eletroposto_operator"


class NoAnswer(RuntimeError):
    """The database gave no answer; ``reason`` decides what the reader is told.

    Attributes:
        reason: away (no connection), slow (statement time-out), busy (all our connections are in
            use), outdated (a view is missing: migrations), refused (the database said no; then
            ``detail`` is its sentence).
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


T = TypeVar("T")


class _Impatient(psycopg.Connection[Any]):
    """Does not wait for ever for a server that stopped in the middle of a conversation."""

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        try:
            return super().wait(gen, interval, min(timeout or _PATIENCE_S, _PATIENCE_S))
        except psycopg.OperationalError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self.close()  # nobody knows what it would answer next
            raise


class _Exhausted(RuntimeError):
    """All connections of a pool are in use, which says nothing about the database."""


@dataclass
class _Pool:
    """A pool that can tell why it has no connection to give.

    Attributes:
        in_use: Connections handed out and not back yet.
        handed_out: How many were handed out ever.
    """

    connections: ConnectionPool[_Impatient]
    in_use: int = 0
    handed_out: int = 0
    lock: Lock = field(default_factory=Lock)

    @contextmanager
    def connection(self) -> Iterator[_Impatient]:
        """
        Raises:
            _Exhausted: Others had the connections for all the time we waited.
            PoolTimeout: No connection could be made.
        """
        seen = self.handed_out
        try:
            conn = self.connections.getconn()
        except PoolTimeout:
            if self.in_use >= _CONNECTIONS or self.handed_out > seen:
                raise _Exhausted from None
            raise
        self._count(+1)
        try:
            yield conn
        finally:
            self._count(-1)
            self.connections.putconn(conn)

    def _count(self, difference: int) -> None:
        with self.lock:
            self.in_use += difference
            self.handed_out += max(difference, 0)


_pools: dict[tuple[str, str], _Pool] = {}
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
            pool.connections.close()
        _pools.clear()
    _breakers.clear()


def _pool(role: str) -> _Pool:
    address = url()
    _breakers.setdefault(address, _Breaker()).check()
    with _lock:
        if (address, role) not in _pools:
            _pools[address, role] = _open(address, role)
        return _pools[address, role]


def _open(address: str, role: str) -> _Pool:
    read_only = "on" if role == READER else "off"
    # A choice of none, some or all charge points is a parameter: no plan fits all three.
    options = (
        f"-c role={role} -c statement_timeout={_STATEMENT_S}s -c timezone=UTC -c jit=off"
        f" -c default_transaction_read_only={read_only} -c plan_cache_mode=force_custom_plan"
    )
    connections = ConnectionPool(
        make_conninfo(
            address,
            connect_timeout=2,
            tcp_user_timeout=int(_PATIENCE_S * 1000),
            options=options,
        ),
        connection_class=_Impatient,
        min_size=0,
        max_size=_CONNECTIONS,
        timeout=1.5,
        max_idle=60,
        reconnect_timeout=2,
        kwargs={"autocommit": True},
        open=True,
        name=f"dashboard-{role}",
    )
    return _Pool(connections)


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
            case _Exhausted():
                raise NoAnswer("busy") from exc
            case psycopg.OperationalError() if not _is_lost(exc):
                logger.warning("the database is overloaded: %s", exc)
                raise NoAnswer("slow") from exc
            case PoolTimeout() | psycopg.OperationalError():
                _breakers.setdefault(url(), _Breaker()).trip()
                logger.warning("the database is away: %s", exc)
                raise NoAnswer("away") from exc
            case psycopg.IntegrityError() | psycopg.DataError() | psycopg.errors.NoDataFound():
                raise NoAnswer("refused", _sentence(exc)) from exc
            case psycopg.errors.InsufficientPrivilege() | psycopg.errors.RaiseException():
                raise NoAnswer("refused", _sentence(exc)) from exc


def _is_lost(exc: psycopg.Error) -> bool:
    """Whether the connection is gone; what the server itself says came over one that works."""
    return not exc.sqlstate or exc.sqlstate.startswith(_LOST)


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
