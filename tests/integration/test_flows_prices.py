"""Prices that change, charge points that move, and the demand of group A, computed by hand."""

from datetime import date, timedelta
from typing import Any

import psycopg
import pytest

from tests.flow_facts import Facts, minutes
from tests.integration.test_flows_consumption import WEDNESDAY, charge, local, tariff

THURSDAY = WEDNESDAY + timedelta(days=1)


def flat(facts: Facts, price: float, **columns: Any) -> int:
    return tariff(facts, [{"posto": "fora_ponta", "price_per_kwh": price}], **columns)


def costs(facts: Facts) -> dict[date, float | None]:
    rows = facts.rows("SELECT day, cost FROM report.consumption_day ORDER BY day")
    return {row["day"]: row["cost"] and round(row["cost"], 6) for row in rows}


def unpriced(facts: Facts) -> int:
    return len(facts.rows("SELECT FROM report.quality_finding WHERE kind = 'unpriced'"))


def test_a_price_may_change_and_both_parts_keep_one(facts: Facts):
    cp = facts.charge_point()
    before = flat(facts, 0.5)
    for day in (WEDNESDAY, THURSDAY):
        charge(facts, cp, day, 9, 1, 10)
    facts.run()

    flat(facts, 0.8, valid_from=str(THURSDAY))
    facts.run()

    assert costs(facts) == {WEDNESDAY: 5, THURSDAY: 8}
    assert unpriced(facts) == 0
    (first,) = facts.rows("SELECT valid_to FROM tariff WHERE tariff_id = %s", before)
    assert first["valid_to"] == THURSDAY


def test_what_overlaps_is_refused_with_a_sentence(facts: Facts):
    first = flat(facts, 0.5, valid_from="2026-01-01", valid_to="2026-06-01")
    flat(facts, 0.6, valid_from="2026-06-01")

    for columns in (
        {"valid_from": "2026-05-31"},
        {"valid_from": "2025-12-01", "valid_to": "2026-01-02"},
        {"valid_from": "2026-06-01"},
    ):
        with pytest.raises(psycopg.errors.ExclusionViolation, match="from 2026-"):
            flat(facts, 0.7, **columns)
    with pytest.raises(psycopg.errors.ExclusionViolation, match="further notice"):
        facts.rows("SELECT report.end_tariff(%s, '2026-06-02', 'Ana')", first)

    assert len(facts.rows("SELECT FROM tariff WHERE valid_to IS NULL")) == 1
    flat(facts, 0.7, valid_from="2026-06-15", site="campus")
    flat(facts, 0.4, valid_from="2025-12-01", valid_to="2026-01-01")


def test_a_tariff_can_be_ended_and_findings_follow(facts: Facts):
    cp = facts.charge_point()
    number = flat(facts, 0.5)
    charge(facts, cp, WEDNESDAY, 9, 1, 10)
    facts.run()
    assert unpriced(facts) == 0

    facts.rows("SELECT report.end_tariff(%s, %s, 'Ana')", number, WEDNESDAY)
    facts.run()
    assert (costs(facts), unpriced(facts)) == ({WEDNESDAY: None}, 1)

    facts.rows("SELECT report.end_tariff(%s, NULL, 'Ana')", number)
    facts.run()
    assert (costs(facts), unpriced(facts)) == ({WEDNESDAY: 5}, 0)
    with pytest.raises(psycopg.errors.CheckViolation, match="cannot end on 2019-12-31"):
        facts.rows("SELECT report.end_tariff(%s, '2019-12-31', 'Ana')", number)


def test_a_finding_follows_a_consumption_that_was_computed_after_it(facts: Facts):
    """The flows have schedules of their own: quality may run before consumption does."""
    cp = facts.charge_point()
    number = flat(facts, 0.5)
    charge(facts, cp, WEDNESDAY, 9, 1, 10)
    facts.run()
    facts.rows("SELECT report.remove_tariff(%s, 'Ana')", number)
    flat(facts, 0.5, valid_from=str(THURSDAY))
    facts.run("quality")
    facts.run("consumption")

    facts.run("quality")

    assert unpriced(facts) == 1


