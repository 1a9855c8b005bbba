"""What the stand-in makes of payloads, by docs/dojot-contract.md."""

import contextlib
import json
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from testbench.dojot.faults import Faults
from testbench.dojot.history import shown_ts
from testbench.dojot.payloads import DeviceData, Lost, Poison, bridge, check_storable, stored_ms

ARRIVED_MS = 1_795_329_000_111


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner) | st.dictionaries(st.text(), inner)


def read(payload: bytes) -> DeviceData:
    return bridge("admin:d246ba/attrs", payload, ARRIVED_MS)


@pytest.mark.parametrize(
    ("timestamp", "expected_ms"),
    [
        ("1795329600000", 1_795_329_600_000),
        ("1795329601", 1_795_329_601_000),  # small enough to be taken for seconds
        ("1795329602000.7", 1_795_329_602_000),  # a fraction of a ms is dropped
        ("1795329601.25", 1_795_329_601_250),  # a fraction of a second is kept
        ('"2026-11-22T05:00:00.123Z"', 1_795_323_600_123),
        ('"2026-11-22T02:00:00.123-03:00"', 1_795_323_600_123),
        ('"2026-11-22T05:00:00"', 1_795_323_600_000),  # no zone: UTC
        ('"yesterday"', ARRIVED_MS),
        ("true", ARRIVED_MS),
        ("null", ARRIVED_MS),
        ('{"at": 1}', ARRIVED_MS),
        ("-86400", -86_400_000),
    ],
)
def test_the_timestamp_is_judged_as_dojot_does(timestamp: str, expected_ms: int) -> None:
    """Contract section 4b, table of inputs."""
    data = read(b'{"power": 1, "timestamp": %s}' % timestamp.encode())

    assert stored_ms(data.timestamp) == expected_ms


def test_without_a_timestamp_the_arrival_counts() -> None:
    assert stored_ms(read(b'{"power": 1}').timestamp) == ARRIVED_MS


@pytest.mark.parametrize("timestamp", [1_795_329_600_000_000, 253_402_300_800_000, -1e15])
def test_a_timestamp_that_is_no_date_is_poison(timestamp: float) -> None:
    """Contract section 7.5."""
    with pytest.raises(Poison):
        stored_ms(timestamp)


def test_the_last_ms_of_the_year_9999_is_none() -> None:
    assert stored_ms(253_402_300_799_999) == 253_402_300_799_999


def test_with_a_timestamp_the_payload_attribute_is_lost() -> None:
    """Contract section 4b: the bridge deletes the wrong key."""
    with_it = read(b'{"payload": 1, "power": 2, "timestamp": 1795329600000}')
    without = read(b'{"payload": 1, "power": 2}')

    assert with_it.attrs == {"power": 2, "timestamp": 1_795_329_600_000}
    assert without.attrs == {"payload": 1, "power": 2}


@pytest.mark.parametrize("payload", [b"", b"power=1", b"null", b'{"power": NaN}', b'{"power": 1'])
def test_the_bridge_drops_what_is_not_json(payload: bytes) -> None:
    with pytest.raises(Lost):
        read(payload)


@pytest.mark.parametrize(
    "payload",
    [
        b"[1]",
        b"7",
        b'"x"',
        b'{"a": {"b.c": 1}}',
        b'{"a": [{"$b": 1}]}',
        b'{"a": 99999999999999999999}',
    ],
)
def test_the_persister_cannot_store_every_json(payload: bytes) -> None:
    """Contract section 4b: lists, scalars, nested keys with . or $, more than 64 bits."""
    with pytest.raises(Lost):
        check_storable(read(payload).attrs)


def test_dots_in_the_first_level_are_no_obstacle() -> None:
    check_storable(read(b'{"a.b": {"c": [1, "x", null, true]}}').attrs)


@given(st.recursive(st.none() | st.floats() | st.integers() | st.text(), _nested, max_leaves=20))
@example("0001-01-01T00:00:00+23:59")
@example("9999-12-31T23:59:59-23:59")
@example(10**400)
@example(-(10**400))
def test_whatever_is_sent_is_stored_lost_or_poison(value: Any) -> None:
    for sent in ({"a": value}, {"a": 1, "timestamp": value}):
        with contextlib.suppress(Lost, Poison):
            data = read(json.dumps(sent).encode())
            check_storable(data.attrs)
            assert isinstance(stored_ms(data.timestamp), int)
            orjson.dumps(data.attrs)


def test_whole_numbers_lose_their_fraction_on_the_way() -> None:
    """The bridge is JavaScript: JSON.stringify writes 7.0 as 7."""
    assert str(read(b'{"a": 7.0, "b": 7.5, "c": true}').attrs) == "{'a': 7, 'b': 7.5, 'c': True}"


def test_history_shows_two_forms_of_time() -> None:
    """Contract section 5: six digits, or none on a whole second."""
    assert shown_ts(1_795_329_602_271) == "2026-11-22T06:40:02.271000Z"
    assert shown_ts(1_795_329_602_000) == "2026-11-22T06:40:02Z"
    assert shown_ts(1_795_329_602_000, always_fraction=True) == "2026-11-22T06:40:02.000000Z"


def test_a_counted_fault_is_used_up() -> None:
    faults = Faults(next_html=2, http_scope="/history")

    asked = ["/device", "/history/a", "/history/b", "/history/c"]
    assert [faults.take("next_html", path) for path in asked] == [False, True, True, False]
