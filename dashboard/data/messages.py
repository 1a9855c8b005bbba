"""The raw log."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, repeat
from time import monotonic
from typing import Any, Literal

import pandas as pd

from dashboard import db
from dashboard.data import asking
from dashboard.filters import Period, Selection

Kind = Literal["all", "errors", "unanswered", "aside"]
KINDS: tuple[Kind, ...] = ("all", "errors", "unanswered", "aside")
SHOWN, EXPORTED = 200, 20_000
PATIENCE_S, EXPORT_PATIENCE_S = 6.0, 60.0
# Newest first costs little only in a short window: look back step by step until enough is found.
_STEPS = (timedelta(hours=1), timedelta(hours=5), timedelta(hours=6), timedelta(hours=12))


@dataclass(frozen=True, slots=True)
class Wanted:
    """Filters of the messages page; None means any."""

    action: str | None = None
    direction: Literal["in", "out"] | None = None
    message_id: str | None = None
    text: str | None = None
    kind: Kind = "all"

    def params(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Found:
    """Attributes:
    since: How far back was searched; the start of the period if to its end.
    is_all: Whether nothing older was left out for want of time.
    """

    frame: pd.DataFrame
    since: datetime
    is_all: bool


def messages(
    selection: Selection,
    wanted: Wanted,
    newest: datetime | None,
    rows: int = SHOWN,
    patience_s: float = PATIENCE_S,
) -> Found:
    """The newest frames of the period that fit; ``newest`` is when anything was last heard.

    Looks back slice by slice and ends with what it has when ``patience_s`` are over: what is rare
    in a large log would else be found by nobody.
    """
    params = asking.chosen(selection) | wanted.params()
    parts: list[pd.DataFrame] = []
    since = upper = selection.period.until
    give_up = monotonic() + patience_s
    for since, upper in _slices(selection.period, newest):
        left = rows - sum(map(len, parts))
        if left <= 0 or (parts and monotonic() > give_up):
            return Found(_joined(parts), upper, is_all=left <= 0)
        try:
            part = asking.recent("messages", rows=rows, **params | {"since": since, "until": upper})
        except db.NoAnswer as failure:
            if failure.reason not in ("slow", "busy") or not parts:
                raise
            return Found(_joined(parts), upper, is_all=False)
        parts.append(part)
    return Found(_joined(parts).head(rows), since, is_all=True)


def _slices(period: Period, newest: datetime | None) -> Iterator[tuple[datetime, datetime]]:
    """Newest first: short ones where most is found, then days."""
    widths = chain(_STEPS, repeat(timedelta(days=1)))
    upper = period.until
    start = _whole(min(newest, upper) if newest else upper)
    while upper > period.since:
        start = max(start - next(widths), period.since)
        yield start, upper
        upper = start


def _joined(parts: list[pd.DataFrame]) -> pd.DataFrame:
    filled = [part for part in parts if not part.empty]
    return pd.concat(filled, ignore_index=True) if filled else parts[0]


def _whole(at: datetime) -> datetime:
    """The full minute, so that asking twice hits the cache."""
    return at.replace(second=0, microsecond=0)
