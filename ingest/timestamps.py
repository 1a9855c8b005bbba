"""The clocks of charge points, read tolerantly. Pure."""

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

# Before it, a clock that was never set. Clocks begin at 2014 and the like too, but the histories of
# readings and transactions that are fed through the websocket reach back to about 2010.
_EARLIEST = datetime(2010, 1, 1, tzinfo=UTC)
EARLIEST_NEWS = datetime(2020, 1, 1, tzinfo=UTC)  # of what tells the present: a status, a report
_AHEAD = timedelta(minutes=5)
_PIECES = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d?):(\d\d):(\d\d)(\.\d+)? ?(?:(Z|[+-])(\d\d?)?(:?\d\d)?)?", re.ASCII
)
_LONGEST_DATE = len("2026-03-01")  # a day is no instant


class Instant(NamedTuple):
    """A moment, and what had to be done to get it.

    Attributes:
        at: In UTC.
        flag: ``"clock"``: the time could not be used and ours stands in; ``"zone"``: it came
            without a zone and the charge point's was assumed; None: taken as sent.
    """

    at: datetime
    flag: str | None = None


def read_instant(
    value: Any, received_at: datetime, zone: tzinfo = UTC, earliest: datetime = _EARLIEST
) -> Instant:
    """Return the instant of a ``timestamp`` field.

    Accepts RFC 3339 with fractions of any length, short offsets, no zone at all. Times before
    ``earliest`` or more than five minutes ahead of ours come from clocks that are not set.
    """
    at = _read(value)
    if at is None:
        return Instant(received_at, "clock")
    flag = None
    if at.tzinfo is None:
        at = _placed(at, zone, received_at)
        flag = "zone"
    if not earliest <= at <= received_at + _AHEAD:
        return Instant(received_at, "clock")
    return Instant(at if at.tzinfo is UTC else at.astimezone(UTC), flag)


def read_zone(name: str) -> tzinfo | None:
    """Return the time zone of this name; None: there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return None


def _placed(at: datetime, zone: tzinfo, received_at: datetime) -> datetime:
    """Return the local time in its zone; of an hour that comes twice, the one nearer to now."""
    first, second = at.replace(tzinfo=zone), at.replace(tzinfo=zone, fold=1)
    if first.utcoffset() == second.utcoffset():
        return first
    both = (first.astimezone(UTC), second.astimezone(UTC))
    return min(both, key=lambda candidate: abs(candidate - received_at))


def wire_time(at: datetime) -> str:
    """Return the form every charge point reads: ``YYYY-MM-DDTHH:MM:SS.mmmZ``."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def _read(value: Any) -> datetime | None:
    if not isinstance(value, str) or len(value) <= _LONGEST_DATE:
        return None
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return _read_oddly(value)


def _read_oddly(value: str) -> datetime | None:
    """Read blanks, a lower-case z, UTC or GMT in its place, and what ``_read_piecewise`` can."""
    text = value.strip().upper().replace("UTC", "Z").replace("GMT", "Z").replace(" Z", "Z")
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return _read_piecewise(text)


def _read_piecewise(text: str) -> datetime | None:
    """Read 24:00:00, a leap second, hours of one digit; None: it is no time."""
    if (found := _PIECES.fullmatch(text)) is None:
        return None
    day, hour, minute, second, fraction, sign, offset, rest = found.groups("")
    within = timedelta(hours=int(hour), minutes=int(minute), seconds=int(second))
    if within > timedelta(days=1) or int(minute) > 59 or int(second) > 60:
        return None
    zone = f"{sign}{offset.zfill(2)}{rest}" if offset else sign
    try:
        return datetime.fromisoformat(f"{day}T00:00:00{fraction}{zone}") + within
    except (ValueError, OverflowError):
        return None
