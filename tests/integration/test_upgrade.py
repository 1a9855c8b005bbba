"""Upgrades: from the schema of every migration, with data in it, to the present one."""

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from ingest.store import Store
from sql import migrations
from sql.migrations import Migration, available, migrate, pending
from tests.integration.test_writer import meter_values, start

RELEASED = Path(__file__).with_name("released")
MIGRATIONS = [migration for migration in available() if migration.wanted("apache")]
Rows = dict[str, list[dict[str, Any]]]


def data_after(migration: Migration) -> bytes | None:
    path = RELEASED / f"after_{migration.name[:4]}.sql"
    return path.read_bytes() if path.exists() else None


def build(url: str, released: list[Migration], monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the database of an earlier version, filled as its time went by."""
    with psycopg.connect(url, autocommit=True) as conn:
        for number, migration in enumerate(released, start=1):
            # The folder is the runner's input: it had fewer files then.
            monkeypatch.setattr(migrations, "available", lambda: MIGRATIONS[:number])  # noqa: B023
            migrate(url)
            if (data := data_after(migration)) is not None:
                conn.execute(data)
    monkeypatch.undo()


def contents(conn: psycopg.Connection[Any]) -> Rows:
    """Return every row of our own tables."""
    tables = conn.execute(
        "SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('public', 'report',"
        " 'operation') AND tablename <> 'eletroposto_migration'"
    ).fetchall()
    every = sql.SQL("SELECT to_jsonb(t) FROM {}.{} AS t")
    return {
        f"{schema}.{table}": [
            row
            for (row,) in conn.execute(
                every.format(sql.Identifier(schema), sql.Identifier(table))
            ).fetchall()
        ]
        for schema, table in tables
    }


def lacking(before: Rows, after: Rows) -> list[str]:
    """Name each row that is gone or changed; new columns and new rows are welcome."""
    found = []
    for table, rows in before.items():
        columns = rows[0].keys() if rows else ()
        now = Counter(_text({name: row[name] for name in columns}) for row in after[table])
        found += [f"{table}: {text}" for text in Counter(map(_text, rows)) - now]
    return found


def _text(row: dict[str, Any]) -> str:
    return json.dumps(row, sort_keys=True)


@pytest.mark.parametrize("count", range(1, len(MIGRATIONS)))
def test_an_upgrade_keeps_every_row(
    empty_database_url: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = empty_database_url
    build(url, MIGRATIONS[:count], monkeypatch)
    with psycopg.connect(url) as conn:
        before = contents(conn)
    assert sum(map(len, before.values())) > 1400

    assert migrate(url) == [migration.name for migration in MIGRATIONS[count:]]

    assert pending(url) == []
    with psycopg.connect(url) as conn:
        assert lacking(before, contents(conn)) == []
        _read_every_view(conn)


def _read_every_view(conn: psycopg.Connection[Any]) -> None:
    views = conn.execute("SELECT viewname FROM pg_views WHERE schemaname = 'report'").fetchall()
    for (view,) in views:
        conn.execute(sql.SQL("SELECT * FROM report.{}").format(sql.Identifier(view)))
    readings = conn.execute(
        "SELECT count(*), max(energy_wh) FROM report.meter_value WHERE charge_point = 'CP-1'"
    )
    assert readings.fetchone() == (1441, 1000 + 125 * 1441)


def test_what_came_before_the_upgrade_is_known_after_it(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A charge point repeats after the upgrade what it sent before it: nothing is stored twice."""
    build(empty_database_url, MIGRATIONS[:1], monkeypatch)
    migrate(empty_database_url)
    store = Store(uuid4(), "Accepted")
    with psycopg.connect(
        empty_database_url, autocommit=True, options="-c role=eletroposto_ingest"
    ) as conn:
        again = conn.execute(
            "SELECT number, status FROM start_transaction(1, 1::smallint, 'Bus-1',"
            " '2026-03-01T12:00Z', 1000, NULL, '{}', 'Invalid')"
        ).fetchone()
        message, fact = start("NEW")
        store.save(conn, [message, meter_values(0, energy_wh=1)])
        ended = conn.execute(
            "SELECT number FROM stop_transaction(2, 3, NULL, '2026-03-01T18:00Z', 9, 'Local', '{}',"
            " 'Invalid', now())"
        ).fetchone()
    assert again == (1, "Accepted")
    assert fact.transaction_id == 4, "the numbers go on where they were"
    assert ended == (3,), "a transaction that was open at the upgrade can end"


CHECKSUMS = sorted(RELEASED.glob("*.sha256"))


@pytest.mark.parametrize("checksums", CHECKSUMS, ids=lambda path: path.stem)
def test_migrations_that_databases_have_were_not_edited(checksums: Path) -> None:
    present = {
        migration.name: hashlib.sha256(migration.text.encode()).hexdigest()
        for migration in available()
    }
    lines = checksums.read_text().splitlines()
    assert len(lines) >= 15
    for line in lines:
        checksum, path = line.split()
        assert present.get(Path(path).name) == checksum, f"{checksums.stem}: {path} was edited"


def test_there_is_data_for_what_a_migration_meets() -> None:
    """A file for a migration that does not exist would never be put in."""
    numbers = {migration.name[:4] for migration in MIGRATIONS}
    files = {path.stem.removeprefix("after_") for path in RELEASED.glob("after_*.sql")}
    assert files <= numbers
    assert CHECKSUMS != []
