"""What grows beside the facts is forgotten with the frames it came from."""

import psycopg
import pytest

FILL = """
    INSERT INTO charge_point (identity) VALUES ('CP-1');
    INSERT INTO set_aside (received_at, charge_point_id, reason, raw)
    SELECT now() - age, 1, 'x', 'x' FROM unnest('{91 days, 89 days}'::interval[]) AS age;
    INSERT INTO charge_point_report (at, received_at, charge_point_id, kind, status)
    SELECT now() - age, now() - age, 1, 'log', 'x'
    FROM unnest('{91 days, 89 days}'::interval[]) AS age;
    INSERT INTO orphan_stop (received_at, charge_point_id, stopped_at)
    SELECT now() - age, 1, now() - age FROM unnest('{91 days, 89 days}'::interval[]) AS age;
    INSERT INTO command (charge_point_id, action, status, requested_at)
    SELECT 1, action, status, now() - age
    FROM (VALUES
        ('Old', 'answered', INTERVAL '91 days'), ('Waiting', 'queued', INTERVAL '91 days'),
        ('ChangeAvailability', 'answered', INTERVAL '91 days'),
        ('Young', 'failed', INTERVAL '89 days')
    ) AS asked (action, status, age);
    INSERT INTO connector_availability
    SELECT 1, 1, FALSE, FALSE, now(), command_id FROM command WHERE action = 'ChangeAvailability';
"""


@pytest.fixture
def db(database_url: str):
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute(FILL.encode())
        yield conn


def forget(db: psycopg.Connection) -> dict[str, int]:
    with db.transaction():
        db.execute("SET LOCAL ROLE eletroposto_flows")
        return dict(db.execute("SELECT record, forgotten FROM forget_records(now())").fetchall())


def test_what_is_older_than_the_raw_log_goes(db: psycopg.Connection) -> None:
    gone = {"set_aside": 1, "charge_point_report": 1, "command": 1, "orphan_stop": 0}
    assert forget(db) == gone
    assert forget(db) == dict.fromkeys(gone, 0)
    left = db.execute("SELECT action FROM command ORDER BY command_id").fetchall()
    assert left == [("Waiting",), ("ChangeAvailability",), ("Young",)]


def test_orphan_stops_go_with_the_statuses(db: psycopg.Connection) -> None:
    db.execute("UPDATE setting SET value = 90 WHERE name = 'status_days'")
    assert forget(db)["orphan_stop"] == 1


def test_without_a_limit_all_is_kept(db: psycopg.Connection) -> None:
    db.execute("UPDATE setting SET value = NULL WHERE name = 'raw_log_days'")
    assert set(forget(db).values()) == {0}


@pytest.mark.parametrize("role", ["ingest", "dashboard", "operator"])
def test_only_the_flows_forget(db: psycopg.Connection, role: str) -> None:
    db.execute(f"SET ROLE eletroposto_{role}".encode())
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        db.execute("SELECT * FROM forget_records(now())")