def test_a_charge_point_takes_its_demand_and_its_price_to_another_site(facts: Facts):
    first, second = facts.charge_point("A", site="S"), facts.charge_point("B", site="S")
    flat(facts, 0.5, site="S")
    flat(facts, 0.9, site="T")
    for cp, kwh in ((first, 20), (second, 30)):
        charge(facts, cp, WEDNESDAY, 9, 1, kwh)
    facts.run()

    facts.conn.execute("UPDATE charge_point SET site = 'T' WHERE identity = 'B'")
    facts.run()

    rows = facts.rows(
        "SELECT site, sum(energy_wh) AS energy_wh, max(connectors) AS connectors"
        " FROM report.site_demand GROUP BY site ORDER BY site"
    )
    assert [tuple(row.values()) for row in rows] == [
        ("S", pytest.approx(20_000), 1),
        ("T", pytest.approx(30_000), 1),
    ]
    assert [
        row["cost"]
        for row in facts.rows("SELECT cost FROM report.consumption_day ORDER BY charge_point")
    ] == [pytest.approx(20 * 0.5), pytest.approx(30 * 0.9)]


def test_a_site_that_everyone_left_has_no_demand(facts: Facts):
    cp = facts.charge_point("A", site="S")
    charge(facts, cp, WEDNESDAY, 9, 1, 20)
    facts.run()

    facts.conn.execute("UPDATE charge_point SET site = NULL")
    facts.run()

    (row,) = facts.rows("SELECT site, sum(energy_wh) AS wh FROM report.site_demand GROUP BY site")
    assert (row["site"], row["wh"]) == (None, pytest.approx(20_000))


def test_demand_is_paid_by_the_greater_of_contract_and_measurement(facts: Facts):
    """A: 20 kW measured of 30 contracted. B: 40 kW measured. 25 R$/kW and 20 % tax."""
    about = {"consumer_group": "A", "modality": "verde", "tax_percent": 20}
    for site, kwh in (("A", 20), ("B", 40)):
        cp = facts.charge_point(site, site=site)
        charge(facts, cp, WEDNESDAY, 9, 1, kwh)
        flat(facts, 0.5, **about, site=site, contracted_demand_kw=30, demand_price_per_kw=25)

    facts.run()

    rows = facts.rows(
        "SELECT * FROM report.demand_month WHERE month = date_trunc('month', %s::date)"
        " ORDER BY site",
        WEDNESDAY,
    )
    assert [row["measured_demand_kw"] for row in rows] == [pytest.approx(20), pytest.approx(40)]
    assert [row["demand_cost"] for row in rows] == [
        pytest.approx(30 * 25 * 1.2),
        pytest.approx(40 * 25 * 1.2),
    ]
    assert rows[0]["measured_at"] == local(WEDNESDAY, 9)


def test_a_demand_tariff_that_holds_for_part_of_a_month_is_paid_in_part(facts: Facts):
    cp = facts.charge_point("A", site="A")
    charge(facts, cp, WEDNESDAY, 9, 1, 20)
    facts.run()
    first = WEDNESDAY.replace(day=1)
    following = (first + timedelta(days=32)).replace(day=1)
    about = {"consumer_group": "A", "modality": "verde", "demand_price_per_kw": 10, "site": "A"}
    flat(facts, 1, **about, contracted_demand_kw=60, valid_to=str(first + timedelta(days=10)))
    flat(facts, 1, **about, contracted_demand_kw=90, valid_from=str(first + timedelta(days=10)))

    rows = facts.rows(
        "SELECT days, demand_cost FROM report.demand_month WHERE month = %s ORDER BY days", first
    )

    month = (following - first).days
    assert [tuple(row.values()) for row in rows] == [
        (10, pytest.approx(60 * 10 * 10 / month)),
        (month - 10, pytest.approx(90 * 10 * (month - 10) / month)),
    ]


