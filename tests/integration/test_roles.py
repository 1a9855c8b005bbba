"""Least privilege, tried: what each role of the database must not be able to do."""

import psycopg
import pytest
from psycopg import errors


def connect(url: str, role: str) -> psycopg.Connection:
    return psycopg.connect(url, autocommit=True, options=f"-c role=eletroposto_{role}")


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("ingest", "DELETE FROM meter_value"),
        ("ingest", "DELETE FROM ocpp_message"),
        ("ingest", "TRUNCATE transaction"),
        ("ingest", "DROP TABLE meter_value"),
        ("ingest", "ALTER TABLE ocpp_message ADD COLUMN x int"),
        ("ingest", "CREATE TABLE mine (x int)"),
        ("flows", "DELETE FROM ocpp_message"),
        ("flows", "UPDATE ocpp_message SET raw = ''"),
        ("flows", "UPDATE transaction SET meter_stop_wh = 0"),
        ("flows", "INSERT INTO command (charge_point_id, action) VALUES (1, 'Reset')"),
        ("flows", "UPDATE charge_point SET password_hash = NULL"),
        ("dashboard", "SELECT * FROM ocpp_message"),
        ("dashboard", "SELECT password_hash FROM charge_point"),
        ("dashboard", "SELECT * FROM id_tag"),
        ("dashboard", "INSERT INTO command (charge_point_id, action) VALUES (1, 'Reset')"),
        ("dashboard", "UPDATE transaction SET meter_stop_wh = 0"),
        ("dashboard", "UPDATE charge_point SET registration = 'registered'"),
    ],
)
def test_a_role_may_not(database_url: str, role: str, statement: str) -> None:
    with connect(database_url, role) as conn, pytest.raises(errors.InsufficientPrivilege):
        conn.execute(statement)


@pytest.mark.parametrize("role", ["ingest", "flows", "dashboard"])
def test_every_role_reads_the_public_face(database_url: str, role: str) -> None:
    with connect(database_url, role) as conn:
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


def test_no_view_shows_a_password(database_url: str) -> None:
    with connect(database_url, "dashboard") as conn:
        columns = conn.execute(
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = 'report' AND column_name ~ 'password|secret'"
        ).fetchall()
    assert columns == []
