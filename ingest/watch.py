"""Watches the commit under way: a database that hangs says nothing of itself."""

import asyncio

import psycopg

import sql
from ingest.database import Pool
from ingest.trouble import LOCKED, SLOW, UNREACHABLE
from ingest.writer import Writer

LATE_S = 5.0  # then /healthz is not ok any more
_LOOK_EVERY_S = 1.0
_ASK_EVERY_S = 5.0
_ANSWER_S = 3.0
_QUERIES = sql.load("ingest")


class Watch:
    """Asks, over a connection of its own, who holds up a commit that takes long."""

    def __init__(self, writer: Writer, pool: Pool, late_s: float = LATE_S) -> None:
        self._writer = writer
        self._pool = pool
        self._late_s = late_s

    @property
    def is_late(self) -> bool:
        """Whether a commit is under way for longer than chargers should wait."""
        return self._writer.commit_age_s >= self._late_s

    @property
    def reason(self) -> str:
        """Why nothing is stored at the moment, in plain words; empty where all is well."""
        if self._writer.available and not self.is_late:
            return ""
        return self._writer.trouble.words or (
            f"no commit for {self._writer.commit_age_s:.0f} s"
            if self._writer.available
            else "not connected yet"
        )

    @property
    def kind(self) -> str:
        """The kind of trouble, as alert rules call it; empty where all is well."""
        return (self._writer.trouble.kind or SLOW) if self.reason else ""

    async def run(self) -> None:
        """Look every second, for ever; ask at most every five."""
        while True:
            await asyncio.sleep(min(_LOOK_EVERY_S, self._late_s))
            if self._wants_to_know:
                await self._look()
                await asyncio.sleep(min(_ASK_EVERY_S, self._late_s))

    @property
    def _wants_to_know(self) -> bool:
        is_locked_out = not self._writer.available and self._writer.trouble.kind == LOCKED
        return self.is_late or is_locked_out

    async def _look(self) -> None:
        kind, words = await self._ask()
        if not self._wants_to_know:
            return  # it ended meanwhile
        if self.is_late or kind == LOCKED:
            self._writer.trouble.wait(kind, words)
        if self.is_late:
            age_s, queued = self._writer.commit_age_s, self._writer.queued
            self._writer.trouble.say(f"no commit for {age_s:.0f} s, {queued} more frames wait")

    async def _ask(self) -> tuple[str, str]:
        """Return the kind of trouble, and what the writer's session waits for."""
        try:
            async with asyncio.timeout(_ANSWER_S), self._pool.connection() as conn:
                # Only the login itself may see what its sessions wait for.
                await conn.execute("SET LOCAL ROLE NONE")
                parameters = {"pid": self._writer.backend_pid}
                rows = await (await conn.execute(_QUERIES["held_up_by"], parameters)).fetchall()
        except (psycopg.Error, TimeoutError):
            return UNREACHABLE, "the database does not answer"
        holders = [_holder(*row[2:]) for row in rows if row[2] is not None]
        if holders:
            wanted = rows[0][0] or "a row"
            return LOCKED, f"it waits for a lock on {wanted} that is held by {'; '.join(holders)}"
        now_at = rows[0][1] or "nothing to wait for"
        return SLOW, f"the database works at it, and no lock is in the way ({now_at})"


def _holder(pid: int, role: str | None, program: str | None) -> str:
    if pid == 0:
        return "a prepared transaction"
    of = ", ".join(word for word in (program, f"role {role}" if role else "") if word)
    return f"pid {pid} ({of})" if of else f"pid {pid}"
