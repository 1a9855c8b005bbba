"""What the reader chose: period, charge points, language. All of it lives in the URL."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from dashboard.formats import ZONE


@dataclass(frozen=True, slots=True)
class Period:
    """Whole local days, both included."""

    first: date
    last: date

    @property
    def since(self) -> datetime:
        return _midnight(self.first)

    @property
    def until(self) -> datetime:
        """The midnight that ends the last day; outside the period."""
        return _midnight(self.last + timedelta(days=1))

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    def before(self) -> "Period":
        """The period of equal length that ends where this one begins."""
        return Period(self.first - timedelta(days=self.days), self.first - timedelta(days=1))


@dataclass(frozen=True, slots=True)
class Selection:
    """Attributes:
    charge_points: Identities; None means all of them.
    """

    period: Period
    charge_points: list[str] | None

    def before(self) -> "Selection":
        return Selection(self.period.before(), self.charge_points)


def today() -> date:
    return datetime.now(ZONE).date()


def presets(on: date) -> dict[str, Period]:
    """The periods offered by name."""
    return {
        "today": Period(on, on),
        "week": Period(on - timedelta(days=6), on),
        "month": Period(on - timedelta(days=29), on),
        "calendar_month": Period(on.replace(day=1), on),
        "year": Period(on - timedelta(days=364), on),
    }


def ordered(first: date, last: date) -> tuple[Period, bool]:
    """The period between two days in either order, and whether they were reversed."""
    reversed_ = last < first
    return (Period(last, first) if reversed_ else Period(first, last)), reversed_


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), ZONE).astimezone(UTC)
