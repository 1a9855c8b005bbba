"""Gives the flows what only ingest knows: how a frame of the raw log is read."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from flows.catalogue import offer
from flows.commands import app
from flows.rebuild import RawFrame, computer
from ingest.facts import Meaning, TransactionStop, Undated
from ingest.frames import Call, read_frame
from ingest.meanings import meaning_of
from ingest.measurands import COLUMNS
from ingest.repeats import SAME_SOCKET, SOCKET_BEFORE
from ingest.situation import Situation
from ingest.timestamps import read_zone

__all__ = ["REBUILD", "FrameReader", "app"]

_REMEMBERED = timedelta(hours=2)  # longer than anything comes again


class FrameReader:
    """Reads frames in the order in which they came."""

    def __init__(self) -> None:
        self._said: dict[bytes, list[datetime]] = {}

    def __call__(self, frame: RawFrame) -> Iterator[Mapping[str, Any]]:
        """Yield the readings of a frame as rows of meter_value.

        What only the transaction tells (its connector, or which one runs) is left to who knows
        them. Readings without a usable time that came before are left out, as they were then.
        """
        call = read_frame(frame.raw.encode())
        if not isinstance(call, Call):
            return
        zone = read_zone(frame.time_zone) or UTC
        situation = Situation(zone=zone, opened_at=frame.opened_at)
        meaning = meaning_of(call, situation, frame.received_at)
        rows = _rows(call, meaning)
        undated = next((fact for fact in meaning.facts if isinstance(fact, Undated)), None)
        yield from rows if undated is None else self._new(rows, frame.received_at, undated)

    def _new(
        self, rows: Iterable[Mapping[str, Any]], received_at: datetime, undated: Undated
    ) -> list[Mapping[str, Any]]:
        new, said = [], []
        for row in rows:
            if "clock" in (row["extra"] or {}).get("flags", ()):
                key = _what_it_says(row)
                if self._came_before(key, received_at, undated.opened_at):
                    continue
                said.append(key)
            new.append(row)
        for key in said:
            recent = [at for at in self._said.get(key, ()) if at >= received_at - _REMEMBERED]
            self._said[key] = [*recent, received_at]
        return new

    def _came_before(self, key: bytes, received_at: datetime, opened_at: datetime | None) -> bool:
        return any(
            at >= received_at - SAME_SOCKET
            or (opened_at is not None and opened_at - SOCKET_BEFORE <= at < opened_at)
            for at in self._said.get(key, ())
        )


def _rows(call: Call, meaning: Meaning) -> Iterator[Mapping[str, Any]]:
    stops = [fact.stopped_at for fact in meaning.facts if isinstance(fact, TransactionStop)]
    is_told = not stops and call.payload.get("connectorId") is not None
    for reading in meaning.readings:
        yield {
            "sampled_at": reading.sampled_at,
            "connector_id": reading.connector_id if is_told else None,
            "context": reading.context,
            "transaction_id": reading.transaction_id,
            "stopped_at": stops[0] if stops else None,
            "extra": reading.extra,
            **dict(zip(COLUMNS, reading.values, strict=True)),
        }


def _what_it_says(row: Mapping[str, Any]) -> bytes:
    said = {name: row[name] for name in row.keys() - {"sampled_at", "stopped_at"}}
    return orjson.dumps(said, option=orjson.OPT_SORT_KEYS)


REBUILD = offer("rebuild", computer(FrameReader), deployed_by="eletroposto.rebuild_flow")
