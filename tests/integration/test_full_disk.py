"""docs/operations.md, the disk of the database is full: what the page says to do does help."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from flows.commands import app
from tests.flow_facts import NOON, Facts

PAGE = Path(__file__).parents[2] / "docs/operations.md"
OLD = NOON - timedelta(days=400)
# As the server does on a full disk: what is there may be changed in its place, but no row be added,
# while the chunks are there that take the room.
FULL = """
CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF EXISTS (SELECT FROM show_chunks('{culprit}', older_than => now() - INTERVAL '365 days')) THEN
        RAISE 'could not extend file "base/1/2": No space left on device' USING ERRCODE = '53100';
    END IF;
    RETURN NULL;
END;
$$;
DO $$
DECLARE one regclass;
BEGIN
    FOR one IN
        SELECT oid FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND NOT relhassubclass
    LOOP
        EXECUTE format(
            'CREATE TRIGGER full_disk AFTER INSERT ON %s FOR EACH ROW EXECUTE FUNCTION no_room()',
            one
        );
    END LOOP;
END;
$$;
"""


@pytest.fixture
def facts(database_url: str) -> Iterator[Facts]:
    """Old facts in every hypertable, each limited, and marks that wait for the flows."""
    made = Facts(database_url)
    cp = made.charge_point()
    conn = made.conn
    conn.execute(
        "INSERT INTO ocpp_message (received_at, charge_point_id, direction, raw)"
        " VALUES (%s, %s, 'i', 'x')",
        [OLD, cp],
    )
    conn.execute(
        "INSERT INTO meter_value (sampled_at, charge_point_id, connector_id, context)"
        " VALUES (%s, %s, 1, 0)",
        [OLD, cp],
    )
    conn.execute("INSERT INTO touched_window (charge_point_id, hour) VALUES (%s, %s)", [cp, NOON])
    conn.execute("UPDATE setting SET value = 90 WHERE name IN ('raw_log_days', 'meter_value_days')")
    yield made
    made.conn.close()


def remedy() -> str:
    """The flow that the page's section has run."""
    (section,) = re.findall(
        r"### … the disk of the database is full\n(.*?)\n###", PAGE.read_text(), re.S
    )
    (name,) = set(re.findall(r"`eletroposto flows run (\w+)`", section))
    return str(name)


def run(facts: Facts, *words: str) -> Result:
    environment = {"ELETROPOSTO_DATABASE_URL": facts.url, "PREFECT_API_URL": None}
    return CliRunner().invoke(app, ["run", *words], env=environment)


def old_chunks(facts: Facts) -> int:
    (row,) = facts.rows(
        "SELECT count(*) FROM timescaledb_information.chunks"
        " WHERE hypertable_schema = 'public' AND range_end < now() - INTERVAL '365 days'"
    )
    return int(row["count"])


@pytest.mark.parametrize("culprit", ["ocpp_message", "meter_value"])
def test_retention_frees_a_full_disk(facts: Facts, culprit: str) -> None:
    facts.conn.execute(FULL.format(culprit=culprit).encode())
    assert old_chunks(facts) == 2
    update = run(facts, "update")
    assert (update.exit_code, "disk of the database is full" in update.stderr) == (1, True)
    assert "no database" not in update.stderr

    said = run(facts, remedy())

    assert (said.exit_code, said.stderr) == (0, "")
    assert "2 chunks dropped" in said.stdout
    assert old_chunks(facts) == 0
    (recorded,) = facts.rows("SELECT status, started_at < finished_at AS lasted FROM flow_run")
    assert recorded == {"status": "completed", "lasted": True}
    gone = facts.rows("SELECT hypertable FROM dropped_facts WHERE dropped_before IS NOT NULL")
    assert {row["hypertable"] for row in gone} == {"ocpp_message", "meter_value"}
    assert run(facts, "update").exit_code == 0


def test_a_disk_that_stays_full_is_said_to_be_although_chunks_were_dropped(facts: Facts) -> None:
    facts.conn.execute(
        "INSERT INTO status_notification (at, received_at, charge_point_id, connector_id, status,"
        " error_code) VALUES (%s, %s, 1, 1, 'Available', 'NoError')",
        [OLD, OLD],
    )
    facts.conn.execute(FULL.format(culprit="status_notification").encode())

    said = run(facts, remedy())

    assert said.exit_code == 1
    assert "2 chunks dropped, and the disk of the database is full still" in said.stderr
    assert old_chunks(facts) == 1, "statuses are not limited here"
