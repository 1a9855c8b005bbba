"""How fast, how often and when again. Pure but for the clock and the dice passed in."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Pace:
    """A budget that fills at ``rate`` per second, up to one second's worth."""

    rate: float
    clock: Callable[[], float] = time.monotonic
    _filled_at: float = field(init=False)
    _left: float = field(init=False, default=0)

    def __post_init__(self) -> None:
        self._filled_at = self.clock()

    @property
    def budget(self) -> int:
        now = self.clock()
        self._left = min(self.rate, self._left + (now - self._filled_at) * self.rate)
        self._filled_at = now
        return int(self._left)

    def spend(self, count: int) -> None:
        """May overdraw, since a row is sent whole; the debt is waited for."""
        self._left -= count


@dataclass(slots=True)
class Backoff:
    """Waiting times that double with every failure, with a jitter of half of each."""

    first_s: float = 1.0
    longest_s: float = 60.0
    failures: int = 0
    _dice: random.Random = field(default_factory=random.Random)

    def succeeded(self) -> None:
        self.failures = 0

    def failed(self, at_least_s: float = 0) -> float:
        """Count a failure and return how many seconds to wait."""
        wait_s = min(self.longest_s, self.first_s * float(2 ** min(self.failures, 20)))
        self.failures += 1
        return max(at_least_s, wait_s * self._dice.uniform(0.5, 1))
