"""Findings about the data: each has its evidence, and none corrects anything."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.flow_facts import NOON, Facts, minutes


def kinds(facts: Facts) -> dict[str, str]:
    rows = facts.rows("SELECT kind, severity FROM report.quality_finding")
    return {row["kind"]: row["severity"] for row in rows}


def statuses(facts: Facts, cp: int, late_by: timedelta, jitter_s: int = 0) -> None:
    for place, status in enumerate(("Available", "Preparing", "Charging", "Available")):
        at = NOON + minutes(place)
        received = at + late_by + timedelta(seconds=place * jitter_s)
        facts.status(cp, at, status, received_at=received)


@pytest.mark.parametrize(
    "late_by, jitter_s, expected",
    [
        (timedelta(seconds=2), 1, {}),
        (timedelta(seconds=-90), 1, {"clock_skew": "amber"}),
        (timedelta(minutes=20), 1, {"clock_skew": "red"}),
        (timedelta(hours=3), 1, {"local_time_as_utc": "red"}),
        (timedelta(hours=3, minutes=20), 4000, {"late_statuses": "info"}),
    ],
)
def test_clocks(facts: Facts, late_by: timedelta, jitter_s: int, expected: dict[str, str]):
    cp = facts.charge_point()
    statuses(facts, cp, late_by, jitter_s)

    facts.run()

    assert kinds(facts) == expected


def test_flags_of_readings_are_counted(facts: Facts):
    cp = facts.charge_point()
    for minute in range(3):
        facts.reading(cp, NOON + minutes(minute), energy_wh=1, extra='{"flags": ["clock"]}')

    facts.run()

    (row,) = facts.rows("SELECT * FROM report.quality_finding WHERE kind = 'reading_clock'")
    assert (row["kind"], row["occurrences"], row["severity"]) == ("reading_clock", 3, "info")


def test_methods_that_differ_are_judged_when_the_session_is_over(facts: Facts):
    """A minute old, any session is off by what flowed before the first reading of power."""
    cp = facts.charge_point()
    start = datetime.now(UTC).replace(microsecond=0) - minutes(30)
    number = facts.transaction(cp, start, meter_start_wh=0)
    energy_wh, power_w = [0, 2000, 4000, 6000], [4000.0] * 4
    facts.readings(cp, number, start, minutes(5), energy_wh=energy_wh, power_w=power_w)

    facts.run()
    while_open = kinds(facts)
    facts.conn.execute(
        "UPDATE transaction SET stopped_at = %s, meter_stop_wh = 6000, changed_at = now()",
        [start + minutes(15)],
    )
    facts.touch(cp, start)
    facts.run()

    assert "delta_red" not in while_open
    assert kinds(facts)["delta_red"] == "red"


def test_readings_of_an_unknown_transaction_are_kept_and_named(facts: Facts):
    cp = facts.charge_point()
    facts.readings(cp, 4711, NOON, minutes(1), energy_wh=[1, 2, 3])

    facts.run()

    (row,) = facts.rows("SELECT * FROM report.quality_finding WHERE severity <> 'info'")
    assert row["kind"] == "readings_without_transaction"
    assert row["evidence"]["transaction_ids"] == [4711]
    assert row["occurrences"] == 3


def test_stops_nobody_answers_to_and_pieces_set_aside(facts: Facts):
    cp = facts.charge_point()
    facts.conn.execute(
        "INSERT INTO orphan_stop (received_at, charge_point_id, transaction_id, stopped_at)"
        " VALUES (%s, %s, 99, %s)",
        [NOON, cp, NOON],
    )
    facts.conn.execute(
        "INSERT INTO set_aside (received_at, charge_point_id, reason, raw)"
        " VALUES (%s, %s, 'not a number', '{}')",
        [NOON, cp],
    )

    facts.run("quality", start=NOON - timedelta(days=1), end=NOON + timedelta(days=1))

    assert kinds(facts) == {"orphan_stop": "amber", "set_aside": "amber"}


def test_what_is_set_aside_on_a_quiet_day_is_found_by_the_next_run(facts: Facts):
    """No reading and no status marks the day: the flow looks at what came since it ran."""
    cp = facts.charge_point()
    facts.run()
    facts.conn.execute(
        "INSERT INTO orphan_stop (received_at, charge_point_id, transaction_id, stopped_at)"
        " VALUES (now(), %s, 99, %s)",
        [cp, NOON],
    )
    facts.conn.execute(
        "INSERT INTO set_aside (received_at, charge_point_id, reason, raw)"
        " VALUES (now(), %s, 'not a number', '{}')",
        [cp],
    )

    facts.run()

    assert kinds(facts) == {"orphan_stop": "amber", "set_aside": "amber"}


def test_copies_in_dojot_are_a_finding_until_they_are_gone(facts: Facts):
    cp = facts.charge_point()
    facts.run()
    facts.conn.execute(
        "INSERT INTO reconciliation"
        " (charge_point_id, window_start, window_end, duplicates, verdict)"
        " VALUES (%s, %s, %s, 7, 'different')",
        [cp, NOON, NOON + minutes(60)],
    )
    facts.run()
    (row,) = facts.rows("SELECT kind, severity, value, unit FROM report.quality_finding")
    assert tuple(row.values()) == ("duplicate", "amber", 7, "readings")

    facts.conn.execute("UPDATE reconciliation SET duplicates = 0, checked_at = now()")
    facts.run()

    assert kinds(facts) == {}


def test_readings_that_should_have_come(facts: Facts):
    """Every 10 s for 10 min are 60 readings; only 30 came."""
    cp = facts.charge_point()
    facts.conn.execute(
        "INSERT INTO configuration_key (charge_point_id, name, value)"
        " VALUES (%s, 'MeterValueSampleInterval', '10')",
        [cp],
    )
    tx = facts.transaction(cp, NOON, NOON + minutes(10), 0, 3_000)
    facts.readings(
        cp, tx, NOON, timedelta(seconds=10), energy_wh=[place * 50 for place in range(30)]
    )

    facts.run()

    (row,) = facts.rows("SELECT * FROM report.quality_finding WHERE kind = 'missing_readings'")
    assert (row["value"], row["severity"]) == (29, "red")


def test_readings_older_than_anything_else_known_are_named(facts: Facts):
    """A history that is told later has transactions as old as its readings: nothing is odd then."""
    odd, told = facts.charge_point("CP-1"), facts.charge_point("CP-2")
    facts.reading(odd, NOON, energy_wh=1)
    tx = facts.transaction(told, NOON, NOON + minutes(5), 0, 100)
    facts.reading(told, NOON + minutes(1), transaction_id=tx, energy_wh=50)
    for cp in (odd, told):
        facts.connection(cp, NOON + timedelta(days=3), None)

    facts.run()

    (row,) = facts.rows("SELECT * FROM report.quality_finding WHERE kind = 'readings_before_known'")
    assert (row["charge_point"], row["severity"], row["occurrences"]) == ("CP-1", "info", 1)


def test_a_finding_goes_when_its_cause_goes(facts: Facts):
    cp = facts.charge_point()
    facts.readings(cp, 4711, NOON, minutes(1), energy_wh=[1, 2, 3])
    facts.run()
    facts.transaction(cp, NOON, NOON + minutes(3), 0, 3, transaction_id=4711)

    facts.run()

    assert "readings_without_transaction" not in kinds(facts)
