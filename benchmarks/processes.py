"""CPU time and memory of processes, from /proc."""

import os
from dataclasses import dataclass
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds so far and resident bytes now, of a process and what it started."""

    cpu_s: float
    rss_bytes: int

    def __sub__(self, earlier: "Usage") -> "Usage":
        return Usage(self.cpu_s - earlier.cpu_s, self.rss_bytes)


def usage(pid: int) -> Usage:
    """Add up a process, its living descendants, and those of them that ended and were reaped."""
    cpu_s, rss_bytes = 0.0, 0
    for each in _family(pid):
        try:
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        cpu_s += sum(int(ticks) for ticks in fields[11:15]) * _TICK_S
        rss_bytes += int(fields[21]) * _PAGE
    return Usage(cpu_s, rss_bytes)


def _family(pid: int) -> list[int]:
    found = [pid]
    for each in found:
        for task in Path(f"/proc/{each}/task").glob("*/children"):
            found += [int(child) for child in task.read_text().split()]
    return found
