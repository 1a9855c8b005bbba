"""Power told by voltage and current alone. Expected numbers are worked out by hand."""

import pytest
from psycopg.types.json import Jsonb

from tests.flow_facts import NOON, Facts, minutes

_VOLTS = {"L1": 230, "L2": 231, "L3": 229}
_AMPS = {f"Current.Import.{phase}": 16 for phase in _VOLTS}
_ONE_PHASE = {"Current.Import.L1": 16}


@pytest.mark.parametrize(
    ("voltage_v", "current_a", "extra", "power_w"),
    [
        (None, None, {f"Voltage.{phase}-N": v for phase, v in _VOLTS.items()} | _AMPS, 690 * 16),
        (None, None, {f"Voltage.{phase}": v for phase, v in _VOLTS.items()} | _AMPS, 690 * 16),
        (None, None, {"Voltage.L1": 230} | _AMPS, 690 * 16),
        (None, None, {"Voltage.L1-L2": 400} | _AMPS, 3**0.5 * 400 * 16),
        (400, None, {"Voltage.L1-L2": 400} | _AMPS, 3**0.5 * 400 * 16),
        (230, None, _AMPS, 690 * 16),
        (230, None, _ONE_PHASE, 230 * 16),
        (None, None, {"Voltage.L1-N": 230} | _ONE_PHASE, 230 * 16),
        (None, None, {"Voltage.L2": 230, "Current.Import.L2": 16}, 230 * 16),
        (None, 16, {"Voltage.L1": 230}, 230 * 16),
        (None, 16, {"Voltage.L1-N": 230, "Voltage.L2-N": 0, "Voltage.L3-N": 0}, 230 * 16),
        (230, None, _ONE_PHASE | {"Power.Factor": 0.9}, 230 * 16 * 0.9),
        # What cannot be told is not guessed: the sum of the currents, or each of them.
        (None, 16, {f"Voltage.{phase}": v for phase, v in _VOLTS.items()}, None),
        # Two currents between two lines.
        (
            None,
            None,
            {"Voltage.L1-L2": 220, "Current.Import.L1": 16, "Current.Import.L2": 16},
            None,
        ),
        (None, None, _AMPS, None),
        (None, 16, None, None),
        (230, None, None, None),
    ],
)
def test_power_is_estimated_whichever_way_the_phases_are_named(
    facts: Facts, voltage_v, current_a, extra, power_w
):
    row = facts.conn.execute(
        "SELECT estimated_power_w(%s, %s, %s, 'AC') AS power_w",
        [voltage_v, current_a, extra and Jsonb(extra)],
    ).fetchone()

    assert row == {"power_w": power_w if power_w is None else pytest.approx(power_w)}


def test_a_session_of_three_phases_has_the_energy_they_make(facts: Facts):
    """An hour of 11,040 W, from a charge point without a register."""
    cp = facts.charge_point(rated_power_w=None, current_type="AC")
    tx = facts.transaction(cp, NOON, NOON + minutes(60), 0, 0)
    extra = Jsonb({f"Voltage.{phase}": volts for phase, volts in _VOLTS.items()} | _AMPS)
    for minute in range(61):
        facts.reading(cp, NOON + minutes(minute), transaction_id=tx, extra=extra)

    facts.run()

    session = facts.session(tx)
    assert (session["energy_wh"], session["energy_source"]) == (pytest.approx(11_040), "integral")
    assert "estimated_power" in session["flags"]
