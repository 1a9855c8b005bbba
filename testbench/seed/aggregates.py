"""The aggregates of a seeded network, worked out from its sessions; what flows would find."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from testbench.seed.plan import ZONE, ChargePoint, Plan, Session, is_dc

QUARTER = timedelta(minutes=15)
PRICES = {"ponta": 1.62, "intermediario": 1.04, "fora_ponta": 0.68}
GRACE = {True: timedelta(minutes=10), False: timedelta(minutes=30)}
_DOWN = {"Faulted", "Unavailable", "offline"}
_PLUGGED = {"Preparing", "Charging", "SuspendedEV", "SuspendedEVSE", "Finishing"}


@dataclass(frozen=True, slots=True)
class Interval:
    started_at: datetime
    ended_at: datetime
    state: str
    error_code: str | None = None


@dataclass(slots=True)
class Bucket:
    energy_wh: float = 0.0
    charging_s: float = 0.0
    max_power_w: float = 0.0


@dataclass(slots=True)
class Day:
    """A connector's consumption of one day."""

    energy_wh: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PRICES, 0.0))
    charging_s: float = 0.0
    peak_w: float = 0.0
    peak_at: datetime | None = None
    sessions: int = 0
    idle_s: float = 0.0


def posto(at: datetime) -> str:
    """The tariff period of a quarter of an hour; weekends are outside the peak throughout."""
    local = at.astimezone(ZONE)
    if local.weekday() >= 5 or not 17 <= local.hour < 22:
        return "fora_ponta"
    return "ponta" if 18 <= local.hour < 21 else "intermediario"


def buckets(session: Session) -> dict[datetime, Bucket]:
    """Energy of a session in quarters of an hour, split where readings straddle an edge."""
    found: dict[datetime, Bucket] = defaultdict(Bucket)
    for before, after in zip(session.readings, session.readings[1:], strict=False):
        whole = (after.at - before.at).total_seconds()
        for start, part in _split(before.at, after.at):
            bucket = found[start]
            bucket.energy_wh += (after.energy_wh - before.energy_wh) * part / whole
            bucket.charging_s += part if before.power_w > 50 else 0
            bucket.max_power_w = max(bucket.max_power_w, before.power_w)
    return dict(found)


def idle(session: Session) -> timedelta:
    """Time plugged in beyond the grace after the end."""
    if session.unplugged_at is None:
        return timedelta()
    over = session.unplugged_at - session.ended_at - GRACE[is_dc(session.connector_id)]
    return max(over, timedelta())


def integral_wh(session: Session) -> float:
    """Trapezoid over the power of the stored readings, gaps above 5 minutes left out."""
    total = 0.0
    for before, after in zip(session.stored, session.stored[1:], strict=False):
        seconds = (after.at - before.at).total_seconds()
        if seconds <= 300 or session.gap is None:
            total += (before.power_w + after.power_w) / 2 * seconds / 3600
    return total


def consumption(made: ChargePoint) -> dict[tuple[date, int], Day]:
    """Consumption by day and connector."""
    days: dict[tuple[date, int], Day] = defaultdict(Day)
    for session in made.sessions:
        began = days[session.started_at.astimezone(ZONE).date(), session.connector_id]
        began.sessions += 1
        began.idle_s += idle(session).total_seconds()
        for start, bucket in buckets(session).items():
            day = days[start.astimezone(ZONE).date(), session.connector_id]
            day.energy_wh[posto(start)] += bucket.energy_wh
            day.charging_s += bucket.charging_s
            if bucket.energy_wh * 4 > day.peak_w:
                day.peak_w, day.peak_at = bucket.energy_wh * 4, start
    return dict(days)


def states(plan: Plan, made: ChargePoint, connector_id: int) -> list[Interval]:
    """The states of a connector from the first midnight until now, without holes."""
    first = _midnight(plan.until) - timedelta(days=plan.days - 1)
    now = plan.until.replace(microsecond=0)
    timeline: list[Interval] = []
    at = first
    for busy in sorted(_busy(made, connector_id, now), key=lambda item: item.started_at):
        if busy.started_at > at:
            timeline.append(Interval(at, busy.started_at, "Available"))
        timeline.append(busy)
        at = busy.ended_at
    if at < now:
        timeline.append(Interval(at, now, "Available"))
    return [interval for interval in timeline if interval.ended_at > interval.started_at]


def cut_at_midnight(intervals: list[Interval]) -> Iterator[tuple[date, Interval]]:
    for interval in intervals:
        at = interval.started_at
        while at < interval.ended_at:
            end = min(_midnight(at) + timedelta(days=1), interval.ended_at)
            part = Interval(at, end, interval.state, interval.error_code)
            yield at.astimezone(ZONE).date(), part
            at = end


def seconds_by_state(intervals: list[Interval]) -> dict[date, dict[str, float]]:
    days: dict[date, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for day, part in cut_at_midnight(intervals):
        days[day][part.state] += (part.ended_at - part.started_at).total_seconds()
    return days


def down_s(seconds: dict[str, float]) -> float:
    return sum(value for state, value in seconds.items() if state in _DOWN)


def plugged_s(seconds: dict[str, float]) -> float:
    return sum(value for state, value in seconds.items() if state in _PLUGGED)


def _busy(made: ChargePoint, connector_id: int, now: datetime) -> Iterator[Interval]:
    for session in made.sessions:
        if session.connector_id == connector_id:
            start, end = session.started_at, session.ended_at
            yield Interval(start - timedelta(seconds=40), start, "Preparing")
            yield Interval(start, now if session.is_open else end, "Charging")
            if session.unplugged_at:
                yield Interval(end, session.unplugged_at, "Finishing")
    for outage in made.outages:
        if outage.connector_id in (0, connector_id):
            end = outage.ended_at or now
            yield Interval(outage.started_at, end, outage.state, outage.error_code)


def _split(first: datetime, last: datetime) -> Iterator[tuple[datetime, float]]:
    at = first
    while at < last:
        start = _quarter(at)
        end = min(start + QUARTER, last)
        yield start, (end - at).total_seconds()
        at = end


def _quarter(at: datetime) -> datetime:
    return at.replace(minute=at.minute // 15 * 15, second=0, microsecond=0)


def _midnight(at: datetime) -> datetime:
    local = at.astimezone(ZONE)
    return local.replace(hour=0, minute=0, second=0, microsecond=0)
