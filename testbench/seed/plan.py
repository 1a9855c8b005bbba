"""What a seeded network did: pure, and the same for the same arguments."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from random import Random
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("America/Sao_Paulo")
_BUS_WH = 250_000.0
_TAPER_FROM = 80.0


@dataclass(frozen=True, slots=True)
class Plan:
    """Attributes:
    until: The present; nothing is seeded after it.
    days: How many days of sessions and aggregates.
    raw_days: How many of them, the newest, with readings and frames.
    sample_s: Seconds between readings.
    """

    until: datetime
    charge_points: int = 3
    days: int = 30
    raw_days: int = 30
    sample_s: int = 60
    seed: int = 16


@dataclass(frozen=True, slots=True)
class Reading:
    at: datetime
    energy_wh: float
    power_w: float
    current_a: float
    voltage_v: float
    soc_percent: float | None
    temperature_c: float


@dataclass(slots=True)
class Session:
    transaction_id: int
    charge_point_id: int
    connector_id: int
    id_tag: str
    started_at: datetime
    ended_at: datetime
    unplugged_at: datetime | None
    is_open: bool
    meter_start_wh: float
    readings: list[Reading] = field(default_factory=list)
    gap: tuple[datetime, datetime] | None = None

    @property
    def energy_wh(self) -> float:
        return self.readings[-1].energy_wh - self.meter_start_wh

    @property
    def stored(self) -> list[Reading]:
        """The readings that reached the database: those of the gap did not."""
        if self.gap is None:
            return self.readings
        first, last = self.gap
        return [reading for reading in self.readings if not first < reading.at < last]


@dataclass(frozen=True, slots=True)
class Outage:
    charge_point_id: int
    connector_id: int
    state: str
    error_code: str | None
    started_at: datetime
    ended_at: datetime | None


@dataclass(slots=True)
class ChargePoint:
    charge_point_id: int
    identity: str
    name: str
    site: str
    latitude: float
    longitude: float
    sessions: list[Session] = field(default_factory=list)
    outages: list[Outage] = field(default_factory=list)


# Belém, around the campus.
_SITES = (
    ("Campus Guamá", -1.4756, -48.4560),
    ("Terminal Marambaia", -1.3978, -48.4420),
    ("Garagem Icoaraci", -1.3016, -48.4812),
    ("São Brás", -1.4523, -48.4707),
)


def charge_points(plan: Plan) -> Iterator[ChargePoint]:
    """The network, one charge point after the other."""
    for number in range(1, plan.charge_points + 1):
        yield _charge_point(plan, number)


def is_dc(connector_id: int) -> bool:
    return connector_id == 1


def _charge_point(plan: Plan, number: int) -> ChargePoint:
    random = Random(f"{plan.seed}/{number}")
    site, latitude, longitude = _SITES[(number - 1) % len(_SITES)]
    made = ChargePoint(
        number,
        f"TERRA54-{number:04d}",
        f"Eletroposto {number:02d}",
        site,
        latitude + random.uniform(-0.004, 0.004),
        longitude + random.uniform(-0.004, 0.004),
    )
    meters = {1: 120_000.0 * number, 2: 40_000.0 * number}
    first_day = plan.until.astimezone(ZONE).date() - timedelta(days=plan.days - 1)
    for index in range(plan.days):
        _live_day(plan, made, first_day + timedelta(days=index), meters, random)
    _be_now(plan, made, meters, random)
    made.sessions.sort(key=lambda session: session.started_at)
    return made


def _live_day(
    plan: Plan, made: ChargePoint, day: date, meters: dict[int, float], random: Random
) -> None:
    """Nights charge the bus, noons a car or two, afternoons see the faults."""
    weekend = day.weekday() >= 5
    slots = [(1, 0.4, 4.6, 0.9 if not weekend else 0.5), (1, 11.5, 1.6, 0.5), (2, 16.0, 2.8, 0.45)]
    for connector_id, hour, hours, chance in slots:
        start = _at(day, hour) + timedelta(minutes=random.randint(0, 40))
        length = timedelta(hours=hours * random.uniform(0.55, 1.0))
        happens = random.random() < chance
        if happens and start + length + timedelta(hours=1) < plan.until - timedelta(hours=2):
            made.sessions.append(
                _session(plan, made, connector_id, start, start + length, meters, random)
            )
    outage = _outage(made, day, random)
    if outage and outage.ended_at and outage.ended_at < plan.until - timedelta(hours=2):
        made.outages.append(outage)


def _outage(made: ChargePoint, day: date, random: Random) -> Outage | None:
    draw = random.random()
    start = _at(day, 20.6) + timedelta(minutes=random.randint(0, 30))
    end = start + timedelta(minutes=random.randint(8, 170))
    if draw < 0.06:
        error = random.choice(["GroundFailure", "HighTemperature", "PowerMeterFailure"])
        return Outage(made.charge_point_id, 1, "Faulted", error, start, end)
    if draw < 0.12:
        return Outage(made.charge_point_id, 0, "offline", None, start, end)
    return None


def _be_now(plan: Plan, made: ChargePoint, meters: dict[int, float], random: Random) -> None:
    """The first charges at this moment, the third lost its connection, the fourth is faulted."""
    if made.charge_point_id % 5 == 1:
        start = plan.until - timedelta(minutes=70)
        session = _session(plan, made, 1, start, plan.until, meters, random)
        session.is_open, session.unplugged_at = True, None
        made.sessions.append(session)
    if made.charge_point_id % 5 == 3:
        made.outages.append(
            Outage(
                made.charge_point_id, 0, "offline", None, plan.until - timedelta(minutes=40), None
            )
        )
    if made.charge_point_id % 5 == 4:
        start = plan.until - timedelta(minutes=95)
        made.outages.append(
            Outage(made.charge_point_id, 1, "Faulted", "GroundFailure", start, None)
        )


def _session(
    plan: Plan,
    made: ChargePoint,
    connector_id: int,
    start: datetime,
    end: datetime,
    meters: dict[int, float],
    random: Random,
) -> Session:
    start, end = start.replace(microsecond=0), end.replace(microsecond=0)
    number = made.charge_point_id * 100_000 + len(made.sessions) + 1
    session = Session(
        number,
        made.charge_point_id,
        connector_id,
        random.choice(_TAGS),
        start,
        end,
        end + timedelta(minutes=random.choice([2, 3, 5, 8, 55])),
        False,
        meters[connector_id],
    )
    raw = start >= plan.until - timedelta(days=plan.raw_days)
    step = plan.sample_s if raw else 900
    charge = _dc(random) if is_dc(connector_id) else _ac(random)
    session.readings = list(_readings(session, step, charge, random))
    meters[connector_id] = session.readings[-1].energy_wh
    if raw and random.random() < 0.12:
        third = (end - start) / 3
        session.gap = (start + third, start + third + timedelta(minutes=17))
    return session


_TAGS = ("UFPA-BUS-01", "UFPA-BUS-02", "3F2A90C1", "C0FFEE42", "04A1B2C3D4")


@dataclass(slots=True)
class _Charge:
    """A vehicle that takes ``limit_w`` until 80 %, then less and less."""

    limit_w: float
    soc_percent: float | None
    pack_wh: float

    def power_w(self) -> float:
        soc = self.soc_percent
        if soc is None or soc < _TAPER_FROM:
            return self.limit_w
        return max(self.limit_w * (1 - (soc - _TAPER_FROM) / 22), 0.0)

    def take(self, energy_wh: float) -> None:
        if self.soc_percent is not None:
            self.soc_percent = min(self.soc_percent + energy_wh / self.pack_wh * 100, 100.0)


def _dc(random: Random) -> _Charge:
    return _Charge(random.uniform(43_000, 49_500), random.uniform(18, 45), _BUS_WH)


def _ac(random: Random) -> _Charge:
    return _Charge(random.uniform(6_800, 21_500), None, 60_000.0)


def _readings(session: Session, step: int, charge: _Charge, random: Random) -> Iterator[Reading]:
    at, energy = session.started_at, session.meter_start_wh
    dc = is_dc(session.connector_id)
    while True:
        power = charge.power_w() * random.uniform(0.985, 1.0)
        voltage = 610 + 1.1 * (charge.soc_percent or 0) if dc else 220 + random.uniform(-2, 2)
        warm = 27 + 11 * power / 50_000 + random.uniform(-0.4, 0.4)
        soc = None if charge.soc_percent is None else round(charge.soc_percent)
        yield Reading(at, round(energy, 1), power, power / voltage, voltage, soc, warm)
        if at >= session.ended_at:
            return
        following = min(at + timedelta(seconds=step), session.ended_at)
        gained = power * (following - at).total_seconds() / 3600
        energy += gained
        charge.take(gained)
        at = following


def _at(day: date, hour: float) -> datetime:
    return datetime.combine(day, time(), ZONE) + timedelta(hours=hour)
