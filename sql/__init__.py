"""The schema and every query: the one model that ingest, flows and dashboard share."""

import re
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import LiteralString, cast

_MARKER = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


def load(room: str) -> dict[str, LiteralString]:
    """Return the queries of ``sql/<room>.sql`` and of every ``sql/<room>_*.sql``, by name.

    Raises:
        ValueError: There is no such file, or two queries share a name.
    """
    found: dict[str, LiteralString] = {}
    for file in sorted(files(__package__).iterdir(), key=lambda file: file.name):
        if file.name == f"{room}.sql" or re.fullmatch(rf"{room}_\w+\.sql", file.name):
            for name, query in queries(file):
                if name in found:
                    raise ValueError(f"{file.name}: the query {name} exists already")
                found[name] = query
    if not found:
        raise ValueError(f"there are no queries of {room!r}")
    return found


def queries(file: Traversable) -> list[tuple[str, LiteralString]]:
    """Return the queries of one of our own files with their names, in its order."""
    _, *parts = _MARKER.split(file.read_text(encoding="utf-8"))
    # The text never comes from outside.
    texts = (cast(LiteralString, part.strip()) for part in parts[1::2])
    return list(zip(parts[::2], texts, strict=True))
