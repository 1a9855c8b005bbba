"""The power of a session: which readings tell it, and for which time. Worked out by hand."""

from datetime import timedelta

import pytest

from tests.flow_facts import NOON, Facts, minutes

CLOCK, BEGIN, TRIGGER = 1, 2, 6  # contexts of readings


def test_the_mean_power_of_a_short_session_is_not_above_its_peak(facts: Facts):
    """Two minutes at 21 kW, told from the end of the first half minute on."""
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON, NOON + minutes(2), 0, 700)
    power = [20_000, 21_000, 21_000, 20_000]
    energy = [175, 350, 525, 690]
    half = timedelta(seconds=30)
    facts.readings(cp, tx, NOON + half, half, energy_wh=energy, power_w=power)

    facts.run()

    session = facts.session(tx)
    assert session["energy_wh"] == 700  # over 90 s of readings that would be 28 kW
    assert session["peak_power_w"] == 21_000
    # Four half minutes, of 20 (the first reading tells it), 20.5, 21 and 20.5 kW.
    assert session["mean_power_w"] == pytest.approx(82_000 / 4)


def test_a_pause_of_the_readings_does_not_make_the_power_higher(facts: Facts):
    """10 kW for an hour, of which twenty minutes were not told: the register went on."""
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON, NOON + minutes(60), 0, 10_000)
    told = [*range(0, 20), *range(40, 61)]
    for minute in told:
        facts.reading(
            cp, NOON + minutes(minute), transaction_id=tx,
            energy_wh=10_000 * minute / 60, power_w=10_000,
        )  # fmt: skip

    facts.run()

    assert facts.session(tx)["mean_power_w"] == pytest.approx(10_000)


def test_without_readings_of_power_it_is_energy_over_charging_time(facts: Facts):
    """6 kWh in half an hour, then half an hour at rest."""
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON, NOON + minutes(60), 0, 6_000)
    register = [200.0 * min(minute, 30) for minute in range(61)]
    facts.readings(cp, tx, NOON, minutes(1), energy_wh=register)

    facts.run()

    assert facts.session(tx)["mean_power_w"] == pytest.approx(12_000)


def test_one_reading_of_power_tells_no_mean(facts: Facts):
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON, NOON + minutes(30), 0, 5_000)
    facts.reading(cp, NOON + minutes(10), transaction_id=tx, power_w=10_000)

    facts.run()

    assert facts.session(tx)["mean_power_w"] is None


@pytest.mark.parametrize("names_transaction", [True, False])
@pytest.mark.parametrize(
    "measured",
    [{0: 0.0}, {0: 0.0, 60: 0.0}, {30: 3_680.0}, dict.fromkeys(range(0, 61, 15), 3_680.0)],
)
def test_a_few_measured_values_do_not_undo_the_estimates_of_every_minute(
    facts: Facts, measured: dict[int, float], names_transaction: bool
):
    """230 V x 16 A are 3,680 W all along; triggered, power comes now and then."""
    cp = facts.charge_point(rated_power_w=None, current_type="AC")
    tx = facts.transaction(cp, NOON, NOON + minutes(60), 0, 0)
    facts.readings(cp, tx, NOON, minutes(1), voltage_v=[230.0] * 61, current_a=[16.0] * 61)
    for minute, power_w in measured.items():
        facts.reading(
            cp, NOON + minutes(minute), transaction_id=tx if names_transaction else None,
            context=TRIGGER, power_w=power_w,
        )  # fmt: skip

    facts.run()

    session = facts.session(tx)
    assert (session["energy_wh"], session["energy_source"]) == (pytest.approx(3_680), "integral")
    assert "estimated_power" in session["flags"]


def test_a_power_of_zero_at_the_start_does_not_undo_the_estimates(facts: Facts):
    cp = facts.charge_point(rated_power_w=None, current_type="AC")
    tx = facts.transaction(cp, NOON, NOON + minutes(60), 0, 0)
    facts.reading(cp, NOON, transaction_id=tx, context=BEGIN, power_w=0)
    facts.readings(cp, tx, NOON, minutes(1), voltage_v=[230.0] * 61, current_a=[16.0] * 61)

    facts.run()

    assert facts.session(tx)["energy_integral_wh"] == pytest.approx(3_680)


def test_measured_power_is_taken_before_estimates_of_the_same_stretches(facts: Facts):
    """Power every five minutes by the clock; voltage and current, without angle, every minute."""
    cp = facts.charge_point(rated_power_w=None, current_type="AC")
    tx = facts.transaction(cp, NOON, NOON + minutes(60), 0, 0)
    facts.readings(cp, tx, NOON, minutes(1), voltage_v=[230.0] * 61, current_a=[16.0] * 61)
    for minute in range(0, 61, 5):
        facts.reading(cp, NOON + minutes(minute), transaction_id=tx, context=CLOCK, power_w=3_000)

    facts.run()

    session = facts.session(tx)
    assert session["energy_wh"] == pytest.approx(3_000)
    assert "estimated_power" not in session["flags"]


