"""The limit that follows from the installed charging profiles (OCPP 1.6 3.13)."""

from datetime import UTC, datetime, timedelta

import pytest

from testbench.charging_profiles import ChargingProfiles, Place

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PLACE = Place(connector_id=1, volts=600.0, transaction_id=71, started_at=NOON)


def profile(number, purpose, periods, *, level=0, kind="Absolute", start=NOON, unit="W", **more):
    schedule = {
        "chargingRateUnit": unit,
        "chargingSchedulePeriod": [
            {"startPeriod": offset, "limit": limit} for offset, limit in periods
        ],
    }
    if start is not None:
        schedule["startSchedule"] = start.isoformat()
    if "duration" in more:
        schedule["duration"] = more.pop("duration")
    return {
        "chargingProfileId": number,
        "stackLevel": level,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": kind,
        "chargingSchedule": schedule,
        **more,
    }


@pytest.fixture
def profiles():
    return ChargingProfiles()


def limit(profiles, minutes=0, place=PLACE):
    return profiles.limit_w(place, NOON + timedelta(minutes=minutes))


def test_without_a_profile_there_is_no_limit(profiles):
    assert limit(profiles) is None


def test_periods_follow_one_another(profiles):
    profiles.install(1, profile(1, "TxDefaultProfile", [(0, 30_000), (600, 10_000)]))

    assert [limit(profiles, minutes) for minutes in (-1, 0, 9, 10, 600)] == [
        None, 30_000, 30_000, 10_000, 10_000,
    ]  # fmt: skip


def test_the_transactions_profile_wins_over_the_default_and_the_maximum_over_all(profiles):
    profiles.install(1, profile(1, "TxDefaultProfile", [(0, 30_000)]))
    profiles.install(1, profile(2, "TxProfile", [(0, 40_000)], transactionId=71))
    assert limit(profiles) == 40_000

    profiles.install(0, profile(3, "ChargePointMaxProfile", [(0, 20_000)]))
    assert limit(profiles) == 20_000

    profiles.forget_transaction(1)
    profiles.clear({"id": 3})
    assert limit(profiles) == 30_000


def test_the_highest_stack_level_that_speaks_counts(profiles):
    profiles.install(1, profile(1, "TxDefaultProfile", [(0, 30_000)]))
    profiles.install(1, profile(2, "TxDefaultProfile", [(0, 45_000)], level=3, duration=600))

    assert [limit(profiles, minutes) for minutes in (0, 9, 10)] == [45_000, 45_000, 30_000]


def test_amperes_are_turned_into_watts(profiles):
    profiles.install(1, profile(1, "TxDefaultProfile", [(0, 50)], unit="A"))

    assert limit(profiles) == 30_000


def test_a_daily_profile_comes_again(profiles):
    nights = profile(
        1,
        "TxDefaultProfile",
        [(0, 11_000)],
        kind="Recurring",
        duration=3600,
        recurrencyKind="Daily",
    )
    profiles.install(0, nights)

    assert limit(profiles, 30 + 3 * 24 * 60) == 11_000
    assert limit(profiles, 61 + 3 * 24 * 60) is None


def test_a_relative_profile_begins_with_the_transaction(profiles):
    relative = profile(1, "TxProfile", [(0, 5_000), (60, 50_000)], kind="Relative", start=None)
    profiles.install(1, relative)

    assert [limit(profiles, minutes) for minutes in (0, 1)] == [5_000, 50_000]
    assert limit(profiles, place=Place(1, 600.0)) is None


def test_validity_bounds_a_profile(profiles):
    until = (NOON + timedelta(minutes=5)).isoformat()
    profiles.install(1, profile(1, "TxDefaultProfile", [(0, 9_000)], validTo=until))

    assert [limit(profiles, minutes) for minutes in (4, 5)] == [9_000, None]


def test_the_same_purpose_and_level_replaces(profiles):
    profiles.install(1, profile(1, "TxDefaultProfile", [(0, 30_000)]))
    profiles.install(1, profile(2, "TxDefaultProfile", [(0, 12_000)]))
    assert limit(profiles) == 12_000

    assert profiles.clear({"id": 1}) is False
    assert profiles.clear({"chargingProfilePurpose": "TxDefaultProfile", "stackLevel": 0}) is True
    assert limit(profiles) is None


def test_an_empty_wish_clears_everything(profiles):
    profiles.install(0, profile(1, "ChargePointMaxProfile", [(0, 30_000)]))
    profiles.install(1, profile(2, "TxDefaultProfile", [(0, 12_000)]))

    assert profiles.clear({}) is True
    assert limit(profiles) is None


def test_the_composite_schedule_says_each_change_once(profiles):
    profiles.install(1, profile(1, "TxDefaultProfile", [(0, 30_000), (600, 60_000)]))
    later = NOON + timedelta(minutes=20)
    profiles.install(0, profile(2, "ChargePointMaxProfile", [(0, 20_000)], start=later))

    assert profiles.schedule(PLACE, NOON, 3600, 50_000) == [
        (0, 30_000),
        (600, 50_000),
        (1200, 20_000),
    ]
