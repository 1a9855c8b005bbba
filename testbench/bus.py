"""The physics of a charge: what an electric bus draws from a Terra 54, without any I/O.

The curve is that of a depot charge on 50 kW direct current: an insulation test without current,
a ramp, a plateau of constant power on which the voltage rises and the current falls, and from
about 92 % a taper at constant voltage. Between two steps power is a straight line, and the energy
is the exact integral of that line.
"""

import math
import random
from dataclasses import dataclass
from typing import Protocol

# Share of the rated power by the air around the charge point (the upper ends, in degrees Celsius).
_DERATING = ((35.0, 1.0), (40.0, 0.9), (45.0, 0.85), (50.0, 0.75), (math.inf, 0.65))

_WARMING_K = 16.0  # at full power
_WARMING_S = 1800.0  # time constant


@dataclass(frozen=True, slots=True)
class Reading:
    """What the meter, the outlet and the vehicle say at one instant.

    Attributes:
        energy_wh: Delivered since the charge began.
        soc_percent: A whole number, as vehicles tell it; None while the vehicle says nothing.
        phases: 0 for direct current; otherwise current and voltage are those of one phase.
    """

    power_w: float
    current_a: float
    voltage_v: float
    soc_percent: int | None
    temperature_c: float
    energy_wh: float
    current_offered_a: float
    power_offered_w: float
    phases: int = 0


@dataclass(frozen=True, slots=True)
class Outlet:
    """The limits of one connector. ``phases`` is 0 for direct current."""

    rated_power_w: float = 50_000.0
    max_current_a: float = 125.0
    phases: int = 0


@dataclass(frozen=True, slots=True)
class Bus:
    """An electric bus with its pack. ``voltage_v`` is that at 20 % state of charge."""

    capacity_wh: float = 300_000.0
    voltage_v: float = 600.0
    voltage_rise: float = 0.08  # from 20 to 95 %
    plateau_power_w: float = 47_000.0
    taper_soc_percent: float = 92.0
    insulation_s: float = 20.0
    ramp_s: float = 20.0
    charge_efficiency: float = 0.97

    @classmethod
    def drawn(cls, seed: int | str) -> "Bus":
        """Return one bus of the fleet; the same seed is the same bus."""
        draw = random.Random(f"bus {seed}")
        return cls(
            capacity_wh=draw.choice((250_000.0, 300_000.0, 324_000.0, 350_000.0)),
            voltage_v=draw.uniform(580.0, 630.0),
            voltage_rise=draw.uniform(0.05, 0.10),
            plateau_power_w=draw.uniform(46_000.0, 48_500.0),
            taper_soc_percent=draw.uniform(91.0, 94.0),
            insulation_s=draw.uniform(12.0, 30.0),
            ramp_s=draw.uniform(10.0, 30.0),
        )

    def voltage_at(self, soc_percent: float) -> float:
        """Return the terminal voltage, which no longer rises once the taper begins."""
        soc = min(soc_percent, self.taper_soc_percent)
        return self.voltage_v * (1 + self.voltage_rise * (soc - 20) / 75)

    def taper_at(self, soc_percent: float) -> float:
        """Return the share of the plateau's power; linear in charge is exponential in time."""
        end = 100.4
        return min(1.0, max(0.0, (end - soc_percent) / (end - self.taper_soc_percent)))


class Charge(Protocol):
    """A vehicle that takes energy from an outlet."""

    @property
    def is_full(self) -> bool: ...

    def advance(self, seconds: float, limit_w: float | None = None) -> Reading:
        """Let ``seconds`` pass at no more than ``limit_w``, then return the reading."""
        ...


def derated(outlet: Outlet, ambient_c: float) -> float:
    """Return the power an outlet offers in air of ``ambient_c``, in watts."""
    share = next(share for upper, share in _DERATING if ambient_c <= upper)
    return outlet.rated_power_w * share


