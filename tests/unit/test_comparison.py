"""Both sides of a reconciliation as multisets, against a count written plainly."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.comparison import Stored, compare, number, rows_to_import

_INSTANTS = st.lists(st.integers(0, 5), max_size=8)


@given(ours=_INSTANTS, energy=_INSTANTS, power=_INSTANTS)
def test_multisets_are_compared_place_by_place(
    ours: list[int], energy: list[int], power: list[int]
) -> None:
    """As many messages came at an instant as the attribute has values that came most often; one of
    ours has come when its energy has."""
    difference = compare(
        {1: Stored(sorted(ours), [float(ms) for ms in sorted(ours)])},
        {
            "energy_wh_1": [(ms, ms) for ms in sorted(energy)],
            "power_w_1": [(ms, 0) for ms in sorted(power)],
        },
    )

    theirs = {ms: max(energy.count(ms), power.count(ms)) for ms in {*energy, *power}}
    assert difference.rows_database == len(ours)
    assert difference.rows_dojot == sum(theirs.values())
    assert difference.missing_in_dojot == {
        (1, ms): ours.count(ms) - energy.count(ms)
        for ms in set(ours)
        if ours.count(ms) > energy.count(ms)
    }
    assert difference.missing_in_database == {
        (1, ms): count for ms, count in theirs.items() if ms not in ours
    }
    assert difference.duplicates == sum(
        max(0, count - ours.count(ms)) for ms, count in theirs.items() if ms in ours
    )
    assert difference.changed == 0


def test_connectors_are_compared_apart() -> None:
    ours = {0: Stored([1], [10.0]), 1: Stored([1, 2], [20.0, 25.0])}
    theirs = {
        "energy_wh_0": [(2, 10)],
        "energy_wh_1": [(1, 20), (2, 24)],
        "soc_percent_1": [(2, 5)],
    }

    difference = compare(ours, theirs)

    assert difference.missing_in_dojot == {(0, 1): 1}
    assert difference.missing_in_database == {(0, 2): 1}
    assert difference.changed == 1
    assert (difference.energy_database_wh, difference.energy_dojot_wh) == (5.0, 4.0)


def test_a_reading_has_not_come_whole_without_its_energy() -> None:
    """DOJOT stores a message value by value, and may fail midway."""
    ours = {1: Stored([1, 1, 2, 3], [20.0, None, None, 25.0])}
    theirs = {"energy_wh_1": [(3, 25)], "power_w_1": [(1, 5), (1, 5), (2, 5), (3, 5)]}

    difference = compare(ours, theirs)

    assert difference.missing_in_dojot == {(1, 1): 1}
    assert (difference.missing_in_database, difference.duplicates) == ({}, 0)


def test_power_is_compared_as_energy_is() -> None:
    """As many bytes as the database keeps: of the last decimals nothing is told."""
    ours = {1: Stored([1, 2, 3, 4], [1.0, 2.0, 3.0, None], [7_000.0, 7_200.1, 0.0, 5.0])}
    energy = [(1, 1), (2, 2), (3, 3)]
    power = [(1, 99_999), (2, 7_200.10009765625), (4, 5)]

    difference = compare(ours, {"energy_wh_1": energy, "power_w_1": power})

    assert difference.missing_in_dojot == {(1, 3): 1}
    assert difference.changed == 1
    assert difference.missing_in_database == {}


def test_an_instant_with_another_energy_and_power_is_one() -> None:
    ours = {1: Stored([1], [1.0], [7_000.0])}

    difference = compare(ours, {"energy_wh_1": [(1, 2)], "power_w_1": [(1, 2)]})

    assert (difference.changed, difference.missing_in_dojot) == (1, {})


def test_other_values_show_a_message_but_do_not_prove_one_of_ours() -> None:
    ours = {1: Stored([1, 2], [20.0, 25.0])}
    others = {"soc_percent_1": [(1, 5), (3, 5), (3, 6)], "voltage_v_2": [(1, 230)]}

    difference = compare(ours, {"energy_wh_1": [(2, 25)]}, others)

    assert difference.missing_in_dojot == {(1, 1): 1}
    assert difference.missing_in_database == {(1, 3): 2, (2, 1): 1}
    assert (difference.rows_dojot, difference.duplicates) == (4, 0)


@pytest.mark.parametrize("junk", ["n/a", None, True, {"a": 1}, [1], "nan", "1e999", 10**400])
def test_a_value_that_is_no_number_is_a_message_all_the_same(junk: Any) -> None:
    """DOJOT stores what came, of any type."""
    difference = compare({1: Stored([1], [5.0])}, {"energy_wh_1": [(1, junk), (2, junk)]})

    assert number(junk) is None
    assert (difference.missing_in_dojot, difference.changed) == ({}, 0)
    assert difference.missing_in_database == {(1, 2): 1}
    assert rows_to_import([(1, 2)], {"energy_wh_1": [(2, junk)], "context_1": [(2, junk)]}) == []


def test_what_is_imported_has_the_columns_that_can_be_read() -> None:
    rows = rows_to_import(
        Counter([(1, 7)]),
        {
            "energy_wh_1": [(7, "12.5"), (8, 1)],
            "power_w_1": [(7, 1e300)],
            "soc_percent_1": [(7, 40)],
            "transaction_id_1": [(7, 2.5)],
            "context_1": [(7, "Transaction.Begin")],
            "status_1": [(7, "Charging")],
            "boot": [(7, "accepted")],
        },
    )

    assert rows == [
        {"ms": 7, "connector_id": 1, "context": 2, "energy_wh": 12.5, "soc_percent": 40.0}
    ]
