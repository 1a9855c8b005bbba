"""The clocks of charge points, read tolerantly. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

_EARLIEST = datetime(2020, 1, 1, tzinfo=UTC)  # before it: a clock that was never set
_AHEAD = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Instant:
    """A moment, and what had to be done to get it.

    Attributes:
        at: Timezone-aware, UTC or the sender's offset.
        flag: ``"clock"``: the time could not be used and ours stands in; ``"zone"``: it came
            without a zone and the charge point's was assumed; None: taken as sent.
    """

    at: datetime
    flag: str | None = None


def read_instant(value: Any, received_at: datetime, zone: tzinfo = UTC) -> Instant:
    """Return the instant of a ``timestamp`` field.

    Accepts RFC 3339 with fractions of any length, short offsets, no zone at all. Times before
    2020 or more than five minutes ahead of ours come from clocks that are not set.
    """
    try:
        at = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        at_or_none = _read_oddly(value)
        if at_or_none is None:
            return Instant(received_at, "clock")
        at = at_or_none
    flag = None
    if at.tzinfo is None:
        at = at.replace(tzinfo=zone)
        flag = "zone"
    if not _EARLIEST <= at <= received_at + _AHEAD:
        return Instant(received_at, "clock")
    return Instant(at, flag)


def wire_time(at: datetime) -> str:
    """Return the form every charge point reads: ``YYYY-MM-DDTHH:MM:SS.mmmZ``."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _read_oddly(value: Any) -> datetime | None:
    """Read blanks around, a lower-case z, a blank before the offset; None: it is no time."""
    if not isinstance(value, str):
        return None
    text = value.strip().upper().replace(" +", "+").replace(" Z", "Z")
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
