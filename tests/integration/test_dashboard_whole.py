"""Files have every row, screens say of how many they show some, and attempts are no sessions."""

from datetime import date, datetime, timedelta
from typing import Any

import psycopg
import pytest

from dashboard import db
from dashboard.data import asking, availability, costs, energy, live, quality
from dashboard.data import sessions as session_data
from dashboard.filters import Period, Selection
from tests.integration.test_dashboard_questions import (
    BELEM,
    DAY,
    EVERYTHING,
    NOON,
    conn,
    demand,
    insert,
    session,
    tariff,
)  # fmt: skip

__all__ = ["conn"]  # the fixture
ALL = session_data.Wanted()


def test_a_file_of_outages_has_every_one_of_them(conn: psycopg.Connection[Any]) -> None:
    conn.execute(
        "INSERT INTO outage (charge_point_id, connector_id, started_at, ended_at, states)"
        " SELECT 1, 1, %s + number * interval '1 minute', %s + number * interval '1 minute'"
        " + interval '30 s', '{Faulted}' FROM generate_series(1, 600) AS number",
        [NOON - timedelta(hours=11), NOON - timedelta(hours=11)],
    )

    shown = availability.outages(EVERYTHING)

    assert (len(shown), shown["of_all"].iloc[0]) == (500, 600)
    assert len(availability.every_outage(EVERYTHING)) == 600


def test_a_file_of_findings_has_every_one_of_them(conn: psycopg.Connection[Any]) -> None:
    conn.execute(
        "INSERT INTO quality_finding (day, charge_point_id, kind, severity, occurrences)"
        " SELECT %s, 1, 'kind ' || number, 'info', 1 FROM generate_series(1, 501) AS number",
        [DAY],
    )

    shown = quality.findings(EVERYTHING)

    assert (len(shown), shown["of_all"].iloc[0]) == (500, 501)
    assert len(quality.every_finding(EVERYTHING)) == 501


def test_a_file_of_windows_has_every_one_of_them(conn: psycopg.Connection[Any]) -> None:
    conn.execute(
        "INSERT INTO reconciliation (charge_point_id, window_start, window_end, verdict)"
        " SELECT 1, %s + number * interval '1 minute', %s + (number + 1) * interval '1 minute',"
        " 'ok' FROM generate_series(1, 501) AS number",
        [NOON - timedelta(hours=11), NOON - timedelta(hours=11)],
    )

    assert len(quality.reconciliation(EVERYTHING)) == 500
    assert len(quality.every_reconciliation(EVERYTHING)) == 501


@pytest.fixture
def three_sessions(conn: psycopg.Connection[Any]) -> None:
    """Two sessions of 10 kWh forty days apart and an attempt of 10 Wh."""
    session(conn, 1, NOON)
    session(conn, 2, NOON + timedelta(hours=2), energy_wh=10, duration_s=30, is_attempt=True)
    session(conn, 3, NOON - timedelta(days=40))


LONG = Selection(Period(DAY - timedelta(days=400), DAY), None)


@pytest.mark.usefixtures("three_sessions")
def test_a_file_of_sessions_has_all_of_a_long_period_newest_first() -> None:
    assert list(session_data.every_session(LONG, ALL)["transaction_id"]) == [2, 1, 3]


@pytest.mark.usefixtures("three_sessions")
def test_attempts_are_counted_apart_from_sessions() -> None:
    totals, [tag] = session_data.session_totals(LONG, ALL), costs.by_tag(LONG).to_dict("records")

    assert (totals["sessions"], totals["attempts"], totals["energy_wh"]) == (2, 1, 20_010)
    assert (tag["sessions"], tag["attempts"], tag["energy_wh"]) == (2, 1, 20_010)


def status(conn: psycopg.Connection[Any], at: datetime, error_code: str, connector: int) -> None:
    insert(conn, "status_notification", charge_point_id=1, connector_id=connector, at=at,
           received_at=at, status="Faulted", error_code=error_code)  # fmt: skip


def test_sessions_of_the_rule_have_the_errors_told_during_them(
    conn: psycopg.Connection[Any],
) -> None:
    session(conn, 1, NOON)
    for minutes, code in ((5, "GroundFailure"), (9, "NoError"), (20, "HighTemperature")):
        status(conn, NOON + timedelta(minutes=minutes), code, 1)
    status(conn, NOON - timedelta(minutes=1), "PowerMeterFailure", 1)
    status(conn, NOON + timedelta(minutes=61), "WeakSignal", 1)
    status(conn, NOON + timedelta(minutes=30), "ReaderFailure", 2)

    [row] = session_data.nevi_sessions(EVERYTHING).to_dict("records")

    assert row["error_codes"] == "GroundFailure, HighTemperature"


def test_what_wants_attention_is_counted_whole(conn: psycopg.Connection[Any]) -> None:
    conn.execute(
        "INSERT INTO charge_point (identity)"
        " SELECT 'L' || number FROM generate_series(1, 40) AS number"
    )
    conn.execute(
        "INSERT INTO connection (opened_at, closed_at, charge_point_id, replica_id, reason)"
        " SELECT now() - interval '2 hours', now() - interval '1 hour', cp.charge_point_id,"
        " '00000000-0000-0000-0000-000000000001', 'no pong' FROM charge_point AS cp"
    )

    wanted = live.attention(Selection(Period(date.today(), date.today()), None))

    assert (len(wanted), wanted["of_all"].iloc[0]) == (30, 44)


