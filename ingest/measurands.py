"""Where the value of a sampledValue goes, by its labels: column or name, unit, context. Pure.

The labels of a charge point repeat for ever, so each set of them is judged once. Sections 7.31 to
7.45 of OCPP 1.6 have the words and the defaults.
"""

from dataclasses import dataclass, replace
from typing import Any

from ingest.fields import choose_or_keep, read_key

COLUMNS = (
    "energy_wh",
    "power_w",
    "current_a",
    "voltage_v",
    "soc_percent",
    "temperature_c",
    "current_offered_a",
    "power_offered_w",
)
CONTEXTS = (
    "Sample.Periodic",
    "Sample.Clock",
    "Transaction.Begin",
    "Transaction.End",
    "Interruption.Begin",
    "Interruption.End",
    "Trigger",
    "Other",
)
ENERGY, _POWER, _SOC, _POWER_OFFERED = 0, 1, 4, 7
# What may be the sum of its phases; voltage and current never.
SUMMED = {
    column: tuple(f"{measurand}.{phase}" for phase in ("L1", "L2", "L3"))
    for column, measurand in (
        (ENERGY, "Energy.Active.Import.Register"),
        (_POWER, "Power.Active.Import"),
        (_POWER_OFFERED, "Power.Offered"),
    )
}
_PARTS = {name for names in SUMMED.values() for name in names}
# Quantities of a line, which has no other way than to the neutral: L1-N says no more than L1.
_OF_A_LINE = ("Current", "Power", "Energy")

_COLUMN = {
    "Energy.Active.Import.Register": ENERGY,
    "Power.Active.Import": _POWER,
    "Current.Import": 2,
    "Voltage": 3,
    "SoC": _SOC,
    "Temperature": 5,
    "Current.Offered": 6,
    "Power.Offered": _POWER_OFFERED,
}
_LOCATION = {name.lower(): name for name in ("Body", "Cable", "EV", "Inlet", "Outlet")}
_PHASE = {
    name.lower(): name
    for name in ("L1", "L2", "L3", "N", "L1-N", "L2-N", "L3-N", "L1-L2", "L2-L3", "L3-L1")
}
_CONTEXT = {name.lower(): code for code, name in enumerate(CONTEXTS)}
_OTHER = CONTEXTS.index("Other")
# Besides the outlet, where a column's value is expected; elsewhere it only stands in.
_HOME = {"SoC": "EV", "Temperature": "Body"}
# What a meter can mean. A register outside is kept and flagged, everything else kept apart:
# products of two values must fit the real columns' type.
PLAUSIBLE_REGISTER = (0.0, 2.0**32)
_PLAUSIBLE = {ENERGY: PLAUSIBLE_REGISTER, _SOC: (0.0, 100.0)}
_POSSIBLE = (-1e12, 1e12)

