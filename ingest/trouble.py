"""Why the database stores nothing at the moment, in plain words, for all who are told of it."""

import logging
import time
from dataclasses import dataclass

from psycopg import errors

logger = logging.getLogger(__name__)

_SAY_AGAIN_S = 60.0
_MOST_WORDS = 400  # where several addresses were tried, each has its own
LOCKED, SLOW, UNREACHABLE = "locked", "slow", "unreachable"
# By what the database says; the kinds are what alert rules and docs/operations.md call them.
_KINDS: dict[type[Exception], tuple[str, str]] = {
    errors.DiskFull: ("disk_full", "the disk of the database is full"),
    errors.ReadOnlySqlTransaction: ("read_only", "the database may only be read"),
    errors.LockNotAvailable: (LOCKED, "a lock was held for too long"),
    errors.QueryCanceled: (SLOW, "the database took too long"),
    errors.TooManyConnections: ("connections", "the database has no connection left"),
}
_OTHER = ("other", "the database refuses")
_UNREACHABLE = (UNREACHABLE, "there is no connection to the database")
KINDS = tuple(kind for kind, _ in (*_KINDS.values(), _OTHER, _UNREACHABLE))


@dataclass(slots=True)
class Trouble:
    """The last refusal, and who held us up.

    Attributes:
        kind: One of ``KINDS``; empty where there is none.
        words: What to tell people; empty where there is nothing to tell.
        held_up_by: What the last commit waited for and who had it, where somebody asked in time.
    """

    kind: str = ""
    words: str = ""
    held_up_by: str = ""
    _said: str = ""
    _said_at: float = 0.0

    def meet(self, exc: Exception) -> None:
        """Take note of what the database, or the way to it, said."""
        self.kind, what = _kind_of(exc)
        self.words = f"{what}: {sentence(exc)}"
        if self.held_up_by and self.kind in (LOCKED, SLOW):
            self.kind, self.words = LOCKED, self.held_up_by

    def wait(self, kind: str, words: str) -> None:
        """Take note of what a commit that is under way waits for."""
        self.kind, self.words = kind, words
        self.held_up_by = words if kind == LOCKED else ""

    def clear(self) -> None:
        """All is well again."""
        self.kind = self.words = self.held_up_by = self._said = ""

    def said(self) -> None:
        """Somebody logged it just now."""
        self._said, self._said_at = self.kind + self.held_up_by, time.monotonic()

    def say(self, what: str) -> None:
        """Log it, if it is another one than the last time, and else once a minute."""
        is_new = self._said != self.kind + self.held_up_by
        if is_new or time.monotonic() - self._said_at >= _SAY_AGAIN_S:
            logger.warning("%s: %s", what, self.words)
            self.said()


def sentence(exc: Exception) -> str:
    """Return what an error says in one line; of a server's context only whose row it was about."""
    if getattr(exc, "sqlstate", None) is not None:
        first, *more = str(exc).splitlines() or [repr(exc)]
        rows = [line.removeprefix("CONTEXT:  ") for line in more if " tuple " in line]
        return ", ".join([first, *rows[:1]])
    return " ".join(str(exc).split())[:_MOST_WORDS]


def _kind_of(exc: Exception) -> tuple[str, str]:
    if isinstance(exc, errors.OperationalError) and exc.sqlstate is None:
        return _UNREACHABLE
    for kind, described in _KINDS.items():
        if isinstance(exc, kind):
            return described
    return _OTHER
