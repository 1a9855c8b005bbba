"""The energy of a session and what is doubted in it. Expected numbers are computed by hand."""

from datetime import timedelta

import pytest

from tests.flow_facts import NOON, Facts, minutes


def test_a_whole_session_by_the_book(facts: Facts):
    """36 kW for an hour from 09:00 local: 600 Wh a minute, 9 kWh a quarter of an hour."""
    cp = facts.charge_point()
    facts.status(cp, NOON - minutes(1), "Preparing")
    tx = facts.transaction(cp, NOON, NOON + minutes(60), 10_000, 46_000)
    facts.readings(
        cp,
        tx,
        NOON,
        minutes(1),
        energy_wh=[10_000 + 600 * minute for minute in range(61)],
        power_w=[36_000] * 61,
        soc_percent=[20 + minute / 2 for minute in range(61)],
        temperature_c=[30] * 60 + [41],
    )
    facts.status(cp, NOON + minutes(61), "Finishing")
    facts.status(cp, NOON + minutes(85), "Available")

    facts.run()

    session = facts.session(tx)
    assert session["energy_wh"] == 36_000
    assert session["energy_source"] == "register"
    assert session["energy_integral_wh"] == pytest.approx(36_000)
    assert session["energy_delta_percent"] == pytest.approx(0)
    assert session["duration_s"] == 3600
    assert session["charging_s"] == pytest.approx(3600)
    assert session["peak_power_w"] == 36_000
    assert session["mean_power_w"] == pytest.approx(36_000)
    assert session["temperature_max_c"] == 41
    assert (session["soc_start_percent"], session["soc_end_percent"]) == (20, 50)
    assert session["pack_estimate_wh"] == pytest.approx(120_000)  # 36 kWh for 30 points
    assert session["energised_at"] == NOON + timedelta(seconds=10)  # 100 Wh at 10 Wh/s
    assert session["unplugged_at"] == NOON + minutes(85)
    assert session["idle_s"] == 25 * 60 - 600  # DC: ten minutes of grace
    assert session["gap_s"] == 0
    assert session["is_open"] is False
    assert session["is_attempt"] is False
    assert session["flags"] == []
    buckets = facts.rows("SELECT energy_wh, mean_power_w FROM report.energy_bucket ORDER BY 1")
    assert [(row["energy_wh"], row["mean_power_w"]) for row in buckets] == [
        (pytest.approx(9_000), pytest.approx(36_000))
    ] * 4


def test_a_session_without_readings_is_spread_evenly_and_flagged(facts: Facts):
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON + minutes(10), NOON + minutes(40), 0, 12_000)

    facts.run()

    session = facts.session(tx)
    assert (session["energy_wh"], session["energy_source"]) == (12_000, "register")
    assert session["gap_s"] is None
    assert session["soc_start_percent"] is None
    assert "no_readings" in session["flags"]
    buckets = facts.rows("SELECT started_at, energy_wh FROM energy_bucket ORDER BY started_at")
    assert [(row["started_at"], row["energy_wh"]) for row in buckets] == [
        (NOON, pytest.approx(2_000)),
        (NOON + minutes(15), pytest.approx(6_000)),
        (NOON + minutes(30), pytest.approx(4_000)),
    ]


def test_nothing_known_about_energy_is_unknown_and_never_zero(facts: Facts):
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON, NOON + minutes(30), None, None)

    facts.run()

    session = facts.session(tx)
    assert session["energy_source"] == "none"
    for column in ("energy_wh", "mean_power_w", "cost", "idle_s", "charging_s", "peak_power_w"):
        assert session[column] is None, column
    assert facts.rows("SELECT * FROM energy_bucket") == []


def test_a_register_that_counts_from_zero_in_each_session(facts: Facts):
    """ChargeTimeEU/Java-OCA-OCPP#331: registers per session are legal."""
    cp = facts.charge_point()
    first = facts.transaction(cp, NOON, NOON + minutes(30), 0, 10_000)
    second = facts.transaction(cp, NOON + minutes(60), NOON + minutes(90), 0, 8_000)

    facts.run()

    assert facts.session(first)["energy_wh"] == 10_000
    assert facts.session(second)["energy_wh"] == 8_000


def test_a_register_that_starts_again_at_zero_in_mid_session(facts: Facts):
    """evcc-io/evcc#29654: after a restart it counts from 0."""
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON, NOON + minutes(4), 90_000, None)
    facts.readings(cp, tx, NOON + minutes(1), minutes(1), energy_wh=[90_500, 91_000, 400, 1_000])

    facts.run()

    session = facts.session(tx)
    assert session["energy_source"] == "register_series"
    assert session["energy_wh"] == 500 + 500 + 400 + 600
    assert {"register_reset", "meter_stop_missing"} <= set(session["flags"])


