"""Compares readings of the database with values of DOJOT. Pure: no I/O here.

A place is a connector and a whole millisecond; a multiset of places is what both sides have in
common to compare. A day of a charge point is some ten thousand of them, so the usual case, that
both are the same, is decided by comparing whole lists and counters.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, product
from typing import Any

Place = tuple[int, int]  # connector, ms since 1970
Value = tuple[int, Any]  # ms since 1970, what DOJOT holds there
Told = tuple[int, float]  # ms since 1970, Wh or W

# Power is kept in four bytes here, and goes through decimals.
_EXACT, _OF_FOUR_BYTES = 0.0, 1e-6


@dataclass(frozen=True, slots=True)
class Stored:
    """Readings of the database, of one connector.

    Attributes:
        ms: Their instants since 1970, ascending.
        energy_wh: The register at each; None where it was not sent.
        power_w: The power at each, as energy_wh; nothing at all where it is not to be compared.
    """

    ms: Sequence[int] = ()
    energy_wh: Sequence[float | None] = ()
    power_w: Sequence[float | None] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """What two multisets of readings do not have in common.

    Attributes:
        missing_in_dojot: Places of which the database holds more readings, or more of them with
            energy or with power, and how many more.
        missing_in_database: Places of which only DOJOT holds readings.
        duplicates: Copies in DOJOT beyond the first, of readings the database has.
        changed: Places where both hold energy, or both hold power, but none in common.
    """

    rows_database: int
    rows_dojot: int
    missing_in_dojot: Mapping[Place, int] = field(default_factory=dict)
    missing_in_database: Mapping[Place, int] = field(default_factory=dict)
    duplicates: int = 0
    changed: int = 0
    energy_database_wh: float | None = None
    energy_dojot_wh: float | None = None


def connector_of(attribute: str) -> int:
    """Return the connector an attribute name ends in."""
    return int(attribute.rpartition("_")[2])


def compare(
    ours: Mapping[int, Stored],
    theirs: Mapping[str, Sequence[Value]],
    others: Mapping[str, Sequence[Value]] | None = None,
) -> Difference:
    """Compare readings by connector with values by attribute. Values of one message share nothing
    but their time, so as many messages are taken to have come as the attribute that came most
    often did.

    Args:
        theirs: Values of what readings of the database are looked for by.
        others: Values that show only that there is a message where the database has none: they
            do not prove that the rest of a message of ours has come.
    """
    messages = _messages(dict(theirs) | _elsewhere(ours, others or {}))
    differences = [
        _compare_connector(
            connector_id,
            ours.get(connector_id, Stored()),
            messages.get(connector_id, Counter()),
            theirs.get(f"energy_wh_{connector_id}", ()),
            theirs.get(f"power_w_{connector_id}", ()),
        )
        for connector_id in sorted(ours.keys() | messages.keys())
    ]
    return _sum(differences)


def _elsewhere(
    ours: Mapping[int, Stored], values: Mapping[str, Sequence[Value]]
) -> dict[str, Sequence[Value]]:
    """Leave out the values at places of ours."""
    left: dict[str, Sequence[Value]] = {}
    for attribute, came in values.items():
        here = set(ours.get(connector_of(attribute), Stored()).ms) if came else ()
        left[attribute] = [value for value in came if value[0] not in here]
    return left


def _messages(theirs: Mapping[str, Sequence[Value]]) -> dict[int, Counter[int]]:
    """How many messages came at each instant, by connector."""
    messages: dict[int, Counter[int]] = {}
    for attribute, values in theirs.items():
        came = Counter(ms for ms, _ in values)
        connector_id = connector_of(attribute)
        before = messages.get(connector_id)
        if came and came != before:
            messages[connector_id] = came if before is None else before | came  # the larger number
    return messages


def _compare_connector(
    connector_id: int,
    ours: Stored,
    theirs: Counter[int],
    energy: Sequence[Value],
    power: Sequence[Value],
) -> Difference:
    here = Counter(ours.ms)
    is_same = here == theirs
    missing = Counter[int]() if is_same else here - theirs
    changed: set[int] = set()
    told = _told(ours.ms, ours.energy_wh), _told(ours.ms, ours.power_w)
    came = _readable(energy), _readable(power) if ours.power_w else []
    for mine, found, values, tolerance in zip(
        told, came, (energy, power), (_EXACT, _OF_FOUR_BYTES), strict=True
    ):
        if mine != found:
            missing |= _without(mine, values)  # the larger number
            changed |= _changed(mine, found, tolerance)
    return Difference(
        rows_database=here.total(),
        rows_dojot=theirs.total(),
        missing_in_dojot={(connector_id, ms): count for ms, count in missing.items()},
        missing_in_database={}
        if is_same
        else {(connector_id, ms): count for ms, count in theirs.items() if ms not in here},
        duplicates=0
        if is_same
        else sum(count for ms, count in (theirs - here).items() if ms in here),
        changed=len(changed),
        energy_database_wh=_rise(told[0]),
        energy_dojot_wh=_rise(came[0]),
    )


def _told(ms: Sequence[int], values: Sequence[float | None]) -> list[Told]:
    # Values that are not to be compared are not there at all.
    return [(at, value) for at, value in zip(ms, values, strict=bool(values)) if value is not None]


def _without(ours: Sequence[Told], theirs: Sequence[Value]) -> Counter[int]:
    """How many values of ours are lacking at each instant, although a part of their message may
    have come: DOJOT keeps what it stored of one before it failed."""
    return Counter(ms for ms, _ in ours) - Counter(ms for ms, _ in theirs)


def _readable(values: Sequence[Value]) -> list[Told]:
    """What can be read of them, in order of time; DOJOT checks no types."""
    told = [(ms, known) for ms, value in values if (known := number(value)) is not None]
    told.sort()
    return told


def _changed(ours: Sequence[Told], theirs: Sequence[Told], tolerance: float) -> set[int]:
    """Return the instants at which both tell something and never the same."""
    here, there = _by_instant(ours), _by_instant(theirs)
    return {
        ms
        for ms in here.keys() & there.keys()
        if not any(math.isclose(*pair, rel_tol=tolerance) for pair in product(here[ms], there[ms]))
    }


def _by_instant(told: Sequence[Told]) -> dict[int, set[float]]:
    by_instant: defaultdict[int, set[float]] = defaultdict(set)
    for ms, value in told:
        by_instant[ms].add(value)
    return by_instant


def _rise(energies: Sequence[Told]) -> float | None:
    """Return the sum of the rises of a register; None without one."""
    if not energies:
        return None
    return sum(
        (after - before for (_, before), (_, after) in pairwise(energies) if after > before), 0.0
    )


def _sum(differences: Sequence[Difference]) -> Difference:
    missing_in_dojot: dict[Place, int] = {}
    missing_in_database: dict[Place, int] = {}
    for difference in differences:
        missing_in_dojot |= difference.missing_in_dojot
        missing_in_database |= difference.missing_in_database
    return Difference(
        rows_database=sum(it.rows_database for it in differences),
        rows_dojot=sum(it.rows_dojot for it in differences),
        missing_in_dojot=missing_in_dojot,
        missing_in_database=missing_in_database,
        duplicates=sum(it.duplicates for it in differences),
        changed=sum(it.changed for it in differences),
        energy_database_wh=_total(it.energy_database_wh for it in differences),
        energy_dojot_wh=_total(it.energy_dojot_wh for it in differences),
    )


def _total(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def number(value: Any) -> float | None:
    """Return a value of DOJOT as a number, or None: it stores whatever came."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        as_number = float(value)
    except (ValueError, OverflowError):
        return None
    return as_number if math.isfinite(as_number) else None


