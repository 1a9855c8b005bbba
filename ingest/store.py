"""One batch of frames, one transaction: every write that charge points cause."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, LiteralString
from uuid import UUID

import orjson
from psycopg import Connection
from psycopg.types.json import Jsonb, set_json_dumps

import sql
from ingest.facts import (
    Authorization,
    Boot,
    Meaning,
    Report,
    StatusChange,
    TransactionStart,
    TransactionStop,
    Verdict,
)
from ingest.frames import result_text
from ingest.meanings import OpenTransaction
from ingest.readings import COLUMNS, Reading

_QUERIES = sql.load("ingest")
_MESSAGE_TYPES = [
    "timestamptz",
    "int4",
    "int2",
    "text",
    "text",
    "text",
    "text",
    "text",
    "timestamptz",
]
_READING_TYPES = ["timestamptz", "int4", "int2", "int8", "int2", "int2", "float8"]
_READING_TYPES += ["float4"] * (len(COLUMNS) - 1) + ["jsonb"]
_FORGET_MARKS_S = 60  # touched_window promises a mark a minute

set_json_dumps(orjson.dumps)


@dataclass(slots=True)
class Message:
    """A frame on its way into the raw log, with what it means.

    Attributes:
        meaning: None for frames that are only logged.
        answer: The frame that leaves once this is committed; the store writes it for a meaning.
            Empty: none is due.
    """

    charge_point_id: int
    received_at: datetime
    raw: str
    message_type: int | None = None
    direction: str = "i"
    action: str | None = None
    message_id: str | None = None
    meaning: Meaning | None = None
    answer: str | None = None


@dataclass(slots=True)
class Opening:
    """A socket opened; the store fills in the transactions its charge point has open."""

    charge_point_id: int
    opened_at: datetime
    remote_address: str
    open_transactions: dict[int, OpenTransaction] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Closing:
    """A socket ended."""

    charge_point_id: int
    opened_at: datetime
    closed_at: datetime
    reason: str


Item = Message | Opening | Closing


class Store:
    """Saves batches on the connection it is given. It blocks: the writer runs it in its thread.

    Args:
        unknown_status: The verdict on id_tags that nobody registered: Accepted or Invalid.
    """

    def __init__(self, replica_id: UUID, unknown_status: str) -> None:
        self._replica_id = replica_id
        self._unknown_status = unknown_status
        self._marked: set[tuple[int, int]] = set()
        self._marks_since = datetime.now(UTC)

    def prepare(self, conn: Connection) -> None:
        """Make a new connection ready for ``save``."""
        conn.execute(_QUERIES["prepare_staging"])

    def save(self, conn: Connection, items: Sequence[Item]) -> None:
        """Store all items in one transaction and write their answers.

        Idempotent but for the raw log, which has a row for each frame that came. On return
        everything is committed; if it raises, nothing is.
        """
        messages = [item for item in items if isinstance(item, Message)]
        meant = [message for message in messages if message.meaning is not None]
        marks: set[tuple[int, int]] = set()
        with _taken_back_on_failure(meant), conn.transaction():
            self._open(conn, [item for item in items if isinstance(item, Opening)])
            self._save_facts(conn, meant)
            for message in meant:
                if message.answer is None:
                    message.answer = _answer(message)
            self._copy_messages(conn, messages)
            self._copy_readings(conn, meant)
            self._save_set_aside(conn, meant)
            marks = self._new_marks(meant)
            self._touch(conn, marks)
            self._close(conn, [item for item in items if isinstance(item, Closing)])
        self._marked |= marks

    def _save_facts(self, conn: Connection, messages: list[Message]) -> None:
        with_facts = [message for message in messages if message.meaning and message.meaning.facts]
        if not with_facts:
            return
        self._judge(conn, list(_facts(with_facts, Authorization)))
        self._start(conn, list(_facts(with_facts, TransactionStart)))
        self._stop(conn, list(_facts(with_facts, TransactionStop)))
        self._insert(conn, "statuses", list(_facts(with_facts, StatusChange)), _status_row)
        self._insert(conn, "boots", list(_facts(with_facts, Boot)), _boot_row)
        self._insert(conn, "reports", list(_facts(with_facts, Report)), _report_row)

    def _judge(self, conn: Connection, found: list[tuple[Message, Authorization]]) -> None:
        if not found:
            return
        cursor = conn.execute(
            _QUERIES["judge_id_tags"],
            {
                "id_tags": [question.id_tag for _, question in found],
                "unknown_status": self._unknown_status,
            },
        )
        for (_, question), row in zip(found, cursor.fetchall(), strict=True):
            question.verdict = Verdict(*row)

    def _start(self, conn: Connection, found: list[tuple[Message, TransactionStart]]) -> None:
        if not found:
            return
        cursor = conn.execute(
            _QUERIES["start_transactions"],
            {
                "starts": Jsonb(_numbered(_start_row(*pair) for pair in found)),
                "unknown_status": self._unknown_status,
            },
        )
        for (_, start), row in zip(found, cursor.fetchall(), strict=True):
            start.transaction_id, start.verdict = row[0], Verdict(*row[1:])

    def _stop(self, conn: Connection, found: list[tuple[Message, TransactionStop]]) -> None:
        if not found:
            return
        cursor = conn.execute(
            _QUERIES["stop_transactions"],
            {
                "stops": Jsonb(_numbered(_stop_row(*pair) for pair in found)),
                "unknown_status": self._unknown_status,
            },
        )
        for (message, stop), row in zip(found, cursor.fetchall(), strict=True):
            stop.matched_id, connector_id, *verdict = row
            stop.verdict = Verdict(*verdict) if stop.matched_id is not None and verdict[0] else None
            if connector_id is not None and message.meaning:
                message.meaning.place_readings(connector_id, stop.matched_id)

    def _insert(
        self, conn: Connection, name: str, found: list[tuple[Message, Any]], row: Any
    ) -> None:
        if found:
            rows = Jsonb([row(message, fact) for message, fact in found])
            conn.execute(_QUERIES[f"store_{name}"], {name: rows})

    def _copy_messages(self, conn: Connection, messages: list[Message]) -> None:
        if not messages:
            return
        now = datetime.now(UTC)
        with conn.cursor().copy(_binary("copy_messages")) as copy:
            copy.set_types(_MESSAGE_TYPES)
            for message in messages:
                copy.write_row(
                    (
                        message.received_at,
                        message.charge_point_id,
                        message.message_type,
                        message.direction,
                        message.action,
                        message.message_id,
                        message.raw,
                        message.answer or None,
                        now if message.answer else None,
                    )
                )

    def _copy_readings(self, conn: Connection, messages: list[Message]) -> None:
        rows: dict[tuple[int, datetime, int, int], tuple[Reading, int]] = {}
        for message in messages:
            assert message.meaning is not None
            for reading in message.meaning.readings:
                key = (
                    message.charge_point_id,
                    reading.sampled_at,
                    reading.connector_id,
                    reading.context,
                )
                # One statement cannot touch a row twice: parts of an instant merge here.
                first, _ = rows.setdefault(key, (reading, int(message.action != "MeterValues")))
                if first is not reading:
                    first.merge(reading)
        if not rows:
            return
        with conn.cursor().copy(_binary("copy_readings")) as copy:
            copy.set_types(_READING_TYPES)
            for (charge_point_id, *_), (reading, origin) in rows.items():
                extra = reading.extra
                copy.write_row(
                    (
                        reading.sampled_at,
                        charge_point_id,
                        reading.connector_id,
                        reading.transaction_id,
                        reading.context,
                        origin,
                        *reading.values,
                        Jsonb(extra) if extra else None,
                    )
                )
        conn.execute(_QUERIES["store_readings"])

    def _save_set_aside(self, conn: Connection, messages: list[Message]) -> None:
        pieces = [
            {
                "received_at": message.received_at,
                "charge_point_id": message.charge_point_id,
                "reason": piece.reason,
                "raw": piece.raw,
            }
            for message in messages
            if message.meaning
            for piece in message.meaning.aside
        ]
        if pieces:
            conn.execute(_QUERIES["store_set_aside"], {"pieces": Jsonb(pieces)})

    def _new_marks(self, messages: list[Message]) -> set[tuple[int, int]]:
        """Return the (charge point, hour since 1970) pairs not marked within the last minute."""
        now = datetime.now(UTC)
        if (now - self._marks_since).total_seconds() > _FORGET_MARKS_S:
            self._marked.clear()
            self._marks_since = now
        found = set()
        for message in messages:
            assert message.meaning is not None
            for reading in message.meaning.readings:
                found.add((message.charge_point_id, int(reading.sampled_at.timestamp()) // 3600))
            for fact in message.meaning.facts:
                if isinstance(fact, StatusChange):
                    found.add((message.charge_point_id, int(fact.at.timestamp()) // 3600))
        return found - self._marked

    def _touch(self, conn: Connection, marks: set[tuple[int, int]]) -> None:
        if marks:
            conn.execute(
                _QUERIES["touch_windows"],
                {
                    "charge_point_ids": [charge_point_id for charge_point_id, _ in marks],
                    "hours": [datetime.fromtimestamp(hour * 3600, UTC) for _, hour in marks],
                },
            )

    def _open(self, conn: Connection, openings: list[Opening]) -> None:
        if not openings:
            return
        rows = [
            {
                "charge_point_id": opening.charge_point_id,
                "opened_at": opening.opened_at,
                "remote_address": opening.remote_address,
            }
            for opening in openings
        ]
        conn.execute(
            _QUERIES["open_connections"],
            {"connections": Jsonb(rows), "replica_id": self._replica_id},
        )
        by_id = {opening.charge_point_id: opening for opening in openings}
        cursor = conn.execute(_QUERIES["open_transactions"], {"charge_point_ids": list(by_id)})
        for charge_point_id, transaction_id, *known_of_it in cursor.fetchall():
            known = OpenTransaction(*known_of_it)
            by_id[charge_point_id].open_transactions[transaction_id] = known

    def _close(self, conn: Connection, closings: list[Closing]) -> None:
        if closings:
            rows = [
                {
                    "charge_point_id": closing.charge_point_id,
                    "opened_at": closing.opened_at,
                    "closed_at": closing.closed_at,
                    "reason": closing.reason,
                }
                for closing in closings
            ]
            conn.execute(_QUERIES["close_connections"], {"connections": Jsonb(rows)})


@contextmanager
def _taken_back_on_failure(messages: list[Message]) -> Iterator[None]:
    """Forget the answers written meanwhile: their transaction ids went with the transaction."""
    unanswered = [message for message in messages if message.answer is None]
    try:
        yield
    except BaseException:
        for message in unanswered:
            message.answer = None
        raise


def _binary(name: str) -> LiteralString:
    """Return a COPY in binary: a fifth of the cost of text, which has to be escaped."""
    return f"{_QUERIES[name].rstrip(';')} (FORMAT BINARY)"


def _answer(message: Message) -> str:
    meaning = message.meaning
    assert meaning is not None and message.message_id is not None
    payload = meaning.answer() if callable(meaning.answer) else meaning.answer
    return result_text(message.message_id, payload)


def _facts(messages: Iterable[Message], kind: type[Any]) -> Iterable[tuple[Message, Any]]:
    for message in messages:
        assert message.meaning is not None
        for fact in message.meaning.facts:
            if isinstance(fact, kind):
                yield message, fact


def _numbered(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"position": position, **row} for position, row in enumerate(rows)]


def _start_row(message: Message, start: TransactionStart) -> dict[str, Any]:
    return {
        "charge_point_id": message.charge_point_id,
        "connector_id": start.connector_id,
        "id_tag": start.id_tag,
        "started_at": start.started_at,
        "meter_start_wh": start.meter_start_wh,
        "reservation_id": start.reservation_id,
        "flags": start.flags,
    }


def _stop_row(message: Message, stop: TransactionStop) -> dict[str, Any]:
    return {
        "charge_point_id": message.charge_point_id,
        "transaction_id": stop.transaction_id,
        "id_tag": stop.id_tag,
        "stopped_at": stop.stopped_at,
        "meter_stop_wh": stop.meter_stop_wh,
        "reason": stop.reason,
        "flags": stop.flags,
        "received_at": message.received_at,
    }


def _status_row(message: Message, change: StatusChange) -> dict[str, Any]:
    return {
        "at": change.at,
        "received_at": message.received_at,
        "charge_point_id": message.charge_point_id,
        "connector_id": change.connector_id,
        "status": change.status,
        "error_code": change.error_code,
        "info": change.info,
        "vendor_id": change.vendor_id,
        "vendor_error_code": change.vendor_error_code,
        "flags": change.flags,
    }


def _boot_row(message: Message, boot: Boot) -> dict[str, Any]:
    return {
        "charge_point_id": message.charge_point_id,
        "vendor": boot.vendor,
        "model": boot.model,
        "serial_number": boot.serial_number,
        "firmware_version": boot.firmware_version,
        "boot": boot.payload,
        "booted_at": message.received_at,
    }


def _report_row(message: Message, report: Report) -> dict[str, Any]:
    return {
        "at": report.at,
        "received_at": message.received_at,
        "charge_point_id": message.charge_point_id,
        "kind": report.kind,
        "request_id": report.request_id,
        "status": report.status,
        "detail": report.detail,
    }
