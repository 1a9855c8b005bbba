"""What is kept, dropped, restored and written down: retention, rebuild, reports."""

import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from openpyxl import load_workbook

from eletroposto.rebuild import FrameReader
from flows import runs
from flows.rebuild import computer
from flows.scope import Scope
from tests.flow_facts import NOON, Facts, minutes


def log(facts: Facts, cp: int, at: datetime, action: str, payload: dict[str, Any]) -> None:
    facts.conn.execute(
        "INSERT INTO ocpp_message (received_at, charge_point_id, message_type, direction, action,"
        " message_id, raw) VALUES (%s, %s, 2, 'i', %s, '1', %s)",
        [at, cp, action, json.dumps([2, "1", action, payload])],
    )


def meter_value(at: datetime, energy_wh: int) -> dict[str, Any]:
    return {
        "timestamp": at.isoformat(),
        "sampledValue": [
            {"value": str(energy_wh)},
            {"value": "36.5", "measurand": "Power.Active.Import", "unit": "kW"},
            {"value": "60", "measurand": "Frequency"},
        ],
    }


def rebuild(facts: Facts, dry_run: bool = False) -> runs.Outcome:
    scope = Scope(NOON - timedelta(days=1), NOON + timedelta(days=1), dry_run=dry_run)
    return runs.run(facts.url, "rebuild", scope, computer(FrameReader))


def test_readings_come_back_from_the_raw_log_as_they_were(facts: Facts):
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON, NOON + minutes(5), 0, 3_000)
    for place in range(5):
        at = NOON + minutes(place)
        payload = {"connectorId": 1, "transactionId": tx, "meterValue": [meter_value(at, place)]}
        log(facts, cp, at, "MeterValues", payload)
    log(
        facts,
        cp,
        NOON + minutes(5),
        "StopTransaction",
        {
            "transactionId": tx,
            "meterStop": 9,
            "timestamp": (NOON + minutes(5)).isoformat(),
            "transactionData": [meter_value(NOON + minutes(5), 5)],
        },
    )

    assert dict(rebuild(facts, dry_run=True).counts) == {
        "in_log": 6,
        "missing": 6,
        "different": 0,
        "not_in_log": 0,
        "restored": 6,
    }
    assert facts.rows("SELECT * FROM meter_value") == []
    assert rebuild(facts).counts["restored"] == 6
    rows = facts.rows("SELECT * FROM report.meter_value ORDER BY sampled_at")
    assert [
        (row["sampled_at"], row["connector_id"], row["transaction_id"], row["energy_wh"])
        for row in rows
    ] == [(NOON + minutes(place), 1, tx, place) for place in range(6)]
    assert {(row["power_w"], row["origin"]) for row in rows} == {(36_500, "raw log")}
    assert rows[0]["extra"] == {"Frequency": 60}

    again = rebuild(facts)

    assert (again.counts["in_log"], again.counts["missing"], again.counts["restored"]) == (6, 0, 0)
    assert (again.counts["different"], again.counts["not_in_log"]) == (0, 0)
    facts.run()
    assert facts.session(tx)["readings"] == 6


def test_a_history_that_was_sent_years_later_comes_back_too(facts: Facts):
    """Sampled two years before it was received, among frames of the present."""
    cp = facts.charge_point()
    long_ago = NOON - timedelta(days=730)
    tx = facts.transaction(cp, long_ago, long_ago + minutes(5), 0, 3_000)
    for place in range(3):
        at = long_ago + minutes(place)
        payload = {"connectorId": 1, "transactionId": tx, "meterValue": [meter_value(at, place)]}
        log(facts, cp, NOON + minutes(place), "MeterValues", payload)
        now = {"connectorId": 1, "meterValue": [meter_value(NOON + minutes(place), place)]}
        log(facts, cp, NOON + minutes(place), "MeterValues", now)
    window = Scope(long_ago - timedelta(hours=1), long_ago + timedelta(hours=1))

    outcome = runs.run(facts.url, "rebuild", window, computer(FrameReader))

    assert (outcome.counts["in_log"], outcome.counts["restored"]) == (3, 3)
    rows = facts.rows("SELECT sampled_at FROM meter_value ORDER BY 1")
    assert [row["sampled_at"] for row in rows] == [long_ago + minutes(place) for place in range(3)]


