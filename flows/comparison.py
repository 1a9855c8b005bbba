"""Compares readings of the database with samples of DOJOT. Pure: no I/O here."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flows.dojot_history import Sample

Place = tuple[int, int]  # connector, ms since 1970


@dataclass(frozen=True, slots=True)
class Reading:
    """A reading of the database, by its key."""

    connector_id: int
    ms: int
    sampled_at: datetime
    context: int
    energy_wh: float | None
    is_waiting: bool = False


@dataclass(frozen=True, slots=True)
class Difference:
    """What two multisets of readings do not have in common.

    Attributes:
        missing_in_dojot: Readings of the database that DOJOT lacks and nobody is about to send.
        waiting: Readings DOJOT lacks that the relay has still to send.
        missing_in_database: Places of which DOJOT holds more readings than the database.
        duplicates: Copies in DOJOT beyond the first, of readings the database has.
        changed: Places where both hold as many readings but with other energy.
    """

    rows_database: int
    rows_dojot: int
    missing_in_dojot: Sequence[Reading] = field(default_factory=list)
    waiting: int = 0
    missing_in_database: Mapping[Place, int] = field(default_factory=dict)
    duplicates: int = 0
    changed: int = 0
    energy_database_wh: float | None = None
    energy_dojot_wh: float | None = None


def connector_of(attribute: str) -> int:
    """Return the connector an attribute name ends in."""
    return int(attribute.rpartition("_")[2])


def compare(readings: Sequence[Reading], samples: Iterable[Sample]) -> Difference:
    """Compare by (connector, ms). Samples of one message share nothing but their time, so as many
    messages are taken to have come as the attribute that came most often did."""
    ours: dict[Place, list[Reading]] = defaultdict(list)
    for reading in readings:
        ours[reading.connector_id, reading.ms].append(reading)
    theirs, their_energy = _messages(samples)
    missing, waiting = _missing(ours, theirs)
    return Difference(
        rows_database=len(readings),
        rows_dojot=sum(theirs.values()),
        missing_in_dojot=missing,
        waiting=waiting,
        missing_in_database={place: n for place, n in theirs.items() if place not in ours},
        duplicates=sum(
            max(0, n - len(ours[place])) for place, n in theirs.items() if place in ours
        ),
        changed=sum(
            _is_changed(ours[place], their_energy[place]) for place in ours if place in theirs
        ),
        energy_database_wh=_energy(
            (place, reading.energy_wh)
            for place, group in ours.items()
            for reading in group
            if reading.energy_wh is not None
        ),
        energy_dojot_wh=_energy(
            (place, value) for place, values in their_energy.items() for value in values
        ),
    )


def _messages(samples: Iterable[Sample]) -> tuple[dict[Place, int], dict[Place, list[float]]]:
    counts: Counter[tuple[Place, str]] = Counter()
    energy: dict[Place, list[float]] = defaultdict(list)
    for sample in samples:
        place = connector_of(sample.attribute), sample.ms
        counts[place, sample.attribute] += 1
        if sample.attribute.startswith("energy_wh_"):
            energy[place].append(float(sample.value))
    messages: dict[Place, int] = {}
    for (place, _), count in counts.items():
        messages[place] = max(count, messages.get(place, 0))
    return messages, energy


def _missing(
    ours: Mapping[Place, list[Reading]], theirs: Mapping[Place, int]
) -> tuple[list[Reading], int]:
    missing: list[Reading] = []
    waiting = 0
    for place, group in ours.items():
        lacking = len(group) - theirs.get(place, 0)
        if lacking <= 0:
            continue
        # Which of several readings of an instant is lacking cannot be told: those about to be sent.
        by_hope = sorted(group, key=lambda reading: not reading.is_waiting)
        waiting += sum(reading.is_waiting for reading in by_hope[:lacking])
        missing += [reading for reading in by_hope[:lacking] if not reading.is_waiting]
    return missing, waiting


def _is_changed(group: Sequence[Reading], energies: Sequence[float]) -> bool:
    known = {reading.energy_wh for reading in group if reading.energy_wh is not None}
    return bool(known and energies) and not known & set(energies)


def _energy(values: Iterable[tuple[Place, float]]) -> float | None:
    """Return the sum of the rises of the register over all connectors; None without readings."""
    total: float | None = None
    before: dict[int, float] = {}
    for (connector_id, _), value in sorted(values):
        if connector_id in before:
            total = (total or 0.0) + max(0.0, value - before[connector_id])
        else:
            total = total or 0.0
        before[connector_id] = value
    return total


_COLUMNS = (
    "energy_wh",
    "power_w",
    "current_a",
    "voltage_v",
    "soc_percent",
    "temperature_c",
    "current_offered_a",
    "power_offered_w",
    "transaction_id",
)
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


def rows_to_import(places: Iterable[Place], samples: Iterable[Sample]) -> list[dict[str, Any]]:
    """Return rows of meter_value for what only DOJOT has; attributes without a column are left."""
    wanted = set(places)
    rows: dict[Place, dict[str, Any]] = {}
    for sample in samples:
        name, _, connector = sample.attribute.rpartition("_")
        if not connector.isdigit() or (place := (int(connector), sample.ms)) not in wanted:
            continue
        row = rows.setdefault(
            place, {"ms": sample.ms, "connector_id": int(connector), "context": 0}
        )
        if name == "context":
            row["context"] = _CONTEXTS.get(str(sample.value), 7)
        elif name in _COLUMNS:
            row[name] = sample.value
    return list(rows.values())
