"""Consumption, demand and cost. Prices are invented; costs are computed by hand."""

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.flow_facts import Facts, minutes

ZONE = ZoneInfo("America/Sao_Paulo")


def last_weekday(number: int) -> date:
    """Return the latest Monday (0) to Sunday (6) that is at least three days ago."""
    day = datetime.now(ZONE).date() - timedelta(days=3)
    return day - timedelta(days=(day.weekday() - number) % 7)


def local(day: date, hour: float) -> datetime:
    return datetime.combine(day, datetime.min.time(), ZONE) + timedelta(hours=hour)


WEDNESDAY = last_weekday(2)
BRANCA = [
    {"posto": "ponta", "from_time": "18:00", "to_time": "21:00", "price_per_kwh": 2.0},
    {"posto": "intermediario", "from_time": "17:00", "to_time": "18:00", "price_per_kwh": 1.0},
    {"posto": "intermediario", "from_time": "21:00", "to_time": "22:00", "price_per_kwh": 1.0},
    {"posto": "fora_ponta", "price_per_kwh": 0.5},
]


def tariff(facts: Facts, periods: list[dict[str, Any]] = BRANCA, **columns: Any) -> int:
    about = {
        "name": "invented",
        "consumer_group": "B",
        "modality": "branca",
        "valid_from": "2020-01-01",
        **columns,
    }
    (row,) = facts.rows(
        "SELECT report.add_tariff(%s, %s, 'Ana') AS number", json.dumps(about), json.dumps(periods)
    )
    return int(row["number"])


def charge(facts: Facts, cp: int, day: date, from_hour: float, hours: float, kwh: float) -> int:
    """A session of constant power."""
    start = local(day, from_hour)
    return facts.transaction(cp, start, start + timedelta(hours=hours), 0, kwh * 1000)


def test_energy_is_priced_by_the_quarter_of_an_hour(facts: Facts):
    """16:30 to 18:30 at 20 kW: 10 kWh fora ponta, 20 intermediario, 10 ponta."""
    cp = facts.charge_point()
    tariff(facts)
    tx = charge(facts, cp, WEDNESDAY, 16.5, 2, 40)

    facts.run()

    (day,) = facts.rows("SELECT * FROM report.consumption_day")
    assert day["day"] == WEDNESDAY
    assert (day["fora_ponta_wh"], day["intermediario_wh"], day["ponta_wh"]) == (
        pytest.approx(10_000),
        pytest.approx(20_000),
        pytest.approx(10_000),
    )
    assert day["cost"] == pytest.approx(10 * 0.5 + 20 * 1.0 + 10 * 2.0)
    assert day["cost_if_fora_ponta"] == pytest.approx(40 * 0.5)
    assert facts.session(tx)["cost"] == pytest.approx(45)
    assert day["peak_demand_w"] == pytest.approx(20_000)


@pytest.mark.parametrize("is_holiday", [True, False])
def test_weekends_and_holidays_are_fora_ponta_throughout(facts: Facts, is_holiday: bool):
    day = WEDNESDAY if is_holiday else last_weekday(6)
    cp = facts.charge_point()
    tariff(facts)
    charge(facts, cp, day, 18, 1, 30)
    facts.run()
    if is_holiday:
        facts.rows("SELECT report.add_holiday(%s, 'invented')", day)
        facts.run()

    (row,) = facts.rows("SELECT * FROM report.consumption_day")

    assert (row["ponta_wh"], row["cost"]) == (0, pytest.approx(15))


def test_surcharge_and_tax_are_part_of_the_price(facts: Facts):
    cp = facts.charge_point()
    tariff(facts, surcharge_per_kwh=0.1, tax_percent=25)
    tx = charge(facts, cp, WEDNESDAY, 9, 1, 10)

    facts.run()

    assert facts.session(tx)["cost"] == pytest.approx(10 * (0.5 + 0.1) * 1.25)


