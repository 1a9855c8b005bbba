"""Least privilege, tried: what each role of the database must not be able to do."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import errors

from sql import migrations
from testbench.embedded import EmbeddedPostgres
from tests.acceptance.conftest import CentralSystem


def connect(url: str, role: str) -> psycopg.Connection:
    """Nothing is committed, so that a database serves all these tests."""
    return psycopg.connect(url, options=f"-c role=eletroposto_{role}")


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("ingest", "DELETE FROM meter_value"),
        ("ingest", "DELETE FROM ocpp_message"),
        ("ingest", "TRUNCATE transaction"),
        ("ingest", "DROP TABLE meter_value"),
        ("ingest", "ALTER TABLE ocpp_message ADD COLUMN x int"),
        ("ingest", "CREATE TABLE mine (x int)"),
        ("ingest", "UPDATE ocpp_message SET raw = ''"),
        ("ingest", "UPDATE set_aside SET raw = ''"),
        ("ingest", "UPDATE status_notification SET status = 'Available'"),
        ("ingest", "UPDATE id_tag SET status = 'Accepted'"),
        ("ingest", "INSERT INTO id_tag (id_tag) VALUES ('MINE')"),
        ("ingest", "UPDATE transaction SET meter_start_wh = 0"),
        ("ingest", "UPDATE transaction SET id_tag = 'ANOTHER'"),
        ("ingest", "UPDATE meter_value SET sampled_at = now()"),
        ("ingest", "UPDATE connector SET rated_power_w = 1"),
        ("ingest", "UPDATE charge_point SET registration = 'registered'"),
        ("ingest", "UPDATE charge_point SET energy_factor = 2"),
        ("ingest", "UPDATE command SET requested_by = 'somebody else'"),
        ("flows", "SELECT password_hash FROM charge_point"),
        ("flows", "SELECT new_password_hash FROM charge_point"),
        ("flows", "SELECT password_digest FROM charge_point"),
        ("flows", "SELECT payload FROM command"),
        ("flows", "DELETE FROM ocpp_message"),
        ("flows", "UPDATE ocpp_message SET raw = ''"),
        ("flows", "UPDATE transaction SET meter_stop_wh = 0"),
        ("flows", "INSERT INTO command (charge_point_id, action) VALUES (1, 'Reset')"),
        ("flows", "UPDATE charge_point SET password_hash = NULL"),
        ("dashboard", "SELECT * FROM ocpp_message"),
        ("dashboard", "SELECT password_hash FROM charge_point"),
        ("dashboard", "SELECT * FROM id_tag"),
        ("dashboard", "SELECT payload FROM command"),
        ("dashboard", "INSERT INTO command (charge_point_id, action) VALUES (1, 'Reset')"),
        ("dashboard", "UPDATE transaction SET meter_stop_wh = 0"),
        ("dashboard", "UPDATE charge_point SET registration = 'registered'"),
        ("dashboard", "SELECT write_sums()"),
        ("dashboard", "SELECT readings_kept_since()"),
    ],
)
def test_a_role_may_not(module_database_url: str, role: str, statement: str) -> None:
    with connect(module_database_url, role) as conn, pytest.raises(errors.InsufficientPrivilege):
        conn.execute(statement)


# They read what the views of `report` show; the views call them with the rights of who asks.
OPEN_TO_ALL = {
    "hide_secrets",
    "id_tag_alias",
    "report.last_known_day",
    "report.sums_of_connectors",
    "report.sums_of_day",
    "report.sums_of_days",
    "report.sums_of_period",
    "report.sums_of_sessions",
    "report.sums_of_tags",
}


def test_few_functions_lend_the_rights_of_the_owner_to_everybody(module_database_url: str) -> None:
    with psycopg.connect(module_database_url) as conn:
        lent = conn.execute(
            """
            SELECT pro.oid::regproc::text, pro.provolatile <> 'v' AS only_reads
            FROM pg_proc AS pro
            WHERE
                pro.prosecdef
                AND has_function_privilege('public', pro.oid, 'EXECUTE')
                AND pro.pronamespace IN (
                    'public'::regnamespace, 'report'::regnamespace, 'operation'::regnamespace
                )
                AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pro.oid AND deptype = 'e')
            """
        ).fetchall()
    assert dict(lent) == dict.fromkeys(OPEN_TO_ALL, True)


@pytest.mark.parametrize("role", ["ingest", "flows", "dashboard"])
def test_every_role_reads_the_public_face(module_database_url: str, role: str) -> None:
    with connect(module_database_url, role) as conn:
        views = conn.execute(
            "SELECT table_name FROM information_schema.views WHERE table_schema = 'report'"
        ).fetchall()
        assert len(views) > 10
        for (view,) in views:
            conn.execute(
                psycopg.sql.SQL("SELECT * FROM report.{} LIMIT 1").format(
                    psycopg.sql.Identifier(view)
                )
            )


def test_no_view_shows_a_password(module_database_url: str) -> None:
    with connect(module_database_url, "dashboard") as conn:
        columns = conn.execute(
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = 'report' AND column_name ~ 'password|secret'"
        ).fetchall()
    assert columns == []


@pytest.fixture
def login_url(postgres_server: EmbeddedPostgres, database_url: str) -> Iterator[str]:
    """The URL of a login that is a member of eletroposto_ingest and nothing more."""
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute("CREATE ROLE ingest_1 LOGIN PASSWORD 'x' IN ROLE eletroposto_ingest")
        owner.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        yield psycopg.conninfo.make_conninfo(database_url, user="ingest_1", password="x")
        owner.execute("DROP ROLE ingest_1")


def test_the_central_system_starts_with_a_login_of_its_own(login_url: str, tmp_path: Path) -> None:
    settings = {"unknown_charge_points": "accept", "configure_on_boot": "false"}
    central_system = CentralSystem(login_url, tmp_path / "ingest.log", settings)
    try:
        central_system.start()
    finally:
        central_system.stop()
    assert "Traceback" not in central_system.log


def test_a_login_that_may_not_apply_what_is_missing_is_told_so(
    login_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    further = migrations.Migration("9001_further.sql", "CREATE TABLE further (x int)")
    every = [*migrations.available(), further]
    monkeypatch.setattr(migrations, "available", lambda: every)
    with pytest.raises(
        migrations.MigrationError, match=r"9001_further.sql is missing .* db migrate"
    ):
        migrations.migrate(login_url)


def test_the_central_system_may_not_write_what_was_applied(module_database_url: str) -> None:
    statement = "INSERT INTO eletroposto_migration (name, checksum) VALUES ('x', 'x')"
    with (
        connect(module_database_url, "ingest") as conn,
        pytest.raises(errors.InsufficientPrivilege),
    ):
        conn.execute(statement)
