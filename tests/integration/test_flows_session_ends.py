"""When a session ended that nobody stopped, and what may still change it afterwards."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.flow_facts import NOON, Facts, minutes


def test_a_power_cut_leaves_a_session_that_ends_with_its_last_reading(facts: Facts):
    """matth-x/MicroOcpp#174: no StopTransaction; the charge point boots later."""
    cp = facts.charge_point(booted_at=NOON + minutes(90))
    tx = facts.transaction(cp, NOON, None, 0, None)
    facts.readings(cp, tx, NOON + minutes(1), minutes(1), energy_wh=[500, 1_000, 1_500])

    facts.run()

    session = facts.session(tx)
    assert session["inferred_by"] == "boot"
    assert session["stopped_at"] == NOON + minutes(3)
    assert session["energy_wh"] == 1_500


def test_a_boot_of_this_moment_leaves_a_session_open(facts: Facts):
    """Many charge points take up their transaction again after a restart."""
    now = datetime.now(UTC)
    cp = facts.charge_point(booted_at=now - minutes(1))
    tx = facts.transaction(cp, now - minutes(30), None, 0, None)
    facts.readings(cp, tx, now - minutes(20), minutes(1), energy_wh=[500, 1_000])

    facts.run()

    session = facts.session(tx)
    assert session["inferred_by"] is None
    assert session["energy_wh"] == pytest.approx(1_000)


def test_the_next_start_ends_a_session_nobody_stopped(facts: Facts):
    """citrineos/citrineos#30: sessions that stay active."""
    cp = facts.charge_point()
    stuck = facts.transaction(cp, NOON, None, 0, None)
    facts.readings(cp, stuck, NOON + minutes(1), minutes(1), energy_wh=[500, 1_000])
    facts.transaction(cp, NOON + minutes(30), NOON + minutes(60), 1_000, 9_000)

    facts.run()

    session = facts.session(stuck)
    assert (session["inferred_by"], session["stopped_at"]) == ("next start", NOON + minutes(2))


def test_available_ends_a_session_nobody_stopped(facts: Facts):
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON, None, 0, None)
    facts.status(cp, NOON + minutes(1), "Charging")
    facts.status(cp, NOON + minutes(20), "SuspendedEV")
    facts.status(cp, NOON + minutes(45), "Available")

    facts.run()

    session = facts.session(tx)
    assert (session["inferred_by"], session["stopped_at"]) == ("available", NOON + minutes(20))
    assert session["unplugged_at"] == NOON + minutes(45)


def test_a_day_of_silence_ends_a_session(facts: Facts):
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON, None, 0, None)
    facts.readings(cp, tx, NOON + minutes(1), minutes(1), energy_wh=[500, 1_000])

    facts.run()

    assert facts.session(tx)["inferred_by"] == "silence"


def test_a_running_session_is_shown_with_its_energy_so_far(facts: Facts):
    began = datetime.now(UTC) - minutes(10)
    cp = facts.charge_point()
    tx = facts.transaction(cp, began, None, 1_000, None)
    facts.readings(cp, tx, began + minutes(1), minutes(1), energy_wh=[1_600, 2_200, 2_800])

    facts.run()

    session = facts.session(tx)
    assert session["is_open"] is True
    assert session["stopped_at"] is None
    assert session["energy_wh"] == 1_800
    assert session["inferred_by"] is None


def test_an_inferred_end_gives_way_to_the_stop_that_comes_late(facts: Facts):
    cp = facts.charge_point(booted_at=NOON + minutes(90))
    tx = facts.transaction(cp, NOON, None, 0, None)
    facts.readings(cp, tx, NOON + minutes(1), minutes(1), energy_wh=[500])
    facts.run()
    facts.conn.execute(
        "UPDATE transaction SET stopped_at = %s, meter_stop_wh = 900, changed_at = now()",
        [NOON + minutes(2)],
    )

    facts.run()

    session = facts.session(tx)
    assert session["inferred_by"] is None
    assert (session["energy_wh"], session["stopped_at"]) == (900, NOON + minutes(2))


def test_a_stop_without_id_tag_is_a_stop_like_any_other(facts: Facts):
    """dallmann-consulting/OCPP.Core#47."""
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON, NOON + minutes(30), 0, 9_000, stop_id_tag=None, reason="Other")

    facts.run()

    assert (facts.session(tx)["energy_wh"], facts.session(tx)["stop_reason"]) == (9_000, "Other")


