"""The database's side of a reconciliation: its readings, and by what to look for them in DOJOT."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import product
from operator import itemgetter

from flows.comparison import MEASURANDS, Difference, Stored, Value, compare
from flows.database import Connection, ask
from flows.dojot_history import ms_of

HOUR = timedelta(hours=1)
_ALWAYS = (0, 1, 2)  # connectors that are looked at, known or not
_FIRST = ("energy_wh", "power_w")  # what nearly every reading has one of

Theirs = Mapping[str, Sequence[Value]]


@dataclass(frozen=True, slots=True)
class Ours:
    """Readings by hour and connector, and the attributes to ask for.

    Attributes:
        sought: By these readings of ours are looked for.
        rare: Other measurands, of which the database has none in this time.
        common: Other measurands, of which it has some.
    """

    hours: Mapping[datetime, Mapping[int, Stored]]
    sought: Sequence[str]
    rare: Sequence[str]
    common: Sequence[str]

    def compare(self, theirs: Theirs, hour: datetime) -> Difference:
        values = _of_hour(theirs, hour)
        sought = {name: values.pop(name) for name in self.sought if name in values}
        return compare(self.hours.get(hour, {}), sought, values)


def read_ours(conn: Connection, number: int, low: datetime, high: datetime) -> Ours:
    rows = ask(conn, "readings_to_compare", charge_point_id=number, low=low, high=high)
    known = ask(conn, "connectors_of", charge_point_id=number)
    connectors = {*_ALWAYS, *(row["connector_id"] for row in (*known, *rows))}
    hours: dict[datetime, dict[int, Stored]] = {}
    sought, had = _names(_FIRST, connectors), set[str]()
    for row in rows:
        stored = Stored(row["ms"], row["energy_wh"], row["power_w"])
        hours.setdefault(row["hour"], {})[row["connector_id"]] = stored
        sought.update(row["markers"] or ())
        had |= _names(row["measurands"], [row["connector_id"]])
    others = _names(MEASURANDS, connectors) - sought
    return Ours(hours, sorted(sought), sorted(others - had), sorted(others & had))


def _names(measurands: Iterable[str], connectors: Iterable[int]) -> set[str]:
    return {f"{kind}_{place}" for kind, place in product(measurands, connectors)}


def _of_hour(theirs: Theirs, hour: datetime) -> dict[str, Sequence[Value]]:
    first, last = ms_of(hour), ms_of(hour + HOUR)
    by_time = itemgetter(0)
    return {
        name: values[
            bisect_left(values, first, key=by_time) : bisect_left(values, last, key=by_time)
        ]
        for name, values in theirs.items()
        if values
    }