def test_a_tariff_entered_later_prices_what_was_there(facts: Facts):
    cp = facts.charge_point()
    tx = charge(facts, cp, WEDNESDAY, 9, 1, 10)
    facts.run()
    assert facts.session(tx)["cost"] is None
    number = tariff(facts)
    facts.run()
    assert facts.session(tx)["cost"] == pytest.approx(5)

    facts.rows("SELECT report.remove_tariff(%s)", number)
    facts.run()

    assert facts.session(tx)["cost"] is None
    assert facts.session(tx)["unpriced_wh"] == pytest.approx(10_000)


@pytest.mark.parametrize("overlap", [True, False])
def test_a_hole_or_an_overlap_gives_no_price_and_a_finding(facts: Facts, overlap: bool):
    cp = facts.charge_point()
    if overlap:  # of before such were refused
        tariff(facts)
        facts.conn.execute(
            "INSERT INTO tariff (name, consumer_group, modality, valid_from, author)"
            " VALUES ('second', 'B', 'branca', '2020-01-01', 'Ana')"
        )
    else:
        tariff(facts, valid_from=str(WEDNESDAY + timedelta(days=1)))
    charge(facts, cp, WEDNESDAY, 9, 1, 10)

    facts.run()

    (day,) = facts.rows("SELECT * FROM report.consumption_day")
    assert (day["cost"], day["unpriced_wh"]) == (None, pytest.approx(10_000))
    (finding,) = facts.rows("SELECT * FROM report.quality_finding WHERE kind = 'unpriced'")
    assert finding["evidence"]["tariffs_in_force"] == (2 if overlap else 0)


@pytest.mark.parametrize("has_tariff, cost", [(True, 0), (False, None)])
def test_no_energy_costs_nothing_where_there_is_a_tariff(
    facts: Facts, has_tariff: bool, cost: float | None
):
    cp = facts.charge_point()
    if has_tariff:
        tariff(facts)
    empty = charge(facts, cp, WEDNESDAY, 9, 1, 0)
    unknown = facts.transaction(cp, local(WEDNESDAY, 12), local(WEDNESDAY, 13), None, None)

    facts.run()

    assert (facts.session(empty)["energy_wh"], facts.session(empty)["cost"]) == (0, cost)
    assert facts.session(unknown)["cost"] is None
    (day,) = facts.rows("SELECT * FROM report.consumption_day")
    assert day["cost"] is None, "one session of the day is not known"


def test_a_site_with_a_tariff_of_its_own_uses_that(facts: Facts):
    here, there = facts.charge_point("A", site="campus"), facts.charge_point("B")
    tariff(facts)
    tariff(facts, [{"posto": "fora_ponta", "price_per_kwh": 9}], site="campus")
    dear = charge(facts, here, WEDNESDAY, 9, 1, 1)
    cheap = charge(facts, there, WEDNESDAY, 9, 1, 1)

    facts.run()

    assert facts.session(dear)["cost"] == pytest.approx(9)
    assert facts.session(cheap)["cost"] == pytest.approx(0.5)


def test_the_demand_of_a_site_is_what_coincides(facts: Facts):
    """20 kW from 9:00 to 10:00 and 30 kW from 9:30 to 10:30: 50 kW from 9:30 to 10:00."""
    first, second = facts.charge_point("A", site="S"), facts.charge_point("B", site="S")
    charge(facts, first, WEDNESDAY, 9, 1, 20)
    charge(facts, second, WEDNESDAY, 9.5, 1, 30)

    facts.run()

    rows = facts.rows("SELECT demand_w, connectors FROM report.site_demand ORDER BY started_at")
    assert [(row["demand_w"], row["connectors"]) for row in rows] == [
        (pytest.approx(20_000), 1),
        (pytest.approx(20_000), 1),
        (pytest.approx(50_000), 2),
        (pytest.approx(50_000), 2),
        (pytest.approx(30_000), 1),
        (pytest.approx(30_000), 1),
    ]


def test_a_session_over_midnight_belongs_to_two_days(facts: Facts):
    cp = facts.charge_point()
    charge(facts, cp, WEDNESDAY, 23, 2, 40)

    facts.run()

    rows = facts.rows("SELECT day, energy_wh, sessions FROM consumption_day ORDER BY day")
    assert [(row["day"], row["energy_wh"], row["sessions"]) for row in rows] == [
        (WEDNESDAY, pytest.approx(20_000), 1),
        (WEDNESDAY + timedelta(days=1), pytest.approx(20_000), 0),
    ]