def test_late_values_never_open_a_closed_session_again(facts: Facts):
    """lbbrhzn/ocpp#2075: within 10 min they count at its edge, after that they do not count."""
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON, NOON + minutes(3), 0, None)
    facts.readings(cp, tx, NOON + minutes(1), minutes(1), energy_wh=[500, 1_000, 1_500])
    facts.run()
    facts.reading(cp, NOON + minutes(9), transaction_id=tx, energy_wh=1_700)
    facts.reading(cp, NOON + minutes(40), transaction_id=tx, energy_wh=5_000)

    facts.run()

    session = facts.session(tx)
    assert session["is_open"] is False
    assert session["stopped_at"] == NOON + minutes(3)
    assert session["energy_wh"] == 1_700
    (finding,) = facts.rows(
        "SELECT * FROM report.quality_finding WHERE kind = 'readings_after_stop'"
    )
    assert finding["evidence"]["transaction_ids"] == [tx]


@pytest.mark.parametrize("sign", ["boot", "available"])
def test_a_session_without_readings_does_not_last_until_the_next(facts: Facts, sign: str):
    """A power cut right after the start; the next vehicle comes three days later."""
    cp = facts.charge_point()
    if sign == "boot":
        facts.conn.execute("UPDATE charge_point SET booted_at = %s", [NOON + minutes(30)])
    else:
        facts.status(cp, NOON + minutes(30), "Available")
    cut = facts.transaction(cp, NOON, None, 0, None)
    facts.status(cp, NOON + minutes(1), "Charging")
    facts.transaction(cp, NOON + timedelta(days=3), None, 0, None)

    facts.run()

    session = facts.session(cut)
    assert (session["inferred_by"], session["stopped_at"]) == (sign, NOON + minutes(1))


def test_readings_that_name_no_transaction_are_evidence_while_energy_flows(facts: Facts):
    """The meter goes on reporting its register for hours; it rises until minute 4."""
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON, None, 0, None)
    facts.readings(
        cp, None, NOON + minutes(1), minutes(1), energy_wh=[500, 1_000, 1_500, 2_000] + [2_000] * 30
    )
    facts.status(cp, NOON + minutes(60), "Available")
    facts.transaction(cp, NOON + timedelta(days=3), None, 0, None)

    facts.run()

    session = facts.session(tx)
    assert (session["inferred_by"], session["stopped_at"]) == ("available", NOON + minutes(4))
    assert session["energy_wh"] == 2_000


def test_a_long_session_is_left_alone_once_it_is_over(facts: Facts):
    """Five days in May: what is said in June does not concern it, what is said in May does."""
    cp = facts.charge_point()
    begun = NOON - timedelta(days=20)
    tx = facts.transaction(cp, begun, begun + timedelta(days=5), 0, 5_000)
    facts.status(cp, begun + timedelta(days=5, minutes=1), "Available")
    facts.run()
    facts.conn.execute("UPDATE transaction SET changed_at = now() - INTERVAL '1 day'")

    def is_computed_after(at: datetime) -> bool:
        before = facts.rows("SELECT computed_at FROM session")
        facts.status(cp, at, "Charging")
        facts.run()
        return facts.rows("SELECT computed_at FROM session") != before

    assert facts.session(tx)["duration_s"] == 5 * 86_400
    assert not is_computed_after(NOON)
    assert is_computed_after(begun + timedelta(days=4))


@pytest.mark.parametrize("stops", [True, False])
def test_a_clock_set_in_the_middle_makes_no_session_of_years(facts: Facts, stops: bool):
    """The start came by a clock that had woken in 2015; readings and stop by the right one."""
    woke = datetime(2015, 1, 1, 0, 0, 10, tzinfo=UTC)
    now = datetime.now(UTC)
    began = NOON if stops else now - minutes(30)
    cp = facts.charge_point()
    stop = (began + minutes(20), 0, 5_000) if stops else (None, 0, None)
    tx = facts.transaction(cp, woke, *stop)
    facts.readings(cp, tx, woke + minutes(1), minutes(1), energy_wh=[100])
    facts.readings(cp, tx, began, minutes(10), energy_wh=[1_000, 3_000])

    facts.run()

    session = facts.session(tx)
    assert session["started_at"] == began
    assert session["duration_s"] == (1200 if stops else 600)
    assert session["energy_wh"] == (5_000 if stops else 3_000)
    assert "clock" in session["flags"]
    (first,) = facts.rows("SELECT min(started_at) AS at FROM energy_bucket")
    assert first["at"] > began - minutes(15)


def test_a_session_over_a_power_cut_of_a_year_keeps_its_start(facts: Facts):
    """Its readings tell an hour of it; the stop came when the power was back."""
    stop = NOON + timedelta(days=400)
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON, stop, None, None)
    facts.readings(
        cp, tx, NOON + minutes(1), minutes(1), energy_wh=[1_000 + 300 * n for n in range(60)]
    )

    facts.run()

    session = facts.session(tx)
    assert (session["started_at"], session["stopped_at"]) == (NOON, stop)
    assert session["energy_wh"] == 59 * 300
    assert "clock" not in session["flags"]
