"""How good the data are, and whether DOJOT has the same."""

from typing import Any

import pandas as pd

from dashboard.data import asking
from dashboard.filters import Selection

_WORST_FIRST = {"red": 0, "amber": 1, "info": 2}
_STABLE: dict[str, Any] = {"kind": "stable", "ignore_index": True}


def days(selection: Selection) -> pd.DataFrame:
    """Columns: day, name, charge_point, level (0 ok, 1 amber, 2 red), what."""
    return asking.recent("quality_days", **asking.chosen(selection))


def reconciliation(selection: Selection) -> pd.DataFrame:
    """The first windows compared with DOJOT, those that differ before the others."""
    return asking.recent("reconciliation", rows=asking.SHOWN, **asking.chosen(selection))


def every_reconciliation(selection: Selection) -> pd.DataFrame:
    """All of ``reconciliation``, for a file."""
    frame = asking.in_slices("reconciliation", selection, rows=None)
    return frame.sort_values("verdict", key=lambda each: each == "ok", **_STABLE)


def reconciliation_totals(selection: Selection) -> "pd.Series[Any]":
    return asking.recent("reconciliation_totals", **asking.chosen(selection)).iloc[0]


def findings(selection: Selection) -> pd.DataFrame:
    """The worst of what is odd; of_all says of how many."""
    return asking.recent("findings", rows=asking.SHOWN, **asking.chosen(selection))


def every_finding(selection: Selection) -> pd.DataFrame:
    """All of ``findings``, for a file."""
    frame = asking.in_slices("findings", selection, rows=None)
    return frame.sort_values("severity", key=lambda each: each.map(_WORST_FIRST), **_STABLE)


def set_aside(selection: Selection) -> pd.DataFrame:
    """Pieces that could not become facts, by reason."""
    return asking.recent("set_aside", **asking.chosen(selection))


def flow_freshness() -> pd.DataFrame:
    """flow, done_until, waiting, and the last run's started_at, status, message, url."""
    return asking.recent("flow_freshness")


def ingest_lag() -> "pd.Series[float]":
    """messages, median_ms, p95_ms of the last 15 minutes."""
    return asking.recent("ingest_lag").iloc[0]