def test_the_peak_of_a_site_stands_beside_its_own_percentage(
    conn: psycopg.Connection[Any],
) -> None:
    tariff(conn, None, 100)
    at = datetime(2026, 11, 18, 9, tzinfo=BELEM)
    demand(conn, "North", 80, at)
    demand(conn, "South", 60, at)

    [worst, _] = energy.contracted(EVERYTHING).dropna(subset="demand_w").to_dict("records")

    assert (worst["site"], worst["demand_w"], worst["contracted_w"]) == ("North", 80_000, 100_000)
    assert worst["share_percent"] == 80


def test_an_answer_is_kept_while_others_are_asked_for(conn: psycopg.Connection[Any]) -> None:
    before = asking.settled("holidays")
    insert(conn, "holiday", day=DAY, name="Invented")

    asking.recent("tariffs")
    asking.live("newest_message")

    assert len(before) == len(asking.settled("holidays")) == 0
    assert len(asking.recent("holidays")) == 1


def test_a_question_is_planned_for_what_is_asked_however_often(
    conn: psycopg.Connection[Any],
) -> None:
    """A plan that fits every choice reads the buckets of all charge points for each quarter."""
    for _ in range(12):  # psycopg prepares after 5, the server thinks of such a plan after 5 more
        db.fetch("SELECT 1 AS one WHERE %(chosen)s::text[] IS NULL", {"chosen": None})
    found = db.fetch(
        "SELECT sum(generic_plans)::int AS fit_all, sum(custom_plans)::int AS own"
        " FROM pg_prepared_statements",
        {},
    )

    assert found["fit_all"].iloc[0] == 0
    assert found["own"].iloc[0] > 5


def test_a_day_is_incomplete_where_nothing_is_known_or_readings_were_lost(
    conn: psycopg.Connection[Any],
) -> None:
    before = DAY - timedelta(days=1)
    for connector, day, unknown_s in ((1, DAY, 80_000), (2, DAY, 0), (1, before, 80_000)):
        known = dict.fromkeys(
            ("excluded_s", "plugged_s", "available_s", "preparing_s", "charging_s",
             "suspended_ev_s", "suspended_evse_s", "finishing_s", "reserved_s", "unavailable_s",
             "faulted_s", "offline_s", "down_s"), 0.0,
        ) | {"up_s": 86_400 - unknown_s}  # fmt: skip
        insert(conn, "availability_day", day=day, charge_point_id=1, connector_id=connector,
               observed_s=86_400, unknown_s=unknown_s, **known)  # fmt: skip
    insert(conn, "quality_finding", day=DAY, charge_point_id=2, kind="gap", severity="amber",
           occurrences=1)  # fmt: skip
    insert(conn, "quality_finding", day=DAY, charge_point_id=3, kind="gap", severity="info",
           occurrences=1)  # fmt: skip

    lacking = energy.incomplete(Selection(Period(before, DAY), None))

    assert lacking.to_dict() == {before: 1, DAY: 1}


def test_an_outage_of_two_months_stands_in_its_file_once(conn: psycopg.Connection[Any]) -> None:
    """A file of a long period is asked for part by part; the longest stays the first."""
    for days, length in ((100, 1), (70, 65), (3, 2)):
        insert(
            conn, "outage", charge_point_id=1, connector_id=1, states=["Faulted"],
            started_at=NOON - timedelta(days=days), ended_at=NOON - timedelta(days=days - length),
        )  # fmt: skip

    frame = availability.every_outage(Selection(Period(DAY - timedelta(days=364), DAY), None))

    assert [row.days for row in frame["ended_at"] - frame["started_at"]] == [65, 2, 1]


def test_a_part_that_takes_too_long_is_asked_for_in_halves(
    conn: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for days in range(40):
        session(conn, days + 1, NOON - timedelta(days=days))
    fetch = db.fetch

    def impatient(query: Any, params: Any) -> Any:
        if "since" in params and params["until"] - params["since"] > timedelta(days=6):
            raise db.NoAnswer("slow")
        return fetch(query, params)

    monkeypatch.setattr(db, "fetch", impatient)
    frame = session_data.every_session(Selection(Period(DAY - timedelta(days=39), DAY), None), ALL)

    assert frame["transaction_id"].tolist() == list(range(1, 41))


def test_charge_points_of_one_name_are_told_apart(conn: psycopg.Connection[Any]) -> None:
    conn.execute("UPDATE charge_point SET name = 'Reitoria' WHERE identity IN ('N1', 'S1')")
    conn.execute("UPDATE charge_point SET name = 'Garagem' WHERE identity = 'N2'")
    for number in (1, 2, 3):
        insert(conn, "energy_bucket", charge_point_id=number, connector_id=1, started_at=NOON,
               energy_wh=1000 * number, transaction_id=number)  # fmt: skip
    demand(conn, "North", 6)
    apart = {"N1": "Reitoria (N1)", "N2": "Garagem", "S1": "Reitoria (S1)"}

    known = live.charge_point_names()
    cards = live.connectors_now(EVERYTHING).set_index("charge_point")["name"]
    [peak] = energy.peaks(EVERYTHING).to_dict("records")

    assert {identity: known[identity] for identity in apart} == apart
    assert {identity: cards[identity] for identity in apart} == apart
    assert peak["who"] == "Reitoria (S1) / 1, Garagem / 1, Reitoria (N1) / 1"