def test_a_session_that_moves_takes_its_energy_along(facts: Facts):
    """Known as 23:00 to 01:00; then the stop turns out to have been at 23:30."""
    cp = facts.charge_point()
    tx = charge(facts, cp, WEDNESDAY, 23, 2, 20)
    facts.run()
    facts.conn.execute(
        "UPDATE transaction SET stopped_at = %s, changed_at = now() WHERE transaction_id = %s",
        [local(WEDNESDAY, 23.5), tx],
    )

    facts.run()

    rows = facts.rows("SELECT day, energy_wh FROM consumption_day WHERE energy_wh > 0")
    assert [(row["day"], row["energy_wh"]) for row in rows] == [(WEDNESDAY, pytest.approx(20_000))]


def test_drivers_succeed_when_energy_comes_within_five_minutes(facts: Facts):
    """Three plug-ins: served at once, served too late, given up."""
    cp = facts.charge_point()
    for hour, status in ((9, "Preparing"), (11, "Preparing"), (13, "Preparing")):
        facts.status(cp, local(WEDNESDAY, hour) - minutes(30), "Available")
        facts.status(cp, local(WEDNESDAY, hour), status)
    charge(facts, cp, WEDNESDAY, 9.01, 1, 20)
    late = local(WEDNESDAY, 11) + minutes(9)
    facts.transaction(cp, late, late + minutes(30), 0, 9_000)

    facts.run()

    (day,) = facts.rows("SELECT * FROM report.consumption_day")
    assert (day["plug_ins"], day["plug_ins_served"]) == (3, 1)


def test_a_plug_in_of_this_moment_has_not_failed_yet(facts: Facts):
    """Of three unserved ones: a minute old, six minutes old, and moments ago but served."""
    now = datetime.now(UTC)
    waiting, failed, served = (facts.charge_point(f"CP-{number}") for number in range(3))
    for cp, minutes_ago in ((waiting, 1), (failed, 6), (served, 2)):
        facts.status(cp, now - minutes(60), "Available")
        facts.status(cp, now - minutes(minutes_ago), "Preparing")
    facts.transaction(served, now - minutes(1.9), now - minutes(0.5), 0, 500)

    facts.run()

    rows = facts.rows(
        "SELECT charge_point_id AS cp, sum(plug_ins) AS tried, sum(plug_ins_served) AS served"
        " FROM consumption_day GROUP BY charge_point_id HAVING sum(plug_ins) > 0"
    )
    assert {row["cp"]: (row["tried"], row["served"]) for row in rows} == {
        failed: (1, 0), served: (1, 1),
    }  # fmt: skip


def test_a_plug_in_too_young_for_the_last_run_is_counted_by_the_next(facts: Facts):
    """Nothing was said since; the last run was when the plug-in was two minutes old."""
    now = datetime.now(UTC)
    cp = facts.charge_point()
    facts.status(cp, now - minutes(60), "Available")
    facts.status(cp, now - minutes(6), "Preparing")
    facts.run()
    facts.conn.execute("UPDATE consumption_day SET plug_ins = 0")
    facts.conn.execute("UPDATE flow_watermark SET done_until = %s", [now - minutes(4)])

    facts.run()

    (row,) = facts.rows("SELECT sum(plug_ins) AS tried FROM consumption_day")
    assert row["tried"] == 1


def test_a_plug_in_before_midnight_is_served_after_it(facts: Facts):
    """The flow ran between the two: the answer must not depend on that."""
    cp = facts.charge_point()
    facts.status(cp, local(WEDNESDAY, 22), "Available")
    facts.status(cp, local(WEDNESDAY, 24) - minutes(2), "Preparing")
    facts.run()
    charge(facts, cp, WEDNESDAY, 24 + 1 / 60, 1, 20)

    facts.run()

    rows = facts.rows("SELECT day, plug_ins, plug_ins_served FROM consumption_day ORDER BY day")
    assert [tuple(row.values()) for row in rows] == [
        (WEDNESDAY, 1, 1),
        (WEDNESDAY + timedelta(days=1), 0, 0),
    ]