# Columns of meter_value, which are called so in DOJOT, too.
MEASURANDS = (
    "energy_wh",
    "power_w",
    "current_a",
    "voltage_v",
    "soc_percent",
    "temperature_c",
    "current_offered_a",
    "power_offered_w",
)
IMPORTED = (*MEASURANDS, "transaction_id", "context")
_LARGEST_REAL = 3.4e38
_CONTEXTS = {
    "Sample.Periodic": 0,
    "Sample.Clock": 1,
    "Transaction.Begin": 2,
    "Transaction.End": 3,
    "Interruption.Begin": 4,
    "Interruption.End": 5,
    "Trigger": 6,
    "Other": 7,
}


def rows_to_import(
    places: Iterable[Place], theirs: Mapping[str, Sequence[Value]]
) -> list[dict[str, Any]]:
    """Return rows of meter_value for what only DOJOT has; what cannot be read is left out, and a
    message of which nothing can be."""
    wanted = set(places)
    rows: dict[Place, dict[str, Any]] = {}
    for attribute, values in theirs.items():
        name, _, connector = attribute.rpartition("_")
        if not connector.isdigit():
            continue
        for ms, value in values:
            place = int(connector), ms
            if place in wanted and (column := _column(name, value)):
                rows.setdefault(place, {"ms": ms, "connector_id": place[0], "context": 0})
                rows[place] |= column
    return [row for row in rows.values() if row.keys() & set(MEASURANDS)]


def _column(name: str, value: Any) -> dict[str, Any]:
    if name == "context":
        return {"context": _CONTEXTS.get(str(value), 7)}
    if name == "transaction_id":
        known = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
        return {"transaction_id": value} if known else {}
    measured = number(value) if name in MEASURANDS else None
    return {} if measured is None or abs(measured) > _LARGEST_REAL else {name: measured}
