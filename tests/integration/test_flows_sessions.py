"""What sessions become of what charge points say. Expected numbers are computed by hand."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from tests.flow_facts import NOON, Facts, minutes


@pytest.fixture
def facts(database_url: str) -> Iterator[Facts]:
    made = Facts(database_url)
    yield made
    made.conn.close()


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


def test_readings_without_a_transaction_go_to_the_session_of_their_time(facts: Facts):
    """EVerest/libocpp#495: an offline start has the transactionId -1, stored as none."""
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON, NOON + minutes(5), None, None)
    facts.readings(cp, None, NOON, minutes(1), energy_wh=[0, 100, 200, 300, 400, 500])
    facts.reading(cp, NOON + minutes(30), energy_wh=99_000)

    facts.run()

    session = facts.session(tx)
    assert (session["energy_wh"], session["energy_source"]) == (500, "register_series")
    assert "borrowed_readings" in session["flags"]


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


def test_two_sessions_of_one_plug_in_are_one_visit(facts: Facts):
    """teslamate-org/teslamate#4791: the parts are kept, the visit is a layer above them."""
    cp = facts.charge_point()
    first = facts.transaction(cp, NOON, NOON + minutes(30), 0, 9_000)
    second = facts.transaction(cp, NOON + minutes(33), NOON + minutes(60), 9_000, 15_000)
    facts.status(cp, NOON + minutes(61), "Available")
    third = facts.transaction(cp, NOON + minutes(64), NOON + minutes(70), 15_000, 16_000)

    facts.run()

    visits = facts.rows("SELECT * FROM report.visit ORDER BY started_at")
    assert [visit["transaction_ids"] for visit in visits] == [[first, second], [third]]
    assert visits[0]["energy_wh"] == 15_000


@pytest.mark.parametrize(
    "columns, gap", [({"id_tag": "OTHER"}, 3), ({}, 6), ({"connector_id": 2}, 3)]
)
def test_another_tag_a_longer_gap_or_another_connector_is_another_visit(
    facts: Facts, columns: dict[str, object], gap: int
):
    cp = facts.charge_point(connectors=(1, 2))
    facts.transaction(cp, NOON, NOON + minutes(30), 0, 9_000)
    facts.transaction(cp, NOON + minutes(30 + gap), NOON + minutes(60), 0, 6_000, **columns)

    facts.run()

    assert len(facts.rows("SELECT * FROM report.visit")) == 2


def test_connectors_that_charge_at_once_do_not_mix(facts: Facts):
    """citrineos/citrineos-core#860: everything per connector."""
    cp = facts.charge_point(connectors=(1, 2))
    one = facts.transaction(cp, NOON, None, 0, None)
    two = facts.transaction(cp, NOON + minutes(1), NOON + minutes(9), 0, 700, connector_id=2)
    for place, connector_id, tx in ((2, 1, one), (2, 2, two), (4, 1, one), (4, 2, two)):
        facts.reading(
            cp,
            NOON + minutes(place),
            connector_id=connector_id,
            transaction_id=tx,
            energy_wh=place * 100 * connector_id,
        )
    facts.status(cp, NOON + minutes(10), "Available", connector_id=2)

    facts.run()

    assert facts.session(one)["energy_wh"] == 400
    assert facts.session(one)["inferred_by"] == "silence"
    assert facts.session(two)["energy_series_wh"] == 800


@pytest.mark.parametrize("stop, meter_stop", [(minutes(0.9), 5_000), (minutes(30), 99)])
def test_what_ends_at_once_or_gives_nothing_is_an_attempt(
    facts: Facts, stop: timedelta, meter_stop: float
):
    cp = facts.charge_point(rated_power_w=None)
    tx = facts.transaction(cp, NOON, NOON + stop, 0, meter_stop)

    facts.run()

    assert facts.session(tx)["is_attempt"] is True


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


def test_pauses_of_the_charge_point_are_not_charged_to_the_driver(facts: Facts):
    """Power until minute 10, SuspendedEVSE 12 to 32, unplugged at 70: 60 - 20 - 10 of grace."""
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON, NOON + minutes(60), 0, 5_000)
    facts.readings(cp, tx, NOON, minutes(1), power_w=[30_000] * 11 + [0] * 50)
    facts.status(cp, NOON + minutes(12), "SuspendedEVSE")
    facts.status(cp, NOON + minutes(32), "SuspendedEV")
    facts.status(cp, NOON + minutes(70), "Available")

    facts.run()

    # The trapezoid to the first zero still averages above the threshold: power ends at 11 min.
    assert facts.session(tx)["idle_s"] == (70 - 11 - 20 - 10) * 60


