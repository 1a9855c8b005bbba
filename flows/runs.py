"""One run of a flow: its turn, its record in the database, what it says at the end."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flows.database import Connection, ask, ask_one, connect, do
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
    locks_batches: bool = False,
) -> Outcome:
    """Carry out one run and record it.

    A run of what is new is skipped, and says so, while another is at it: the next one is due soon.
    A run of a window waits for its turn.

    Args:
        locks_batches: Whether the flow locks what it writes batch by batch: then a window is
            computed beside what is new, and holds it up for a batch at most.

    Raises:
        ThresholdBroken: If what was found is not acceptable. The work is done and kept.
    """
    with connect(url) as conn:
        if not _has_turn(conn, flow, scope, locks_batches):
            logger.info("%s: skipped, another run is at it", flow)
            return Outcome({}, "skipped: another run of it has not ended")
        is_window = not scope.is_incremental if locks_batches else None
        do(conn, "bury_runs", flow=flow, is_window=is_window)
        parameters = json.dumps(scope.as_parameters())
        number = ask_one(conn, "begin_run", flow=flow, parameters=parameters, url=run_url)
        try:
            outcome = compute(conn, scope)
        except BaseException as exc:
            _end(conn, number["flow_run_id"], "failed", None, f"{type(exc).__name__}: {exc}")
            raise
        status = "failed" if outcome.broken else "completed"
        message = outcome.broken or outcome.verdict
        _end(conn, number["flow_run_id"], status, outcome.counts, message)
    logger.info("%s: %s", flow, outcome.verdict)
    if outcome.broken:
        raise ThresholdBroken(outcome)
    return outcome


def _has_turn(conn: Connection, flow: str, scope: Scope, locks_batches: bool) -> bool:
    if scope.is_incremental:
        return bool(ask_one(conn, "try_turn", turn=flow)["is_taken"])
    ask(conn, "take_turn", turn=f"{flow} window" if locks_batches else flow)
    return True


def _end(
    conn: Connection, number: int, status: str, counts: Mapping[str, int] | None, message: str
) -> None:
    if conn.closed:
        return
    do(
        conn,
        "end_run",
        flow_run_id=number,
        status=status,
        summary=json.dumps(dict(counts)) if counts is not None else None,
        message=message[:2000],
    )
