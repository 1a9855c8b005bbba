"""Availability, outages and faults, against seconds counted by hand."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import psycopg
import pytest

from tests.flow_facts import NOON, Facts, minutes

DAY = NOON.astimezone(ZoneInfo("America/Sao_Paulo")).date()
MIDNIGHT = datetime.combine(DAY, datetime.min.time(), ZoneInfo("America/Sao_Paulo"))


def hours(number: float) -> datetime:
    return MIDNIGHT + timedelta(hours=number)


def day_of(facts: Facts, connector_id: int = 1, days_later: int = 0) -> dict[str, float]:
    (row,) = facts.rows(
        "SELECT * FROM report.availability WHERE connector_id = %s AND day = %s",
        connector_id,
        DAY + timedelta(days=days_later),
    )
    return row


def test_a_day_by_hand(facts: Facts):
    """6 h unknown, 4 h up, 1 h faulted, 2 h up, 3 h offline, 8 h up."""
    cp = facts.charge_point()
    facts.connection(cp, hours(5), hours(13))
    facts.connection(cp, hours(16), hours(30))
    facts.status(cp, hours(6), "Available")
    facts.status(cp, hours(8), "Charging")
    facts.status(cp, hours(10), "Faulted", error_code="GroundFailure")
    facts.status(cp, hours(11), "Available")

    facts.run()

    day = day_of(facts)
    assert day["observed_s"] == 24 * 3600
    assert day["unknown_s"] == 6 * 3600
    assert day["down_s"] == (1 + 3) * 3600
    assert day["up_s"] == 14 * 3600
    assert (day["faulted_s"], day["offline_s"]) == (3600, 3 * 3600)
    assert day["plugged_s"] == 2 * 3600
    assert day["technical_percent"] == pytest.approx(100 * 14 / 18)


def test_offline_beats_what_was_reported(facts: Facts):
    """sap-labs-france/ev-dashboard#3168: the last status of a lost charge point means nothing."""
    cp = facts.charge_point()
    facts.connection(cp, hours(0), hours(12))
    facts.status(cp, hours(0), "Charging")

    facts.run()

    assert day_of(facts)["charging_s"] == 12 * 3600
    assert day_of(facts)["offline_s"] == 12 * 3600
    assert day_of(facts, days_later=1)["offline_s"] == 24 * 3600


def test_the_charge_point_as_a_whole_takes_its_connectors_down(facts: Facts):
    cp = facts.charge_point(connectors=(1, 2))
    for connector_id in (1, 2):
        facts.status(cp, hours(0), "Available", connector_id=connector_id)
    facts.status(cp, hours(4), "Unavailable", connector_id=0)
    facts.status(cp, hours(5), "Available", connector_id=0)

    facts.run()

    for connector_id in (1, 2):
        assert day_of(facts, connector_id)["unavailable_s"] == 3600
        assert day_of(facts, connector_id)["available_s"] == 23 * 3600


@pytest.mark.parametrize("reason", ["the central system stopped", "the database was away"])
def test_nobody_knows_what_happens_while_we_are_down(facts: Facts, reason: str):
    """Closed by us at 3, back at 5 for another: ours has until 5:05, and comes at 7."""
    cp, other = facts.charge_point("CP-1"), facts.charge_point("CP-2")
    facts.connection(cp, hours(0), hours(3), reason)
    facts.connection(other, hours(5), hours(48))
    facts.connection(cp, hours(7), hours(48))
    facts.status(cp, hours(0), "Available")

    facts.run()

    row = facts.rows(
        "SELECT * FROM report.availability WHERE charge_point = 'CP-1' AND day = %s", DAY
    )[0]
    assert row["unknown_s"] == 2 * 3600 + 300
    assert row["offline_s"] == 2 * 3600 - 300
    assert row["up_s"] == (3 + 17) * 3600