def test_without_a_demand_price_there_is_no_demand_cost(facts: Facts):
    cp = facts.charge_point()
    charge(facts, cp, WEDNESDAY, 9, 1, 20)
    flat(facts, 0.5, consumer_group="A", modality="verde", contracted_demand_kw=30)
    facts.run()

    rows = facts.rows("SELECT demand_cost FROM report.demand_month")

    assert {row["demand_cost"] for row in rows} == {None}


def test_utilisation_falls_back_to_the_state_where_readings_do_not_tell(facts: Facts):
    """Connector 1 sends power until it falls to 0 in the 31st minute, connector 2 sends none."""
    cp = facts.charge_point(connectors=(1, 2))
    start = local(WEDNESDAY, 9)
    facts.connection(cp, local(WEDNESDAY, 0), local(WEDNESDAY, 24))
    for number in (1, 2):
        facts.status(cp, local(WEDNESDAY, 0), "Available", connector_id=number)
        facts.status(cp, start, "Charging", connector_id=number)
        facts.status(cp, start + minutes(60), "Available", connector_id=number)
        facts.transaction(
            cp, start, start + minutes(60), None, None, connector_id=number, id_tag=f"T{number}"
        )
    for minute in range(61):
        facts.reading(
            cp, start + minutes(minute), transaction_id=1, power_w=20_000 if minute <= 30 else 0
        )

    facts.run()

    rows = facts.rows(
        "SELECT connector_id, charging_s, charging_source, utilisation_percent, up_s, energy_wh,"
        " capacity_wh, energy_utilisation_percent FROM report.utilisation WHERE day = %s"
        " ORDER BY connector_id",
        WEDNESDAY,
    )
    assert [(row["charging_source"], round(row["charging_s"] / 60)) for row in rows] == [
        ("readings", 31),
        ("state", 60),
    ]
    for row in rows:
        assert row["utilisation_percent"] == pytest.approx(100 * row["charging_s"] / row["up_s"])
    assert rows[0]["energy_utilisation_percent"] == pytest.approx(
        100 * rows[0]["energy_wh"] / (50_000 * 24), rel=0.01
    )


def test_a_factor_has_sessions_computed_anew(facts: Facts):
    cp = facts.charge_point()
    tx = charge(facts, cp, WEDNESDAY, 9, 1, 0.02)
    facts.run()
    assert facts.session(tx)["energy_wh"] == pytest.approx(20)

    facts.rows("SELECT operation.set_energy_factor('CP-1', 1000, 'Ana')")
    facts.run()

    assert facts.session(tx)["energy_wh"] == pytest.approx(20_000)


def test_a_kind_of_current_and_a_setting_have_sessions_computed_anew(facts: Facts):
    """An hour plugged in after the last power, less the grace of DC, of AC, and of none."""
    cp = facts.charge_point()
    start = local(WEDNESDAY, 9)
    tx = facts.transaction(cp, start, start + minutes(30), 0, 10_000)
    facts.readings(cp, tx, start, minutes(10), power_w=[20_000.0] * 4)
    facts.connection(cp, start - minutes(60), start + minutes(120))
    for minute, status in ((0, "Charging"), (30, "Finishing"), (90, "Available")):
        facts.status(cp, start + minutes(minute), status)
    facts.run()
    assert facts.session(tx)["idle_s"] == pytest.approx(3600 - 600)

    facts.rows("SELECT operation.set_connector('CP-1', 1, 'AC', NULL, 'Ana')")
    facts.run()
    assert facts.session(tx)["idle_s"] == pytest.approx(3600 - 1800)

    facts.rows("SELECT report.set_setting('idle_grace_ac_s', 0, 'ours', 2026, 'Ana')")
    facts.run()
    assert facts.session(tx)["idle_s"] == pytest.approx(3600)


