"""What is answered from sums written down is what the rows add up to, before and after."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import psycopg
import pytest
import streamlit as st

from dashboard.data import availability, costs, energy, stations
from dashboard.data import sessions as session_data
from dashboard.filters import Period, Selection
from testbench.seed.large import Large, make
from tests.integration.test_dashboard_questions import (
    BELEM,
    available,
    conn,
    consumed,
    insert,
    session,
)

__all__ = ["conn"]  # the fixture
FIRST, LAST = date(2026, 8, 30), date(2026, 11, 18)
DAYS = [FIRST + timedelta(days=number) for number in range((LAST - FIRST).days + 1)]
# Whole months, parts of months, one month in part, exactly one month, up to the last day known.
PERIODS = [
    (FIRST, LAST),
    (date(2026, 9, 10), date(2026, 9, 20)),
    (date(2026, 10, 1), date(2026, 10, 31)),
    (date(2026, 9, 15), date(2026, 11, 3)),
    (date(2026, 10, 20), LAST),
    (date(2026, 11, 5), LAST),
]


def energy_wh(day: date) -> float:
    return 1000.0 * (day.toordinal() % 7)


@pytest.fixture
def network(conn: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    """Eighty days of one charge point."""
    for day in DAYS:
        consumed(conn, day, energy_wh=energy_wh(day), sessions=2, attempts=1, charging_s=3600)
        available(conn, day, up_s=80_000, down_s=6_400)
    return conn


def write(conn: psycopg.Connection[Any]) -> None:
    """What the flows do when they have done their work."""
    insert(conn, "flow_watermark", flow="availability", done_until=datetime.now(BELEM))
    assert conn.execute("SELECT count(*) FROM unsummed_day").fetchone() == (0,)


def check(first: date, last: date) -> None:
    st.cache_data.clear()
    chosen = Selection(Period(first, last), None)
    only = Selection(Period(first, last), ["N1"])
    days = [day for day in DAYS if first <= day <= last]
    wh = sum(map(energy_wh, days))
    for selection in (chosen, only):
        totals = energy.totals(selection)
        assert (totals["energy_wh"], totals["sessions"]) == (wh, 2 * len(days))
        assert (totals["up_s"], totals["charging_s"]) == (80_000 * len(days), 3600 * len(days))
        assert totals["technical_percent"] == pytest.approx(100 * 80_000 / 86_400)
        assert energy.daily(selection)["energy_wh"].tolist() == [energy_wh(day) for day in days]
        assert energy.by_charge_point(selection)["energy_wh"].sum() == wh
        station = stations.stations(selection).set_index("charge_point").loc["N1"]
        assert (station["energy_wh"], station["sessions"]) == (wh, 2 * len(days))
        assert costs.costs(selection)["energy_wh"].tolist() == [wh]


@pytest.mark.parametrize("prepare", [lambda conn: None, write], ids=["marked", "written"])
def test_periods_add_up(
    network: psycopg.Connection[Any], prepare: Callable[[psycopg.Connection[Any]], None]
) -> None:
    prepare(network)

    for first, last in PERIODS:
        check(first, last)


def test_a_change_is_seen_at_once_and_written_by_the_next_flow(
    network: psycopg.Connection[Any],
) -> None:
    write(network)
    october = Selection(Period(date(2026, 10, 1), date(2026, 10, 31)), None)
    before = energy.totals(october)["energy_wh"]

    network.execute("UPDATE consumption_day SET energy_wh = energy_wh + 5 WHERE day = '2026-10-07'")
    network.execute("DELETE FROM availability_day WHERE day = '2026-10-08'")

    for _ in range(2):
        st.cache_data.clear()
        assert energy.totals(october)["energy_wh"] == before + 5
        assert costs.costs(october)["energy_wh"].tolist() == [before + 5]
        assert energy.totals(october)["up_s"] == 80_000 * 30
        [port] = [
            row for row in availability.ports(october).to_dict("records")
            if row["month"] == date(2026, 10, 1)
        ]  # fmt: skip
        assert port["up_s"] == 80_000 * 30
        network.execute("UPDATE flow_watermark SET done_until = now()")


def test_what_is_not_committed_stays_marked(
    network: psycopg.Connection[Any], database_url: str
) -> None:
    with psycopg.connect(database_url) as other:
        other.execute("UPDATE consumption_day SET energy_wh = 7 WHERE day = '2026-10-07'")
        write(network)
        other.commit()
    day = Selection(Period(date(2026, 10, 7), date(2026, 10, 7)), None)

    assert energy.totals(day)["energy_wh"] == 7


def test_sessions_add_up_by_day_and_by_tag(conn: psycopg.Connection[Any]) -> None:
    noon = datetime(2026, 10, 31, 12, tzinfo=BELEM)
    session(conn, 1, noon)
    session(conn, 2, noon + timedelta(hours=11, minutes=30), visit_id=1)  # over midnight
    session(conn, 3, noon + timedelta(days=1), is_attempt=True, energy_wh=None,
            energy_source="none")  # fmt: skip
    everything = Selection(Period(date(2026, 10, 1), date(2026, 11, 1)), None)
    october = Selection(Period(date(2026, 10, 1), date(2026, 10, 31)), None)
    write(conn)

    for expected_cost in (0, 7.5):
        if expected_cost:
            conn.execute("INSERT INTO session_cost VALUES (2, 7.5, 4000)")
            st.cache_data.clear()
        totals = session_data.session_totals(everything, session_data.Wanted())
        assert (totals["sessions"], totals["attempts"], totals["energy_wh"]) == (2, 1, 20_000)
        assert (totals["unknown_energy"], totals["continued"]) == (1, 1)
        [tag] = costs.by_tag(october).to_dict("records")
        assert (tag["sessions"], tag["attempts"], tag["energy_wh"]) == (2, 0, 20_000)
        assert (tag["cost"] if expected_cost else 0) == expected_cost
        lacking = (totals["unpriced_wh"], tag["unpriced_wh"])
        assert lacking == ((4000, 4000) if expected_cost else (0, 0))
        chosen = Selection(october.period, ["N1"])  # not from what was written down
        assert (
            session_data.session_totals(chosen, session_data.Wanted())["unpriced_wh"]
            == (lacking[0])
        )
        assert costs.by_tag(chosen)["unpriced_wh"].tolist() == [lacking[1]]
        assert costs.by_tag(everything)["attempts"].tolist() == [1]


def test_a_session_moved_to_another_day_leaves_the_one_it_was_on(
    conn: psycopg.Connection[Any],
) -> None:
    session(conn, 1, datetime(2026, 10, 31, 12, tzinfo=BELEM))
    write(conn)
    conn.execute(
        "UPDATE session SET started_at = started_at + interval '1 day',"
        " ended_at = ended_at + interval '1 day'"
    )

    for day, count in ((date(2026, 10, 31), 0), (date(2026, 11, 1), 1)):
        selection = Selection(Period(day, day), None)
        totals = session_data.session_totals(selection, session_data.Wanted())
        assert totals["sessions"] == count


def test_a_large_network_made_for_measuring_has_its_sums(database_url: str) -> None:
    """It is made without triggers, so nothing marks what it puts in."""
    until = datetime(2026, 11, 18, 12, tzinfo=BELEM)
    make(database_url, Large(until, charge_points=2, days=3, raw_days=1, log_days=0), print)

    with psycopg.connect(database_url) as made:
        [row] = made.execute(
            "SELECT (SELECT sum(energy_wh) FROM network_day),"
            " (SELECT sum(energy_wh) FROM connector_month),"
            " (SELECT sum(energy_wh) FROM consumption_day)"
        ).fetchall()
    assert row[0] == row[1] == row[2] > 0
