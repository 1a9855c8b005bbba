"""The clocks of charge points."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.timestamps import read_instant, wire_time

NOW = datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC)
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
BELEM = ZoneInfo("America/Belem")  # three hours behind UTC, all year


@pytest.mark.parametrize(
    ("written", "at"),
    [
        ("2026-03-01T12:00:00Z", NOON),
        ("2026-03-01T12:00:00.000Z", NOON),
        ("2026-03-01T12:00:00.5Z", NOON + timedelta(milliseconds=500)),
        ("2026-03-01T12:00:00.123456789Z", NOON + timedelta(microseconds=123456)),
        ("2026-03-01T13:00:00+01:00", NOON),
        ("2026-03-01T13:00:00+01", NOON),
        ("2026-03-01T09:00:00-0300", NOON),
        ("2026-03-01T12:00:00+00:00", NOON),
        ("2026-03-01T12:00Z", NOON),
        ("2026-03-01 12:00:00Z", NOON),
        ("2026-03-01 13:00:00 +01:00", NOON),
        ("2026-03-01t12:00:00z", NOON),
        ("  2026-03-01T12:00:00Z ", NOON),
        ("2026-03-01T12:00:00 UTC", NOON),
        ("20260301T120000Z", NOON),
        ("2026-03-01T11:59:60Z", NOON),
        ("2026-02-28T24:00:00Z", NOON - timedelta(hours=12)),
        ("2026-02-28T24:00:00.000-03:00", NOON - timedelta(hours=9)),
        ("2026-03-01T9:00:00Z", NOON - timedelta(hours=3)),
        ("2026-03-01T09:00:00-3:00", NOON),
        ("2026-03-01T9:00:00.25-3", NOON + timedelta(milliseconds=250)),
        ("2026-03-01T12:05:00Z", NOON + timedelta(minutes=5)),
        ("2010-01-01T00:00:00Z", datetime(2010, 1, 1, tzinfo=UTC)),
        ("2012-06-30T23:59:59Z", datetime(2012, 6, 30, 23, 59, 59, tzinfo=UTC)),
        ("2019-12-31T21:00:00-03:00", datetime(2020, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_time_is_taken_as_sent(written, at):
    assert read_instant(written, NOW) == (at, None)


@pytest.mark.parametrize(
    "written",
    [
        "1970-01-01T00:00:10Z",
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "2000-01-01T00:00:00Z",
        "2009-12-31T23:59:59Z",
        "2010-01-01T00:00:00+14:00",
        "2026-03-01T12:05:06Z",
        "2036-01-01T00:00:00Z",
        "2026-03-01",
        "2026-02-30T12:00:00Z",
        "2026-02-28T24:00:01Z",
        "2026-02-28T25:00:00Z",
        "2026-02-28T11:60:00Z",
        "2026-02-28T11:00:61Z",
        "2026-02-28T9:00:00+",
        "2026-02-28T9:00:00Z3",
        "9999-12-31T24:00:00Z",
        "yesterday, about noon",
        "",
        None,
        1772366400,
        {"at": "2026-03-01T12:00:00Z"},
    ],
)
def test_our_time_stands_in_for_what_is_no_time(written):
    assert read_instant(written, NOW) == (NOW, "clock")


def test_a_time_without_a_zone_has_the_charge_points():
    assert read_instant("2026-03-01T09:00:00", NOW, BELEM) == (NOON, "zone")
    assert read_instant("2026-03-01T12:00:00", NOW) == (NOON, "zone")


def test_every_instant_is_in_utc():
    """An instant is a key: two spellings of it must be equal, and PostgreSQL must hold it."""
    for written in ("2026-03-01T09:00:00", "2026-03-01T09:00:00-03:00", "2026-03-02T11:30+23:30"):
        assert read_instant(written, NOW, BELEM).at.tzinfo is UTC


def test_our_time_has_milliseconds_and_a_z():
    assert wire_time(NOW.replace(microsecond=7999)) == "2026-03-01T12:00:05.007Z"
    assert wire_time(NOW.astimezone(BELEM)) == "2026-03-01T12:00:05.000Z"


@given(
    st.text() | st.datetimes().map(str) | st.datetimes(timezones=st.timezones()).map(str),
    st.timezones(),
)
def test_an_instant_is_never_before_2010_nor_ahead_of_us(written, zone):
    at, _ = read_instant(written, NOW, zone)

    assert datetime(2010, 1, 1, tzinfo=UTC) <= at <= NOW + timedelta(minutes=5)


@pytest.mark.parametrize(
    ("received", "at"),
    [
        ("2026-10-25T00:30:05+00:00", "2026-10-25T00:30:00+00:00"),
        ("2026-10-25T01:30:05+00:00", "2026-10-25T01:30:00+00:00"),
        ("2026-10-25T09:00:00+00:00", "2026-10-25T01:30:00+00:00"),
    ],
)
def test_of_the_hour_that_comes_twice_the_nearer_one_is_meant(received, at):
    """Summer time ends in Lisbon at 02:00 local time, 01:00 UTC: 01:30 comes twice."""
    read = read_instant(
        "2026-10-25T01:30:00", datetime.fromisoformat(received), ZoneInfo("Europe/Lisbon")
    )

    assert read == (datetime.fromisoformat(at), "zone")