_ENERGY_UNITS = {"wh": 1.0, "kwh": 1e3, "mwh": 1e6}
_POWER_UNITS = {"w": 1.0, "kw": 1e3}
_AMPERE, _VOLT = {"a": 1.0, "ma": 1e-3}, {"v": 1.0, "kv": 1e3}
_REACTIVE_ENERGY, _REACTIVE_POWER = {"varh": 1.0, "kvarh": 1e3}, {"var": 1.0, "kvar": 1e3}
_KELVIN, _FAHRENHEIT = (1.0, -273.15), (1 / 1.8, -32 / 1.8)
_TEMPERATURES = {"k": _KELVIN, "fahrenheit": _FAHRENHEIT, "f": _FAHRENHEIT}
# Base units of each measurand (7.31) and what its known units are worth in them.
_UNITS: dict[str, dict[str, float]] = {
    "Current.Export": _AMPERE,
    "Current.Import": _AMPERE,
    "Current.Offered": _AMPERE,
    "Energy.Active.Export.Interval": _ENERGY_UNITS,
    "Energy.Active.Export.Register": _ENERGY_UNITS,
    "Energy.Active.Import.Interval": _ENERGY_UNITS,
    "Energy.Active.Import.Register": _ENERGY_UNITS,
    "Energy.Reactive.Export.Interval": _REACTIVE_ENERGY,
    "Energy.Reactive.Export.Register": _REACTIVE_ENERGY,
    "Energy.Reactive.Import.Interval": _REACTIVE_ENERGY,
    "Energy.Reactive.Import.Register": _REACTIVE_ENERGY,
    "Frequency": {"hertz": 1.0, "hz": 1.0},
    "Power.Active.Export": _POWER_UNITS,
    "Power.Active.Import": _POWER_UNITS,
    "Power.Factor": {},
    "Power.Offered": _POWER_UNITS,
    "Power.Reactive.Export": _REACTIVE_POWER,
    "Power.Reactive.Import": _REACTIVE_POWER,
    "RPM": {"rpm": 1.0},
    "SoC": {"percent": 1.0, "%": 1.0},
    "Temperature": {"celsius": 1.0, "celcius": 1.0, "c": 1.0, "°c": 1.0},
    "Voltage": _VOLT,
}
_MEASURAND = {name.lower(): name for name in _UNITS}
# Without a unit these can only mean one; energy has a default (7.43), the others are guesses.
_UNIT_IS_PLAIN = {"SoC", "Frequency", "Power.Factor", "RPM"}
_DEFAULT = "Energy.Active.Import.Register"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value with certain labels goes.

    Attributes:
        name: ``measurand[.phase][@location][[unit]]``: its key where it gets no column.
        context: Index into ``CONTEXTS``; ``odd_context`` is one that is not among them.
        column: Index into ``COLUMNS``; None: it has none.
        is_home: Whether the location is the one the column is meant for.
        is_summed: Whether it is a phase of something that may be added up.
        factor: With ``offset``: times and plus, to base units.
        least: With ``most``: what is plausible, in base units.
        flags: What had to be assumed.
    """

    name: str
    context: int = 0
    odd_context: str | None = None
    column: int | None = None
    is_home: bool = True
    is_summed: bool = False
    is_signed: bool = False
    factor: float = 1.0
    offset: float = 0.0
    least: float = _POSSIBLE[0]
    most: float = _POSSIBLE[1]
    flags: tuple[str, ...] = ()


_Labels = tuple[Any, Any, Any, Any, Any, Any]
_places: dict[_Labels, Place] = {}
_MOST_PLACES, _LONGEST_LABEL = 4096, 64


def place_of(sample: dict[str, Any]) -> Place:
    """Return where a ``sampledValue`` goes."""
    labels = (
        sample.get("measurand"),
        sample.get("unit"),
        sample.get("phase"),
        sample.get("location"),
        sample.get("context"),
        sample.get("format"),
    )
    try:
        return _places[labels]
    except KeyError:
        return _learn(labels)
    except TypeError:  # a label that is a list or an object
        return _judge(labels)


def _learn(labels: _Labels) -> Place:
    place = _judge(labels)
    # What is odd by design must not fill the memory.
    are_words = all(
        label is None or (isinstance(label, str) and len(label) <= _LONGEST_LABEL)
        for label in labels
    )
    if are_words and len(_places) < _MOST_PLACES:
        _places[labels] = place
    return place


def _judge(labels: _Labels) -> Place:
    spelt, unit, phase, location, context, form = (read_key(label) for label in labels)
    measurand = _MEASURAND.get((spelt or _DEFAULT).lower())
    phase, location = choose_or_keep(phase, _PHASE), choose_or_keep(location, _LOCATION)
    if phase and measurand and measurand.startswith(_OF_A_LINE):
        phase = phase.removesuffix("-N")
    name = _name(measurand or spelt, phase, location)
    place = _in_context(Place(name), context)
    if form and form.lower() == "signeddata":
        return replace(place, is_signed=True)
    if measurand is None:
        return _beside(place, "measurand", unit)
    if (conversion := _conversion(measurand, unit)) is None:
        return _beside(place, "unit", unit)
    column = None if phase else _COLUMN.get(measurand)
    least, most = _POSSIBLE if column is None else _PLAUSIBLE.get(column, _POSSIBLE)
    return replace(
        place,
        column=column,
        is_home=location in (None, "Outlet", _HOME.get(measurand)),
        is_summed=name in _PARTS,
        factor=conversion[0],
        offset=conversion[1],
        least=least,
        most=most,
        flags=(*place.flags, "unit") if _is_guess(measurand, unit) else place.flags,
    )


def _in_context(place: Place, context: str | None) -> Place:
    code = _CONTEXT.get((context or CONTEXTS[0]).lower())
    if code is None:
        return replace(place, context=_OTHER, odd_context=context, flags=("context",))
    return replace(place, context=code)


def _beside(place: Place, flag: str, unit: str | None) -> Place:
    """Keep a value we do not understand under the name and unit it came with."""
    name = f"{place.name}[{unit}]" if unit else place.name
    return replace(place, name=name, flags=(*place.flags, flag))


def _conversion(measurand: str, unit: str | None) -> tuple[float, float] | None:
    """Return factor and offset to base units; None for a unit the measurand does not have."""
    if unit is None:
        return 1.0, 0.0
    if measurand == "Temperature" and unit.lower() in _TEMPERATURES:
        return _TEMPERATURES[unit.lower()]
    factor = _UNITS[measurand].get(unit.lower())
    return None if factor is None else (factor, 0.0)


def _is_guess(measurand: str, unit: str | None) -> bool:
    is_energy = _UNITS[measurand] is _ENERGY_UNITS
    return unit is None and not is_energy and measurand not in _UNIT_IS_PLAIN


def _name(measurand: str | None, phase: str | None, location: str | None) -> str:
    name = measurand or _DEFAULT
    if phase:
        name += f".{phase}"
    return name if location in (None, "Outlet") else f"{name}@{location}"