def test_readings_without_a_time_that_came_again_do_not_come_back(facts: Facts):
    """Within 2 min on a socket, and from the hour before one that was just opened; else new."""
    cp = facts.charge_point()
    facts.connection(cp, NOON - minutes(60), NOON + minutes(25))
    facts.connection(cp, NOON + minutes(30), None)
    said = {"connectorId": 1, "meterValue": [{"sampledValue": [{"value": "7"}]}]}
    for minute in (0, 1, 1.9, 5, 31, 41):
        log(facts, cp, NOON + minutes(minute), "MeterValues", said)

    assert rebuild(facts).counts["restored"] == 3
    rows = facts.rows("SELECT sampled_at FROM meter_value ORDER BY 1")
    assert [row["sampled_at"] for row in rows] == [NOON + minutes(at) for at in (0, 5, 41)]
    assert rebuild(facts).counts["missing"] == 0


def test_times_without_a_zone_are_read_as_they_were_when_they_came(facts: Facts):
    cp = facts.charge_point(time_zone="America/Belem")
    early = NOON - timedelta(hours=3)
    reading = {"timestamp": f"{early:%Y-%m-%dT%H:%M:%S}", "sampledValue": [{"value": "7"}]}
    log(facts, cp, NOON, "MeterValues", {"connectorId": 1, "meterValue": [reading]})
    assert rebuild(facts).counts["restored"] == 1
    facts.conn.execute("UPDATE charge_point SET time_zone = 'UTC'")

    assert rebuild(facts).counts["missing"] == 0
    later = datetime.now(UTC) + minutes(1)
    log(facts, cp, later, "MeterValues", {"connectorId": 1, "meterValue": [reading]})
    assert rebuild(facts).counts["restored"] == 1
    rows = facts.rows("SELECT sampled_at FROM meter_value ORDER BY 1")
    assert [row["sampled_at"] for row in rows] == [early, NOON]


@pytest.mark.parametrize("has_dojot", [False, True])
def test_what_is_restored_is_compared_with_dojot_where_there_is_one(facts: Facts, has_dojot: bool):
    cp = facts.charge_point()
    payload = {"connectorId": 1, "meterValue": [meter_value(NOON, 7)]}
    log(facts, cp, NOON + minutes(1), "MeterValues", payload)
    if has_dojot:
        facts.conn.execute("INSERT INTO dojot_feed DEFAULT VALUES")

    rebuild(facts)

    asked = facts.rows("SELECT hour FROM touched_work WHERE flow = 'reconcile_dojot'")
    assert [row["hour"] for row in asked] == [NOON] * has_dojot


def test_an_empty_log_is_said_in_words(facts: Facts):
    cp = facts.charge_point()
    facts.reading(cp, NOON, energy_wh=8)

    outcome = rebuild(facts)

    assert outcome.verdict == "the raw log has no reading of this window, 1 are stored"
    assert outcome.counts["restored"] == 0


def test_readings_of_two_transactions_at_one_instant_come_back_as_two(facts: Facts):
    cp = facts.charge_point()
    numbers = [
        facts.transaction(cp, NOON - minutes(30), NOON, 0, 3_000),
        facts.transaction(cp, NOON, NOON + minutes(30), 3_000, 9_000),
    ]
    for number in numbers:
        payload = {"connectorId": 1, "transactionId": number, "meterValue": [meter_value(NOON, 7)]}
        log(facts, cp, NOON, "MeterValues", payload)
    facts.reading(cp, NOON, transaction_id=numbers[0], energy_wh=7)

    first, again = rebuild(facts), rebuild(facts)

    assert (first.counts["in_log"], first.counts["missing"], first.counts["restored"]) == (2, 1, 1)
    assert (again.counts["missing"], again.counts["not_in_log"]) == (0, 0)
    rows = facts.rows("SELECT transaction_id FROM meter_value ORDER BY 1")
    assert [row["transaction_id"] for row in rows] == numbers


