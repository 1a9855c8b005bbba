"""The migration runner on a real TimescaleDB."""

import re
import threading

import psycopg
import pytest

from sql import migrations
from sql.migrations import Migration, MigrationError, available, migrate, pending
from tests.integration.test_functions import functions_of

GOOD = Migration("9001_good.sql", "CREATE TABLE good (x int)")
BROKEN = Migration("9002_broken.sql", "CREATE TABLE half (x int); SELECT no_such_function()")
LOOSE = Migration(
    "9003_loose.sql",
    "-- no-transaction\n-- statement\nCREATE TABLE loose (x int)\n"
    "-- statement\nCREATE INDEX CONCURRENTLY loose_x ON loose (x)\n",
)
COMMUNITY = Migration("9004_community.sql", "-- edition: community\nCREATE TABLE never (x int)")


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch):
    """Let the runner find just these migrations: the folder is its input."""

    def put(*found: Migration) -> None:
        monkeypatch.setattr(migrations, "available", lambda: list(found))

    return put


def tables(url: str) -> set[str]:
    with psycopg.connect(url) as conn:
        rows = conn.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {row[0] for row in rows}


def test_every_migration_applies_once_and_in_order(empty_database_url: str) -> None:
    names = [migration.name for migration in available()]
    assert names == sorted(names)

    applied = migrate(empty_database_url)

    assert applied == [migration.name for migration in available() if migration.wanted("apache")]
    assert migrate(empty_database_url) == []
    assert pending(empty_database_url) == []


def test_a_new_file_sorts_after_those_that_databases_have() -> None:
    """04.. were released before many of 00..: another 00.. would run before them, or after."""
    between = [one.name for one in available() if "0040" <= one.name < "0492"]

    assert between == [
        "0410_compression.sql",
        "0490_column_comments.sql",
        "0491_occupancy_comment.sql",
    ]


def test_chunks_are_compressed_in_the_order_of_the_whole_key(database_url: str) -> None:
    """What a new database of the community edition, which is not at hand here, is told last."""
    told = [
        dict(re.findall(r"timescaledb.compress_(segmentby|orderby) = '([^']*)'", options))
        for migration in available()
        for options in re.findall(r"ALTER TABLE meter_value SET \((.*?)\);", migration.text, re.S)
    ]
    with psycopg.connect(database_url) as conn:
        (key,) = conn.execute(
            "SELECT array_agg(attname) FROM pg_attribute"
            " WHERE attrelid = 'meter_value_key'::regclass"
        ).fetchone() or ([],)

    assert set(", ".join(told[-1].values()).split(", ")) == set(key)


def test_two_processes_at_once_apply_each_file_once(empty_database_url: str) -> None:
    results: list[list[str]] = []
    threads = [
        threading.Thread(target=lambda: results.append(migrate(empty_database_url)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(map(bool, results)) == [False, True]


def test_a_failing_file_leaves_nothing_behind_and_is_named(empty_database_url: str, only) -> None:
    only(GOOD, BROKEN)

    with pytest.raises(MigrationError, match=r"9002_broken.sql failed: .*no_such_function"):
        migrate(empty_database_url)

    assert {"good"} <= tables(empty_database_url)
    assert "half" not in tables(empty_database_url)


def test_a_file_changed_after_release_is_refused(empty_database_url: str, only) -> None:
    only(GOOD)
    migrate(empty_database_url)

    only(Migration(GOOD.name, GOOD.text + " -- touched"))

    with pytest.raises(MigrationError, match=r"9001_good.sql was changed"):
        migrate(empty_database_url)


def test_a_file_may_run_outside_a_transaction(empty_database_url: str, only) -> None:
    only(LOOSE)

    assert migrate(empty_database_url) == ["9003_loose.sql"]


def test_a_community_file_waits_for_a_community_server(empty_database_url: str, only) -> None:
    only(GOOD, COMMUNITY)

    assert migrate(empty_database_url) == ["9001_good.sql"]


def test_every_table_view_and_column_says_what_it_is(database_url: str) -> None:
    """Whoever opens the schema in a tool reads meanings and units there."""
    silent = """
        SELECT format('%I.%I.%I', place.nspname, source.relname, att.attname)
        FROM pg_class AS source
        INNER JOIN pg_namespace AS place ON source.relnamespace = place.oid
        INNER JOIN pg_attribute AS att ON source.oid = att.attrelid AND att.attnum > 0
        WHERE place.nspname IN ('public', 'report') AND source.relkind IN ('r', 'p', 'v')
            AND NOT att.attisdropped AND col_description(source.oid, att.attnum) IS NULL
        UNION ALL
        SELECT format('%I.%I', place.nspname, source.relname)
        FROM pg_class AS source
        INNER JOIN pg_namespace AS place ON source.relnamespace = place.oid
        WHERE place.nspname IN ('public', 'report') AND source.relkind IN ('r', 'p', 'v')
            AND obj_description(source.oid, 'pg_class') IS NULL
    """
    with psycopg.connect(database_url) as conn:
        assert conn.execute(silent).fetchall() == []


def meanings(url: str) -> dict[str, str | None]:
    """The comment of every column that the public face shows."""
    query = """
        SELECT table_name || '.' || column_name,
            col_description(format('report.%I', table_name)::regclass, ordinal_position)
        FROM information_schema.columns WHERE table_schema = 'report'
    """
    with psycopg.connect(url) as conn:
        return dict(conn.execute(query).fetchall())


def test_a_schema_in_steps_says_the_same_as_one_in_one_go(
    empty_database_url: str, database_url: str, only
) -> None:
    """The present files in the order of their release: 04.. came before those from 0011 on."""
    every = [migration for migration in available() if migration.wanted("apache")]
    first = [one for one in every if one.name < "0010" or "0400" <= one.name < "0492"]
    only(*first)
    migrate(empty_database_url)
    only(*every)
    migrate(empty_database_url)

    fresh, upgraded = meanings(database_url), meanings(empty_database_url)

    assert {
        name: (fresh[name], upgraded.get(name))
        for name in fresh
        if fresh[name] != upgraded.get(name)
    } == {}
    assert fresh.keys() == upgraded.keys()
    with psycopg.connect(database_url) as new, psycopg.connect(empty_database_url) as old:
        assert functions_of(new) == functions_of(old)
