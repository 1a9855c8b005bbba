"""Upgrades: from the schema of every migration, with data in it, to the present one."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from ingest.store import Store
from sql import migrations
from sql.migrations import Migration, available, migrate, pending
from testbench.embedded import EmbeddedPostgres
from tests.integration.test_writer import meter_values, start

RELEASED = Path(__file__).with_name("released")
MIGRATIONS = [migration for migration in available() if migration.wanted("apache")]
# The first, those that databases had when upgrades began, and the last but one.
STOPS = (1, sum(migration.name < "0016" for migration in MIGRATIONS), len(MIGRATIONS) - 1)
# Sums of other rows, which a migration adds up in another table.
MOVED = {"public.tag_month"}
Rows = dict[str, list[dict[str, Any]]]


def data_after(migration: Migration) -> bytes | None:
    path = RELEASED / f"after_{migration.name[:4]}.sql"
    return path.read_bytes() if path.exists() else None


@contextmanager
def only(count: int) -> Iterator[None]:
    """The folder is the runner's input: it had fewer files then."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(migrations, "available", lambda: MIGRATIONS[:count])
        yield


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
        if table in MOVED and table not in after:
            continue
        columns = rows[0].keys() if rows else ()
        now = Counter(_text({name: row[name] for name in columns}) for row in after[table])
        found += [f"{table}: {text}" for text in Counter(map(_text, rows)) - now]
    return found


def _text(row: dict[str, Any]) -> str:
    return json.dumps(row, sort_keys=True)


@dataclass(frozen=True)
class Walk:
    """One database brought through every migration, and what each of them lost.

    Attributes:
        lost: By the name of the migration.
        databases: Copies made on the way, by the number of migrations they have.
    """

    lost: dict[str, list[str]]
    databases: dict[int, str]


@pytest.fixture(scope="module")
def walk(postgres_server: EmbeddedPostgres) -> Walk:
    walk, before = Walk({}, {}), {}
    url = postgres_server.create_database("upgrade")
    for count, migration in enumerate(MIGRATIONS, start=1):
        with only(count):
            assert migrate(url) == [migration.name]
        with psycopg.connect(url, autocommit=True) as conn:
            walk.lost[migration.name] = lacking(before, contents(conn))
            if (data := data_after(migration)) is not None:
                conn.execute(data)
            before = contents(conn)
        if count in STOPS:
            walk.databases[count] = f"upgrade_{count}"
            postgres_server.create_database(walk.databases[count], template="upgrade")
    return walk


@pytest.fixture
def at(postgres_server: EmbeddedPostgres, walk: Walk) -> Iterator[Callable[[int], str]]:
    """Return the URL of a database that has so many migrations and the data of its time."""
    name = "upgrade_at"
    yield lambda count: postgres_server.create_database(name, template=walk.databases[count])
    postgres_server.drop_database(name)


def test_no_migration_loses_a_row(walk: Walk) -> None:
    assert list(walk.lost) == [migration.name for migration in MIGRATIONS]
    assert {name: rows for name, rows in walk.lost.items() if rows} == {}


@pytest.mark.parametrize("count", STOPS)
def test_an_upgrade_in_one_go_keeps_every_row(at: Callable[[int], str], count: int) -> None:
    url = at(count)
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


def test_sums_that_an_upgrade_writes_are_those_of_the_sessions(at: Callable[[int], str]) -> None:
    url = at(STOPS[1])
    migrate(url)

    with psycopg.connect(url) as conn:
        written = conn.execute(
            "SELECT day, sum(sessions)::int, sum(energy_wh) FROM tag_day GROUP BY 1 ORDER BY 1"
        ).fetchall()
        sessions = conn.execute(
            "SELECT (started_at AT TIME ZONE 'America/Sao_Paulo')::date,"
            " (count(*) FILTER (WHERE NOT is_attempt))::int, sum(energy_wh)"
            " FROM session GROUP BY 1 ORDER BY 1"
        ).fetchall()
    assert written == sessions != []


def test_what_came_before_the_upgrade_is_known_after_it(at: Callable[[int], str]) -> None:
    """A charge point repeats after the upgrade what it sent before it: nothing is stored twice."""
    url = at(1)
    migrate(url)
    store = Store(uuid4(), "Accepted")
    with psycopg.connect(url, autocommit=True, options="-c role=eletroposto_ingest") as conn:
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
