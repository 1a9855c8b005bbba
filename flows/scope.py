"""What a run is asked to look at: all that is new, or a window of time."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from flows.database import Connection, ask

LOCAL = ZoneInfo("America/Sao_Paulo")


class ScopeError(ValueError):
    """The window or a charge point makes no sense; the message says which."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The parameters every flow has.

    Attributes:
        start: With ``end``, a window to compute anew; without both, what is new since last time.
        charge_points: Identities; empty: all.
        dry_run: Compute, report, and keep nothing.
        force: Without a window, also what did not change: everything since the beginning.
    """

    start: datetime | None = None
    end: datetime | None = None
    charge_points: Sequence[str] = field(default_factory=tuple)
    dry_run: bool = False
    force: bool = False

    @classmethod
    def read(
        cls,
        start: datetime | None,
        end: datetime | None,
        charge_points: Sequence[str] | None,
        dry_run: bool,
        force: bool,
    ) -> "Scope":
        """Take a run's parameters; times without a zone are local.

        Raises:
            ScopeError: If only one end is given, or the window is empty or inverted.
        """
        if (start is None) != (end is None):
            raise ScopeError("a window needs both start and end")
        start, end = _aware(start), _aware(end)
        if start is not None and end is not None and start >= end:
            raise ScopeError(f"the window is empty: start {start} is not before end {end}")
        return cls(start, end, tuple(charge_points or ()), dry_run, force)

    @property
    def is_incremental(self) -> bool:
        return self.start is None

    def as_parameters(self) -> dict[str, Any]:
        """Return what is recorded of the run."""
        return {
            "start": self.start and self.start.isoformat(),
            "end": self.end and self.end.isoformat(),
            "charge_points": list(self.charge_points),
            "dry_run": self.dry_run,
            "force": self.force,
        }


def _aware(at: datetime | None) -> datetime | None:
    return at.replace(tzinfo=LOCAL) if at is not None and at.tzinfo is None else at


def read_moment(text: str) -> datetime:
    """Read ``2026-11-22`` or ``2026-11-22T10:00``, local unless it has a zone."""
    try:
        return datetime.combine(date.fromisoformat(text), time(), LOCAL)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ScopeError(f"not a date or time: {text!r}") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=LOCAL)


def charge_point_ids(conn: Connection, scope: Scope) -> list[int] | None:
    """Return the numbers of the charge points asked for; None: all.

    Raises:
        ScopeError: If one of them is unknown.
    """
    if not scope.charge_points:
        return None
    rows = ask(conn, "charge_point_numbers", identities=list(scope.charge_points))
    known = {row["identity"]: row["charge_point_id"] for row in rows}
    unknown = [identity for identity in scope.charge_points if identity not in known]
    if unknown:
        raise ScopeError(f"no such charge point: {', '.join(map(repr, unknown))}")
    return list(known.values())