def test_a_drop_to_what_cannot_have_been_delivered_is_a_new_baseline(facts: Facts):
    """50 kW deliver at most 833 Wh in a minute, so 70000 after a drop is no energy."""
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON, NOON + minutes(3), 90_000, None)
    facts.readings(cp, tx, NOON + minutes(1), minutes(1), energy_wh=[90_500, 70_000, 70_700])

    facts.run()

    assert facts.session(tx)["energy_wh"] == 500 + 0 + 700


def test_meter_stop_zero_is_taken_for_missing(facts: Facts):
    """matth-x/MicroOcpp#73."""
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON, NOON + minutes(2), 0, 0)
    facts.readings(cp, tx, NOON + minutes(1), minutes(1), energy_wh=[600, 1_200])

    facts.run()

    session = facts.session(tx)
    assert (session["energy_wh"], session["energy_source"]) == (1_200, "register_series")
    assert "meter_stop_zero" in session["flags"]


def test_a_register_that_runs_backwards_is_not_energy(facts: Facts):
    """lbbrhzn/ocpp#1069: meterStop below meterStart; the samples still tell."""
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON, NOON + minutes(2), 5_000, 4_900)
    facts.readings(cp, tx, NOON + minutes(1), minutes(1), energy_wh=[5_600, 6_100])

    facts.run()

    session = facts.session(tx)
    assert (session["energy_wh"], session["energy_source"]) == (1_100, "register_series")
    assert session["energy_register_wh"] == -100
    assert "meter_stop_below_start" in session["flags"]


def test_more_than_the_connector_can_give_is_not_believed(facts: Facts):
    """50 kW for an hour is 52.5 kWh at most with the tolerance; power was measured."""
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON, NOON + minutes(60), 0, 60_000_000)
    facts.readings(cp, tx, NOON, minutes(5), power_w=[40_000] * 13)

    facts.run()

    session = facts.session(tx)
    assert (session["energy_wh"], session["energy_source"]) == (pytest.approx(40_000), "integral")
    assert "register_implausible" in session["flags"]


@pytest.mark.parametrize(
    "length, flags, flag",
    [
        (timedelta(0), [], "no_duration"),
        (minutes(-30), [], "stop_before_start"),
        (minutes(1), ["clock"], "clock"),
    ],
)
def test_two_good_registers_count_where_the_time_says_nothing(
    facts: Facts, length: timedelta, flags: list[str], flag: str
):
    """Two readings held at the edge would make an integral of 0: that is no energy."""
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON, NOON + length, 0, 5_000, flags=flags)
    facts.readings(cp, tx, NOON - minutes(2), minutes(1), power_w=[30_000, 30_000])

    facts.run()

    session = facts.session(tx)
    assert (session["energy_wh"], session["energy_source"]) == (5_000, "register")
    assert flag in session["flags"]
    (bucket,) = facts.rows("SELECT energy_wh FROM energy_bucket WHERE energy_wh > 0")
    assert bucket["energy_wh"] == pytest.approx(5_000)


def test_power_without_a_duration_is_no_energy(facts: Facts):
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON, NOON, None, None)
    facts.readings(cp, tx, NOON, minutes(1), power_w=[30_000, 30_000])

    facts.run()

    session = facts.session(tx)
    assert (session["energy_wh"], session["energy_source"]) == (None, "none")
    assert session["energy_integral_wh"] is None


def test_a_short_session_has_a_minute_and_a_kilowatt_hour_of_grace(facts: Facts):
    """50 kW: 80 s deliver at most 1167 Wh, and no session is refused 1000."""
    cp, slow = facts.charge_point(), facts.charge_point("CP-2", rated_power_w=7_400)
    fits = facts.transaction(cp, NOON, NOON + timedelta(seconds=20), 0, 1_160)
    too_much = facts.transaction(cp, NOON + minutes(10), NOON + minutes(10.5), 0, 5_000)
    coarse = facts.transaction(slow, NOON, NOON + timedelta(seconds=20), 0, 1_000)

    facts.run()

    assert [facts.session(tx)["energy_wh"] for tx in (fits, too_much, coarse)] == [
        1_160,
        None,
        1_000,
    ]
    assert "register_implausible" in facts.session(too_much)["flags"]


