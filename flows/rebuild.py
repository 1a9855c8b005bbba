"""Puts readings back into ``meter_value`` from the raw log.

How frames are read is ingest's knowledge, which this room does not import: whoever composes the
rooms hands the reader in.
"""

import bisect
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg.rows import DictRow

from flows.database import QUERIES, Connection, ask, ask_one, build, do
from flows.dropped import dropped_before
from flows.runs import Compute, Outcome
from flows.scope import Scope, ScopeError, charge_point_ids

_BATCH = 5000
_MANY_DAYS = 70


@dataclass(frozen=True, slots=True)
class RawFrame:
    """A MeterValues or StopTransaction of the raw log, as it was received.

    Attributes:
        time_zone: In which its times without one were read when it came.
        opened_at: When its socket was opened; None where that was long before, or nobody knows.
    """

    received_at: datetime
    charge_point_id: int
    time_zone: str
    action: str
    raw: str
    opened_at: datetime | None


# Returns rows of meter_value by column name (without charge_point_id and origin); times as ISO
# text or datetime. connector_id is None where only the transaction tells it; a stop gives its
# stopped_at too. What cannot be read is left out, as it was set aside when it came. A reader knows
# the frames before: each rebuild has its own.
Reader = Callable[[RawFrame], Iterable[Mapping[str, Any]]]


def computer(new_reader: Callable[[], Reader]) -> Compute:
    """Return the flow that rebuilds with a reader of this kind."""

    def compute(conn: Connection, scope: Scope) -> Outcome:
        if scope.start is None or scope.end is None:
            raise ScopeError("a rebuild needs a window: --start and --end")
        window = {"since": scope.start, "until": scope.end}
        numbers = charge_point_ids(conn, scope)
        with conn.transaction(force_rollback=scope.dry_run):
            do(conn, "prepare_rebuilt")
            asked = {**window, "dates": _dates(scope.start, scope.end), "charge_point_ids": numbers}
            _read_all(conn, new_reader(), asked)
            build(conn, "make_work_rebuilt")
            build(conn, "make_work_missing", **window)
            found = ask_one(conn, "compare_rebuilt", **window)
            others = ask_one(conn, "count_not_in_log", **window, charge_point_ids=numbers)
            restored = do(conn, "store_rebuilt")
            if restored:
                do(conn, "touch_rebuilt")
        gone = dropped_before(conn, "ocpp_message")
        return _outcome({**found, **others, "restored": restored}, scope, gone)

    return compute


def _dates(start: datetime, end: datetime) -> str:
    """Return a pattern of the dates a timestamp of the window can have, in whatever zone.

    Of a long window it is the months.
    """
    first, last = (start - timedelta(days=1)).date(), (end + timedelta(days=1)).date()
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    form = "%Y-?%m-?%d" if len(days) <= _MANY_DAYS else "%Y-?%m"
    return "|".join(sorted({day.strftime(form) for day in days}))


def _read_all(conn: Connection, read: Reader, asked: dict[str, Any]) -> None:
    window = {name: asked[name] for name in ("since", "until", "charge_point_ids")}
    sockets: dict[int, list[datetime]] = {
        row["charge_point_id"]: row["opened_ats"] for row in ask(conn, "sockets_opened", **window)
    }
    with conn.cursor(name="frames") as frames:
        frames.itersize = _BATCH
        frames.execute(QUERIES["frames_to_read"], asked)
        while rows := frames.fetchmany(_BATCH):
            readings = [
                {**reading, "charge_point_id": row["charge_point_id"]}
                for row in rows
                for reading in read(RawFrame(**row, opened_at=_socket_of(row, sockets)))
            ]
            do(
                conn,
                "keep_parts",
                readings=json.dumps(readings, default=str),
                since=asked["since"],
                until=asked["until"],
            )


def _socket_of(row: DictRow, sockets: Mapping[int, list[datetime]]) -> datetime | None:
    opened_ats = sockets.get(row["charge_point_id"], [])
    place = bisect.bisect_right(opened_ats, row["received_at"])
    return opened_ats[place - 1] if place else None


def _outcome(counts: dict[str, int], scope: Scope, gone_before: datetime) -> Outcome:
    if not counts["in_log"]:
        return Outcome(counts, _nothing(counts, scope, gone_before))
    restored = f"{counts['restored']} {'would be restored' if scope.dry_run else 'restored'}"
    verdict = (
        f"{counts['in_log']} readings in the raw log: {counts['missing']} were not stored,"
        f" {counts['different']} are stored with other values, {counts['not_in_log']} are stored"
        f" and not in the log; {restored}"
    )
    return Outcome(counts, verdict)


def _nothing(counts: dict[str, int], scope: Scope, gone_before: datetime) -> str:
    verdict = f"the raw log has no reading of this window, {counts['not_in_log']} are stored"
    if scope.start is not None and scope.start < gone_before:
        verdict += f"; what was received before {gone_before:%Y-%m-%d} was dropped from the log"
    return verdict
