"""The charging curve of the simulated bus."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbench.bus import Bus, BusCharge, CarCharge, Outlet, Reading, derated


def curve(charge: BusCharge, hours: float, step_s: float = 10.0) -> list[Reading]:
    return [charge.advance(step_s) for _ in range(int(hours * 3600 / step_s))]


def trapezoids_wh(powers_w: list[float], step_s: float) -> float:
    pairs = itertools.pairwise(powers_w)
    return sum((one + other) / 2 * step_s / 3600 for one, other in pairs)


@pytest.mark.parametrize("step_s", [1.0, 10.0])
def test_energy_is_the_integral_of_power(step_s):
    readings = curve(BusCharge(Bus(), Outlet(), 20, seed=1), 7, step_s)

    integral_wh = trapezoids_wh([0.0, *(reading.power_w for reading in readings)], step_s)

    assert readings[-1].energy_wh == pytest.approx(integral_wh, rel=0.001)


def test_energy_by_seconds_is_exact():
    """Sampled at the simulation's own steps the two differ by rounding only."""
    readings = curve(BusCharge(Bus(insulation_s=20, ramp_s=20), Outlet(), 20), 40 / 3600, 1.0)

    integral_wh = trapezoids_wh([0.0, *(reading.power_w for reading in readings)], 1.0)

    assert readings[-1].energy_wh == pytest.approx(integral_wh, rel=1e-12)


def test_the_state_of_charge_follows_the_energy():
    bus = Bus(capacity_wh=300_000, charge_efficiency=0.97)
    last = curve(BusCharge(bus, Outlet(), 20), 4)[-1]

    assert last.soc_percent == int(20 + 100 * 0.97 * last.energy_wh / 300_000)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    soc=st.floats(0, 99),
    ambient_c=st.floats(-5, 55),
    limit_w=st.none() | st.floats(0, 60_000),
)
def test_limits_hold_and_nothing_falls(seed, soc, ambient_c, limit_w):
    bus, outlet = Bus.drawn(seed), Outlet()
    charge = BusCharge(bus, outlet, soc, ambient_c=ambient_c, seed=seed)
    readings = [charge.advance(10, limit_w) for _ in range(300)]

    highest_w = min(50_000, float("inf") if limit_w is None else limit_w)
    assert all(0 <= reading.power_w <= highest_w for reading in readings)
    assert all(reading.power_w <= derated(outlet, ambient_c) for reading in readings)
    assert all(reading.current_a <= 125.0 + 1e-9 for reading in readings)
    energies = [reading.energy_wh for reading in readings]
    socs = [it.soc_percent for it in readings if it.soc_percent is not None]
    assert energies == sorted(energies)
    assert socs == sorted(socs)
    assert all(0 <= value <= 100 for value in socs)


def test_current_and_voltage_explain_the_power():
    readings = curve(BusCharge(Bus(), Outlet(), 20), 5)

    for reading in readings:
        assert reading.current_a * reading.voltage_v == pytest.approx(reading.power_w)


def test_the_curve_has_the_shape_of_a_depot_charge():
    bus = Bus(insulation_s=20, ramp_s=20, taper_soc_percent=92)
    readings = curve(BusCharge(bus, Outlet(), 20), 7)

    assert [it.power_w for it in readings[:2]] == [0.0, 0.0]
    assert readings[0].soc_percent is None
    assert readings[0].voltage_v > 500
    assert 0 < readings[2].power_w < 40_000
    plateau = [it for it in readings[4:] if (it.soc_percent or 0) < 92]
    assert all(46_500 < it.power_w < 47_500 for it in plateau)
    assert 1.05 < plateau[-1].voltage_v / plateau[0].voltage_v < 1.10
    assert plateau[-1].current_a < plateau[0].current_a
    taper = [it.power_w for it in readings if it.soc_percent == 96]
    assert max(taper) < 30_000
    assert readings[-1].power_w == 0.0
    assert readings[-1].energy_wh > 240_000


def test_the_taper_is_exponential_in_time():
    """Equal times, equal shares: half an hour apart twice gives the same quotient."""
    charge = BusCharge(Bus(), Outlet(), 91.9)
    powers_w = [it.power_w for it in curve(charge, 1.6)]

    first = powers_w[270] / powers_w[90]
    second = powers_w[450] / powers_w[270]

    assert first == pytest.approx(second, abs=0.03)
    assert first < 0.7


def test_heat_takes_power_away():
    hot = curve(BusCharge(Bus(), Outlet(), 20, ambient_c=38), 1)[-1]

    assert hot.power_w <= 45_000
    assert hot.power_offered_w == 45_000


def test_below_400_volts_the_current_limit_decides():
    """350 V at 125 A are 44 kW."""
    bus = Bus(voltage_v=350, voltage_rise=0.0)
    last = curve(BusCharge(bus, Outlet(), 20), 1)[-1]

    assert last.current_a == pytest.approx(125, abs=0.1)
    assert last.power_w == pytest.approx(43_750, rel=0.001)


def test_the_same_seed_is_the_same_charge():
    first, second, other = (
        curve(BusCharge(Bus.drawn(seed), Outlet(), 30, seed=seed), 1) for seed in (5, 5, 6)
    )

    assert first == second
    assert first != other


def test_a_car_takes_what_it_wants_on_three_phases():
    outlet = Outlet(22_000, 32.0, phases=3)
    car = CarCharge(outlet, wanted_wh=11_000, seed=1)
    readings = [car.advance(60) for _ in range(60)]

    assert car.is_full
    assert readings[-1].energy_wh == pytest.approx(11_000, abs=400)
    assert all(it.soc_percent is None and it.phases == 3 for it in readings)
    assert all(it.current_a <= 32.0 for it in readings)