def test_a_stored_reading_that_differs_is_counted_and_left(facts: Facts):
    cp = facts.charge_point()
    log(facts, cp, NOON, "MeterValues", {"connectorId": 1, "meterValue": [meter_value(NOON, 7)]})
    facts.reading(cp, NOON, energy_wh=8)

    outcome = rebuild(facts)

    assert (outcome.counts["different"], outcome.counts["restored"]) == (1, 0)
    assert facts.rows("SELECT energy_wh FROM meter_value") == [{"energy_wh": 8}]


def test_raw_data_goes_by_chunks_and_aggregates_stay(facts: Facts):
    long_ago = datetime.now(UTC) - timedelta(days=200)
    cp = facts.charge_point()
    tx = facts.transaction(cp, long_ago, long_ago + minutes(5), 0, 3_000)
    facts.readings(cp, tx, long_ago, minutes(1), energy_wh=[0, 1_000, 2_000])
    log(facts, cp, long_ago, "Heartbeat", {})
    log(facts, cp, datetime.now(UTC), "Heartbeat", {})
    facts.rows("SELECT report.set_setting('meter_value_days', 30, NULL, NULL, 'Ana')")
    facts.run("retention", dry_run=True)
    assert len(facts.rows("SELECT * FROM ocpp_message")) == 2

    facts.run("retention")

    assert len(facts.rows("SELECT * FROM ocpp_message")) == 1
    held_back = facts.rows("SELECT * FROM meter_value")
    assert len(held_back) == 3, "readings no flow has seen yet must stay"
    facts.run()
    facts.run("retention")
    assert facts.rows("SELECT * FROM meter_value") == []
    assert facts.session(tx)["energy_wh"] == 3_000


def test_what_was_set_aside_goes_with_the_raw_log(facts: Facts):
    cp = facts.charge_point()
    for days in (200, 2):
        facts.rows(
            "INSERT INTO set_aside (received_at, charge_point_id, reason, raw)"
            " VALUES (now() - %s * INTERVAL '1 day', %s, 'odd', '{}') RETURNING 1",
            days,
            cp,
        )

    facts.run("retention")

    assert len(facts.rows("SELECT * FROM set_aside")) == 1


def test_what_was_computed_from_dropped_readings_is_never_computed_again(facts: Facts):
    long_ago = datetime.now(UTC) - timedelta(days=200)
    cp = facts.charge_point()
    tx = facts.transaction(cp, long_ago, long_ago + minutes(5), 0, 3_000)
    facts.readings(
        cp,
        tx,
        long_ago,
        minutes(1),
        power_w=[30_000, 36_000, 30_000],
        soc_percent=[20, 30, 40],
    )
    facts.rows("SELECT report.set_setting('meter_value_days', 30, NULL, NULL, 'Ana')")
    facts.run()
    before = facts.computed()
    facts.run("retention")
    assert facts.rows("SELECT * FROM meter_value") == []
    recent = facts.transaction(cp, NOON, NOON + minutes(60), 0, 40_000)
    window = {"start": long_ago - timedelta(days=1), "end": datetime.now(UTC)}

    for parameters in (window, {"force": True}, {}):
        facts.touch(cp, long_ago)
        facts.run(**parameters)

        for table in ("session", "session_soc", "energy_bucket"):
            rows = [row for row in facts.computed()[table] if row["transaction_id"] != recent]
            assert rows == before[table], (table, parameters)
    (told,) = facts.rows(
        "SELECT message, summary FROM report.flow_run"
        " WHERE flow = 'sessions' AND parameters ->> 'start' IS NOT NULL"
        " ORDER BY flow_run_id LIMIT 1"
    )
    assert told["summary"] == {"sessions": 1, "beyond_retention": 1}
    assert "1 sessions left as they were" in told["message"]