def test_time_in_which_nobody_could_charge_is_no_overstay(facts: Facts):
    """Power until minute 11, and the car stays to 180: only 11-30 and 50-80 are the driver's.

    Faulted 30-50; the whole charge point Unavailable 80-100; no websocket 100-140; then
    SuspendedEVSE until Available at 180.
    """
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON, NOON + minutes(150), 0, 5_000)
    facts.readings(cp, tx, NOON, minutes(1), power_w=[30_000] * 11 + [0] * 50)
    facts.connection(cp, NOON - minutes(60), NOON + minutes(100))
    facts.connection(cp, NOON + minutes(140), None)
    facts.status(cp, NOON + minutes(1), "Charging")
    facts.status(cp, NOON + minutes(12), "SuspendedEV")
    facts.status(cp, NOON + minutes(30), "Faulted")
    facts.status(cp, NOON + minutes(50), "Finishing")
    facts.status(cp, NOON + minutes(80), "Unavailable", connector_id=0)
    facts.status(cp, NOON + minutes(100), "Available", connector_id=0)
    facts.status(cp, NOON + minutes(140), "SuspendedEVSE")
    facts.status(cp, NOON + minutes(180), "Available")

    facts.run()

    assert facts.session(tx)["unplugged_at"] == NOON + minutes(180)
    assert facts.session(tx)["idle_s"] == (19 + 30 - 10) * 60


def test_nobody_is_known_to_be_plugged_in_after_a_stop_without_statuses(facts: Facts):
    """The next session, hours later, says that the cable left, not that it stayed so long."""
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON, NOON + minutes(60), 0, 5_000)
    facts.readings(cp, tx, NOON, minutes(1), power_w=[30_000] * 11 + [0] * 50)
    facts.transaction(cp, NOON + minutes(300), NOON + minutes(310), 5_000, 9_000)

    facts.run()

    assert facts.session(tx)["idle_s"] == (60 - 11 - 10) * 60


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


def test_a_transaction_that_comes_after_its_readings_claims_those_past_midnight(facts: Facts):
    """Ten in the evening to two in the morning, local time; at first only its readings came."""
    cp = facts.charge_point()
    begun = NOON + timedelta(hours=13)
    facts.readings(cp, 7, begun, minutes(60), energy_wh=[0, 1_000, 2_000, 3_000])
    facts.run()
    kind = "SELECT DISTINCT day FROM quality_finding WHERE kind = 'readings_without_transaction'"
    assert len(facts.rows(kind)) == 2

    facts.transaction(cp, begun, begun + minutes(240), 0, 4_000, transaction_id=7)
    facts.run()

    assert facts.rows(kind) == []


def soc_of(facts: Facts, tx: int) -> tuple[float | None, float | None]:
    session = facts.session(tx)
    return session["soc_start_percent"], session["soc_end_percent"]


def test_the_next_vehicle_s_state_of_charge_is_not_this_one_s(facts: Facts):
    """One minute after the stop somebody else's sample comes, without a transaction."""
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON, NOON + minutes(30), 0, 9_000)
    facts.readings(cp, tx, NOON + minutes(5), minutes(20), soc_percent=[40, 80])
    facts.reading(cp, NOON + minutes(31), soc_percent=15)

    facts.run()

    assert soc_of(facts, tx) == (40, 80)
    assert facts.session(tx)["soc_is_extrapolated"] is True


def test_samples_without_a_transaction_are_shared_out_at_the_edges(facts: Facts):
    """Sessions to minute 30 and from minute 31 on; then it turns out that the first ended at 29."""
    cp = facts.charge_point()
    first = facts.transaction(cp, NOON, NOON + minutes(30), 0, 9_000)
    second = facts.transaction(cp, NOON + minutes(31), NOON + minutes(60), 9_000, 18_000)
    for minute, percent in ((-1, 20), (29.5, 70), (31, 30), (61, 55)):
        facts.reading(cp, NOON + minutes(minute), soc_percent=percent)

    facts.run()
    assert (soc_of(facts, first), soc_of(facts, second)) == ((20, 70), (30, 55))

    facts.conn.execute(
        "UPDATE transaction SET stopped_at = %s, changed_at = now() WHERE transaction_id = %s",
        [NOON + minutes(29), first],
    )
    facts.run()
    late = facts.computed()["session_soc"]
    facts.run(force=True)
    assert facts.computed()["session_soc"] == late


def test_two_vehicles_at_one_instant_keep_their_own_state_of_charge(facts: Facts):
    cp = facts.charge_point()
    ends = facts.transaction(cp, NOON, NOON + minutes(30), 0, 9_000)
    begins = facts.transaction(cp, NOON + minutes(30), NOON + minutes(60), 9_000, 18_000)
    facts.readings(cp, ends, NOON, minutes(30), soc_percent=[20, 80])
    facts.readings(cp, begins, NOON + minutes(30), minutes(30), soc_percent=[22, 60])

    facts.run()

    assert (soc_of(facts, ends), soc_of(facts, begins)) == ((20, 80), (22, 60))


def test_the_flows_may_not_change_facts(database_url: str):
    with (
        psycopg.connect(database_url, options="-c role=eletroposto_flows") as conn,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        conn.execute("UPDATE transaction SET meter_stop_wh = 0")
