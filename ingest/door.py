"""Who may come in at one time, how much each may ask for, and who is named for asking too much."""

import asyncio
import logging
import sys
from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv6Address, IPv6Network

from ingest.allowance import Allowance

logger = logging.getLogger(__name__)

_COMPLAIN_EVERY_S = 60.0
_MOST_NAMED = 1000
_LINES_PER_S, _LINES_GATHER_S = 10.0, 10.0
_MOST_FRIENDS = 20_000
_RESERVED = 4  # one place in so many is kept for addresses that charge points came from


@dataclass(slots=True)
class Complaints:
    """Who is in the log already: a line a minute for each, and so many lines in all.

    However many names there are, it keeps the latest thousand: those of strangers have no end.
    """

    _named: OrderedDict[str, tuple[float, int]] = field(default_factory=OrderedDict)
    _lines: Allowance = field(default_factory=lambda: Allowance(_LINES_PER_S, _LINES_GATHER_S))

    def about(self, name: str, now: float) -> int | None:
        """Return how many complaints were left out since the last one; None: say nothing."""
        until, unsaid = self._named.pop(name, (0.0, 0))
        speaks = now >= until and self._has_a_line(now)
        self._named[name] = (now + _COMPLAIN_EVERY_S, 0) if speaks else (until, unsaid + 1)
        if len(self._named) > _MOST_NAMED:
            self._named.popitem(last=False)
        return unsaid if speaks else None

    def _has_a_line(self, now: float) -> bool:
        if self._lines.spend(1, now) == 0:
            return True
        self._lines.give_back(1)
        return False


@dataclass(slots=True)
class Door:
    """Counts connections from TCP's accept until their handshake is over, in all and by address.

    Attributes:
        most, most_from_one: Beyond them a connection is reset. A quarter of all places is for
            addresses that charge points came from before: strangers cannot keep them out.
        files: So many connections may be open, those with a handshake behind them included.
        refused, full: Connections reset because of handshakes, and because of the files.
        open: Connections that entered and are not closed.
        half_open: Whose TLS handshake is under way: nobody else knows of them.
    """

    most: int
    most_from_one: int
    files: int = sys.maxsize
    refused: int = 0
    full: int = 0
    slowed: int = 0
    malformed: int = 0
    half_open: set[asyncio.Transport] = field(default_factory=set)
    _waiting: Counter[str] = field(default_factory=Counter)
    _total: int = 0
    open: int = 0
    _friends: OrderedDict[str, None] = field(default_factory=OrderedDict)
    _complaints: Complaints = field(default_factory=Complaints)

    def enter(self, address: str) -> bool:
        """Take a place for a connection from ``address``; False: there is none."""
        network = network_of(address)
        files = self.files - (self.open - self._total)
        if self._total >= self._places(files, network):
            self.full += 1
            what = f"no room: the limit of open files allows {self.files} connections (ulimit -n)"
            self.complain(network, what, about="files")
            return False
        most = self._places(self.most, network)
        if self._total >= most or self._waiting[network] >= self.most_from_one:
            self.refused += 1
            self.complain(network, "too many unfinished handshakes")
            return False
        self.open += 1
        self._total += 1
        self._waiting[network] += 1
        return True

    def _places(self, places: int, network: str) -> int:
        """Return how many of the places are for this one."""
        return places if network in self._friends else places - places // _RESERVED

    def close(self) -> None:
        """Take note that a connection that entered is no more."""
        self.open -= 1

    def leave(self, address: str) -> None:
        """Give the place back: the handshake is over."""
        network = network_of(address)
        self._total -= 1
        self._waiting[network] -= 1
        if not self._waiting[network]:
            del self._waiting[network]

    def befriend(self, addresses: Iterable[str]) -> None:
        """Remember that charge points came in from there; the latest so many."""
        for network in map(network_of, addresses):
            self._friends[network] = None
            self._friends.move_to_end(network)
            if len(self._friends) > _MOST_FRIENDS:
                self._friends.popitem(last=False)

    def complain(self, name: str, what: str, about: str | None = None) -> None:
        """Name a culprit in the log, at most once a minute.

        Args:
            about: What counts as the same complaint, where ``what`` is another one each time.
        """
        about = about or f"{name} {what}"
        unsaid = self._complaints.about(about, asyncio.get_running_loop().time())
        if unsaid is not None:
            again = f" ({unsaid} times more since the last line)" if unsaid else ""
            logger.warning("%s: %s%s", name, what, again)


def network_of(address: str) -> str:
    """Return what counts as one address: of IPv6 the /64 that one subscriber has."""
    if ":" not in address:
        return address
    try:
        parsed = IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Network((int(parsed) >> 64 << 64, 64)))