@pytest.mark.parametrize("meter_stop, believed", [(240_000, 240_000), (60_000_000, None)])
def test_without_a_rated_power_the_registers_win_up_to_what_a_vehicle_holds(
    facts: Facts, meter_stop: int, believed: int | None
):
    cp = facts.charge_point(rated_power_w=None)
    tx = facts.transaction(cp, NOON, NOON + minutes(2), 0, meter_stop)

    facts.run()

    assert facts.session(tx)["energy_wh"] == believed


def test_a_register_of_jumps_alone_is_unknown_and_not_zero(facts: Facts):
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON, NOON + minutes(1), 0, 900_000)
    facts.readings(cp, tx, NOON, minutes(1), energy_wh=[0, 900_000])

    facts.run()

    session = facts.session(tx)
    assert (session["energy_wh"], session["energy_source"]) == (None, "none")
    assert {"register_implausible", "register_jump"} <= set(session["flags"])


def test_a_register_that_comes_by_the_clock_counts_beside_periodic_power(facts: Facts):
    """The register comes by the clock only; the power beside it is not used, as it is periodic."""
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON, NOON + minutes(30), None, None)
    facts.readings(cp, tx, NOON, minutes(1), power_w=[12_000] * 31)
    for minute, energy_wh in ((0.5, 0), (15.5, 3_000), (29.5, 5_800)):
        at = NOON + minutes(minute)
        facts.reading(cp, at, transaction_id=tx, context=1, energy_wh=energy_wh, power_w=99_000)

    facts.run()

    session = facts.session(tx)
    assert (session["energy_wh"], session["energy_source"]) == (5_800, "register_series")
    assert session["energy_integral_wh"] == pytest.approx(6_000)
    assert session["peak_power_w"] == 12_000


def test_interval_energy_is_summed_before_power_is_integrated(facts: Facts):
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON, NOON + minutes(30), None, None)
    for place in (1, 2):
        facts.reading(
            cp,
            NOON + place * minutes(15),
            transaction_id=tx,
            power_w=20_000,
            extra='{"Energy.Active.Import.Interval": 2500}',
        )

    facts.run()

    session = facts.session(tx)
    assert (session["energy_wh"], session["energy_source"]) == (5_000, "interval")
    buckets = facts.rows("SELECT energy_wh FROM energy_bucket ORDER BY started_at")
    assert [row["energy_wh"] for row in buckets] == [2_500, 2_500]


def test_power_is_integrated_without_its_gaps(facts: Facts):
    """10 kW: 10 min, then 30 min of silence, then 10 min. Only 20 of 50 minutes count."""
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON, NOON + minutes(50), None, None)
    facts.readings(cp, tx, NOON, minutes(1), power_w=[10_000] * 11)
    facts.readings(cp, tx, NOON + minutes(40), minutes(1), power_w=[10_000] * 11)

    facts.run()

    session = facts.session(tx)
    assert session["energy_wh"] == pytest.approx(10_000 * 20 / 60)
    assert session["gap_s"] == 30 * 60
    assert "gap" in session["flags"]


def test_power_from_voltage_and_current_is_called_an_estimate(facts: Facts):
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON, NOON + minutes(10), None, None)
    facts.readings(cp, tx, NOON, minutes(1), voltage_v=[600] * 11, current_a=[50] * 11)

    facts.run()

    session = facts.session(tx)
    assert session["energy_wh"] == pytest.approx(600 * 50 / 6)
    assert "estimated_power" in session["flags"]


def test_a_clock_behind_the_start_is_flagged_and_breaks_nothing(facts: Facts):
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON, NOON - minutes(30), 0, 9_000)

    facts.run()

    session = facts.session(tx)
    assert session["duration_s"] == 0
    assert "stop_before_start" in session["flags"]


def test_kilowatt_hours_called_watt_hours_are_found_and_not_corrected(facts: Facts):
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON, NOON + minutes(60), 0, 30)
    facts.readings(cp, tx, NOON, minutes(1), power_w=[30_000] * 61)
    facts.run()
    assert facts.session(tx)["energy_wh"] == 30
    assert "energy_unit" in facts.session(tx)["flags"]

    facts.conn.execute("UPDATE charge_point SET energy_factor = 1000")
    facts.run(force=True)

    assert facts.session(tx)["energy_wh"] == 30_000
    assert "energy_unit" not in facts.session(tx)["flags"]


def test_a_register_that_stands_still_while_power_flows_is_found(facts: Facts):
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON, NOON + minutes(60), 0, 0)
    facts.readings(cp, tx, NOON, minutes(1), energy_wh=[0] * 61, power_w=[30_000] * 61)

    facts.run()

    assert {"stuck_register"} <= set(facts.session(tx)["flags"])