def test_exclusions_count_once_where_they_overlap_and_only_what_was_down(facts: Facts):
    """Down 10 to 14. Excluded 9 to 12 and 11 to 13: three hours of the four."""
    cp = facts.charge_point()
    facts.status(cp, hours(0), "Available")
    facts.status(cp, hours(10), "Faulted")
    facts.status(cp, hours(14), "Available")
    facts.run()
    for start, end in ((9, 12), (11, 13)):
        facts.rows(
            "SELECT report.add_downtime_exclusion('CP-1', NULL, %s, %s, 'vehicle', 'x', 'Ana')",
            hours(start),
            hours(end),
        )

    facts.run()

    day = day_of(facts)
    assert day["excluded_s"] == 3 * 3600
    assert day["technical_percent"] == pytest.approx(100 * 20 / 24)
    assert day["nevi_percent"] == pytest.approx(100 * 23 / 24)
    facts.rows("SELECT report.withdraw_downtime_exclusion(1, 'Ana')")
    facts.run()
    assert day_of(facts)["excluded_s"] == 2 * 3600


def test_an_exclusion_names_a_charge_point_that_exists(facts: Facts):
    with pytest.raises(psycopg.Error, match="no charge point 'NOBODY'"):
        facts.rows(
            "SELECT report.add_downtime_exclusion('NOBODY', NULL, now() - INTERVAL '1 h', now(),"
            " 'vandalism', 'x', 'Ana')"
        )


def test_a_fault_that_comes_back_within_five_minutes_is_one_episode(facts: Facts):
    cp = facts.charge_point()
    for minute, status, code in (
        (0, "Faulted", "GroundFailure"),
        (10, "Available", "NoError"),
        (14, "Faulted", "GroundFailure"),
        (20, "Available", "NoError"),
        (24, "Faulted", "HighTemperature"),
        (30, "Available", "NoError"),
    ):
        facts.status(cp, NOON + minutes(minute), status, error_code=code)

    facts.run()

    episodes = facts.rows("SELECT * FROM report.fault_episode ORDER BY started_at")
    assert [(row["error_code"], row["parts"], row["faulted_s"]) for row in episodes] == [
        ("GroundFailure", 2, 16 * 60),
        ("HighTemperature", 1, 6 * 60),
    ]
    assert len(facts.rows("SELECT * FROM report.outage")) == 3


def test_an_outage_over_midnight_is_one_outage(facts: Facts):
    cp = facts.charge_point()
    facts.status(cp, hours(0), "Available")
    facts.status(cp, hours(20), "Faulted", error_code="GroundFailure")
    facts.status(cp, hours(22), "Unavailable")
    facts.status(cp, hours(30), "Available")

    facts.run()

    (outage,) = facts.rows("SELECT * FROM report.outage")
    assert (outage["started_at"], outage["ended_at"]) == (hours(20), hours(30))
    assert outage["states"] == ["Faulted", "Unavailable"]
    assert outage["error_code"] == "GroundFailure"


def test_a_late_status_corrects_the_days_it_lasts_through(facts: Facts):
    """Known: available from day 0, faulted on day 3. Late: unavailable since day 1."""
    cp = facts.charge_point()
    facts.status(cp, hours(0), "Available")
    facts.status(cp, hours(72), "Faulted")
    facts.run()
    assert day_of(facts, days_later=2)["down_s"] == 0
    facts.status(cp, hours(24), "Unavailable")

    facts.run()

    assert [day_of(facts, days_later=later)["unavailable_s"] for later in (0, 1, 2, 3)] == [
        0,
        24 * 3600,
        24 * 3600,
        0,
    ]
    (outage,) = facts.rows("SELECT * FROM report.outage")
    assert outage["started_at"] == hours(24)
    assert outage["ended_at"] is None


def test_today_ends_now(facts: Facts):
    cp = facts.charge_point()
    facts.status(cp, datetime.now(UTC) - timedelta(days=2), "Available")

    facts.run()

    (row,) = facts.rows("SELECT * FROM report.availability WHERE day = local_day(now())")
    (elapsed,) = facts.rows(
        "SELECT extract(EPOCH FROM now() - local_midnight(local_day(now())))::float8 AS s"
    )
    assert row["observed_s"] == pytest.approx(elapsed["s"], abs=30)


def test_charge_points_nobody_heard_of_have_no_rows(facts: Facts):
    facts.charge_point()

    facts.run()

    assert facts.rows("SELECT * FROM report.availability") == []


