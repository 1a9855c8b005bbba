"""Sessions and what belongs to one."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import pandas as pd

from dashboard.data import asking
from dashboard.filters import Selection

Kind = Literal["all", "served", "open", "flagged", "estimated"]
KINDS: tuple[Kind, ...] = ("all", "served", "open", "flagged", "estimated")
# Why a transaction ends, OCPP 1.6 7.36.
REASONS = (
    "Local", "Remote", "EVDisconnected", "DeAuthorized", "EmergencyStop", "HardReset", "SoftReset",
    "PowerLoss", "Reboot", "UnlockCommand", "Other",
)  # fmt: skip
_POINTS = 700


@dataclass(frozen=True, slots=True)
class Wanted:
    """Filters of the sessions page; None means any."""

    connector_id: int | None = None
    tag: str | None = None
    min_wh: float | None = None
    max_wh: float | None = None
    min_s: float | None = None
    max_s: float | None = None
    reason: str | None = None
    kind: Kind = "all"

    def params(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Span:
    """Where and when the facts of a session are."""

    charge_point: str
    connector_id: int
    transaction_id: int
    since: datetime
    until: datetime

    @property
    def width_s(self) -> float:
        """Width of a bucket that keeps a curve below two thousand points."""
        return max(1.0, (self.until - self.since).total_seconds() // _POINTS)

    def params(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


def sessions(selection: Selection, wanted: Wanted) -> pd.DataFrame:
    """The newest sessions that began in the period; ``session_totals`` says of how many."""
    params = wanted.params() | asking.chosen(selection)
    return asking.recent("sessions", rows=asking.SHOWN, **params)


def every_session(selection: Selection, wanted: Wanted) -> pd.DataFrame:
    """All sessions that began in the period, newest first, for a file."""
    return asking.in_slices("sessions", selection, rows=None, **wanted.params())


def nevi_sessions(selection: Selection) -> pd.DataFrame:
    """All sessions that began in the period with the error codes their connector told."""
    return asking.in_slices("nevi_sessions", selection)


def session_totals(selection: Selection, wanted: Wanted) -> "pd.Series[float]":
    frame = asking.recent("session_totals", **wanted.params(), **asking.chosen(selection))
    return frame.iloc[0]


def nearest(selection: Selection) -> "pd.Series[Any]":
    """earlier, later: the sessions nearest to the period; NaT where there is none."""
    return asking.recent("nearest_sessions", **asking.chosen(selection)).iloc[0]


def session(transaction_id: int) -> "pd.Series[Any] | None":
    """Everything about one session; None where there is none of this number."""
    frame = asking.live("session", transaction_id=transaction_id)
    return None if frame.empty else frame.iloc[0]


def visit(visit_id: int) -> "pd.Series[Any]":
    """started_at, energy_wh, sessions and transaction_ids of all sessions of one plug-in."""
    return asking.recent("session_visit", visit_id=visit_id).iloc[0]


def neighbours(span: Span) -> tuple[int | None, int | None]:
    """Numbers of the sessions before and after on the same connector."""
    frame = asking.recent(
        "session_neighbours",
        charge_point=span.charge_point,
        connector_id=span.connector_id,
        started_at=span.since,
    )
    earlier, later = frame["earlier"].iloc[0], frame["later"].iloc[0]
    return _number(earlier), _number(later)


def curve(span: Span) -> pd.DataFrame:
    """Columns: at, power_w, soc_percent, voltage_v, current_a, temperature_c, ..."""
    return asking.live("session_curve", width_s=span.width_s, **span.params())


def readings(span: Span) -> pd.DataFrame:
    """Every reading of the session as it was stored, for files."""
    return asking.whole("session_readings", **span.params())


def phases(span: Span) -> pd.DataFrame:
    """Columns: at, measurand (Voltage.L1-N, ...), value."""
    return asking.recent("session_phases", width_s=span.width_s * 2, **span.params())


def gaps(span: Span) -> pd.DataFrame:
    """Columns: started_at, ended_at of stretches without readings."""
    return asking.recent("session_gaps", **span.params())


def statuses(span: Span) -> pd.DataFrame:
    """Columns: at, connector_id, status, error_code."""
    return asking.recent("session_statuses", **span.params())


def postos(span: Span) -> pd.DataFrame:
    """Columns: posto, energy_wh, cost."""
    return asking.recent("session_postos", **span.params())


def frames(span: Span) -> pd.DataFrame:
    """The OCPP messages around the session, in order."""
    return asking.recent("session_frames", **span.params())


def _number(value: Any) -> int | None:
    return None if pd.isna(value) else int(value)
