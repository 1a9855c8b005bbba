"""Registers that are absent, stand still, or are not those of the samples. Computed by hand."""

from datetime import timedelta
from typing import Any

import pytest

from tests.flow_facts import NOON, Facts, minutes

END = 3  # the context Transaction.End


def quarters(facts: Facts) -> list[Any]:
    rows = facts.rows("SELECT energy_wh FROM energy_bucket ORDER BY started_at")
    return [pytest.approx(row["energy_wh"]) for row in rows]


def intervals(facts: Facts, cp: int, tx: int, *values: float) -> None:
    """Store intervals of a quarter of an hour, each at its end."""
    for place, value in enumerate(values, start=1):
        tell_interval(facts, cp, tx, place * 15, value)


def tell_interval(
    facts: Facts, cp: int, tx: int, minute: int, value: float, context: int = 0
) -> None:
    facts.reading(
        cp,
        NOON + minutes(minute),
        transaction_id=tx,
        context=context,
        extra=f'{{"Energy.Active.Import.Interval": {value}}}',
    )


def test_two_zeros_of_a_charge_point_without_a_register_are_no_energy(facts: Facts):
    """12 kW for 50 minutes are 10 kWh; the first 0.1 kWh take 30 s."""
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON, NOON + minutes(50), 0, 0)
    facts.readings(cp, tx, NOON, minutes(1), power_w=[12_000] * 51)

    facts.run()

    session = facts.session(tx)
    assert (session["energy_wh"], session["energy_source"]) == (pytest.approx(10_000), "integral")
    assert session["is_attempt"] is False
    assert session["energised_at"] == NOON + timedelta(seconds=30)
    assert set(session["flags"]) == {"meter_stop_zero", "delta_red"}
    assert quarters(facts) == [3_000, 3_000, 3_000, 1_000]


def test_two_zeros_give_way_to_intervals(facts: Facts):
    """2.5 kWh a quarter of an hour: 0.1 kWh after 36 s. Nothing in the last: idle from 45 on."""
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON, NOON + minutes(60), 0, 0)
    intervals(facts, cp, tx, 2_500, 2_500, 2_500, 0)
    facts.status(cp, NOON + minutes(1), "Charging")
    facts.status(cp, NOON + minutes(65), "Available")

    facts.run()

    session = facts.session(tx)
    assert (session["energy_wh"], session["energy_source"]) == (7_500, "interval")
    assert session["energised_at"] == NOON + timedelta(seconds=36)
    assert session["idle_s"] == (65 - 45 - 10) * 60
    assert session["charging_s"] is None, "a register that tells nothing tells no charging time"
    assert set(session["flags"]) == {"meter_stop_zero"}


@pytest.mark.parametrize("samples", [[None] * 51, [70_000] * 51])
def test_a_register_that_stood_still_is_not_believed_against_the_power(
    facts: Facts, samples: list[float | None]
):
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON, NOON + minutes(50), 70_000, 70_000)
    facts.readings(cp, tx, NOON, minutes(1), power_w=[12_000] * 51, energy_wh=samples)

    facts.run()

    session = facts.session(tx)
    assert (session["energy_wh"], session["energy_source"]) == (pytest.approx(10_000), "integral")
    assert session["energy_delta_percent"] is None
    assert set(session["flags"]) == {"stuck_register", "delta_red"}


def test_a_coarse_register_may_stand_still_for_half_a_kilowatt_hour(facts: Facts):
    """6 kW for 5 minutes are 500 Wh: a register in kWh need not have moved."""
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON, NOON + minutes(5), 70_000, 70_000)
    facts.readings(cp, tx, NOON, minutes(1), power_w=[6_000] * 6)

    facts.run()

    session = facts.session(tx)
    assert (session["energy_wh"], session["energy_source"]) == (0, "register")
    assert session["flags"] == []


def test_a_stop_that_repeats_the_start_does_not_undo_the_samples(facts: Facts):
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON, NOON + minutes(3), 5_000, 5_000)
    facts.readings(cp, tx, NOON + minutes(1), minutes(1), energy_wh=[5_600, 6_100])

    facts.run()

    session = facts.session(tx)
    assert (session["energy_wh"], session["energy_source"]) == (1_100, "register_series")
    assert "meter_stop_below_last" in session["flags"]


def test_intervals_of_nothing_give_way_to_the_power(facts: Facts):
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON, NOON + minutes(15), None, None)
    facts.readings(cp, tx, NOON, minutes(1), power_w=[12_000] * 15)
    intervals(facts, cp, tx, 0)

    facts.run()

    session = facts.session(tx)
    # 14 minutes between the readings of power, and one that the last tells of.
    assert (session["energy_wh"], session["energy_source"]) == (pytest.approx(3_000), "integral")