def plug_ins(facts: Facts) -> list[tuple[date, int]]:
    rows = facts.rows(
        "SELECT day, plug_ins FROM consumption_day"
        " WHERE plug_ins > 0 OR sessions > 0 OR attempts > 0 ORDER BY day"
    )
    return [(row["day"], row["plug_ins"]) for row in rows]


@pytest.mark.parametrize(
    "after_hours, status, number",
    [(4, None, 1), (23, None, 1), (4, "Faulted", 1), (4, "Available", 2), (25, None, 2)],
)
def test_a_vehicle_that_waits_for_its_start_was_plugged_in_once(
    facts: Facts, after_hours: float, status: str | None, number: int
):
    """Plugged in at 00:30; once the connector was free, or a day later, it is another vehicle."""
    cp = facts.charge_point()
    facts.status(cp, local(WEDNESDAY, 0.25), "Available")
    facts.status(cp, local(WEDNESDAY, 0.5), "Preparing")
    if status:
        facts.status(cp, local(WEDNESDAY, 1), status)
    charge(facts, cp, WEDNESDAY, 0.5 + after_hours, 0.25, 5)

    facts.run()

    assert sum(count for _, count in plug_ins(facts)) == number


def test_a_bus_plugged_in_before_midnight_is_not_counted_again_after_it(facts: Facts):
    """Plugged in at 22:00, charged from 00:30. The statuses of the evening come late."""
    cp = facts.charge_point()
    next_day = WEDNESDAY + timedelta(days=1)
    charge(facts, cp, WEDNESDAY, 24.5, 4, 200)
    facts.run()
    assert plug_ins(facts) == [(next_day, 1)]

    facts.status(cp, local(WEDNESDAY, 20), "Available")
    facts.status(cp, local(WEDNESDAY, 22), "Preparing")
    facts.run()
    assert plug_ins(facts) == [(WEDNESDAY, 1), (next_day, 0)]

    at_once = facts.computed()["consumption_day"]
    facts.run(force=True)
    assert facts.computed()["consumption_day"] == at_once


def test_an_end_that_moves_over_the_plug_in_counts_it_anew(facts: Facts):
    """A session to 23:55 at first; then its stop turns out to be later than Preparing at 23:57."""
    cp = facts.charge_point()
    facts.status(cp, local(WEDNESDAY, 20), "Available")
    evening = charge(facts, cp, WEDNESDAY, 21, 2 + 55 / 60, 60)
    facts.status(cp, local(WEDNESDAY, 23.95), "Preparing")
    charge(facts, cp, WEDNESDAY, 24.5, 1, 20)
    facts.run()
    next_day = WEDNESDAY + timedelta(days=1)
    assert plug_ins(facts) == [(WEDNESDAY, 2), (next_day, 0)]

    for stop, counted in ((23.96, 1), (24.1, 1), (23.9, 0)):
        facts.conn.execute(
            "UPDATE transaction SET stopped_at = %s, changed_at = now() WHERE transaction_id = %s",
            [local(WEDNESDAY, stop), evening],
        )
        facts.run()
        assert plug_ins(facts) == [(WEDNESDAY, 2), (next_day, counted)]


def test_avoided_emissions_need_all_three_factors(facts: Facts):
    (before,) = facts.rows("SELECT * FROM report.co2")
    for name, value in (
        ("grid_co2_kg_per_kwh", 0.1),
        ("combustion_co2_kg_per_km", 0.9),
        ("vehicle_consumption_kwh_per_km", 1.5),
    ):
        facts.rows("SELECT report.set_setting(%s, %s, 'invented', 2026, 'Ana')", name, value)

    (after,) = facts.rows("SELECT * FROM report.co2")

    assert before["avoided_kg_per_kwh"] is None
    assert after["avoided_kg_per_kwh"] == pytest.approx(0.9 / 1.5 - 0.1)