@pytest.mark.parametrize("every_min", [5, 15])
def test_a_reading_tells_the_power_for_its_period_at_the_edges_too(facts: Facts, every_min: int):
    """7.2 kW for an hour; no charge point samples at the start and at the end."""
    cp = facts.charge_point(rated_power_w=None)
    tx = facts.transaction(cp, NOON, NOON + minutes(60), 0, 0)
    told = 60 // every_min - 1
    facts.readings(cp, tx, NOON + minutes(every_min), minutes(every_min), power_w=[7_200] * told)

    facts.run()

    session = facts.session(tx)
    assert (session["energy_wh"], session["energy_source"]) == (pytest.approx(7_200), "integral")
    assert (session["gap_s"], session["charging_s"]) == (0, 3_600)
    assert session["mean_power_w"] == pytest.approx(7_200)
    assert session["energised_at"] == NOON + timedelta(seconds=50)  # 2 Wh a second
    buckets = facts.rows("SELECT energy_wh FROM energy_bucket ORDER BY started_at")
    assert [row["energy_wh"] for row in buckets] == [pytest.approx(1_800)] * 4


def test_register_and_power_of_few_samples_agree(facts: Facts):
    cp = facts.charge_point(rated_power_w=None)
    tx = facts.transaction(cp, NOON, NOON + minutes(60), 0, 7_200)
    energy, power = [1_800, 3_600, 5_400], [7_200] * 3
    facts.readings(cp, tx, NOON + minutes(15), minutes(15), energy_wh=energy, power_w=power)

    facts.run()

    session = facts.session(tx)
    assert session["energy_integral_wh"] == pytest.approx(7_200)
    assert session["energy_delta_percent"] == pytest.approx(0)
    assert (session["charging_s"], session["flags"]) == (3_600, [])


def test_edges_that_no_reading_reaches_are_gaps(facts: Facts):
    """6 kW, told every minute from the third to the 57th of an hour: 3 min lack at either edge."""
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON, NOON + minutes(60), None, None)
    facts.readings(cp, tx, NOON + minutes(3), minutes(1), power_w=[6_000] * 55)

    facts.run()

    session = facts.session(tx)
    assert session["energy_wh"] == pytest.approx(5_400)  # 54 min of 6 kW
    assert session["gap_s"] == pytest.approx(6 * 60)
    assert "gap" not in session["flags"]  # not more than 10 %


def test_samples_of_ten_seconds_reach_no_further_than_fifteen(facts: Facts):
    """36 kW make 10 Wh a second: 10 s are held before the first sample, 20 s after the last not."""
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON, NOON + timedelta(seconds=120), None, None)
    ten = timedelta(seconds=10)
    facts.readings(cp, tx, NOON + ten, ten, power_w=[36_000] * 10)

    facts.run()

    session = facts.session(tx)
    assert session["energy_wh"] == pytest.approx(1_000)
    assert session["gap_s"] == pytest.approx(20)
    assert session["last_power_at"] == NOON + timedelta(seconds=100)
    assert "gap" in session["flags"]


def test_measured_power_by_the_period_is_not_estimated_anew(facts: Facts):
    """22 kW measured every 10 min; the unphased current beside it is that of one phase of three."""
    cp = facts.charge_point(current_type="AC")
    tx = facts.transaction(cp, NOON, NOON + minutes(120), None, None)
    for minute in range(121):
        clock = minutes(minute) + timedelta(seconds=7)
        facts.reading(
            cp, NOON + clock, transaction_id=tx, context=CLOCK, voltage_v=230, current_a=32
        )
        if minute % 10 == 0:
            facts.reading(cp, NOON + minutes(minute), transaction_id=tx, power_w=22_000)

    facts.run()

    session = facts.session(tx)
    assert session["energy_wh"] == pytest.approx(44_000)
    assert session["peak_power_w"] == 22_000


def test_an_edge_that_the_register_tells_of_is_no_gap(facts: Facts):
    """Five minutes, sampled every ten seconds from second 40 on."""
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON, NOON + minutes(5), 0, 4_000)
    step = timedelta(seconds=10)
    register = [4_000 * (40 + 10 * n) / 300 for n in range(27)]
    facts.readings(cp, tx, NOON + 4 * step, step, energy_wh=register, power_w=[48_000] * 27)

    facts.run()

    session = facts.session(tx)
    assert (session["gap_s"], session["energy_wh"]) == (0, 4_000)
    assert session["energy_integral_wh"] == pytest.approx(48_000 * 260 / 3600)
