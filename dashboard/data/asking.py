"""How questions are asked: cached for a while, and kept for when the database is away."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any, LiteralString

import pandas as pd
import streamlit as st

from dashboard import db
from dashboard.filters import Period, Selection
from sql import load

QUERIES: dict[str, LiteralString] = load("dashboard")
SHOWN = 500  # rows of a table on the screen; files have them all
_KEPT = 300
# Below the pace of the live cards, above what a page takes to draw: drawn anew it asks nothing.
_LIVE_S = 4
_SLICE_DAYS = 5  # a thousand charge points are answered in a fraction of a second

Params = tuple[tuple[str, Any], ...]
_Key = tuple[str, str, Params]


@dataclass(frozen=True, slots=True)
class Kept:
    at: datetime
    frame: pd.DataFrame


class _Memory:
    """The last good answers of this process, oldest use first out."""

    def __init__(self) -> None:
        self._answers: OrderedDict[_Key, Kept] = OrderedDict()
        self._lock = Lock()

    def keep(self, key: _Key, frame: pd.DataFrame) -> None:
        with self._lock:
            self._answers[key] = Kept(datetime.now(UTC), frame)
            self._answers.move_to_end(key)
            while len(self._answers) > _KEPT:
                self._answers.popitem(last=False)

    def recall(self, key: _Key) -> Kept | None:
        with self._lock:
            return self._answers.get(key)


@st.cache_resource
def _memory() -> _Memory:
    return _Memory()


def _fetch(address: str, name: str, params: Params) -> pd.DataFrame:
    """The address is part of the key: two databases never share an answer."""
    # psycopg takes a tuple for a row, a list for an array.
    values = {key: list(value) if isinstance(value, tuple) else value for key, value in params}
    frame = db.fetch(QUERIES[name], values)
    _memory().keep((address, name, params), frame)
    return frame


# Three functions: Streamlit knows a cache by its function, and would empty one that is shared
# each time another ttl asks for it.
@st.cache_data(ttl=_LIVE_S, max_entries=64, show_spinner=False)
def _live(address: str, name: str, params: Params) -> pd.DataFrame:
    return _fetch(address, name, params)


@st.cache_data(ttl=20, max_entries=256, show_spinner=False)
def _recent(address: str, name: str, params: Params) -> pd.DataFrame:
    return _fetch(address, name, params)


@st.cache_data(ttl=300, max_entries=128, show_spinner=False)
def _settled(address: str, name: str, params: Params) -> pd.DataFrame:
    return _fetch(address, name, params)


def live(name: str, **params: Any) -> pd.DataFrame:
    """Ask at most every few seconds."""
    return _answer(_live, name, params)


def recent(name: str, **params: Any) -> pd.DataFrame:
    """Ask at most every 20 s."""
    return _answer(_recent, name, params)


def settled(name: str, **params: Any) -> pd.DataFrame:
    """Ask at most every 5 minutes: what hardly ever changes."""
    return _answer(_settled, name, params)


def whole(name: str, **params: Any) -> pd.DataFrame:
    """Ask for a file: the rows may be many, so nothing keeps them."""
    return _told_apart(db.fetch(QUERIES[name], params))


def in_slices(name: str, selection: Selection, **params: Any) -> pd.DataFrame:
    """Ask for a file one part of a long period after the other, the newest first."""
    parts: list[pd.DataFrame] = []
    first, last = selection.period.first, selection.period.last
    while last >= first:
        begin = max(last - timedelta(days=_SLICE_DAYS - 1), first)
        parts += _slice(name, replace(selection, period=Period(begin, last)), params)
        last = begin - timedelta(days=1)
    filled = [part for part in parts if not part.empty]
    return pd.concat(filled, ignore_index=True) if filled else parts[0]


def _slice(name: str, selection: Selection, params: dict[str, Any]) -> list[pd.DataFrame]:
    """One part, or where the database takes too long for it its two halves."""
    try:
        return [whole(name, **params, **chosen(selection))]
    except db.NoAnswer as failure:
        period = selection.period
        if failure.reason != "slow" or period.days < 2:
            raise
        middle = period.first + timedelta(days=period.days // 2)
        halves = Period(middle, period.last), Period(period.first, middle - timedelta(days=1))
        return [
            part
            for half in halves
            for part in _slice(name, replace(selection, period=half), params)
        ]


def chosen(selection: Selection) -> dict[str, Any]:
    """The parameters every filtered question shares."""
    return {
        "since": selection.period.since,
        "until": selection.period.until,
        "first_day": selection.period.first,
        "last_day": selection.period.last,
        "charge_points": selection.charge_points,
    }


def forget() -> None:
    """Ask everything anew: after a change made by the reader."""
    for cached in (_live, _recent, _settled, _shared_names):
        cached.clear()


def _answer(
    cached: Callable[[str, str, Params], pd.DataFrame], name: str, params: dict[str, Any]
) -> pd.DataFrame:
    return _told_apart(_cached(cached, name, params))


def _told_apart(frame: pd.DataFrame) -> pd.DataFrame:
    """With the identity added to names that several charge points have."""
    if not {"charge_point", "name"} <= set(frame.columns):
        return frame
    try:
        shared = _shared_names(db.url())
    except db.NoAnswer:
        return frame
    if not shared:
        return frame
    both = zip(frame["charge_point"], frame["name"], strict=True)
    named = [f"{name} ({identity})" if name in shared else name for identity, name in both]
    return frame.assign(name=pd.Series(named, index=frame.index, dtype=object))


@st.cache_data(ttl=20, max_entries=8, show_spinner=False)
def _shared_names(address: str) -> set[str]:
    known = _recent(address, "charge_point_names", ())["name"]
    return set(known[known.duplicated()])


def _cached(
    cached: Callable[[str, str, Params], pd.DataFrame], name: str, params: dict[str, Any]
) -> pd.DataFrame:
    key = (db.url(), name, tuple(sorted((k, _hashable(v)) for k, v in params.items())))
    try:
        return cached(*key)
    except db.NoAnswer as failure:
        kept = _memory().recall(key) if failure.reason == "away" else None
        if kept is None:
            raise
        _note_age(kept.at)
        return kept.frame.copy()


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _note_age(at: datetime) -> None:
    """Remember, for the banner of this run, how old the oldest answer shown is."""
    oldest = st.session_state.get("_shown_from")
    st.session_state["_shown_from"] = min(at, oldest) if oldest else at
