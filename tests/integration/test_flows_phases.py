"""Energy told phase by phase, with no total. Computed by hand."""

import pytest
from psycopg.types.json import Jsonb

from tests.flow_facts import NOON, Facts, minutes

INTERVAL, REGISTER = "Energy.Active.Import.Interval", "Energy.Active.Import.Register"


def told(facts: Facts, *readings: dict[str, float]) -> dict[str, object]:
    """Run the flows on a session of 60 min without a StopTransaction, with a reading each 5 min."""
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON, None, 0)
    for place, values in enumerate(readings, start=1):
        at = NOON + place * minutes(5)
        facts.reading(
            cp, at, transaction_id=tx, energy_wh=values.pop("", None), extra=Jsonb(values)
        )
    facts.run()
    session = facts.session(tx)
    return {key: session[key] for key in ("energy_wh", "energy_source")}


@pytest.mark.parametrize(
    ("values", "energy_wh"),
    [
        ({"": 200.0}, 2_400),
        ({".L1": 200.0, ".L2": 200.0, ".L3": 200.0}, 7_200),
        ({".L2": 200.0}, 2_400),
        ({"": 500.0, ".L1": 200.0, ".L2": 200.0, ".L3": 200.0}, 6_000),
    ],
)
def test_intervals_are_the_total_or_else_the_sum_of_their_phases(
    facts: Facts, values: dict[str, float], energy_wh: float
):
    readings = [{f"{INTERVAL}{phase}": value for phase, value in values.items()} for _ in range(12)]

    assert told(facts, *readings) == {"energy_wh": energy_wh, "energy_source": "interval"}


def test_the_register_of_the_only_phase_there_is_tells_the_energy(facts: Facts):
    readings = [{f"{REGISTER}.L1": 100.0 * number} for number in range(1, 13)]

    assert told(facts, *readings) == {"energy_wh": 1_200, "energy_source": "register_series"}


@pytest.mark.parametrize("other", [{f"{REGISTER}.L2": 400.0}, {"": 1_200.0}])
def test_the_register_of_one_phase_among_others_tells_nothing(
    facts: Facts, other: dict[str, float]
):
    """Two of them, or a total, beside it: 100 Wh a reading would be but a part."""
    readings = [{f"{REGISTER}.L1": 100.0 * number} for number in range(1, 13)]
    readings[3] |= other

    energy_wh = told(facts, *readings)["energy_wh"]

    assert energy_wh == other.get("")
