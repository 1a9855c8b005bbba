"""Local days, as instants."""

from datetime import date, datetime, time, timedelta

from flows.scope import LOCAL


def bounds(day: date) -> tuple[datetime, datetime]:
    """Return the instants at which a local day begins and ends."""
    return midnight(day), midnight(day + timedelta(days=1))


def midnight(day: date) -> datetime:
    return datetime.combine(day, time(), LOCAL)
