"""What a run is asked for, and the settings of the flows."""

from datetime import UTC, datetime, timedelta

import pytest

from flows.scope import LOCAL, Scope, ScopeError, read_moment
from flows.settings import Settings, SettingsError, read_dask

DATABASE = {"ELETROPOSTO_DATABASE_URL": "postgresql:///x"}


def test_a_day_begins_at_local_midnight():
    assert read_moment("2026-11-22") == datetime(2026, 11, 22, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("2026-11-22T10:00", datetime(2026, 11, 22, 13, tzinfo=UTC)),
        ("2026-11-22T10:00:00Z", datetime(2026, 11, 22, 10, tzinfo=UTC)),
        ("2026-11-22T10:00:00+02:00", datetime(2026, 11, 22, 8, tzinfo=UTC)),
    ],
)
def test_moments_are_local_unless_they_say_otherwise(text: str, expected: datetime):
    assert read_moment(text) == expected


@pytest.mark.parametrize("text", ["", "22/11/2026", "2026-13-01", "now"])
def test_what_is_no_moment_is_named(text: str):
    with pytest.raises(ScopeError, match="not a date or time"):
        read_moment(text)


def test_a_window_has_two_ends_in_order():
    now = datetime.now(UTC)
    with pytest.raises(ScopeError, match="both start and end"):
        Scope.read(now, None, None, dry_run=False, force=False)
    with pytest.raises(ScopeError, match="is empty"):
        Scope.read(now, now, None, dry_run=False, force=False)
    with pytest.raises(ScopeError, match="is empty"):
        Scope.read(now, now - timedelta(days=1), None, dry_run=False, force=False)


def test_ends_without_a_zone_are_local():
    scope = Scope.read(
        datetime(2026, 1, 1), datetime(2026, 1, 2), ["CP"], dry_run=True, force=False
    )

    assert scope.start == datetime(2026, 1, 1, tzinfo=LOCAL)
    assert scope.is_incremental is False
    assert scope.as_parameters()["charge_points"] == ["CP"]


def test_nothing_asked_for_is_what_is_new():
    assert Scope().is_incremental


def test_a_missing_database_is_named():
    with pytest.raises(SettingsError, match="ELETROPOSTO_DATABASE_URL is not set"):
        Settings.from_env({})


@pytest.mark.parametrize(
    "name, text",
    [
        ("ELETROPOSTO_PARALLEL_RUNS", "two"),
        ("ELETROPOSTO_PARALLEL_RUNS", "1.5"),
        ("ELETROPOSTO_DOJOT_SETTLE_S", "-1"),
        ("ELETROPOSTO_MISSING_TOLERATED_PERCENT", "nan"),
    ],
)
def test_a_setting_that_cannot_be_read_is_named(name: str, text: str):
    with pytest.raises(SettingsError, match=name):
        Settings.from_env({**DATABASE, name: text})


def test_settings_come_from_the_environment_alone():
    settings = Settings.from_env(
        {
            **DATABASE,
            "ELETROPOSTO_DOJOT_URL": "http://dojot:8000/",
            "ELETROPOSTO_MISSING_TOLERATED_PERCENT": "0.5",
        }
    )

    assert settings.dojot_url == "http://dojot:8000"
    assert settings.missing_tolerated_percent == 0.5


@pytest.mark.parametrize(
    "text, expected",
    [
        ("", None),
        ("0", None),
        ("2", 2),
        ("tcp://scheduler:8786", "tcp://scheduler:8786"),
        ("10.0.0.1:8786", "10.0.0.1:8786"),
    ],
)
def test_backfills_are_computed_here_by_workers_or_by_a_cluster(text: str, expected: object):
    assert read_dask({"ELETROPOSTO_FLOWS_DASK": text}) == expected


@pytest.mark.parametrize("text", ["two", "-1", "http://host", "host"])
def test_what_is_no_cluster_is_named(text: str):
    with pytest.raises(SettingsError, match="ELETROPOSTO_FLOWS_DASK"):
        Settings.from_env({**DATABASE, "ELETROPOSTO_FLOWS_DASK": text})