def test_a_vehicle_entered_later_gives_its_sessions_an_efficiency(facts: Facts):
    cp = facts.charge_point()
    tx = facts.transaction(cp, local(WEDNESDAY, 9), local(WEDNESDAY, 10), 0, 40_000, id_tag="bus")
    facts.readings(
        cp, tx, local(WEDNESDAY, 9), minutes(30), soc_percent=[20, 35, 50], energy_wh=[0, 2e4, 4e4]
    )
    facts.run()

    facts.rows("SELECT operation.save_vehicle(' BUS', 'Bus', 120000, NULL, 'Ana')")
    facts.run()
    assert facts.session(tx)["efficiency"] == pytest.approx(120_000 * 0.3 / 40_000)

    facts.rows("SELECT operation.remove_vehicle('bus', 'Ana')")
    facts.run()
    assert facts.session(tx)["efficiency"] is None


def test_a_holiday_can_be_taken_back(facts: Facts):
    cp = facts.charge_point()
    tariff(facts)
    tx = charge(facts, cp, WEDNESDAY, 18, 1, 10)
    facts.rows("SELECT report.add_holiday(%s, 'invented', 'Ana')", WEDNESDAY)
    facts.run()
    assert facts.session(tx)["cost"] == pytest.approx(5)

    facts.rows("SELECT report.remove_holiday(%s, 'Ana')", WEDNESDAY)
    facts.run()

    assert facts.session(tx)["cost"] == pytest.approx(20)


def test_who_entered_and_removed_what_is_on_record(facts: Facts):
    facts.charge_point()
    number = flat(facts, 0.5)
    for call in (
        f"report.end_tariff({number}, '2030-01-01', 'Ana')",
        f"report.remove_tariff({number}, 'Ana')",
        "report.add_holiday('2026-12-25', 'Natal', 'Ana')",
        "report.remove_holiday('2026-12-25', 'Ana')",
        "report.set_setting('raw_log_days', 30, NULL, NULL, 'Ana')",
        "report.add_downtime_exclusion("
        "'CP-1', 1, '2026-01-01', '2026-01-02', 'vandalism', 'B.O.', 'Ana')",
        "report.withdraw_downtime_exclusion(1, 'Ana')",
        "operation.set_energy_factor('CP-1', 1000, 'Ana')",
        "operation.set_connector('CP-1', 1, 'AC', 7400, 'Ana')",
        "operation.save_vehicle('SECRET', 'Bus', 1, 1, 'Ana')",
        "operation.remove_vehicle('SECRET', 'Ana')",
    ):
        facts.rows(f"SELECT {call}")

    entries = facts.rows("SELECT who, what, subject, details FROM report.operation_log ORDER BY at")

    assert {entry["who"] for entry in entries} == {"Ana"}
    assert [entry["what"] for entry in entries] == [
        "add_tariff", "end_tariff", "remove_tariff", "add_holiday", "remove_holiday", "set_setting",
        "add_downtime_exclusion", "withdraw_downtime_exclusion", "set_energy_factor",
        "set_connector", "save_vehicle", "remove_vehicle",
    ]  # fmt: skip
    assert "SECRET" not in str(entries)


@pytest.mark.parametrize("source, year", [(None, 2026), (" ", 2026), ("MCTI", None)])
def test_a_factor_of_the_co2_estimate_needs_its_source(
    facts: Facts, source: str | None, year: int | None
):
    with pytest.raises(psycopg.errors.CheckViolation, match="needs the source and the year"):
        facts.rows(
            "SELECT report.set_setting('grid_co2_kg_per_kwh', 0.1, %s, %s, 'Ana')", source, year
        )
    facts.conn.execute("UPDATE setting SET value = 1 WHERE name ~ '(co2|consumption)'")

    (factors,) = facts.rows("SELECT * FROM report.co2")

    assert factors["avoided_kg_per_kwh"] is None


def test_sessions_computed_again_keep_their_price(facts: Facts):
    """A file taken while the flows run, or after this one alone, has the costs of before."""
    cp = facts.charge_point()
    tariff(facts)
    tx = charge(facts, cp, WEDNESDAY, 9, 1, 10)
    facts.run()
    before = facts.computed()

    facts.run("sessions", start=local(WEDNESDAY, 0), end=local(WEDNESDAY, 24), force=True)

    after = facts.computed()
    assert facts.session(tx)["cost"] == pytest.approx(5)
    for table in ("session_cost", "energy_bucket", "consumption_day"):
        assert after[table] == before[table]


