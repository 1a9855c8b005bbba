"""The raw log."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import pandas as pd

from dashboard.data import asking
from dashboard.filters import Selection

Kind = Literal["all", "errors", "unanswered"]
KINDS: tuple[Kind, ...] = ("all", "errors", "unanswered")
SHOWN, EXPORTED = 200, 20_000
# Newest first costs little only in a short window: look back step by step until enough is found.
_STEPS = (timedelta(hours=1), timedelta(hours=12), timedelta(days=3))


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


def messages(
    selection: Selection, wanted: Wanted, newest: datetime | None, rows: int = SHOWN
) -> pd.DataFrame:
    """The newest frames of the period that fit; ``newest`` is when anything was last heard."""
    params = asking.chosen(selection) | wanted.params()
    since, until = selection.period.since, selection.period.until
    end = min(newest, until) if newest else until
    for step in _STEPS:
        if (start := end - step) <= since:
            break
        found = asking.recent("messages", rows=rows, **params | {"since": _whole(start)})
        if len(found) >= rows:
            return found
    return asking.recent("messages", rows=rows, **params)


def _whole(at: datetime) -> datetime:
    """The full minute, so that asking twice hits the cache."""
    return at.replace(second=0, microsecond=0)
