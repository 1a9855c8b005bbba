"""Sessions of one plug-in, attempts, and the time a vehicle only stood there."""

from datetime import timedelta

import pytest

from tests.flow_facts import NOON, Facts, minutes


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


@pytest.mark.parametrize("stop, meter_stop", [(minutes(0.9), 5_000), (minutes(30), 99)])
def test_what_ends_at_once_or_gives_nothing_is_an_attempt(
    facts: Facts, stop: timedelta, meter_stop: float
):
    cp = facts.charge_point(rated_power_w=None)
    tx = facts.transaction(cp, NOON, NOON + stop, 0, meter_stop)

    facts.run()

    assert facts.session(tx)["is_attempt"] is True


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
