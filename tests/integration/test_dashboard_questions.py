"""What the dashboard's questions answer, on few facts whose answers are worked out by hand."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
import streamlit as st
from psycopg.types.json import Jsonb

from dashboard import db, formats, partial
from dashboard.data import availability, costs, energy, live, operations
from dashboard.data import messages as message_data
from dashboard.data import sessions as session_data
from dashboard.data import stations as station_data
from dashboard.filters import Period, Selection

BELEM = ZoneInfo("America/Sao_Paulo")
DAY = date(2026, 11, 18)  # a Wednesday
NOON = datetime(2026, 11, 18, 12, tzinfo=BELEM)
EVERYTHING = Selection(Period(DAY, DAY), None)


@pytest.fixture
def conn(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[psycopg.Connection[Any]]:
    """A database with two charge points at the site North, one at South, and one at none."""
    monkeypatch.setenv("ELETROPOSTO_DATABASE_URL", database_url)
    with psycopg.connect(database_url, autocommit=True) as made:
        made.execute(
            "INSERT INTO charge_point (identity, site) VALUES"
            " ('N1', 'North'), ('N2', 'North'), ('S1', 'South'), ('X1', NULL)"
        )
        made.execute(
            "INSERT INTO connector (charge_point_id, connector_id, status, status_at)"
            " SELECT charge_point_id, 1, 'Charging', now() FROM charge_point"
        )
        yield made
    db.close_all()
    st.cache_data.clear()


def insert(conn: psycopg.Connection[Any], table: str, **values: Any) -> None:
    columns = ", ".join(values)
    places = ", ".join(["%s"] * len(values))
    statement = f"INSERT INTO {table} ({columns}) VALUES ({places})"
    conn.execute(statement.encode(), list(values.values()))


def consumed(conn: psycopg.Connection[Any], day: date, **values: Any) -> None:
    """A day of the first charge point; what is not said is zero."""
    zeros = ("energy_wh", "ponta_wh", "intermediario_wh", "fora_ponta_wh", "unpriced_wh",
             "sessions", "attempts", "plug_ins", "plug_ins_served")  # fmt: skip
    where = {"day": day, "charge_point_id": 1, "connector_id": 1}
    insert(conn, "consumption_day", **where, **dict.fromkeys(zeros, 0) | values)


def available(conn: psycopg.Connection[Any], day: date, up_s: float, down_s: float = 0) -> None:
    zeros = ("unknown_s", "excluded_s", "plugged_s", "available_s", "preparing_s", "charging_s",
             "suspended_ev_s", "suspended_evse_s", "finishing_s", "reserved_s", "unavailable_s",
             "faulted_s", "offline_s")  # fmt: skip
    insert(
        conn, "availability_day", day=day, charge_point_id=1, connector_id=1,
        observed_s=up_s + down_s, up_s=up_s, down_s=down_s, **dict.fromkeys(zeros, 0),
    )  # fmt: skip


def transaction(conn: psycopg.Connection[Any], number: int, at: datetime, **values: Any) -> None:
    insert(
        conn, "transaction", transaction_id=number, charge_point_id=1, connector_id=1,
        id_tag="TAG", id_tag_status="Accepted", started_at=at, meter_start_wh=0, **values,
    )  # fmt: skip


def session(conn: psycopg.Connection[Any], number: int, at: datetime, **values: Any) -> None:
    """A session of an hour and 10 kWh with its transaction."""
    end = at + timedelta(hours=1)
    transaction(conn, number, at, stopped_at=None if "inferred_by" in values else end)
    usual = {
        "transaction_id": number, "charge_point_id": 1, "connector_id": 1, "visit_id": number,
        "started_at": at, "ended_at": end, "is_open": False, "is_attempt": False,
        "duration_s": 3600, "energy_wh": 10_000, "energy_source": "register", "readings": 0,
    }  # fmt: skip
    insert(conn, "session", **usual | values)


def demand(conn: psycopg.Connection[Any], site: str, kw: float, at: datetime = NOON) -> None:
    insert(conn, "site_demand", started_at=at, site=site, energy_wh=kw * 250, connectors=1)


def tariff(conn: psycopg.Connection[Any], site: str | None, kw: float | None) -> None:
    about = {"name": "invented", "consumer_group": "A", "modality": "verde", "site": site,
             "valid_from": "2020-01-01", "contracted_demand_kw": kw}  # fmt: skip
    periods = [{"posto": "fora_ponta", "price_per_kwh": 0.5}]
    conn.execute("SELECT report.add_tariff(%s, %s, 'Ana')", [Jsonb(about), Jsonb(periods)])


def test_energy_without_a_tariff_stands_among_the_days(conn):
    consumed(conn, DAY, energy_wh=5000, unpriced_wh=5000)

    [row] = energy.days(EVERYTHING, "day").to_dict("records")

    assert (row["none_wh"], row["fora_ponta_wh"], row["energy_wh"]) == (5000, 0, 5000)


def running(conn: psycopg.Connection[Any]) -> tuple[float | None, list[int]]:
    """The transaction on the live card of the first charge point, and those offered to stop."""
    st.cache_data.clear()
    cards = live.connectors_now(Selection(Period(DAY, DAY), ["N1"]))
    shown = cards["transaction_id"].iloc[0]
    offered = list(operations.running_transactions("N1")["transaction_id"])
    return None if formats.is_unknown(shown) else int(shown), offered


def test_a_transaction_another_start_replaced_does_not_run(conn):
    now = datetime.now(UTC)
    transaction(conn, 1, now - timedelta(hours=2), superseded_at=now - timedelta(hours=1))

    assert running(conn) == (None, [])


def test_a_transaction_found_to_have_ended_does_not_run(conn):
    session(conn, 1, datetime.now(UTC) - timedelta(hours=2), inferred_by="boot")

    assert running(conn) == (None, [])


def test_a_transaction_nothing_ended_runs(conn):
    transaction(conn, 7, datetime.now(UTC) - timedelta(hours=2))

    assert running(conn) == (7, [7])


def test_the_slowest_of_the_flows_says_how_old_figures_are(conn):
    assert live.slowest_flow()[1] is None

    for hours, flow in enumerate(("sessions", "availability", "consumption", "quality")):
        insert(conn, "flow_watermark", flow=flow, done_until=NOON - timedelta(hours=hours))
    st.cache_data.clear()

    assert live.slowest_flow() == ("consumption", NOON - timedelta(hours=2))


def compared(charge_points: list[str] | None = None) -> list[tuple[str | None, float, float]]:
    """Site, contracted kW and share of each site the peak is compared with."""
    frame = energy.contracted(Selection(Period(DAY, DAY), charge_points))
    return [
        (row.site, row.contracted_w / 1000, row.share_percent)
        for row in frame.dropna(subset="demand_w").itertuples()
    ]


def test_the_peak_of_a_site_is_compared_with_what_its_own_tariff_contracts(conn):
    tariff(conn, "North", 200)
    tariff(conn, None, 100)
    demand(conn, "North", 150)
    demand(conn, "South", 90)
    demand(conn, "", 10)

    assert compared() == [("South", 100, 90), ("North", 200, 75), (None, 100, 10)]


def test_a_site_chosen_in_part_is_not_compared(conn):
    tariff(conn, None, 100)
    demand(conn, "North", 150)
    demand(conn, "South", 90)

    assert compared(["N1", "S1"]) == [("South", 100, 90)]
    assert compared(["N1", "N2"]) == [("North", 100, 150)]


def test_a_tariff_that_contracts_nothing_hides_the_general_one(conn):
    tariff(conn, "North", None)
    tariff(conn, None, 100)
    demand(conn, "North", 150)

    assert compared() == []


def test_utilisation_of_stations_and_of_the_period_is_one_figure(conn):
    """Four hours with power; the state Charging, which lasted longer, does not count."""
    consumed(conn, DAY, energy_wh=1, charging_s=4 * 3600)
    available(conn, DAY, up_s=16 * 3600, down_s=8 * 3600)
    conn.execute("UPDATE availability_day SET charging_s = 10 * 3600")

    of_station = station_data.stations(EVERYTHING).set_index("charge_point")
    of_day = energy.daily(EVERYTHING)

    assert of_station["utilisation_percent"]["N1"] == 25
    assert energy.totals(EVERYTHING)["utilisation_percent"] == 25
    assert of_day["utilisation_percent"].iloc[0] == 25


def test_an_unfinished_day_is_compared_with_as_much_of_the_day_before(conn):
    """At noon: what yesterday had at noon, not at midnight."""
    yesterday, noon = DAY - timedelta(days=1), NOON - timedelta(days=1)
    consumed(conn, yesterday, energy_wh=99_000, sessions=9, charging_s=9999)
    available(conn, yesterday, up_s=80_000, down_s=6400)
    for hours, number in ((-3, 1), (3, 2)):
        session(conn, number, noon + timedelta(hours=hours), idle_s=600)
    for minutes, wh in ((-60, 1000), (-10, 600), (10, 5000)):
        insert(
            conn, "energy_bucket", started_at=noon + timedelta(minutes=minutes), transaction_id=1,
            charge_point_id=1, connector_id=1, energy_wh=wh, charging_s=900,
        )  # fmt: skip
    # Twelve hours: nine up, one down, two unknown; the fault goes on after noon.
    for hours, length, state in ((-12, 9, "Available"), (-3, 2, "unknown"), (-1, 3, "Faulted")):
        start = noon + timedelta(hours=hours)
        insert(
            conn, "state_interval", started_at=start, ended_at=start + timedelta(hours=length),
            day=yesterday, charge_point_id=1, connector_id=1, state=state,
        )  # fmt: skip

    before = energy.totals_before(EVERYTHING, NOON)

    assert before["energy_wh"] == pytest.approx(1000 + 600 * 10 / 15)
    assert before["sessions"] == 1
    assert before["idle_s"] == 600
    assert before["technical_percent"] == pytest.approx(90)
    assert before["utilisation_percent"] == pytest.approx(100 * (900 + 600) / (9 * 3600))


def test_a_period_that_is_over_is_compared_with_the_whole_one_before(conn):
    consumed(conn, DAY - timedelta(days=1), energy_wh=99_000)

    before = energy.totals_before(EVERYTHING, NOON + timedelta(days=3))

    assert before["energy_wh"] == 99_000


def test_every_report_that_was_kept_can_be_found(conn):
    """By month, quarter and charge point, however many there are."""
    conn.execute(
        "INSERT INTO report_file"
        " (kind, period_start, charge_point_id, language, format, file_name, content)"
        " SELECT 'monthly', month, charge_point_id, language, format,"
        "   concat_ws('-', to_char(month, 'YYYY-MM'), charge_point_id, language, format), 'x'"
        " FROM generate_series('2022-01-01'::date, '2026-10-01', '1 month') AS month,"
        "   unnest(ARRAY[NULL, 1, 2, 3]) AS charge_point_id,"
        "   unnest(ARRAY['pt', 'en']) AS language, unnest(ARRAY['html', 'xlsx']) AS format"
    )
    conn.execute(
        "INSERT INTO report_file (kind, period_start, language, format, file_name, content)"
        " VALUES ('quarterly_ports', '2022-01-01', 'en', 'csv', '2022-Q1-ports', 'x')"
    )

    assert costs.oldest_report() == date(2022, 1, 1)
    assert set(costs.reports(date(2022, 3, 1), None)["file_name"]) == {
        "2022-03-pt-html", "2022-03-pt-xlsx", "2022-03-en-html", "2022-03-en-xlsx",
        "2022-Q1-ports",
    }  # fmt: skip
    assert set(costs.reports(date(2022, 3, 1), "S1")["file_name"]) == {
        "2022-03-3-pt-html", "2022-03-3-pt-xlsx", "2022-03-3-en-html", "2022-03-3-en-xlsx",
    }  # fmt: skip


def frame(conn: psycopg.Connection[Any], at: datetime, action: str) -> None:
    insert(
        conn, "ocpp_message", received_at=at, charge_point_id=1, message_type=2, direction="i",
        action=action, message_id="m", raw=f'[2,"m","{action}",{{}}]',
    )  # fmt: skip


def test_a_rare_message_is_searched_as_far_as_time_allows_and_the_answer_says_how_far(conn):
    """Without time the newest hour has been looked at; with time everything, rows in order."""
    month = Selection(Period(DAY - timedelta(days=29), DAY), None)
    rare = message_data.Wanted(action="Reset")
    for days in (3, 20):
        frame(conn, NOON - timedelta(days=days), "Reset")
    frame(conn, NOON, "Heartbeat")

    hasty = message_data.messages(month, rare, NOON, patience_s=0)
    patient = message_data.messages(month, rare, NOON, patience_s=60)
    enough = message_data.messages(month, rare, NOON, rows=1, patience_s=60)

    assert (len(hasty.frame), hasty.is_all, hasty.since) == (0, False, NOON - timedelta(hours=1))
    assert list(patient.frame["received_at"]) == [
        NOON - timedelta(days=3),
        NOON - timedelta(days=20),
    ]
    assert (patient.is_all, patient.since) == (True, month.period.since)
    assert (len(enough.frame), enough.is_all) == (1, True)


def test_each_port_stands_against_the_rule_not_the_mean_of_all(conn):
    """One port at 96 %, two at 100 %: the network is at 98.7 %, the rule is broken once."""
    available(conn, DAY, up_s=96, down_s=4)
    conn.execute(
        "INSERT INTO availability_day SELECT (jsonb_populate_record(av, jsonb_build_object("
        " 'charge_point_id', number, 'up_s', 100, 'down_s', 0))).*"
        " FROM availability_day AS av, generate_series(2, 3) AS number"
    )

    years = availability.port_years(EVERYTHING)

    assert list(years["charge_point"]) == ["N1", "N2", "S1"]
    assert list(years["nevi_percent"]) == [96, 100, 100]
    assert list(years["months"]) == [1, 1, 1]


def test_the_year_of_availability_is_twelve_months_with_the_one_of_the_last_day(conn):
    for day in (date(2025, 11, 30), date(2025, 12, 1), date(2026, 11, 30), date(2026, 12, 1)):
        available(conn, day, up_s=100)

    months = availability.months(EVERYTHING)

    assert list(months["month"]) == [date(2025, 12, 1), date(2026, 11, 1)]


def test_what_is_told_late_of_other_sessions_is_not_in_the_sequence_of_this_one(conn):
    """A charge point back on line empties its queue in the middle of a running session."""
    told = [
        ("StartTransaction", {"connectorId": 1}, {"transactionId": 7}),
        ("StartTransaction", {"connectorId": 1}, {"transactionId": 6}),
        ("MeterValues", {"connectorId": 1, "transactionId": 7}, {}),
        ("MeterValues", {"connectorId": 1, "transactionId": 6}, {}),
        ("StatusNotification", {"connectorId": 1, "timestamp": "2026-11-18T15:00:00Z"}, {}),
        ("StatusNotification", {"connectorId": 1, "timestamp": "2026-11-02T15:00:00Z"}, {}),
        ("StatusNotification", {"connectorId": 2, "timestamp": "2026-11-18T15:00:00Z"}, {}),
        ("Heartbeat", {}, {}),
    ]
    for number, (action, payload, answer) in enumerate(told):
        insert(
            conn, "ocpp_message", received_at=NOON + timedelta(seconds=number), charge_point_id=1,
            message_type=2, direction="i", action=action, message_id=str(number),
            raw=json.dumps([2, str(number), action, payload]), answer=json.dumps([3, "m", answer]),
        )  # fmt: skip

    span = session_data.Span("N1", 1, 7, NOON, NOON + timedelta(hours=1))

    assert list(session_data.frames(span)["message_id"]) == ["0", "2", "4", "7"]


def test_no_peak_hides_in_a_step_of_the_curve_of_demand(conn):
    """A hundred days of quarters: forty at 150 kW and the rest at 100."""
    conn.execute(
        "INSERT INTO site_demand (started_at, site, energy_wh, connectors)"
        " SELECT %s + place * INTERVAL '15 minutes',"
        " '', CASE WHEN place %% 240 = 7 THEN 37500 ELSE 25000 END, 1"
        " FROM generate_series(0, 9599) AS place",
        [Period(DAY, DAY).since],
    )

    curve = energy.demand_duration(Selection(Period(DAY, DAY + timedelta(days=100)), None))

    assert curve["demand_w"].is_monotonic_decreasing
    assert curve["hours"][curve["demand_w"] == 150_000].max() == 40 / 4
    assert curve["hours"].max() == 9600 / 4
    assert len(curve) <= 400


def test_demand_is_of_the_charge_points_chosen_taken_together(conn):
    demand(conn, "North", 30)
    demand(conn, "South", 5)
    for number, energy_wh in ((1, 1000), (2, 2000), (3, 4000)):
        place = {"started_at": NOON, "charge_point_id": number, "connector_id": 1}
        insert(conn, "energy_bucket", **place, transaction_id=number, energy_wh=energy_wh)
    question = "SELECT energy_wh, demand_w FROM report.demand(%s, %s, %s)"
    period = [NOON, NOON + timedelta(minutes=15)]

    assert conn.execute(question, [*period, None]).fetchall() == [(8750, 35_000)]
    assert conn.execute(question, [*period, ["N1", "S1"]]).fetchall() == [(5000, 20_000)]
    assert conn.execute(question, [*period, []]).fetchall() == []


def test_the_planner_looks_into_the_function_of_demand(conn):
    """Else it would read the whole period for a question about its highest quarter."""
    plan = conn.execute(
        "EXPLAIN SELECT max(demand_w) FROM report.demand(now() - INTERVAL '1 day', now(), NULL)"
    ).fetchall()

    assert "site_demand" in str(plan)


def test_an_hour_of_the_week_is_a_mean_over_the_weeks_that_are_known(conn):
    """The network began on the second of four Wednesdays, and drew nothing on the last."""
    first = DAY - timedelta(days=21)
    for days, kw in ((14, 30), (7, 60)):
        demand(conn, "North", kw, NOON - timedelta(days=days))
    consumed(conn, DAY - timedelta(days=14), energy_wh=7500)
    consumed(conn, DAY - timedelta(days=7), energy_wh=15_000)

    chosen = Selection(Period(first, DAY), None)

    assert energy.known_from(chosen) == DAY - timedelta(days=14)
    assert energy.week_pattern(chosen).values.tolist() == [[3, 12, (7500 + 15_000) / 3]]


def test_a_month_the_period_cuts_is_hatched(conn):
    """So is one with a day of which nothing is known; whole ones are not."""
    available(conn, date(2026, 7, 9), up_s=0)
    conn.execute("UPDATE availability_day SET unknown_s = 86400, observed_s = 86400")

    cut = partial.months(Selection(Period(date(2026, 5, 2), date(2026, 10, 30)), ["N1"]))
    whole = partial.months(Selection(Period(date(2026, 5, 1), date(2026, 10, 31)), ["N1"]))
    inside = {date(2026, number, 1) for number in range(5, 11)}

    assert cut & inside == {date(2026, 5, 1), date(2026, 7, 1), date(2026, 10, 1)}
    assert whole & inside == {date(2026, 7, 1)}
