"""One batch of frames, one transaction: every write that charge points cause."""

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
from psycopg import Connection
from psycopg.types.json import Jsonb, set_json_dumps

import sql
from ingest.facts import (
    Authorization,
    Boot,
    Fact,
    Reading,
    Report,
    SetAside,
    StatusChange,
    TransactionStart,
    TransactionStop,
    Undated,
    Verdict,
)
from ingest.fields import to_json
from ingest.frames import result_text
from ingest.items import Closing, Item, Message, Opening
from ingest.measurands import COLUMNS
from ingest.repeats import leave_out_repeats
from ingest.situation import KnownTransaction

_QUERIES = sql.load("ingest")
# Each day is a part of its own in the database, and making one takes it about 6 ms and some locks.
_MOST_NEW_DAYS = 64
_FORGET_MARKS_S = 60  # touched_window promises a mark a minute
# Of one charge point. Some number them by a key that grows with each session: beyond it they are
# none that anybody could plug into, or look after.
_MOST_CONNECTORS = 128

logger = logging.getLogger(__name__)

set_json_dumps(orjson.dumps)


class TooManyDays(Exception):
    """The items are of more days than one commit had better begin."""


class Store:
    """Saves batches on the connection it is given. It blocks: the writer runs it in its thread.

    Args:
        unknown_status: The verdict on id_tags that nobody registered: Accepted or Invalid.
    """

    def __init__(self, replica_id: UUID, unknown_status: str) -> None:
        self._replica_id = replica_id
        self._unknown_status = unknown_status
        self._marked: set[tuple[int, int]] = set()
        self._marks_since = time.monotonic()
        self._days: set[int] = set()
        self._connectors: set[tuple[int, int]] = set()
        self._crowded: set[int] = set()

    def save(self, conn: Connection, items: Sequence[Item]) -> None:
        """Store all items in one transaction and write their answers.

        First the facts, because the answers are made of what the database says to them; then the
        log, which has the answers beside the frames.

        Idempotent but for the raw log, which has a row for each frame that came. On return
        everything is committed; if it raises, nothing is.

        Raises:
            TooManyDays: Only for several items; fewer of them may pass.
        """
        messages = [item for item in items if isinstance(item, Message)]
        meant = [message for message in messages if message.meaning is not None]
        marks, connectors = self._news(meant)
        days = {hour // 24 for _, hour in marks} - self._days
        if len(days) > _MOST_NEW_DAYS and len(items) > 1:
            raise TooManyDays
        is_plain = not marks and not connectors and _are_plain(meant)
        with _taken_back_on_failure(meant):
            if is_plain and len(messages) == len(items):
                self._store(conn, messages)  # one statement is a transaction by itself
            else:
                with conn.transaction():
                    self._open(conn, [item for item in items if isinstance(item, Opening)])
                    self._note_connectors(conn, connectors)
                    self._save_facts(conn, meant)
                    self._store(conn, messages)
                    self._save_set_aside(conn, meant)
                    self._touch(conn, marks)
                    self._close(conn, [item for item in items if isinstance(item, Closing)])
        self._marked |= marks
        self._days |= days
        self._connectors |= connectors

    def _save_facts(self, conn: Connection, messages: list[Message]) -> None:
        with_facts = [message for message in messages if message.meaning and message.meaning.facts]
        if not with_facts:
            return
        self._judge(conn, list(_facts(with_facts, Authorization)))
        self._start(conn, list(_facts(with_facts, TransactionStart)))
        self._stop(conn, list(_facts(with_facts, TransactionStop)))
        leave_out_repeats(conn, list(_facts(with_facts, Undated)))
        self._insert(conn, "statuses", _rows(_facts(with_facts, StatusChange)))
        self._insert(conn, "boots", _rows(_facts(with_facts, Boot)))
        self._insert(conn, "reports", _rows(_facts(with_facts, Report)))

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
                "starts": Jsonb(_rows(found)),
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
                "stops": Jsonb(_rows(found)),
                "unknown_status": self._unknown_status,
            },
        )
        for (message, stop), row in zip(found, cursor.fetchall(), strict=True):
            stop.matched_id, connector_id, *verdict = row
            stop.verdict = Verdict(*verdict) if stop.matched_id is not None and verdict[0] else None
            if connector_id is not None and message.meaning:
                message.meaning.place_readings(connector_id, stop.matched_id)

    def _insert(self, conn: Connection, name: str, rows: list[dict[str, Any]]) -> None:
        if rows:
            conn.execute(_QUERIES[f"store_{name}"], {name: Jsonb(rows)})

    def _store(self, conn: Connection, messages: list[Message]) -> None:
        """Write the answers, log the messages and keep their readings, in one statement."""
        if not messages:
            return
        for message in messages:
            if message.answer is None and message.meaning is not None:
                message.answer = _answer(message)
        conn.execute(
            _QUERIES["store_messages"],
            {
                "received_ats": [message.received_at for message in messages],
                "charge_point_ids": [message.charge_point_id for message in messages],
                "message_types": [message.message_type for message in messages],
                "directions": [message.direction for message in messages],
                "actions": [message.action for message in messages],
                "message_ids": [message.message_id for message in messages],
                "raws": [message.raw for message in messages],
                "answers": [message.answer or None for message in messages],
                "answered_at": datetime.now(UTC),
                "readings": orjson.dumps(_reading_rows(messages)).decode(),
            },
            prepare=True,
        )

    def _save_set_aside(self, conn: Connection, messages: list[Message]) -> None:
        pieces = (
            (message, piece)
            for message in messages
            if message.meaning
            for piece in message.meaning.aside
        )
        self._insert(conn, "set_aside", _rows(pieces))

    def _news(self, messages: list[Message]) -> tuple[set[tuple[int, int]], set[tuple[int, int]]]:
        """Return the (charge point, hour since 1970) pairs not marked within the last minute.

        And the (charge point, connector) pairs that we have not met since we began.
        """
        now = time.monotonic()  # the clock of the machine may step back
        if now - self._marks_since > _FORGET_MARKS_S:
            self._marked.clear()
            self._marks_since = now
        marks, connectors = set(), set()
        for message in messages:
            number, meaning = message.charge_point_id, message.meaning
            assert meaning is not None
            for reading in meaning.readings:
                marks.add((number, int(reading.sampled_at.timestamp()) // 3600))
                if reading.connector_id > 0:  # 0 is the main meter, or not known yet
                    connectors.add((number, reading.connector_id))
            for fact in meaning.facts:
                if isinstance(fact, StatusChange):
                    marks.add((number, int(fact.at.timestamp()) // 3600))
                if isinstance(fact, StatusChange | TransactionStart):
                    connectors.add((number, fact.connector_id))
        return marks - self._marked, connectors - self._connectors

    def _touch(self, conn: Connection, marks: set[tuple[int, int]]) -> None:
        if marks:
            conn.execute(
                _QUERIES["touch_windows"],
                {
                    "charge_point_ids": [charge_point_id for charge_point_id, _ in marks],
                    "hours": [datetime.fromtimestamp(hour * 3600, UTC) for _, hour in marks],
                },
            )

    def _note_connectors(self, conn: Connection, connectors: set[tuple[int, int]]) -> None:
        if not connectors:
            return
        parameters = {
            "charge_point_ids": [charge_point_id for charge_point_id, _ in connectors],
            "connector_ids": [connector_id for _, connector_id in connectors],
            "most": _MOST_CONNECTORS,
        }
        left_out = conn.execute(_QUERIES["note_connectors"], parameters).fetchall()
        if left_out:
            self._leave_out(conn, left_out)

    def _leave_out(self, conn: Connection, connectors: Sequence[tuple[int, int]]) -> None:
        """Say of which connectors there is nothing but what they sent."""
        pieces = [
            {
                "received_at": datetime.now(UTC),
                "charge_point_id": number,
                "reason": f"connector {connector_id}: the charge point has {_MOST_CONNECTORS}",
                "raw": to_json({"connectorId": connector_id}),
            }
            for number, connector_id in connectors
        ]
        self._insert(conn, "set_aside", pieces)
        crowded = {number for number, _ in connectors} - self._crowded
        self._crowded |= crowded
        for number in crowded:
            logger.warning("charge point %d: too many connectors, no more are noted", number)

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
        by_id = {opening.charge_point_id: opening for opening in openings}
        conn.execute(_QUERIES["await_other_replicas"], {"charge_point_ids": list(by_id)})
        conn.execute(
            _QUERIES["open_connections"],
            {"connections": Jsonb(rows), "replica_id": self._replica_id},
        )
        cursor = conn.execute(_QUERIES["known_transactions"], {"charge_point_ids": list(by_id)})
        for charge_point_id, transaction_id, *so_far in cursor.fetchall():
            by_id[charge_point_id].transactions[transaction_id] = KnownTransaction(*so_far)

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
    """Forget the answers written meanwhile: their transaction ids went with the transaction.

    And have the readings again that were left out because another message had them.
    """
    unanswered = [message for message in messages if message.answer is None]
    readings = [message.meaning.readings for message in messages if message.meaning]
    try:
        yield
    except BaseException:
        for message in unanswered:
            message.answer = None
        for message, before in zip(messages, readings, strict=True):
            assert message.meaning is not None
            message.meaning.readings = before
        raise


def _reading_rows(messages: list[Message]) -> list[dict[str, Any]]:
    rows: dict[tuple[int, datetime, int, int, int | None], tuple[Reading, int]] = {}
    for message in messages:
        for reading in message.meaning.readings if message.meaning else ():
            key = (
                message.charge_point_id,
                reading.sampled_at,
                reading.connector_id,
                reading.context,
                reading.transaction_id,
            )
            # One statement cannot touch a row twice: parts of an instant merge here.
            first, _ = rows.setdefault(key, (reading, int(message.action != "MeterValues")))
            if first is not reading:
                first.merge(reading)
    return [
        _reading_row(charge_point_id, reading, origin)
        for (charge_point_id, *_), (reading, origin) in rows.items()
    ]


def _reading_row(charge_point_id: int, reading: Reading, origin: int) -> dict[str, Any]:
    row: dict[str, Any] = dict(zip(COLUMNS, reading.values, strict=True))
    row["sampled_at"] = reading.sampled_at
    row["charge_point_id"] = charge_point_id
    row["connector_id"] = reading.connector_id
    row["transaction_id"] = reading.transaction_id
    row["context"] = reading.context
    row["origin"] = origin
    row["extra"] = reading.extra or None
    return row


def _are_plain(messages: list[Message]) -> bool:
    """Whether readings are all there is to store besides the log."""
    return not any(
        message.meaning and (message.meaning.facts or message.meaning.aside) for message in messages
    )


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


def _rows(found: Iterable[tuple[Message, Fact | SetAside]]) -> list[dict[str, Any]]:
    """Return each fact's fields beside where it comes from; a statement takes those it names."""
    return [
        {
            "position": position,
            "charge_point_id": message.charge_point_id,
            "received_at": message.received_at,
            **{name: getattr(fact, name) for name in fact.__slots__},
        }
        for position, (message, fact) in enumerate(found)
    ]
