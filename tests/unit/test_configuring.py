"""The decisions of a configuration after a boot, without a charge point."""

from datetime import UTC, datetime, timedelta

import pytest

from ingest.configuring import (
    MEASURAND_LISTS,
    Decision,
    History,
    Keys,
    decide,
    differs,
    measurands_for,
    read_keys,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
EARLIER = NOW - timedelta(minutes=3)
LIST = "MeterValuesSampledData"


@pytest.mark.parametrize(
    ("history", "level", "is_pause"),
    [
        (History(0, None, None, 0), 0, False),
        (History(0, EARLIER, None, 3), 0, False),
        (History(0, EARLIER, None, 4), 1, True),
        (History(0, EARLIER, None, 1, changes=7), 0, False),
        (History(0, EARLIER, None, 1, changes=8), 1, True),
        (History(1, EARLIER, NOW + timedelta(minutes=1), 1), None, True),
        (History(1, EARLIER, NOW + timedelta(minutes=1), 4), 2, True),
        (History(1, EARLIER, NOW - timedelta(minutes=1), 1), 1, False),
    ],
)
def test_boot_loops_shorten_the_list(history: History, level: int | None, is_pause: bool) -> None:
    decision = decide(history, NOW)
    assert decision.level == level
    assert (decision.pause_until is not None) == is_pause


def test_a_pause_lies_ahead() -> None:
    decision = decide(History(0, EARLIER, None, 9), NOW)
    assert isinstance(decision, Decision) and decision.pause_until is not None
    assert decision.pause_until > NOW


def test_lists_grow_shorter_and_keep_the_register() -> None:
    lengths = [len(one) for one in MEASURAND_LISTS]
    assert lengths == sorted(lengths, reverse=True) and lengths[0] == 8
    assert all(one[0] == "Energy.Active.Import.Register" for one in MEASURAND_LISTS)


@pytest.mark.parametrize("odd", [{}, {"configurationKey": 7}, {"configurationKey": [3, {}]}])
def test_odd_answers_tell_nothing(odd: dict[str, object]) -> None:
    assert read_keys(odd) == Keys({})


def test_keys_are_found_in_any_case() -> None:
    told = {"configurationKey": [{"key": "heartBeatInterval", "value": 300}, {"key": "x"}]}
    keys = read_keys({**told, "unknownKey": ["Y", "X"]})
    assert keys.get("HeartbeatInterval") == "300"
    assert keys.get("X") == "" and not keys.lacks("X")
    assert keys.lacks("y")


@pytest.mark.parametrize(
    ("told", "wanted", "is_asked"),
    [
        ("Voltage, SoC", "SoC,Voltage", False),
        ("voltage,SOC", "SoC,Voltage", False),
        ("Voltage", "SoC,Voltage", True),
        ("", "SoC", True),
    ],
)
def test_lists_are_compared_as_sets(told: str, wanted: str, is_asked: bool) -> None:
    assert differs(LIST, wanted, Keys({LIST.lower(): told})) == is_asked


def test_a_missing_key_is_not_asked_for() -> None:
    assert not differs(
        "WebSocketPingInterval", "30", Keys({}, frozenset({"websocketpinginterval"}))
    )
    assert differs("WebSocketPingInterval", "30", Keys({}))


def test_a_list_is_cut_to_what_the_charge_point_holds() -> None:
    keys = Keys({"metervaluessampleddatamaxlength": "3"})
    assert measurands_for(0, keys) == list(MEASURAND_LISTS[0][:3])
    assert measurands_for(0, Keys({"metervaluessampleddatamaxlength": "0"})) == list(
        MEASURAND_LISTS[0]
    )
