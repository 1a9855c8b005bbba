"""MeterValues to readings: base units, defaults of the standard, one row per instant. Pure.

OCPP 1.6 4.7: a sanity check must not cost the confirmation, so nothing here raises. A sample that
cannot be read is set aside with the reason and its neighbours stay.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from ingest.facts import Reading, SetAside
from ingest.fields import LARGEST_REGISTER, as_list, read_float, read_text, to_json
from ingest.measurands import ENERGY, PLAUSIBLE_REGISTER, SUMMED, Place, place_of
from ingest.timestamps import read_instant

# Each day is a part of its own in the database: making thousands at once takes it minutes, and
# more locks than it has. A queue of a month offline comes in many messages, hardly ever in one.
MOST_DAYS = 32
# What is here under other names (of OCPP 1.5, or misspelt) would be lost without a word.
_OF_AN_ELEMENT = {"timestamp"}
_OF_A_SAMPLE = {"context", "format", "measurand", "phase", "location", "unit"}
# Pieces of one message set aside for the same kind of reason, one by one: the raw log has them all.
MOST_ASIDE = 20


def read_meter_values(
    elements: Any,
    *,
    connector_id: int,
    transaction_id: int | None,
    received_at: datetime,
    zone: tzinfo = UTC,
) -> tuple[list[Reading], list[SetAside]]:
    """Return the readings in ``meterValue`` (or ``transactionData``) and what was set aside."""
    reader = _Reader(connector_id, transaction_id, received_at, zone)
    for position, element in enumerate(as_list(elements)):
        if isinstance(element, dict):
            reader.read(element, position)
        else:
            reader.set_aside("a meterValue is not an object", element)
    reader.complete()
    return list(reader.readings.values()), reader.aside


@dataclass(slots=True)
class _Reader:
    """The elements of one message on their way to readings.

    Attributes:
        readings: By instant and context: parts of one instant meet here.
        unusable: Our instants in place of timestamps that are none.
        stand_ins: Values from another location than the column is meant for.
        phased: Readings with power or energy by phase.
        days: On which they were sampled, counted from the year 1.
        asides: How many pieces there were to set aside, by the kind of reason.
    """

    connector_id: int
    transaction_id: int | None
    received_at: datetime
    zone: tzinfo
    readings: dict[tuple[datetime, int], Reading] = field(default_factory=dict)
    aside: list[SetAside] = field(default_factory=list)
    unusable: dict[str | int, datetime] = field(default_factory=dict)
    stand_ins: list[tuple[Reading, int, float]] = field(default_factory=list)
    phased: dict[int, Reading] = field(default_factory=dict)
    days: set[int] = field(default_factory=set)
    asides: Counter[str] = field(default_factory=Counter)

    def read(self, element: dict[str, Any], position: int) -> None:
        """Take the samples of one ``meterValue``."""
        written = element.get("timestamp")
        at, flag = read_instant(written, self.received_at, self.zone)
        if flag == "clock":
            at = self._stand_in_instant(read_text(written) or position)
        elif not self._has_room_for(at):
            self.set_aside(f"more than {MOST_DAYS} days in one message", element)
            return
        by_context: dict[int, Reading] = {}
        samples = as_list(element.get("sampledValue"))
        if not samples and _has_others_than("sampledValue", element, _OF_AN_ELEMENT):
            self.set_aside("no sampledValue", element)
        for sample in samples:
            if not isinstance(sample, dict):
                self.set_aside("a sampledValue is not an object", sample)
                continue
            place = place_of(sample)
            value = sample.get("value")
            number = read_float(value)
            if number is None and not (place.is_signed and read_text(value)):
                self._set_aside_unless_empty(value, sample)
                continue
            if (reading := by_context.get(place.context)) is None:
                reading = by_context[place.context] = self._reading(at, place.context)
                if flag:
                    _explain(reading, flag, written)
            if not self._put(reading, place, number, value):
                self.set_aside(f"another value: {place.name}", sample)

    def complete(self) -> None:
        """Fill the columns that only phases or other locations speak of; count what is too much."""
        for reading in self.phased.values():
            _sum_phases(reading)
        for reading, column, number in self.stand_ins:
            if reading.values[column] is None:
                reading.values[column] = number
        for kind, count in self.asides.items():
            if (more := count - MOST_ASIDE) > 0:
                self.aside.append(SetAside(f"{kind}: and more, in the raw log", str(more), more))

    def set_aside(self, reason: str, piece: Any) -> None:
        kind = reason.partition(":")[0]
        self.asides[kind] += 1
        if self.asides[kind] <= MOST_ASIDE:
            self.aside.append(SetAside(reason, to_json(piece)))

    def _has_room_for(self, at: datetime) -> bool:
        self.days.add(at.toordinal())
        if len(self.days) <= MOST_DAYS:
            return True
        self.days.discard(at.toordinal())
        return False

    def _stand_in_instant(self, written: str | int) -> datetime:
        """Return our time, a millisecond later for each further unusable one.

        One key for all of them would merge what was sampled apart.
        """
        later = timedelta(milliseconds=len(self.unusable))
        return self.unusable.setdefault(written, self.received_at + later)

    def _reading(self, at: datetime, context: int) -> Reading:
        key = (at, context)
        if (reading := self.readings.get(key)) is None:
            reading = Reading(at, self.connector_id, self.transaction_id, context)
            self.readings[key] = reading
        return reading

    def _set_aside_unless_empty(self, value: Any, sample: dict[str, Any]) -> None:
        """An empty value says "not known"; the raw log has it."""
        if read_text(value) is not None:
            self.set_aside(f"not a number: {value!r:.80}", sample)
        elif _has_others_than("value", sample, _OF_A_SAMPLE):
            self.set_aside("no value", sample)

    def _put(self, reading: Reading, place: Place, number: float | None, value: Any) -> bool:
        """Add one value to its reading; False if there is another in its place."""
        if place.flags:
            reading.flag(*place.flags)
        if place.odd_context:
            reading.keep("context", place.odd_context)
        if number is None or place.is_signed:
            return reading.keep_signed(place.name, read_text(value) or "")
        return self._put_number(reading, place, number * place.factor + place.offset)

    def _put_number(self, reading: Reading, place: Place, number: float) -> bool:
        column = place.column
        if not place.least <= number <= place.most:
            reading.flag("range")
            column = ENERGY if column == ENERGY and abs(number) <= LARGEST_REGISTER else None
        if column is not None:
            if place.is_home and reading.values[column] in (None, number):
                reading.values[column] = number
                return True
            if not place.is_home:
                self.stand_ins.append((reading, column, number))
        elif place.is_summed:
            self.phased[id(reading)] = reading
        return reading.keep(place.name, number)


def _has_others_than(name: str, piece: dict[str, Any], neighbours: set[str]) -> bool:
    """Whether the one thing that counts is not there, but something of an unknown name is."""
    return name not in piece and not piece.keys() <= neighbours


def _explain(reading: Reading, flag: str, written: Any) -> None:
    reading.flag(flag)
    if flag == "clock" and (text := read_text(written)):
        reading.keep("timestamp", text)


def _sum_phases(reading: Reading) -> None:
    """Complete the columns from their phases, or compare the two. A total wins."""
    for column, phases in _phases(reading):
        stated, total = reading.values[column], sum(phases)
        if column == ENERGY:
            _sum_registers(reading, phases)
        elif stated is None:
            reading.values[column] = total
        elif abs(stated - total) > max(10.0, abs(stated) * 0.03):
            reading.flag("phases")


def _sum_registers(reading: Reading, phases: list[float]) -> None:
    """Take the sum of the three registers where no total was sent.

    Of all three: a register that lacks a phase now and then would run backwards.
    """
    total, has_all = sum(phases), len(phases) == len(SUMMED[ENERGY])
    if reading.values[ENERGY] is not None or not has_all or abs(total) > LARGEST_REGISTER:
        return
    reading.values[ENERGY] = total
    reading.flag("phases")
    if not PLAUSIBLE_REGISTER[0] <= total <= PLAUSIBLE_REGISTER[1]:
        reading.flag("range")


def _phases(reading: Reading) -> Iterator[tuple[int, list[float]]]:
    extra = reading.extra or {}
    for column, names in SUMMED.items():
        if found := [extra[name] for name in names if name in extra]:
            yield column, found
