"""The small network of the demo, and what usually happens at each of its charge points."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from testbench.bus import Outlet
from testbench.charge_point import Nameplate


@dataclass(frozen=True, slots=True)
class Planned:
    """One session to come. A bus has ``soc_percent``, a car ``wanted_wh``.

    Attributes:
        interval_s: The least time between two readings.
        idle_s: How long the vehicle stays once it is full.
        leave_s: From the end of the transaction to pulling the plug.
    """

    starts_at: datetime
    duration_s: float
    id_tag: str
    connector_id: int = 1
    soc_percent: float = 0.0
    wanted_wh: float = 0.0
    ambient_c: float = 27.0
    interval_s: float = 10.0
    idle_s: float = 900.0
    leave_s: float = 240.0
    reason: str = "Local"

    @property
    def latest_end(self) -> datetime:
        return self.starts_at + timedelta(seconds=self.duration_s + self.leave_s + 60)


@dataclass(frozen=True, slots=True)
class Fault:
    """A connector out of order; NoError means it was taken out of service on purpose."""

    starts_at: datetime
    duration_s: float
    error_code: str
    info: str
    connector_id: int = 1

    @property
    def latest_end(self) -> datetime:
        return self.starts_at + timedelta(seconds=self.duration_s)


Pattern = Callable[[datetime, random.Random], Iterator[Planned | Fault]]


@dataclass(frozen=True, slots=True)
class Site:
    """A charge point, its days and its drivers, who charge nowhere else.

    ``pattern`` is given the midnight of a day and its chance.
    """

    charge_point_id: str
    nameplate: Nameplate
    pattern: Pattern
    id_tags: tuple[str, ...]


def _hours(draw: random.Random, fewest: float, most: float) -> float:
    return draw.uniform(fewest, most) * 3600


def _is_weekend(midnight: datetime) -> bool:
    # Midnight in the zone of the network is some hours past midnight in UTC, the same day.
    return midnight.weekday() >= 5


def _bench(midnight: datetime, draw: random.Random) -> Iterator[Planned | Fault]:
    """The test bench: one bus every evening, and on some days one at dawn."""
    ambient_c = draw.uniform(24.0, 33.0) + (6.0 if draw.random() < 0.12 else 0.0)
    if draw.random() < 0.2:
        yield Planned(
            midnight + timedelta(seconds=_hours(draw, 4.5, 5.5)),
            _hours(draw, 1.5, 3.0),
            "BUS-4",
            soc_percent=draw.uniform(35, 55),
            ambient_c=ambient_c - 4,
        )
    yield Planned(
        midnight + timedelta(hours=17.5, seconds=draw.gauss(0, 1200)),
        _hours(draw, 3.0, 7.0),
        "BUS-1",
        soc_percent=draw.uniform(12, 34),
        ambient_c=ambient_c,
        idle_s=_hours(draw, 0.2, 0.8),
        reason="Remote" if draw.random() < 0.1 else "Local",
    )


def _depot(midnight: datetime, draw: random.Random) -> Iterator[Planned | Fault]:
    """A depot: two short charges on working days, a fault now and then, power cuts."""
    if _is_weekend(midnight):
        return
    for hour in (6.0, 12.5):
        yield Planned(
            midnight + timedelta(hours=hour, seconds=draw.gauss(0, 900)),
            _hours(draw, 0.6, 1.4),
            draw.choice(("BUS-2", "BUS-3")),
            soc_percent=draw.uniform(30, 70),
            ambient_c=draw.uniform(25, 38),
            reason="PowerLoss" if draw.random() < 0.07 else "Local",
        )
    if midnight.toordinal() % 11 == 4:
        code, info = draw.choice(
            (("PowerSwitchFailure", "contactor welded"), ("HighTemperature", "cabinet 68 C"))
        )
        yield Fault(midnight + timedelta(hours=15), _hours(draw, 5, 13), code, info)


def _campus(midnight: datetime, draw: random.Random) -> Iterator[Planned | Fault]:
    """A car park on campus: cars at 22 kW, mostly on working days."""
    hour = draw.uniform(7.0, 9.0)
    for _ in range(draw.choice((0, 1)) if _is_weekend(midnight) else draw.choice((1, 2, 3))):
        duration_s = _hours(draw, 0.8, 2.8)
        yield _car(midnight + timedelta(hours=hour), duration_s, ("CAR-1", "CAR-2"), draw)
        hour += duration_s / 3600 + draw.uniform(0.5, 2.0)


def _library(midnight: datetime, draw: random.Random) -> Iterator[Planned | Fault]:
    """A lonely socket: a car every other day, now and then out of service for a night."""
    if midnight.toordinal() % 13 == 6:
        yield Fault(midnight + timedelta(hours=1), _hours(draw, 3, 6), "NoError", "maintenance")
    if draw.random() < 0.45:
        starts_at = midnight + timedelta(hours=draw.uniform(9, 19))
        yield _car(starts_at, _hours(draw, 1, 3), ("CAR-3", "CAR-4"), draw)


def _car(
    starts_at: datetime, duration_s: float, id_tags: tuple[str, ...], draw: random.Random
) -> Planned:
    return Planned(
        starts_at,
        duration_s,
        draw.choice(id_tags),
        wanted_wh=draw.uniform(7_000, 45_000),
        interval_s=60.0,
        idle_s=_hours(draw, 0.1, 1.5),
        reason=draw.choice(("Local", "Local", "EVDisconnected")),
    )


def _type_2(serial_number: str) -> Nameplate:
    outlet = Outlet(22_000.0, 32.0, phases=3)
    return Nameplate((outlet,), model="Terra AC W22", serial_number=serial_number)


SITES = (
    Site("BENCH-1", Nameplate(serial_number="T54-0001"), _bench, ("BUS-1", "BUS-4")),
    Site("DEPOT-1", Nameplate(serial_number="T54-0002"), _depot, ("BUS-2", "BUS-3")),
    Site("CAMPUS-1", _type_2("TAC-0101"), _campus, ("CAR-1", "CAR-2")),
    Site("CAMPUS-2", _type_2("TAC-0102"), _library, ("CAR-3", "CAR-4")),
)
ID_TAGS = tuple(sorted(id_tag for site in SITES for id_tag in site.id_tags))
