"""Numbers, money and instants as each language writes them."""

from datetime import UTC, date, datetime

import pytest

from dashboard import formats
from dashboard.i18n import Words


@pytest.mark.parametrize(
    ("language", "expected"), [("pt", "1.234.567,9 kWh"), ("en", "1,234,567.9 kWh")]
)
def test_energy_is_written_in_kwh_with_the_signs_of_the_language(language, expected):
    assert formats.energy(1_234_567_890, language) == expected


@pytest.mark.parametrize("value", [None, float("nan")])
def test_what_is_unknown_is_a_dash_and_never_zero(value):
    texts = [
        formats.energy(value, "pt"),
        formats.power(value, "en"),
        formats.percent(value, "pt"),
        formats.money(value, "pt"),
        formats.duration(value),
        formats.number(value, "en"),
    ]

    assert texts == ["—"] * 6


def test_infinity_is_no_number_to_show():
    assert formats.number(float("inf"), "pt") == "—"


def test_zero_is_shown_as_zero_without_a_sign():
    assert formats.number(-0.0001, "pt") == "0,0"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "0 s"), (59.4, "59 s"), (60, "1 min"), (3600, "1 h 00 min"), (3725, "1 h 02 min"),
     (90_000, "1 d 1 h")],
)  # fmt: skip
def test_durations_use_the_two_largest_units(seconds, expected):
    assert formats.duration(seconds) == expected


def test_instants_are_shown_in_the_time_of_belem():
    moment = datetime(2026, 11, 22, 2, 30, tzinfo=UTC)

    assert formats.instant(moment, "pt") == "21/11/2026 23:30"
    assert formats.instant(moment, "en", seconds=True) == "2026-11-21 23:30:00"


def test_days_have_no_time():
    assert formats.day(date(2026, 3, 1), "pt") == "01/03/2026"


def test_a_change_carries_its_sign_and_none_compares_with_nothing():
    assert formats.change(110, 100, "pt") == "+10,0 %"
    assert formats.change(90, 100, "en") == "-10.0 %"
    assert formats.change(90, 0, "en") is None
    assert formats.change(float("nan"), 100, "en") is None


def test_a_change_of_percents_is_told_in_points():
    assert formats.change(9.0, 9.9, "pt", are_percents=True) == "-0,9 p.p."


def test_a_change_that_rounds_to_nothing_has_no_sign():
    assert formats.change(99.97, 100, "pt") == "0,0 %"
    assert formats.change(99.90, 99.93, "en", are_percents=True) == "0.0 p.p."


def test_money_is_in_reais():
    assert formats.money(1234.5, "pt") == "R$ 1.234,50"
    assert formats.money(1234.5, "en", 0) in {"R$ 1,234", "R$ 1,235"}


def test_ages_never_run_backwards():
    now = datetime(2026, 1, 1, tzinfo=UTC)

    assert formats.age(datetime(2026, 1, 1, 0, 0, 9, tzinfo=UTC), now) == "0 s"


@pytest.mark.parametrize(
    ("value", "unpriced_wh", "expected"),
    [(7.5, 0, "R$ 7,50"), (7.5, float("nan"), "R$ 7,50"), (7.5, 49, "R$ 7,50"),
     (7.5, 4000, "R$ 7,50 (sem tarifa: 4,0 kWh)"), (float("nan"), 4000, "sem tarifa cadastrada"),
     (float("nan"), float("nan"), "—")],
)  # fmt: skip
def test_the_cost_of_a_part_does_not_pass_for_the_whole(value, unpriced_wh, expected):
    assert formats.cost(value, unpriced_wh, Words("pt")) == expected
