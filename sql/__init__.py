"""The schema and every query: the one model that ingest, flows and dashboard share."""

import re
from importlib.resources import files
from typing import LiteralString, cast

_MARKER = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


def load(room: str) -> dict[str, LiteralString]:
    """Return the queries of ``sql/<room>.sql`` by name."""
    text = files(__package__).joinpath(f"{room}.sql").read_text(encoding="utf-8")
    _, *parts = _MARKER.split(text)
    # The text comes from our own files and never from outside.
    return {
        name: cast(LiteralString, query.strip())
        for name, query in zip(parts[::2], parts[1::2], strict=True)
    }
