"""A query that is named in the code is in the file of its room."""

import re
from collections.abc import Iterator
from pathlib import Path

import sql

_ROOT = Path(__file__).parents[2]
_LOADED = re.compile(r'^(_\w+) = (?:sql\.)?load\("(\w+)"\)', re.MULTILINE)


def named() -> Iterator[tuple[str, str, str]]:
    """(file, room, query) of every query that code asks for by a plain name."""
    for package in ("ingest", "flows", "dashboard", "eletroposto", "testbench"):
        for path in (_ROOT / package).rglob("*.py"):
            text = path.read_text()
            for variable, room in _LOADED.findall(text):
                for query in re.findall(rf'{variable}\["(\w+)"\]', text):
                    yield str(path.relative_to(_ROOT)), room, query


def test_every_query_there_is_a_name_for_exists() -> None:
    found = list(named())
    assert len(found) > 50, "the code is read as it is written"
    assert [one for one in found if one[2] not in sql.load(one[1])] == []