def use(facts: Facts, cp: int, from_hour: float, to_hour: float) -> int:
    return facts.transaction(cp, hours(from_hour), hours(to_hour), 0, 10_000)


def test_transactions_tell_of_use_where_no_status_was_ever_sent(facts: Facts):
    """9 to 11 on the first day, 10 to 12 on the third: in operation from 9 to noon of the third."""
    cp = facts.charge_point()
    use(facts, cp, 9, 11)
    use(facts, cp, 48 + 10, 48 + 12)

    facts.run()

    rows = facts.rows("SELECT * FROM report.availability ORDER BY day")
    assert [
        (row["day"], row["plugged_s"] / 3600, row["operational_s"] / 3600, row["unknown_s"] / 3600)
        for row in rows
    ] == [
        (DAY, 2, 15, 24),
        (DAY + timedelta(days=1), 0, 24, 24),
        (DAY + timedelta(days=2), 2, 12, 24),
    ]
    assert rows[0]["occupancy_percent"] == pytest.approx(100 * 2 / 15)
    assert {row["technical_percent"] for row in rows} == {None}
    (used,) = facts.rows("SELECT * FROM report.utilisation WHERE day = %s", DAY)
    assert used["charging_s"] == 2 * 3600
    assert used["utilisation_percent"] == pytest.approx(100 * 2 / 15)
    before = facts.computed()
    facts.run(force=True)
    assert facts.computed() == before


def test_a_transaction_that_comes_late_fills_the_days_to_its_neighbours(facts: Facts):
    cp = facts.charge_point()
    use(facts, cp, 48 + 10, 48 + 12)
    facts.run()
    use(facts, cp, 9, 11)

    facts.run()

    rows = facts.rows("SELECT operational_s FROM report.availability ORDER BY day")
    assert [row["operational_s"] / 3600 for row in rows] == [15, 24, 12]


def test_readings_alone_say_nothing_of_availability(facts: Facts):
    cp = facts.charge_point()
    facts.readings(cp, None, hours(9), minutes(1), energy_wh=[1, 2, 3])

    facts.run()

    assert facts.rows("SELECT * FROM report.availability") == []


def test_a_status_from_before_the_transaction_does_not_deny_it(facts: Facts):
    """Available once, at midnight; transactions from 9 to 11 and, overlapping, from 10 to 12."""
    cp = facts.charge_point()
    facts.status(cp, hours(0), "Available")
    use(facts, cp, 9, 11)
    use(facts, cp, 10, 12)

    facts.run()

    day = day_of(facts)
    assert (day["available_s"], day["up_s"], day["plugged_s"]) == (86_400, 86_400, 3 * 3600)
    assert day["occupancy_percent"] == pytest.approx(100 * 3 / 24)


@pytest.mark.parametrize(
    "said, plugged_hours",
    [
        ([(10, "Available")], 1),
        ([(9.5, "Faulted"), (10, "Charging"), (11, "Available")], 1.5),
        ([(9.5, "SuspendedEV"), (11, "Available")], 2),
        ([(9.5, "Unavailable"), (10.5, "Available")], 0.5),
    ],
)
def test_a_status_told_during_a_transaction_beats_it(
    facts: Facts, said: list[tuple[float, str]], plugged_hours: float
):
    """Available since midnight, a transaction from 9 to 11."""
    cp = facts.charge_point()
    facts.status(cp, hours(0), "Available")
    for hour, status in said:
        facts.status(cp, hours(hour), status)
    use(facts, cp, 9, 11)

    facts.run()

    assert day_of(facts)["plugged_s"] == pytest.approx(plugged_hours * 3600)


def test_a_lost_charge_point_is_offline_whatever_it_did_meanwhile(facts: Facts):
    cp = facts.charge_point()
    facts.connection(cp, hours(0), hours(10))
    facts.connection(cp, hours(12), hours(40))
    facts.status(cp, hours(0), "Available")
    use(facts, cp, 9, 11)

    facts.run()

    assert (day_of(facts)["plugged_s"], day_of(facts)["offline_s"]) == (3600, 2 * 3600)
