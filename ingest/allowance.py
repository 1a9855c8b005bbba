"""So much a second and not more: what sockets, guesses, log lines, CALLs and lanes are held to."""

from dataclasses import dataclass


@dataclass(slots=True)
class Allowance:
    """So many a second, and as many at once as gather in ``gathers_s``: so many at the start."""

    per_s: float
    gathers_s: float
    _credit: float | None = None
    _at: float = 0.0

    def spend(self, cost: float, now: float) -> float:
        """Take ``cost`` and return the seconds until it is paid for; 0: it was there."""
        most = self.per_s * self.gathers_s
        credit = most if self._credit is None else self._credit + (now - self._at) * self.per_s
        self._credit, self._at = min(most, credit) - cost, now
        return max(0.0, -self._credit / self.per_s)

    def left(self, now: float) -> float:
        """Return what may be spent; below zero it is a debt."""
        self.spend(0, now)
        return self._credit or 0.0

    def give_back(self, cost: float) -> None:
        """Take back what was spent on something that was refused."""
        self._credit = (self._credit or 0.0) + cost

    def forgive(self, debt_s: float) -> None:
        """Let the debt be no longer than ``debt_s``."""
        self._credit = max(self._credit or 0.0, -debt_s * self.per_s)
