"""Silence that means something: heartbeats that used to come, and come no more. Pure.

A peer that is gone without a word is found by the websocket's pings. One whose network unit
answers them while the charge point behind it hangs is found here, if at all: OCPP 1.6 lets other
messages stand for heartbeats, and not every charge point keeps the interval it is told.
"""

from dataclasses import dataclass

_PROVEN = 3  # heartbeats in a row that kept the interval
_EARLY, _LATE = 0.5, 1.5  # of the interval


@dataclass(slots=True)
class Pulse:
    """When a charge point was last heard, in seconds of a clock that never steps.

    Attributes:
        interval_s: Of heartbeats, as told to the charge point.
    """

    interval_s: float
    heard_s: float
    _beat_s: float | None = None
    _kept: int = 0

    def beat(self, now_s: float) -> None:
        """Note a Heartbeat, and whether it came when it was due."""
        if self._beat_s is not None:
            pause_s = now_s - self._beat_s
            if pause_s > self.interval_s * _LATE:
                self._kept = 0
            elif pause_s >= self.interval_s * _EARLY:
                self._kept += 1
        self._beat_s = self.heard_s = now_s

    def has_stopped(self, now_s: float, intervals: float, least_s: float) -> bool:
        """Return whether heartbeats kept their interval, and nothing came for so many of them."""
        silent_s = now_s - self.heard_s
        return self._kept >= _PROVEN and silent_s > max(intervals * self.interval_s, least_s)