class BusCharge:
    """One bus at one direct-current outlet, from plugging in to full."""

    def __init__(
        self,
        bus: Bus,
        outlet: Outlet,
        soc_percent: float,
        *,
        ambient_c: float = 28.0,
        seed: int | str = 0,
    ) -> None:
        self._bus = bus
        self._outlet = outlet
        self._offered_w = derated(outlet, ambient_c)
        self._ambient_c = ambient_c
        self._random = random.Random(f"charge {seed}")
        self._elapsed_s = 0.0
        self._power_w = 0.0
        self._energy_wh = 0.0
        self._temperature_c = ambient_c
        self.soc_percent = soc_percent

    @property
    def is_full(self) -> bool:
        return self._bus.taper_at(self.soc_percent) <= 0.06

    def advance(self, seconds: float, limit_w: float | None = None) -> Reading:
        left = seconds
        while left > 1e-9:
            step = min(left, self._longest_step())
            self._step(step, math.inf if limit_w is None else limit_w)
            left -= step
        return self._reading(limit_w)

    def _longest_step(self) -> float:
        """Return 1 s while power changes quickly, else the 10 s of the bench."""
        started_s = self._bus.insulation_s + self._bus.ramp_s
        return 1.0 if self._elapsed_s < started_s + 1 else 10.0

    def _step(self, seconds: float, limit_w: float) -> None:
        self._elapsed_s += seconds
        before_w, self._power_w = self._power_w, self._target_w(limit_w)
        energy_wh = (before_w + self._power_w) / 2 * seconds / 3600
        self._energy_wh += energy_wh
        stored = energy_wh * self._bus.charge_efficiency / self._bus.capacity_wh
        self.soc_percent = min(100.0, self.soc_percent + 100 * stored)
        goal_c = self._ambient_c + _WARMING_K * self._power_w / 50_000
        self._temperature_c += (goal_c - self._temperature_c) * -math.expm1(-seconds / _WARMING_S)

    def _target_w(self, limit_w: float) -> float:
        bus = self._bus
        charging_s = self._elapsed_s - bus.insulation_s
        if charging_s <= 0 or self.is_full:
            return 0.0
        ramp = min(1.0, charging_s / bus.ramp_s)
        wanted_w = bus.plateau_power_w * self._random.uniform(0.997, 1.003)
        largest_w = self._outlet.max_current_a * bus.voltage_at(self.soc_percent)
        power_w = min(wanted_w, largest_w, self._offered_w) * bus.taper_at(self.soc_percent)
        return min(power_w * ramp, limit_w)

    def _reading(self, limit_w: float | None) -> Reading:
        voltage_v = self._bus.voltage_at(self.soc_percent)
        offered_w = self._offered_w if limit_w is None else min(self._offered_w, limit_w)
        talks = self._elapsed_s > self._bus.insulation_s
        return Reading(
            power_w=self._power_w,
            current_a=self._power_w / voltage_v,
            voltage_v=voltage_v,
            soc_percent=int(self.soc_percent) if talks else None,
            temperature_c=self._temperature_c,
            energy_wh=self._energy_wh,
            current_offered_a=min(self._outlet.max_current_a, offered_w / voltage_v),
            power_offered_w=offered_w,
        )


class CarCharge:
    """A car at an alternating-current outlet: constant power, and it never tells its charge."""

    def __init__(
        self, outlet: Outlet, wanted_wh: float, *, ambient_c: float = 28.0, seed: int | str = 0
    ) -> None:
        self._outlet = outlet
        self._wanted_wh = wanted_wh
        self._temperature_c = ambient_c
        self._random = random.Random(f"charge {seed}")
        self._voltage_v = self._random.uniform(218.0, 228.0)
        self._power_w = 0.0
        self._energy_wh = 0.0

    @property
    def is_full(self) -> bool:
        return self._energy_wh >= self._wanted_wh

    def advance(self, seconds: float, limit_w: float | None = None) -> Reading:
        limit_w = math.inf if limit_w is None else limit_w
        largest_w = self._outlet.max_current_a * self._voltage_v * self._outlet.phases
        offered_w = min(self._outlet.rated_power_w, largest_w, limit_w)
        before_w = self._power_w
        self._power_w = 0.0 if self.is_full else offered_w * self._random.uniform(0.985, 1.0)
        self._energy_wh += (before_w + self._power_w) / 2 * seconds / 3600
        return Reading(
            power_w=self._power_w,
            current_a=self._power_w / self._outlet.phases / self._voltage_v,
            voltage_v=self._voltage_v,
            soc_percent=None,
            temperature_c=self._temperature_c,
            energy_wh=self._energy_wh,
            current_offered_a=offered_w / self._outlet.phases / self._voltage_v,
            power_offered_w=offered_w,
            phases=self._outlet.phases,
        )
