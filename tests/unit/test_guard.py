"""Allowances: so many a second, and what gathers while nobody asks."""

import pytest

from ingest.allowance import Allowance
from ingest.guard import cost_of


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


@pytest.mark.parametrize(
    ("frames", "size", "cost"),
    [(1, 30, 1), (1, 1_100, 1), (60, 66_000, 60), (1, 81_920, 10), (0, 65_536, 8)],
)
def test_a_frame_counts_once_but_for_very_large_ones(frames: int, size: int, cost: float) -> None:
    assert cost_of(frames, size) == cost


def test_what_gathers_is_bounded_and_debts_are_paid() -> None:
    allowance = Allowance(per_s=100, gathers_s=1)
    allowance.spend(100, 0.0)
    left = []
    for now, spent in ((0.0, 0), (0.5, 30), (0.6, 0), (9.0, 250), (10.0, 0), (11.0, 0)):
        left.append(round(allowance.left(now)))
        allowance.spend(spent, now)

    assert left == [0, 50, 30, 100, -50, 50]
