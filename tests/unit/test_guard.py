"""Allowances: so many a second, and what gathers while nobody asks."""

from ingest.door import Allowance


def test_what_was_refused_costs_nothing():
    """One that knocks too often still comes in as often as it may."""
    allowance = Allowance(per_s=1.0, gathers_s=1.0)
    assert allowance.spend(1, 0.0) == 0
    came_in = 0
    for tenth in range(1, 101):
        if allowance.spend(1, tenth / 10) > 0:
            allowance.give_back(1)
        else:
            came_in += 1
    assert 9 <= came_in <= 10
