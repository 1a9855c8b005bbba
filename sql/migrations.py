"""Forward-only migrations: ``sql/migrations/NNNN_words.sql``, applied once, in order.

A file runs in one transaction, unless its first line says ``-- no-transaction``: then the
statements between lines ``-- statement`` run one by one (libpq would otherwise wrap them).
``-- edition: community`` on a line of its own keeps a file for servers that have
TimescaleDB's community edition. A released file is never edited: its checksum is kept. A new
file sorts after all others, or a new database would run it in another order than an old one;
those of 04.. came before many of a lower number, so the next is 0493 or more. After each upgrade
``sql/comments.sql`` hands the comments of columns on to the views.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import LiteralString

import psycopg
from psycopg import errors

_LOCK = 0x656C6574  # any constant that is ours: "elet"
_LEDGER = """
    CREATE TABLE IF NOT EXISTS eletroposto_migration (
        name       text PRIMARY KEY,
        checksum   text NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now()
    );
    COMMENT ON TABLE eletroposto_migration IS 'Files of the schema that were applied'"""


class MigrationError(RuntimeError):
    """The schema cannot be brought up to date; the message says which file and why."""


@dataclass(frozen=True, slots=True)
class Migration:
    name: str
    text: LiteralString

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def statements(self) -> list[LiteralString]:
        if not self.text.startswith("-- no-transaction"):
            return [self.text]
        return [part for part in self.text.split("-- statement\n") if part.strip()]

    def wanted(self, edition: str | None) -> bool:
        return "-- edition: community\n" not in self.text or edition == "timescale"


def available() -> list[Migration]:
    """Return the migrations of this version of the product, oldest first."""
    folder = files(__package__).joinpath("migrations")
    found = (entry for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return sorted(
        (
            # The text comes from our own files and never from outside.
            Migration(entry.name, entry.read_text(encoding="utf-8"))
            for entry in found
        ),
        key=lambda migration: migration.name,
    )


def pending(url: str) -> list[str]:
    """Return the names of migrations that ``migrate`` would apply; changes nothing.

    Raises:
        MigrationError: If an applied file was changed afterwards.
    """
    with _connect(url) as conn:
        return [migration.name for migration in _pending(conn)]


def migrate(url: str) -> list[str]:
    """Apply what is missing and return the names; safe to call from several processes at once.

    Where nothing is missing it only reads, so a login without the rights of the owner will do.

    Raises:
        MigrationError: If the server has no TimescaleDB, the login is not the owner's, a file
            fails, or an applied file was changed afterwards. Files before the failing one stay
            applied.
    """
    with _connect(url) as conn:
        if not (missing := _pending(conn)):
            return []
        with _alone(conn):
            try:
                return _apply_missing(conn)
            except errors.InsufficientPrivilege as exc:
                raise MigrationError(
                    f"{missing[0].name} is missing and this login may not apply it;"
                    " `eletroposto db migrate` does, as the owner of the database"
                ) from exc


def _apply_missing(conn: psycopg.Connection) -> list[str]:
    _prepare(conn)
    missing = _pending(conn)  # another process may have been quicker
    for migration in missing:
        _apply(conn, migration)
    if missing:
        _comment(conn)
    return [migration.name for migration in missing]


def _comment(conn: psycopg.Connection) -> None:
    """Say the meaning of each column that has no comment of its own, whatever made it."""
    # The text comes from our own files and never from outside.
    conn.execute(files(__package__).joinpath("comments.sql").read_text(encoding="utf-8"))


def _connect(url: str) -> psycopg.Connection:
    return psycopg.connect(url, autocommit=True, connect_timeout=10)


@contextmanager
def _alone(conn: psycopg.Connection) -> Iterator[None]:
    conn.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
    try:
        yield
    finally:
        if not conn.closed:
            conn.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])


def _prepare(conn: psycopg.Connection) -> None:
    try:
        conn.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
    except errors.InsufficientPrivilege:
        raise
    except psycopg.Error as exc:
        raise MigrationError(f"this server cannot give us TimescaleDB: {exc}") from exc
    conn.execute(_LEDGER)


def _pending(conn: psycopg.Connection) -> list[Migration]:
    applied = _applied(conn)
    row = conn.execute("SELECT current_setting('timescaledb.license', true)").fetchone()
    edition = row[0] if row else None
    missing = []
    for migration in available():
        if (checksum := applied.get(migration.name)) is None:
            if migration.wanted(edition):
                missing.append(migration)
        elif checksum != migration.checksum:
            raise MigrationError(
                f"{migration.name} was changed after it had been applied; "
                "write a new migration instead"
            )
    return missing


def _applied(conn: psycopg.Connection) -> dict[str, str]:
    row = conn.execute("SELECT to_regclass('eletroposto_migration')").fetchone()
    if row is None or row[0] is None:
        return {}
    return dict(conn.execute("SELECT name, checksum FROM eletroposto_migration").fetchall())


def _apply(conn: psycopg.Connection, migration: Migration) -> None:
    record: LiteralString = "INSERT INTO eletroposto_migration (name, checksum) VALUES (%s, %s)"
    try:
        if len(migration.statements) > 1:
            for statement in migration.statements:
                conn.execute(statement)
            conn.execute(record, [migration.name, migration.checksum])
            return
        with conn.transaction():
            conn.execute(migration.text)
            conn.execute(record, [migration.name, migration.checksum])
    except errors.InsufficientPrivilege:
        raise
    except psycopg.Error as exc:
        raise MigrationError(f"{migration.name} failed: {exc}") from exc