def test_a_new_tariff_prices_old_days_and_forgets_nothing_they_were_counted_from(facts: Facts):
    """Two plug-ins were seen, one in vain; a status and a reading were odd. Then all facts go."""
    long_ago = (datetime.now(UTC) - timedelta(days=200)).replace(hour=15, minute=0)
    cp = facts.charge_point()
    for hour in (-2, 0):
        facts.status(cp, long_ago + minutes(60 * hour - 5), "Available")
        facts.status(
            cp, long_ago + minutes(60 * hour - 1), "Preparing", flags=["zone"] if hour else []
        )
    facts.status(cp, long_ago + minutes(61), "Available")
    facts.status(cp, datetime.now(UTC) - minutes(60), "Available")
    tx = facts.transaction(cp, long_ago, long_ago + minutes(60), 0, 30_000)
    facts.reading(cp, long_ago + minutes(5), transaction_id=tx, extra='{"flags": ["unit"]}')
    facts.conn.execute(
        "INSERT INTO set_aside (received_at, charge_point_id, reason, raw)"
        " VALUES (%s, %s, 'odd', '{}')",
        [long_ago, cp],
    )
    log(facts, cp, long_ago, "Heartbeat", {})
    log(facts, cp, datetime.now(UTC), "Heartbeat", {})
    for name in ("meter_value_days", "status_days"):
        facts.rows("SELECT report.set_setting(%s, 30, NULL, NULL, 'Ana')", name)
    facts.run()
    plugged = "SELECT plug_ins, plug_ins_served FROM consumption_day"
    found = (
        "SELECT kind, occurrences FROM quality_finding WHERE day < current_date - 100 ORDER BY 1"
    )
    seen = facts.rows(found)
    assert {row["kind"] for row in seen} >= {"reading_unit", "status_zone", "set_aside"}
    facts.run("retention")
    assert facts.rows("SELECT * FROM meter_value") == []
    assert len(facts.rows("SELECT * FROM status_notification")) < 6

    facts.rows(
        "SELECT report.add_tariff(%s, %s, 'Ana')",
        json.dumps(
            {
                "name": "invented",
                "consumer_group": "B",
                "modality": "convencional",
                "valid_from": "2020-01-01",
            }
        ),
        json.dumps([{"posto": "fora_ponta", "price_per_kwh": 0.5}]),
    )
    facts.run()
    facts.run(force=True)

    assert facts.session(tx)["cost"] == pytest.approx(15)
    assert facts.rows(plugged) == [{"plug_ins": 2, "plug_ins_served": 1}]
    assert facts.rows(found) == seen


def test_statuses_and_connections_that_still_count_outlive_retention(facts: Facts):
    """CP-1 reported 200 days ago, and is connected since; CP-2 said and did more since then."""
    now = datetime.now(UTC)
    old, recent = now - timedelta(days=200), now - timedelta(days=2)
    quiet, busy = facts.charge_point("CP-1"), facts.charge_point("CP-2")
    facts.status(quiet, old - minutes(1), "Preparing")
    facts.status(quiet, old, "Available")
    facts.connection(quiet, old, None)
    for cp_status in ("Available", "Charging"):
        facts.status(busy, old + timedelta(days=35), cp_status)
    facts.status(busy, old + timedelta(days=100), "Faulted")
    facts.connection(busy, old, old + minutes(5))
    facts.connection(busy, old + timedelta(days=35), old + timedelta(days=36))
    facts.connection(busy, old + timedelta(days=100), None)
    facts.rows("SELECT report.set_setting('status_days', 30, NULL, NULL, 'Ana')")
    facts.run()
    before = facts.rows("SELECT * FROM report.availability ORDER BY charge_point, day")

    facts.run("retention")

    statuses = facts.rows("SELECT charge_point_id, status FROM status_notification ORDER BY 1")
    assert [(row["charge_point_id"], row["status"]) for row in statuses] == [
        (quiet, "Available"),
        (busy, "Faulted"),
    ]
    connections = facts.rows("SELECT charge_point_id, closed_at FROM connection ORDER BY 1")
    assert [(row["charge_point_id"], row["closed_at"]) for row in connections] == [
        (quiet, None),
        (busy, None),
    ]
    chunks = facts.rows("SELECT show_chunks('status_notification')")
    assert len(chunks) == 2, "what holds nothing that counts goes as a whole"
    facts.run(start=old - timedelta(days=3), end=recent)
    after = facts.rows("SELECT * FROM report.availability ORDER BY charge_point, day")
    assert [_without_observed(row, now) for row in after] == [
        _without_observed(row, now) for row in before
    ]


def _without_observed(row: dict[str, Any], now: datetime) -> dict[str, Any]:
    """Return a day's row; of today only whose it is, as today goes on."""
    is_today = row["day"] >= (now - timedelta(hours=3)).date()
    return {
        key: value
        for key, value in row.items()
        if key != "computed_at" and not (is_today and isinstance(value, float))
    }