def test_until_it_has_a_price_energy_is_told_to_have_none(facts: Facts):
    """An hour of 10 kWh is priced; of the next, in which the session went on, nothing is yet."""
    cp = facts.charge_point()
    tariff(facts)
    new = charge(facts, cp, WEDNESDAY, 14, 1, 3)
    begun = local(WEDNESDAY, 9)
    tx = facts.transaction(cp, begun, None, 0)
    facts.readings(cp, tx, begun, minutes(15), energy_wh=[2_500.0 * number for number in range(5)])
    facts.run("sessions")
    told = [(row["cost"], row["unpriced_wh"]) for row in map(facts.session, (tx, new))]
    assert told == [(None, pytest.approx(10_000)), (None, pytest.approx(3_000))]

    facts.run()
    assert facts.session(tx)["cost"] == pytest.approx(5)
    facts.readings(
        cp, tx, begun + minutes(75), minutes(15), energy_wh=[12_000.0, 13_000.0, 14_000.0, 15_000.0]
    )
    facts.run("sessions")
    session = facts.session(tx)
    assert (session["energy_wh"], session["cost"]) == (15_000, pytest.approx(5))
    assert session["unpriced_wh"] == pytest.approx(5_000)

    facts.run()
    assert facts.session(tx)["cost"] == pytest.approx(7.5)


def test_a_price_goes_with_the_energy(facts: Facts):
    """The register is told to have been none: nothing is left of the quarters and their price."""
    cp = facts.charge_point()
    tariff(facts)
    tx = charge(facts, cp, WEDNESDAY, 9, 1, 10)
    facts.run()

    facts.rows("DELETE FROM meter_value RETURNING 1")
    facts.rows(
        "UPDATE transaction SET meter_stop_wh = NULL, changed_at = now()"
        " WHERE transaction_id = %s RETURNING 1",
        tx,
    )
    facts.run("sessions")

    session = facts.session(tx)
    assert (session["energy_wh"], session["cost"], session["unpriced_wh"]) == (None, None, 0)
    assert facts.rows("SELECT FROM energy_bucket") == []


def test_sums_do_not_depend_on_the_order_of_their_rows(facts: Facts):
    """As 0.1 + 0.2 + 0.3 has another last digit than 0.3 + 0.2 + 0.1."""
    flat(facts, 1)
    for number in range(3):
        cp = facts.charge_point(f"CP-{number}", site="campus")
        charge(facts, cp, WEDNESDAY, 9, 0.75, 9)
    facts.run()
    facts.rows(
        "UPDATE energy_bucket SET energy_wh = 123.4 * (1 +"
        " (charge_point_id + extract(EPOCH FROM started_at)::bigint / 900) %% 3) RETURNING 1"
    )

    (name,) = (row["name"] for row in facts.rows("SELECT current_database() AS name"))
    for setting in ("indexscan", "bitmapscan"):  # as where there are too many rows for an index
        facts.conn.execute(f'ALTER DATABASE "{name}" SET enable_{setting} = off')

    found = []
    for direction in ("ASC", "DESC"):
        facts.conn.execute("CREATE TEMPORARY TABLE kept AS TABLE energy_bucket")
        facts.conn.execute("TRUNCATE energy_bucket")
        facts.conn.execute(
            f"INSERT INTO energy_bucket SELECT * FROM kept"
            f" ORDER BY started_at {direction}, charge_point_id {direction}"
        )
        facts.conn.execute("DROP TABLE kept")
        facts.run("consumption", start=local(WEDNESDAY, 0), end=local(WEDNESDAY, 24), force=True)
        found.append(facts.computed())

    for table in ("session_cost", "site_demand", "consumption_day"):
        assert found[0][table] == found[1][table]
