"""The mean power of a session: never above its peak. Expected numbers are worked out by hand."""

from datetime import timedelta

import pytest

from tests.flow_facts import NOON, Facts, minutes


def test_the_mean_power_of_a_short_session_is_not_above_its_peak(facts: Facts):
    """Two minutes at 21 kW, told from the second half minute on: the register covers more."""
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
    # Three half minutes, of 20.5, 21 and 20.5 kW.
    assert session["mean_power_w"] == pytest.approx(62_000 / 3)


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
