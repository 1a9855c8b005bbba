"""Gives the flows what only ingest knows: how a frame of the raw log is read."""

from collections.abc import Iterator, Mapping
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from flows.catalogue import offer
from flows.commands import app
from flows.rebuild import RawFrame, computer
from ingest.facts import TransactionStop
from ingest.frames import Call, read_frame
from ingest.meanings import meaning_of
from ingest.measurands import COLUMNS
from ingest.situation import Situation

__all__ = ["REBUILD", "app", "readings_of"]


def readings_of(frame: RawFrame) -> Iterator[Mapping[str, Any]]:
    """Yield the readings of a frame as rows of meter_value.

    What only the transaction tells (its connector, or which one runs) is left to who knows them.
    """
    call = read_frame(frame.raw.encode())
    if not isinstance(call, Call):
        return
    meaning = meaning_of(call, Situation(zone=_zone(frame.time_zone)), frame.received_at)
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


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


REBUILD = offer("rebuild", computer(readings_of), deployed_by="eletroposto.rebuild_flow")
