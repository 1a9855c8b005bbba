"""What an update asks reads no more for a longer history, and no more for many at once."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from flows.database import Connection, build, connect
from tests.flow_facts import NOON, Facts

DAYS = 50


def rows_read(conn: Connection, table: str) -> int:
    """Return how many rows this transaction read of a table, its chunks included."""
    row = conn.execute(
        "SELECT sum(seq_tup_read + idx_tup_fetch)::integer AS read FROM pg_stat_xact_all_tables"
        " WHERE relname = %(table)s OR relid IN (SELECT format('%%I.%%I', chunk_schema, chunk_name)"
        "::regclass FROM timescaledb_information.chunks WHERE hypertable_name = %(table)s)",
        {"table": table},
    ).fetchone()
    assert row is not None
    return int(row["read"])


def fill(facts: Facts, statement: str, **parameters: Any) -> None:
    facts.conn.execute(statement, {"noon": NOON, "days": DAYS, **parameters})
    facts.conn.execute("ANALYZE")


def test_when_a_charge_point_was_first_heard_of_is_not_sought_among_all_it_said(facts: Facts):
    cp = facts.charge_point(connectors=(1, 2))
    first_at = NOON - timedelta(days=DAYS)
    facts.status(cp, first_at, "Available", connector_id=2)
    facts.status(cp, first_at + timedelta(hours=1), "Available", connector_id=0)
    fill(
        facts,
        "INSERT INTO status_notification (at, received_at, charge_point_id, connector_id, status)"
        " SELECT told.at, told.at, %(cp)s, 1, 'Available' FROM generate_series("
        "%(noon)s - %(days)s * INTERVAL '1 day' + INTERVAL '2 hours', %(noon)s, INTERVAL '1 hour'"
        ") AS told (at)",
        cp=cp,
    )

    with connect(facts.url) as conn, conn.transaction():
        heard = conn.execute("SELECT heard_since(%s) AS at", [cp]).fetchone()
        assert heard == {"at": first_at}
        assert rows_read(conn, "status_notification") < 10
    facts.connection(cp, first_at - timedelta(hours=1), None)
    assert facts.rows("SELECT heard_since(%s) AS at", cp) == [{"at": first_at - timedelta(hours=1)}]
    other = facts.charge_point("CP-2")
    assert facts.rows("SELECT heard_since(%s) AS at", other) == [{"at": None}]


@pytest.mark.parametrize(
    "table, columns", [("outage", "states"), ("fault_episode", "parts, faulted_s")]
)
def test_only_outages_and_faults_that_reach_the_days_are_looked_at(
    facts: Facts, table: str, columns: str
):
    cp = facts.charge_point()
    day = NOON.date()
    value = {"states": "'{Faulted}'", "parts, faulted_s": "1, 60"}[columns]
    fill(
        facts,
        f"INSERT INTO {table} (charge_point_id, connector_id, started_at, ended_at, {columns})"
        f" SELECT %(cp)s, 1, begun.at, begun.at + INTERVAL '1 hour', {value} FROM generate_series("
        "%(noon)s - %(days)s * INTERVAL '1 day', %(noon)s + INTERVAL '20 days', INTERVAL '3 hours'"
        ") AS begun (at)",
        cp=cp,
    )
    # One lasts from the day before into the next.
    began_at = NOON - timedelta(hours=12)
    ends_at = NOON + timedelta(hours=19, minutes=30)
    facts.conn.execute(
        f"DELETE FROM {table} WHERE started_at > %s AND started_at <= %s", [began_at, ends_at]
    )
    facts.conn.execute(
        f"UPDATE {table} SET ended_at = %s WHERE started_at = %s", [ends_at, began_at]
    )

    with connect(facts.url) as conn, conn.transaction():
        build(conn, "make_work_region", charge_point_ids=[cp], days=[day])
        assert rows_read(conn, table) < 10
        region = conn.execute("SELECT low, high FROM work_region").fetchall()
    assert region == [{"low": began_at, "high": ends_at}]


def test_many_sockets_that_the_central_system_closed_are_looked_up_one_by_one(facts: Facts):
    many = 200
    fill(
        facts,
        "INSERT INTO charge_point (identity) SELECT 'CP-' || n FROM generate_series(1, %(many)s) n",
        many=many,
    )
    facts.connection(1, NOON - timedelta(days=3), NOON - timedelta(days=2))
    fill(
        facts,
        "INSERT INTO connection (opened_at, closed_at, charge_point_id, replica_id, reason)"
        " SELECT %(noon)s + days.n * INTERVAL '1 day' + cp.charge_point_id * INTERVAL '1 second',"
        " %(noon)s + days.n * INTERVAL '1 day' + INTERVAL '2 h' + cp.charge_point_id * INTERVAL"
        " '1 second', cp.charge_point_id, rep.replica_id, 'the central system stopped'"
        " FROM charge_point AS cp, replica AS rep, generate_series(0, 5) AS days (n)",
    )
    numbers = [row["charge_point_id"] for row in facts.rows("SELECT * FROM charge_point")]

    with connect(facts.url) as conn, conn.transaction():
        build(
            conn,
            "make_work_link",
            charge_point_ids=numbers,
            low=NOON - timedelta(hours=1),
            high=NOON + timedelta(hours=15),
            as_of=datetime.now(UTC),
        )
        assert rows_read(conn, "connection") < 10 * many
        links = conn.execute("SELECT link, count(*) FROM work_link GROUP BY 1 ORDER BY 1")
        told = {row["link"]: row["count"] for row in links}
    # Each is deaf when it was closed; off once somebody was back, with 5 min to follow.
    assert (told["deaf"], told["on"]) == (many, many + 1)


def test_a_tariff_of_a_site_has_that_site_alone_computed_anew(facts: Facts):
    numbers = {site: facts.charge_point(str(site), site=site) for site in ("A", "B", None)}
    for number in numbers.values():
        facts.conn.execute(
            "INSERT INTO consumption_day (day, charge_point_id, connector_id, energy_wh, ponta_wh,"
            " intermediario_wh, fora_ponta_wh, unpriced_wh, sessions, attempts, plug_ins,"
            " plug_ins_served) VALUES (%s, %s, 1, 1, 0, 0, 0, 1, 1, 0, 1, 1)",
            [date(2026, 3, 1), number],
        )

    def touched(change: str, *parameters: Any) -> set[int]:
        facts.conn.execute("TRUNCATE touched_work")
        facts.conn.execute(f"SELECT {change}", parameters)
        return {row["charge_point_id"] for row in facts.rows("SELECT * FROM touched_work")}

    add = (
        "report.add_tariff(jsonb_build_object('name', 't', 'consumer_group', 'B', 'modality',"
        " 'convencional', 'site', %s::text, 'valid_from', '2026-01-01', 'source', 's'), '[]', 'me')"
    )
    assert touched(add, "A") == {numbers["A"]}
    assert touched(add, None) == set(numbers.values())
    (tariff,) = facts.rows("SELECT tariff_id FROM tariff WHERE site = 'A'")
    assert touched("report.end_tariff(%s, '2026-02-01', 'me')", tariff["tariff_id"]) == {
        numbers["A"]
    }
    assert touched("report.remove_tariff(%s, 'me')", tariff["tariff_id"]) == set()
    assert touched("report.add_holiday('2026-03-01', 'a day', 'me')") == set(numbers.values())


def test_sums_are_written_down_once_per_update(facts: Facts):
    cp = facts.charge_point()
    facts.transaction(cp, NOON, NOON + timedelta(minutes=30), 0, 9_000)

    facts.run("sessions")
    facts.run("consumption")
    assert facts.rows("SELECT * FROM unsummed_day")
    facts.run()
    assert facts.rows("SELECT * FROM unsummed_day") == []
