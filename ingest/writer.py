"""The writer: one task, one connection in one thread, group commit without a timer.

While one commit runs, the next batch gathers; a frame is confirmed only after the commit that
holds it. Bad data that got past the readers is set aside, one frame at a time, and confirmed. A
hiccup of ours fails the frames of its batch, so that their charge points repeat them. What takes
the database too long, or more locks than it has, is tried in smaller pieces, and so is what waited
for a row that somebody holds. When the database is away, or a table stays locked, everything
waiting fails and ``available`` is false until a probe succeeds, which really writes.
"""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

import psycopg
from psycopg import Connection, errors

import sql
from ingest.database import KEEPALIVE
from ingest.facts import Meaning, SetAside, TransactionStart
from ingest.frames import error_text
from ingest.items import Item, Message
from ingest.store import Store, TooManyDays
from ingest.trouble import Trouble, sentence

logger = logging.getLogger(__name__)

_LARGEST_BATCH = 2000
_PROBE_EVERY_S = 0.5
_PATIENCE_S = 35  # for a server that neither answers nor dies; statements end after 15 s
# Contention that the next attempt usually does not meet again.
_TRANSIENT = (
    errors.DeadlockDetected,
    errors.SerializationFailure,
    errors.LockNotAvailable,
)
_CONTENDED_IS_AWAY = 2  # so many batches in a row
# Too long, or too many locks: too much at once, if the database can still write.
_TOO_MUCH = (errors.QueryCanceled, errors.OutOfMemory)
_HASTY_S = 90  # after a lock: its frame comes again, within a minute from most charge points
_PIECES = 8  # each piece that is still too much may cost the time of a statement
_MOST_TOO_MUCH = 8  # in a row: a single frame is reached long before
# Data the database refuses: theirs, whatever our readers thought of it.
_THEIRS = (
    psycopg.DataError,
    psycopg.IntegrityError,
    errors.ProgramLimitExceeded,
    errors.StatementTooComplex,
)
_QUERIES = sql.load("ingest")
_OPTIONS = "-c role=eletroposto_ingest -c statement_timeout=15000 -c timezone=UTC"

_T = TypeVar("_T")


class NotStored(Exception):
    """The item was not committed, through no fault of the charge point."""


class DatabaseAway(NotStored):
    """There is no database to commit to at the moment."""


@dataclass(slots=True)
class Tally:
    """What the writer did since it started; ``health`` shows it."""

    batches: int = 0
    items: int = 0
    set_aside: int = 0
    failed: int = 0
    outages: int = 0
    last_commit_s: float = 0.0
    largest_batch: int = 0


@dataclass(slots=True)
class _Waiting:
    item: Item
    done: asyncio.Future[None]
    was_too_much: bool = False