@pytest.mark.parametrize(
    "rated_power_w, meter_start, first, last, length",
    [(None, 0, 420_000, 430_000, 30), (22_000, 0, 60_000, 80_000, 240)],
)
def test_samples_of_another_register_than_meter_start_begin_the_series(
    facts: Facts,
    rated_power_w: float | None,
    meter_start: float,
    first: float,
    last: float,
    length: int,
):
    """No stop: start 0 of the session's register, samples of the meter's, young or old."""
    cp = facts.charge_point(rated_power_w=rated_power_w, booted_at=NOON + minutes(300))
    tx = facts.transaction(cp, NOON, None, meter_start, None)
    register = [first + (last - first) * minute / length for minute in range(length + 1)]
    facts.readings(cp, tx, NOON, minutes(1), energy_wh=register)

    facts.run()

    session = facts.session(tx)
    assert session["energy_source"] == "register_series"
    assert session["energy_wh"] == pytest.approx(last - first)
    assert "register_mismatch" in session["flags"]
    assert "register_jump" not in session["flags"]


@pytest.mark.parametrize(
    "meter_start, meter_stop, first", [(0, 10_000, 420_000), (500_000, 510_000, 0)]
)
def test_two_registers_do_not_bend_the_curve(
    facts: Facts, meter_start: float, meter_stop: float, first: float
):
    """20 kW for half an hour: 5 kWh in either quarter, not nearly all at one edge."""
    cp = facts.charge_point(rated_power_w=None)
    tx = facts.transaction(cp, NOON, NOON + minutes(30), meter_start, meter_stop)
    register = [first + 10_000 * minute / 30 for minute in range(31)]
    facts.readings(cp, tx, NOON, minutes(1), energy_wh=register)

    facts.run()

    session = facts.session(tx)
    assert (session["energy_wh"], session["energy_source"]) == (10_000, "register")
    assert "register_mismatch" in session["flags"]
    assert quarters(facts) == [5_000, 5_000]


@pytest.mark.parametrize("first", [420_000, 0])
def test_start_and_stop_of_two_registers_have_no_difference(facts: Facts, first: float):
    """Start of the session's register, stop of the meter's; samples of either, 10 kWh in 2 h."""
    cp = facts.charge_point(rated_power_w=None)
    tx = facts.transaction(cp, NOON, NOON + minutes(120), 0, 430_000)
    register = [first + 10_000 * minute / 120 for minute in range(121)]
    facts.readings(cp, tx, NOON, minutes(1), energy_wh=register)

    facts.run()

    session = facts.session(tx)
    assert session["energy_source"] == "register_series"
    assert session["energy_wh"] == pytest.approx(10_000)
    assert "register_mismatch" in session["flags"]


def test_samples_of_another_register_that_end_early_do_not_deny_the_difference(facts: Facts):
    """Ten of forty kWh were sampled, by the meter's register; the rest came in three quarters."""
    cp = facts.charge_point(rated_power_w=None)
    tx = facts.transaction(cp, NOON, NOON + minutes(60), 0, 40_000)
    register = [420_000 + 10_000 * minute / 15 for minute in range(16)]
    facts.readings(cp, tx, NOON, minutes(1), energy_wh=register)

    facts.run()

    session = facts.session(tx)
    assert (session["energy_wh"], session["energy_source"]) == (40_000, "register")


def test_a_first_sample_that_comes_late_has_the_time_before_it(facts: Facts):
    """50 kW for the hour before the first sample, and for the quarter after the last."""
    cp = facts.charge_point(booted_at=NOON + minutes(300))
    tx = facts.transaction(cp, NOON, NOON + minutes(90), 0, None)
    facts.readings(cp, tx, NOON + minutes(60), minutes(15), energy_wh=[50_000, 62_000])
    whole = facts.transaction(cp, NOON + minutes(120), NOON + minutes(180), None, 40_000)
    facts.readings(cp, whole, NOON + minutes(120), minutes(45), energy_wh=[0, 28_000])

    facts.run()

    assert facts.session(tx)["energy_wh"] == 62_000
    assert facts.session(whole)["energy_wh"] == 40_000
    assert "register_mismatch" not in facts.session(tx)["flags"] + facts.session(whole)["flags"]


def test_where_the_time_says_nothing_the_edges_are_believed(facts: Facts):
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON, NOON, 0, None)
    facts.reading(cp, NOON, transaction_id=tx, energy_wh=5_000)

    facts.run()

    session = facts.session(tx)
    assert (session["energy_wh"], session["energy_source"]) == (5_000, "register_series")


def test_one_sample_of_another_register_tells_no_energy(facts: Facts):
    cp = facts.charge_point(booted_at=NOON + minutes(60))
    tx = facts.transaction(cp, NOON, None, 0, None)
    facts.reading(cp, NOON + minutes(1), transaction_id=tx, energy_wh=420_000)

    facts.run()

    assert (facts.session(tx)["energy_wh"], facts.session(tx)["energy_source"]) == (None, "none")