def test_only_raw_facts_can_be_dropped(facts: Facts):
    with pytest.raises(psycopg.Error, match="nothing is dropped from 'session'"):
        facts.rows("SELECT drop_facts('session', now())")


def test_monthly_reports_say_what_was_computed(facts: Facts):
    cp = facts.charge_point("CP <1>")
    facts.status(cp, NOON - timedelta(hours=1), "Available")
    facts.transaction(cp, NOON, NOON + minutes(60), 0, 36_500, id_tag="=1+1")
    facts.transaction(cp, NOON + minutes(90), NOON + minutes(100), None, None)
    facts.run()

    month = NOON.replace(day=1, hour=3)
    facts.run("reports", start=month, end=month + timedelta(days=20))

    files = {
        (row["charge_point"], row["language"], row["format"]): row["content"]
        for row in facts.rows("SELECT * FROM report.monthly_report WHERE kind = 'monthly'")
    }
    assert len(files) == 8
    page = files["CP <1>", "pt", "html"].decode()
    assert "CP &lt;1&gt;" in page and "CP <1>" not in page
    assert "36,5" in page and "não informado" in page
    assert "http://" not in page and "https://" not in page, "the page must need nothing else"
    book = load_workbook(io.BytesIO(files[None, "en", "xlsx"]))
    sessions = list(book["Sessions"].iter_rows(values_only=True))
    header = sessions[0]
    energies = [row[header.index("Energy (kWh)")] for row in sessions[1:]]
    assert energies == [36.5, None]


def test_the_quarterly_export_has_ports_and_sessions(facts: Facts):
    cp = facts.charge_point()
    facts.status(cp, NOON - timedelta(hours=1), "Available")
    facts.transaction(cp, NOON, NOON + minutes(60), 0, 36_500)
    facts.status(cp, NOON + minutes(30), "Charging", error_code="HighTemperature")
    facts.run()
    first = NOON.replace(month=(NOON.month - 1) // 3 * 3 + 1, day=1, hour=3)

    facts.run("reports", start=first, end=first + timedelta(days=91))

    rows = facts.rows("SELECT * FROM report.monthly_report WHERE kind LIKE 'quarterly%%'")
    contents = {row["kind"]: row["content"].decode() for row in rows}
    assert "uptime_percent" in contents["quarterly_ports"].splitlines()[0]
    (session,) = contents["quarterly_sessions"].splitlines()[1:]
    assert "HighTemperature" in session and ",36.5," in session


def test_a_run_that_was_killed_is_not_shown_as_running(facts: Facts):
    facts.conn.execute("INSERT INTO flow_run (flow) VALUES ('soc')")

    facts.run("soc")

    rows = facts.rows("SELECT status, message FROM report.flow_run ORDER BY flow_run_id")
    assert [row["status"] for row in rows] == ["failed", "completed"]
    assert rows[0]["message"] == "ended without a word"


def test_a_mark_younger_than_two_minutes_is_used_but_kept(facts: Facts):
    """Ingest marks an hour once a minute, so what it stores next may come without a mark."""
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON, NOON + minutes(5), 0, None)
    facts.run()
    facts.reading(cp, NOON + minutes(1), transaction_id=tx, energy_wh=500)
    facts.conn.execute("UPDATE touched_window SET marked_at = now() - INTERVAL '90 seconds'")
    facts.conn.execute("UPDATE transaction SET changed_at = now() - INTERVAL '1 day'")
    facts.conn.execute("UPDATE flow_watermark SET done_until = now()")

    facts.run()
    assert facts.session(tx)["energy_wh"] == 500
    facts.conn.execute(
        "INSERT INTO meter_value (sampled_at, charge_point_id, connector_id, context,"
        " transaction_id, energy_wh) VALUES (%s, %s, 1, 0, %s, 900)",
        [NOON + minutes(2), cp, tx],
    )
    facts.run()

    assert facts.session(tx)["energy_wh"] == 900
    facts.conn.execute("UPDATE touched_window SET marked_at = now() - INTERVAL '3 minutes'")
    facts.run()
    assert facts.rows("SELECT * FROM touched_window") == []
    assert facts.rows("SELECT * FROM touched_work") == []
