"""Readings without a usable time that come again: their key cannot tell, so what they say must."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import orjson
from psycopg import Connection
from psycopg.types.json import Jsonb

import sql
from ingest.facts import Reading, Undated
from ingest.items import Message
from ingest.measurands import COLUMNS

_QUERIES = sql.load("ingest")
_MOST_COMPARED = 500  # readings without a time, in one batch, that may be repeats
# Within so long what has no time of its own and says the same is taken for a repeat: on the same
# socket for what a charge point sends again unanswered, from the one before for what it kept.
SAME_SOCKET, SOCKET_BEFORE = timedelta(minutes=2), timedelta(hours=1)


def leave_out_repeats(conn: Connection, found: Sequence[tuple[Message, Undated]]) -> None:
    """Leave out readings without a usable time that came before."""
    if not found:
        return
    candidates = [
        (message, reading, fact.opened_at)
        for message, fact in found
        if message.meaning
        for reading in message.meaning.readings
        if "clock" in (reading.extra or {}).get("flags", ())
    ]
    if not 0 < len(candidates) <= _MOST_COMPARED:
        return
    rows = [
        {"position": position, **_row(*candidate)} for position, candidate in enumerate(candidates)
    ]
    cursor = conn.execute(
        _QUERIES["known_undated"],
        {
            "readings": Jsonb(rows),
            "same_socket": SAME_SOCKET,
            "socket_before": SOCKET_BEFORE,
            "since": min(map(_since, rows)),
        },
    )
    repeated = {position for (position,) in cursor.fetchall()}
    for position in repeated | _said_before(rows, [id(message) for message, *_ in candidates]):
        message, repeat, _ = candidates[position]
        assert message.meaning is not None
        # Another list: the one before is needed again if the transaction fails.
        message.meaning.readings = [one for one in message.meaning.readings if one is not repeat]


def _since(row: dict[str, Any]) -> datetime:
    """Return the earliest instant under which it may have been stored."""
    opened_at: datetime | None = row["opened_at"]
    if opened_at is not None:
        return opened_at - SOCKET_BEFORE
    received_at: datetime = row["received_at"]
    return received_at - SAME_SOCKET


def _row(message: Message, reading: Reading, opened_at: datetime | None) -> dict[str, Any]:
    return {
        "charge_point_id": message.charge_point_id,
        "connector_id": reading.connector_id,
        "context": reading.context,
        "transaction_id": reading.transaction_id,
        "received_at": message.received_at,
        "opened_at": opened_at,
        "extra": reading.extra,
        **dict(zip(COLUMNS, reading.values, strict=True)),
    }


def _said_before(rows: list[dict[str, Any]], messages: list[int]) -> set[int]:
    """Return the positions of what another message of the same batch said already."""
    first: dict[bytes, int] = {}
    found = set()
    for row, message in zip(rows, messages, strict=True):
        said = {name: row[name] for name in row.keys() - {"position", "received_at", "opened_at"}}
        if first.setdefault(orjson.dumps(said, option=orjson.OPT_SORT_KEYS), message) != message:
            found.add(row["position"])
    return found