def test_samples_that_do_not_rise_tell_of_no_energy_whatever_the_start_was(facts: Facts):
    cp = facts.charge_point(booted_at=NOON + minutes(60))
    tx = facts.transaction(cp, NOON, None, 0, None)
    facts.readings(cp, tx, NOON, minutes(1), energy_wh=[420_000] * 10)

    facts.run()

    session = facts.session(tx)
    assert (session["energy_wh"], session["energy_source"]) == (0, "register_series")


@pytest.mark.parametrize("meter_stop", [0, 10_000])
def test_without_samples_of_the_register_the_power_tells_when_energy_came(
    facts: Facts, meter_stop: float
):
    """Nothing until minute 10, then 12 kW: the ramp to minute 11 is 6 kW for a minute, 0.1 kWh."""
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON, NOON + minutes(60), 0, meter_stop)
    facts.readings(cp, tx, NOON, minutes(1), power_w=[0] * 11 + [12_000] * 50)

    facts.run()

    assert facts.session(tx)["energised_at"] == NOON + minutes(11)


@pytest.mark.parametrize("kind", ["power", "interval"])
def test_drivers_succeed_without_a_register_too(facts: Facts, kind: str):
    cp = facts.charge_point()
    facts.status(cp, NOON - minutes(30), "Available")
    facts.status(cp, NOON - minutes(1), "Preparing")
    tx = facts.transaction(cp, NOON, NOON + minutes(15), None, None)
    if kind == "power":
        facts.readings(cp, tx, NOON, minutes(1), power_w=[12_000] * 16)
    else:
        intervals(facts, cp, tx, 3_000)

    facts.run()

    (day,) = facts.rows("SELECT plug_ins, plug_ins_served FROM consumption_day")
    assert (day["plug_ins"], day["plug_ins_served"]) == (1, 1)


@pytest.mark.parametrize(
    "meter, samples, flag",
    [
        (0, [None] * 51, "meter_stop_zero"),
        (70_000, [None] * 51, "stuck_register"),
        (70_000, [70_000] * 51, "stuck_register"),
    ],
)
def test_a_register_of_nothing_is_not_believed_against_a_current(
    facts: Facts, meter: float, samples: list[float | None], flag: str
):
    """16 A for 50 minutes are 13 Ah, and without a voltage no power: the energy is not known."""
    cp = facts.charge_point(current_type="AC")
    tx = facts.transaction(cp, NOON, NOON + minutes(50), meter, meter)
    facts.readings(cp, tx, NOON, minutes(1), current_a=[16.0] * 51, energy_wh=samples)

    facts.run()

    session = facts.session(tx)
    assert (session["energy_wh"], session["energy_source"]) == (None, "none")
    assert (session["cost"], session["flags"]) == (None, [flag])


@pytest.mark.parametrize("length, current_a", [(50, 0.5), (5, 16.0)])
def test_a_little_current_does_not_deny_a_register_of_nothing(
    facts: Facts, length: int, current_a: float
):
    """Less than 2 Ah: of a vehicle that stays awake, or what a coarse register has not told."""
    cp = facts.charge_point(current_type="AC")
    tx = facts.transaction(cp, NOON, NOON + minutes(length), 70_000, 70_000)
    facts.readings(cp, tx, NOON, minutes(1), current_a=[current_a] * (length + 1))

    facts.run()

    session = facts.session(tx)
    assert (session["energy_wh"], session["energy_source"]) == (0, "register")
    assert session["flags"] == []


@pytest.mark.parametrize("repeated_wh", [500, 90, 900])
def test_an_interval_that_the_stop_repeats_counts_once(facts: Facts, repeated_wh: float):
    """12 x 0.5 kWh; at the instant of the last one transactionData tells one too."""
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON, NOON + minutes(60), 0, 0)
    for place in range(1, 13):
        tell_interval(facts, cp, tx, 5 * place, 500)
    tell_interval(facts, cp, tx, 60, repeated_wh, context=END)

    facts.run()

    session = facts.session(tx)
    assert (session["energy_wh"], session["energy_source"]) == (6_000, "interval")
    assert quarters(facts) == [1_500] * 4


def test_the_interval_of_a_stop_after_the_last_sample_counts(facts: Facts):
    """0.5 kWh at five minutes and, in the two minutes until the stop, 0.2 kWh more."""
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON, NOON + minutes(7), 0, 0)
    tell_interval(facts, cp, tx, 5, 500)
    tell_interval(facts, cp, tx, 7, 200, context=END)

    facts.run()

    assert facts.session(tx)["energy_wh"] == 700


def test_a_standby_current_does_not_doubt_a_register_that_stood_still(facts: Facts):
    """0.3 A all night, 3 Ah of them: a plug that draws nothing."""
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON, NOON + minutes(600), 500, 500)
    facts.readings(cp, tx, NOON, minutes(10), energy_wh=[500] * 60, current_a=[0.3] * 60)

    facts.run()

    session = facts.session(tx)
    assert (session["energy_wh"], session["energy_source"]) == (0, "register")
    assert "stuck_register" not in session["flags"]