@dataclass(slots=True)
class Writer:
    """Gathers items and commits them in batches.

    Attributes:
        on_away: Called once when the database is lost, after the waiting items failed.
        options: Of the connection: role, statement timeout.
        hasty_lock_timeout_ms: How long a piece of what took too long may wait for a lock when it is
            tried again: longer is no fault of its own, and its neighbours wait too.
        available: Whether a database is there; handshakes ask it.
        trouble: Why nothing is stored at the moment.
        backend_pid: The process of the server that works for us.
    """

    url: str
    store: Store
    replica_id: UUID
    host: str
    on_away: Callable[[], None]
    options: str = _OPTIONS
    hasty_lock_timeout_ms: int = 1000
    available: bool = False
    tally: Tally = field(default_factory=Tally)
    trouble: Trouble = field(default_factory=Trouble)
    backend_pid: int = 0
    _queue: list[_Waiting] = field(default_factory=list)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _stopping: bool = False
    _away_since: datetime = field(default_factory=lambda: datetime.now(UTC))
    _conn: Connection | None = None
    _contended: int = 0
    _overloaded: int = 0
    _is_hasty: bool = False
    _hasty_until: float = 0.0
    _is_suspect: bool = False
    _began_at: float | None = None
    _thread: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="writer")
    )

    def submit(self, item: Item) -> asyncio.Future[None]:
        """Queue an item; the future ends when it is committed, or fails with ``NotStored``."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not self.available:
            done.set_exception(DatabaseAway())
            return done
        self._queue.append(_Waiting(item, done))
        self._wake.set()
        return done

    def note(self, item: Item) -> None:
        """Queue an item nobody waits for; it is lost when the database is."""
        self.submit(item).add_done_callback(forget)

    @property
    def queued(self) -> int:
        return len(self._queue)

    @property
    def commit_age_s(self) -> float:
        """For how long the batch under way waits for its commit; 0 where there is none."""
        return 0.0 if self._began_at is None else time.monotonic() - self._began_at

    async def run(self) -> None:
        """Commit batches until ``stop`` was called and the queue is empty."""
        while not self._stopping or (self._queue and self.available):
            if self._conn is None:
                if not await self._connect():
                    await asyncio.sleep(_PROBE_EVERY_S)
                continue  # ``stop`` may have been called meanwhile
            if not self._queue:
                self._wake.clear()
                await self._wake.wait()
                continue
            batch, self._queue = self._queue[:_LARGEST_BATCH], self._queue[_LARGEST_BATCH:]
            await self._commit_all(batch)
        if self._conn is not None:
            self._conn.close()
        self._thread.shutdown()

    def stop(self) -> None:
        """Let ``run`` end once everything queued is committed."""
        self._stopping = True
        self._wake.set()

    async def _connect(self) -> bool:
        """Connect and prove that the database can be written to."""
        try:
            await self._in_thread(self._open_connection)
        except psycopg.Error as exc:
            self.trouble.meet(exc)
            self.trouble.say("no database yet")
            return False
        logger.info("database connected")
        self.trouble.clear()
        self._is_suspect = False
        self.available = True
        return True

    def _open_connection(self) -> None:
        conn = Connection.connect(
            self.url, autocommit=True, connect_timeout=5, options=self.options, **KEEPALIVE
        )
        self._conn = conn  # from here on it can be hung up on
        self.backend_pid = conn.info.backend_pid
        try:
            self._prepare(conn)
        except BaseException:
            self._conn = None
            conn.close()
            raise

    def _prepare(self, conn: Connection) -> None:
        _probe(conn)
        conn.execute(
            _QUERIES["announce_replica"], {"replica_id": self.replica_id, "host": self.host}
        )
        # The sockets that the outage closed could not be recorded while it lasted.
        conn.execute(
            _QUERIES["close_own_connections"],
            {"replica_id": self.replica_id, "closed_at": self._away_since},
        )

    async def _in_thread(self, function: Callable[..., _T], *args: object) -> _T:
        """Run what blocks on the database; a server that never answers is hung up on."""
        loop = asyncio.get_running_loop()
        patience = loop.call_later(_PATIENCE_S, self._hang_up)
        try:
            return await loop.run_in_executor(self._thread, function, *args)
        finally:
            patience.cancel()

    def _hang_up(self) -> None:
        """End the connection under the thread that waits for it."""
        if self._conn is not None:
            with socket.socket(fileno=os.dup(self._conn.fileno())) as line:
                line.shutdown(socket.SHUT_RDWR)

    async def _commit_all(self, batch: list[_Waiting]) -> None:
        """Commit what gathered, however many commits that takes.

        Where the database could not be written to a moment ago, that is asked first: who waits for
        a table that is still locked would only use up attempts.
        """
        self._began_at = time.monotonic()
        self._is_hasty = self._began_at < self._hasty_until
        refusal = await self._ask_refusal() if self._is_suspect else None
        if refusal is None:
            await self._commit(batch)
        else:
            self._lose_database(batch, refusal)
        self._began_at = None
        if self.available and not self._is_suspect:
            self.trouble.clear()

    async def _commit(self, batch: list[_Waiting]) -> None:
        started = asyncio.get_running_loop().time()
        try:
            await self._save(batch)
        except TooManyDays:
            await self._commit_apart(batch, 2)
        except _TOO_MUCH as exc:
            await self._meet_overload(batch, exc)
        except errors.LockNotAvailable as exc:
            await self._meet_lock(batch, exc)
        except _TRANSIENT as exc:
            self._meet_contention(batch, exc)
        except Exception as exc:
            if not _is_of_the_data(exc):
                self._lose_database(batch, exc)
            elif len(batch) == 1:
                await self._set_aside(batch[0], exc)
            else:
                await self._commit_apart(batch, 2)
        else:
            self.tally.batches += 1
            self.tally.items += len(batch)
            self.tally.largest_batch = max(self.tally.largest_batch, len(batch))
            self.tally.last_commit_s = asyncio.get_running_loop().time() - started
            self._contended = self._overloaded = 0
            _resolve(batch)

    def _meet_contention(self, batch: list[_Waiting], exc: Exception) -> None:
        """Let the frames come again; where it lasts, let them wait at the charge points.

        Each refusal costs one of the few attempts a charge point makes (OCPP 1.6 3.7.1).
        """
        self._contended += 1
        if self._contended >= _CONTENDED_IS_AWAY:
            self._lose_database(batch, exc)
            return
        words = self.trouble.held_up_by or sentence(exc)
        logger.warning("batch of %d not stored: %s", len(batch), words)
        self._fail(batch, NotStored(words))

    async def _meet_overload(self, batch: list[_Waiting], exc: Exception) -> None:
        """Store in pieces what is too much for the database at once.

        A frame of many readings that is too much by itself, twice, is set aside: it would come
        again for ever. One of a single reading is too much for nobody: the trouble is ours. So it
        is with a database that cannot write at all.
        """
        self._overloaded += 1
        is_last = batch[0].was_too_much and not _is_heavy(batch[0].item)
        is_too_often = self._overloaded > _MOST_TOO_MUCH
        if is_last or is_too_often or await self._ask_refusal() is not None:
            self._meet_contention(batch, exc)
        elif len(batch) > 1:
            logger.warning("a batch of %d is too much at once: %s", len(batch), sentence(exc))
            self._is_hasty = True
            await self._commit_apart(batch, _PIECES)
        elif batch[0].was_too_much:
            await self._set_aside(batch[0], exc)
        else:
            batch[0].was_too_much = self._is_hasty = True
            await self._commit(batch)

    async def _meet_lock(self, batch: list[_Waiting], exc: Exception) -> None:
        """Find those who wait for a row that somebody holds, so that their neighbours are stored.

        They will come again, so there is hurry for a while. A locked table is for everybody.
        """
        self._is_hasty, self._hasty_until = True, time.monotonic() + _HASTY_S
        if len(batch) == 1 or await self._ask_refusal() is not None:
            self._meet_contention(batch, exc)
        else:
            await self._commit_apart(batch, _PIECES)

    async def _ask_refusal(self) -> psycopg.Error | None:
        """Return what the database says to a probe; None: it can be written to."""
        try:
            await self._in_thread(_probe, self._conn)
        except psycopg.Error as exc:
            self._is_suspect = True
            return exc
        self._is_suspect = False
        return None

    async def _commit_apart(self, batch: list[_Waiting], pieces: int) -> None:
        """Find the item that cannot be stored, so that its neighbours are stored."""
        size = -(-len(batch) // pieces)
        for first in range(0, len(batch), size):
            piece = batch[first : first + size]
            if self._conn is None:
                self._fail(piece, DatabaseAway())
            else:
                await self._commit(piece)

    async def _save(self, batch: list[_Waiting]) -> None:
        """Save, twice if the first attempt met contention."""
        items = [waiting.item for waiting in batch]
        save = self._save_hastily if self._is_hasty else self.store.save
        try:
            await self._in_thread(save, self._conn, items)
        except _TRANSIENT as exc:
            if self._is_hasty and isinstance(exc, errors.LockNotAvailable):
                raise
            await self._in_thread(save, self._conn, items)

    def _save_hastily(self, conn: Connection, items: list[Item]) -> None:
        """Save pieces of what took too long, and tell waiting for others from their own weight."""
        conn.execute(f"SET lock_timeout = {self.hasty_lock_timeout_ms:d}".encode())
        try:
            self.store.save(conn, items)
        finally:
            if not conn.broken:
                conn.execute("RESET lock_timeout")

    async def _set_aside(self, waiting: _Waiting, refusal: Exception) -> None:
        """Keep the raw frame and the reason in place of its facts, and confirm it."""
        assert self._conn is not None
        item, reason = waiting.item, (str(refusal).splitlines() or [repr(refusal)])[0]
        if not isinstance(refusal, (*_THEIRS, *_TOO_MUCH)):
            logger.error("a frame that we cannot store: a defect", exc_info=refusal)
        if not isinstance(item, Message) or item.meaning is None:
            logger.error("not stored: %s: %s", type(item).__name__, reason)
            self._fail([waiting], NotStored(reason))
            return
        logger.warning("%s: set aside %s: %s", item.charge_point_id, item.action, reason)
        self.tally.set_aside += 1
        starts = any(isinstance(fact, TransactionStart) for fact in item.meaning.facts)
        plain = {} if callable(item.meaning.answer) else item.meaning.answer
        item.meaning = Meaning(plain, aside=[SetAside(reason, item.raw)])
        if starts and item.message_id is not None:
            # A start needs a number that names a stored transaction: there is none to give.
            item.answer = error_text(item.message_id, "PropertyConstraintViolation", reason)
        try:
            await self._in_thread(self.store.save, self._conn, [item])
        except Exception as exc:
            self._fail([waiting], NotStored(str(exc)))
            logger.exception("%s: %s cannot even be set aside", item.charge_point_id, item.action)
        else:
            _resolve([waiting])

    def _lose_database(self, batch: list[_Waiting], exc: Exception) -> None:
        self.trouble.meet(exc)
        logger.error("database lost, %d frames unconfirmed: %s", len(batch), self.trouble.words)
        self.trouble.said()
        self.available = False
        self._away_since = datetime.now(UTC)
        self.tally.outages += 1
        self._overloaded = 0
        waiting, self._queue = [*batch, *self._queue], []
        self._fail(waiting, DatabaseAway(str(exc)))
        if self._conn is not None:
            self._conn.close()
            self._conn = None
        self.on_away()

    def _fail(self, batch: list[_Waiting], exc: NotStored) -> None:
        self.tally.failed += len(batch)
        for waiting in batch:
            if not waiting.done.done():
                waiting.done.set_exception(exc)


def _probe(conn: Connection) -> None:
    """Raise unless every table that frames have to do with can be written to."""
    with conn.transaction(force_rollback=True):
        conn.execute(_QUERIES["probe_writing"])


def _is_heavy(item: Item) -> bool:
    return isinstance(item, Message) and item.meaning is not None and len(item.meaning.readings) > 1


def _is_of_the_data(exc: Exception) -> bool:
    """Whether what we were to store is at fault, and not the database or the way to it.

    What fails before it reaches the server (no SQLSTATE) is a defect of ours that one frame
    brought to light: taken for an outage it would close every socket, again and again.
    """
    if isinstance(exc, psycopg.ProgrammingError):
        return exc.sqlstate is None
    return isinstance(exc, _THEIRS) or not isinstance(exc, psycopg.Error)


def _resolve(batch: list[_Waiting]) -> None:
    for waiting in batch:
        if not waiting.done.done():
            waiting.done.set_result(None)


def forget(done: asyncio.Future[Any]) -> None:
    """Take note of a failure that nobody waits for; a callback of futures."""
    if not done.cancelled():
        done.exception()
