"""One run of a flow: its turn, its record in the database, what it says at the end."""

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from psycopg.errors import DiskFull

from flows.database import Connection, ask, ask_one, connect, do, now
from flows.scope import Scope

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run did.

    Attributes:
        counts: Rows by kind, also the summary in report.flow_run.
        table: Rows for people, at most some hundreds.
        verdict: One sentence.
        broken: Why the run counts as failed although it was carried out; empty: it does not.
    """

    counts: Mapping[str, int]
    verdict: str
    table: Sequence[Mapping[str, Any]] = field(default_factory=tuple)
    broken: str = ""


class ThresholdBroken(RuntimeError):
    """The data are not as good as they must be; the message is meant for people."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.broken)
        self.outcome = outcome


Compute = Callable[[Connection, Scope], Outcome]


def run(
    url: str,
    flow: str,
    scope: Scope,
    compute: Compute,
    run_url: str | None = None,
    *,
    locks_batches: bool = False,
    frees_space: bool = False,
) -> Outcome:
    """Carry out one run and record it.

    A run of what is new is skipped, and says so, while another is at it: the next one is due soon.
    A run of a window waits for its turn.

    Args:
        locks_batches: Whether the flow locks what it writes batch by batch: then a window is
            computed beside what is new, and holds it up for a batch at most.
        frees_space: Whether the flow is the remedy for a full disk: then it is recorded when it has
            ended, and carried out even where nothing can be recorded.

    Raises:
        ThresholdBroken: If what was found is not acceptable. The work is done and kept.
    """
    with connect(url) as conn:
        if not _has_turn(conn, flow, scope, locks_batches):
            logger.info("%s: skipped, another run is at it", flow)
            return Outcome({}, "skipped: another run of it has not ended")
        is_window = not scope.is_incremental if locks_batches else None
        record = _Record(conn, flow, scope, run_url, is_window, now(conn))
        if not frees_space:
            record.begin()
        try:
            outcome = compute(conn, scope)
        except BaseException as exc:
            with _unless_full(frees_space):
                record.end("failed", None, f"{type(exc).__name__}: {exc}")
            raise
        status = "failed" if outcome.broken else "completed"
        with _unless_full(frees_space):
            record.end(status, outcome.counts, outcome.broken or outcome.verdict)
    logger.info("%s: %s", flow, outcome.verdict)
    if outcome.broken:
        raise ThresholdBroken(outcome)
    return outcome


def _has_turn(conn: Connection, flow: str, scope: Scope, locks_batches: bool) -> bool:
    if scope.is_incremental:
        return bool(ask_one(conn, "try_turn", turn=flow)["is_taken"])
    ask(conn, "take_turn", turn=f"{flow} window" if locks_batches else flow)
    return True


@dataclass(slots=True)
class _Record:
    """The row of a run in the database."""

    conn: Connection
    flow: str
    scope: Scope
    run_url: str | None
    is_window: bool | None
    started_at: datetime
    number: int | None = None

    def begin(self) -> None:
        do(self.conn, "bury_runs", flow=self.flow, is_window=self.is_window)
        row = ask_one(
            self.conn,
            "begin_run",
            flow=self.flow,
            parameters=json.dumps(self.scope.as_parameters()),
            url=self.run_url,
            started_at=self.started_at,
        )
        self.number = row["flow_run_id"]

    def end(self, status: str, counts: Mapping[str, int] | None, message: str) -> None:
        if self.conn.closed:
            return
        if self.number is None:
            self.begin()
        do(
            self.conn,
            "end_run",
            flow_run_id=self.number,
            status=status,
            summary=json.dumps(dict(counts)) if counts is not None else None,
            message=message[:2000],
        )


@contextmanager
def _unless_full(may_be_full: bool) -> Iterator[None]:
    """Do without what a full disk has no room for, where that is to be expected."""
    try:
        yield
    except DiskFull as exc:
        if not may_be_full:
            raise
        logger.warning("not recorded: %s", exc)
