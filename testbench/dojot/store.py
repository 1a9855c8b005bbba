"""Everything the stand-in remembers, in one sqlite database.

A message is kept whole, as DOJOT's persister receives it; the history API makes
one row per attribute of it. That stores ten times faster than a row each.
"""

import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import orjson

_SCHEMA = """
CREATE TABLE IF NOT EXISTS secret (value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS account (
    username TEXT PRIMARY KEY, id INTEGER NOT NULL, passwd TEXT, tenant TEXT NOT NULL,
    profile TEXT NOT NULL, key TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS sequence (
    tenant TEXT, name TEXT, value INTEGER NOT NULL, PRIMARY KEY (tenant, name)
);
CREATE TABLE IF NOT EXISTS template (
    tenant TEXT, id INTEGER, label TEXT NOT NULL, created TEXT NOT NULL, updated TEXT,
    PRIMARY KEY (tenant, id)
);
CREATE TABLE IF NOT EXISTS attribute (
    tenant TEXT, id INTEGER, template_id INTEGER NOT NULL, label TEXT NOT NULL, type TEXT NOT NULL,
    value_type TEXT NOT NULL, static_value TEXT, metadata TEXT, created TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE TABLE IF NOT EXISTS device (
    tenant TEXT, id TEXT, label TEXT NOT NULL, created TEXT NOT NULL, updated TEXT,
    PRIMARY KEY (tenant, id)
);
CREATE TABLE IF NOT EXISTS device_template (
    tenant TEXT, device_id TEXT, template_id INTEGER,
    PRIMARY KEY (tenant, device_id, template_id)
);
CREATE TABLE IF NOT EXISTS override (
    tenant TEXT, device_id TEXT, attribute_id INTEGER, static_value TEXT NOT NULL,
    PRIMARY KEY (tenant, device_id, attribute_id)
);
-- What the persister has heard of: by an event of the device manager or by data.
CREATE TABLE IF NOT EXISTS seen (tenant TEXT, device_id TEXT, PRIMARY KEY (tenant, device_id));
CREATE TABLE IF NOT EXISTS message (
    tenant TEXT NOT NULL, device_id TEXT NOT NULL, ts_ms INTEGER NOT NULL, attrs TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS message_of_device ON message (tenant, device_id, ts_ms);
CREATE INDEX IF NOT EXISTS message_by_age ON message (ts_ms);
"""

Row = sqlite3.Row


def now_text() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


class Store:
    """One connection, used by the event loop only."""

    def __init__(self, path: str = ":memory:") -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = OFF")  # survives a kill, not a power cut
        self._db.execute("PRAGMA case_sensitive_like = ON")  # as PostgreSQL compares
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        self._db.close()

    def run(self, sql: str, *values: Any) -> int:
        """Execute one statement and return the number of rows it touched."""
        return self._db.execute(sql, values).rowcount

    def rows(self, sql: str, *values: Any) -> list[Row]:
        return self._db.execute(sql, values).fetchall()

    def row(self, sql: str, *values: Any) -> Row | None:
        found: Row | None = self._db.execute(sql, values).fetchone()
        return found

    def count(self, sql: str, *values: Any) -> int:
        return int(self._db.execute(sql, values).fetchone()[0])

    def next_id(self, tenant: str, name: str) -> int:
        return self.count(
            "INSERT INTO sequence VALUES (?, ?, 1)"
            " ON CONFLICT DO UPDATE SET value = value + 1 RETURNING value",
            tenant,
            name,
        )

    def remember_device(self, tenant: str, device_id: str) -> None:
        self.run("INSERT OR IGNORE INTO seen VALUES (?, ?)", tenant, device_id)

    def add_messages(self, messages: Iterable[tuple[str, str, int, dict[str, Any]]]) -> None:
        """Store (tenant, device id, ts in ms, attributes) in one transaction."""
        rows = [(t, d, ts, orjson.dumps(attrs).decode()) for t, d, ts, attrs in messages]
        self._db.execute("BEGIN")
        self._db.executemany("INSERT INTO message VALUES (?, ?, ?, ?)", rows)
        self._db.executemany(
            "INSERT OR IGNORE INTO seen VALUES (?, ?)",
            {(tenant, device) for tenant, device, *_ in rows},
        )
        self._db.execute("COMMIT")

    def forget_older_than(self, ts_ms: int) -> int:
        return self.run("DELETE FROM message WHERE ts_ms < ?", ts_ms)
