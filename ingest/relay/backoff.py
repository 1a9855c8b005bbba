"""When again, after a failure. Pure but for the dice passed in."""

import random
from dataclasses import dataclass, field


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
