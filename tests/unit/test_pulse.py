"""When the silence of a charge point means that it is gone."""

import pytest

from ingest.pulse import Pulse


def after(*beats_s: float, told_s: float = 300.0) -> Pulse:
    """A charge point heard at 0 that sent heartbeats at these seconds."""
    pulse = Pulse(told_s, 0.0)
    for at in beats_s:
        pulse.beat(at)
    return pulse


def test_heartbeats_that_kept_their_interval_and_stopped():
    pulse = after(0, 300, 610, 900)

    assert not pulse.has_stopped(1799, 3, 60)
    assert pulse.has_stopped(1801, 3, 60)


def test_any_frame_is_a_sign_of_life():
    pulse = after(0, 300, 600, 900)
    pulse.heard_s = 1700.0

    assert not pulse.has_stopped(1801, 3, 60)


@pytest.mark.parametrize(
    "beats_s",
    [
        (),
        (0, 300, 600),  # not seen often enough
        (0, 10, 20, 30, 40),  # much quicker than told: it may stop with the charging
        (0, 3600, 7200, 10800),  # an interval of its own
        (0, 300, 600, 900, 4500),  # it kept ours once
    ],
)
def test_one_that_does_not_keep_the_interval_is_left_in_peace(beats_s):
    assert not after(*beats_s).has_stopped(1e9, 3, 60)


def test_a_short_interval_does_not_mean_less_patience():
    pulse = after(0, 1, 2, 3, told_s=1.0)

    assert not pulse.has_stopped(60, 3, 60)
    assert pulse.has_stopped(64, 3, 60)
