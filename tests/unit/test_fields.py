"""Single fields, as charge points really send them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import fields


@pytest.mark.parametrize("nothing", [None, "", "  ", "null", "None", "NULL", " none "])
def test_nothing_is_none(nothing):
    assert fields.read_text(nothing) is None


@pytest.mark.parametrize(
    ("value", "text"), [(" a b ", "a b"), (17, "17"), (True, "true"), ({"a": [1]}, '{"a":[1]}')]
)
def test_text_is_trimmed_and_what_is_no_text_becomes_json(value, text):
    assert fields.read_text(value) == text


def test_long_text_is_kept_but_cut_where_it_must_fit_an_index():
    assert fields.read_text("x" * 5000) == "x" * 5000
    assert fields.read_key("x" * 5000) == "x" * 255


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (7, 7),
        ("7", 7),
        (" 007 ", 7),
        ("-1", -1),
        (7.0, 7),
        ("7.00", 7),
        (2**63 - 1, 2**63 - 1),
        (str(2**63 - 1), 2**63 - 1),
        (2**63, None),
        ("9" * 30, None),
        (1e300, None),
        (float("inf"), None),
        (7.5, None),
        ("7.5", None),
        ("", None),
        ("seven", None),
        ("1e3", None),
        (True, None),
        (None, None),
        ([7], None),
    ],
)
def test_whole_numbers(value, number):
    assert fields.read_int(value) == number


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (7, 7.0),
        ("7", 7.0),
        (" 7.5\n", 7.5),
        ("1.2e3", 1200.0),
        ("0.12345678901234567", 0.12345678901234567),
        ("230,5", 230.5),
        ("1.234,5", None),
        ("1,234,567", None),
        (2**63 - 1, float(2**63 - 1)),
        ("1e-300", 0.0),
        ("1e308", None),
        (10**400, None),
        ("9" * 100_000, None),
        ("NaN", None),
        ("-Infinity", None),
        (float("nan"), None),
        ("", None),
        ("  ", None),
        ("n/a", None),
        (True, None),
        (None, None),
        ({}, None),
    ],
)
def test_numbers(value, number):
    assert fields.read_float(value) == number


def test_a_register_counts_single_watt_hours():
    assert fields.read_register("9007199254740992") == 2.0**53
    assert fields.read_register(2**63 - 1) is None


@pytest.mark.parametrize(
    ("value", "connector_id"),
    [
        (0, 0),
        (1, 1),
        ("2", 2),
        (100, 100),
        (4711, 4711),
        (32767, 32767),
        (32768, None),
        (-1, None),
        (2**40, None),
        (None, None),
    ],
)
def test_connector_ids_fit_their_column(value, connector_id):
    assert fields.read_connector_id(value) == connector_id


@pytest.mark.parametrize(
    ("value", "transaction_id"),
    [(1, 1), ("17", 17), (2**63 - 1, 2**63 - 1), (0, None), (-1, None), (None, None), ("x", None)],
)
def test_only_positive_numbers_name_a_transaction(value, transaction_id):
    """OCPP 1.6 errata v4, 3.18: -1 stands for a start that was never confirmed."""
    assert fields.read_transaction_id(value) == transaction_id


def test_a_number_beyond_32_bits_is_no_request_id():
    assert fields.read_small_int(2**31 - 1) == 2**31 - 1
    assert fields.read_small_int(2**31) is None


def test_a_lone_object_is_a_list_of_one():
    assert fields.as_list({"a": 1}) == [{"a": 1}]
    assert fields.as_list(None) == []
    assert fields.as_list([1, 2]) == [1, 2]


def test_words_are_found_whatever_their_case():
    known = {"evse": "EVSE"}

    assert fields.choose("eVSe", known) == "EVSE"
    assert fields.choose("other", known) is None
    assert fields.choose_or_keep("other", known) == "other"
    assert fields.choose_or_keep(None, known) is None


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(anything)
def test_no_value_makes_a_reader_raise(value):
    fields.read_connector_id(value)
    fields.read_transaction_id(value)
    fields.read_small_int(value)
    fields.read_key(value)
    number = fields.read_float(value)
    assert number is None or abs(number) <= 1e19


@given(st.floats(-1e18, 1e18, allow_subnormal=False).filter(lambda x: x == 0 or abs(x) > 1e-18))
def test_a_number_survives_being_text(number):
    assert fields.read_float(json.dumps(number)) == number
