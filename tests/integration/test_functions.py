"""sql/functions.sql tells what the functions of the database are."""

import re

import psycopg

from sql.functions import FILE, present, written
from sql.migrations import Migration, available

MADE_AT_RUN_TIME = {"public.dojot_extra_attributes"}


def functions_of(conn: psycopg.Connection) -> dict[str, tuple[str, str | None]]:
    """Every function of ours by its signature: its text and its comment."""
    rows = conn.execute(
        """
        SELECT
            format('%I.%s(%s)', place.nspname, pro.proname, pg_get_function_identity_arguments(pro.oid)),
            pg_get_functiondef(pro.oid), obj_description(pro.oid)
        FROM pg_proc AS pro
        INNER JOIN pg_namespace AS place ON pro.pronamespace = place.oid
        WHERE
            place.nspname IN ('public', 'report', 'operation')
            AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pro.oid AND deptype = 'e')
        """  # noqa: E501
    )
    return {signature: (text, comment) for signature, text, comment in rows}


def test_the_file_was_written_after_the_last_migration() -> None:
    assert FILE.read_text() == written(available()), "python -m sql.functions"


def test_the_file_has_every_function_and_none_differs(database_url: str) -> None:
    """Laid over a database that has all migrations, it changes nothing."""
    with psycopg.connect(database_url) as conn:
        before = functions_of(conn)
        conn.execute(FILE.read_bytes())
        after = functions_of(conn)
        conn.rollback()

    assert {name for name in after if after[name] != before.get(name)} == set()
    names = re.findall(r"^CREATE OR REPLACE FUNCTION ([\w.]+)", FILE.read_text(), re.MULTILINE)
    told = sorted(name if "." in name else f"public.{name}" for name in names)
    assert told == sorted(
        name for one in before if (name := one.partition("(")[0]) not in MADE_AT_RUN_TIME
    )


def test_what_a_later_migration_replaces_or_drops_is_not_told() -> None:
    first = Migration(
        "0001_first.sql",
        "-- The sum.\n"
        "CREATE FUNCTION f(a int, b int DEFAULT 0) RETURNS int LANGUAGE sql RETURN a;\n"
        "COMMENT ON FUNCTION f IS 'It''s; the sum';\n"
        "CREATE FUNCTION g(a int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$;\n"
        "CREATE FUNCTION h(a int, b int) RETURNS int LANGUAGE sql RETURN a;\n",
    )
    second = Migration(
        "0002_second.sql",
        "CREATE OR REPLACE FUNCTION f(a int,\n b int) RETURNS int LANGUAGE sql RETURN a + b;\n"
        "DROP FUNCTION g(int);\n"
        "DROP FUNCTION h;\n",
    )
    assert [str(one) for one in present([first, second])] == [
        "-- 0002_second.sql\n"
        "CREATE OR REPLACE FUNCTION f(a int,\n b int) RETURNS int LANGUAGE sql RETURN a + b;\n"
        "COMMENT ON FUNCTION f IS 'It''s; the sum';\n"
    ]
    assert [one.name for one in present([first])] == ["public.f", "public.g", "public.h"]
    assert "-- The sum.\nCREATE OR REPLACE FUNCTION f" in str(present([first])[0])
