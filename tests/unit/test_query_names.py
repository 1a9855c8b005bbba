"""A query that is named in the code is in a file of its room, which says so in its name."""

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


def filters_of(query: str) -> list[str]:
    """The conditions on report.session in order, each a line."""
    told = sql.load("dashboard")[query].partition("FROM report.session AS ses\n")[2]
    lines = [line.strip().removeprefix("AND ") for line in told.splitlines()]
    return [line for line in lines if re.search(r"\bses\.", line) and " JOIN " not in line]


def test_the_table_of_sessions_and_its_total_line_keep_the_same_ones() -> None:
    filters = filters_of("session_totals")

    assert len(filters) == 14
    assert [one for one in filters_of("sessions") if "ORDER BY" not in one] == filters


def test_a_file_of_queries_says_whose_they_are() -> None:
    rooms = ("ingest", "flows", "dashboard", "eletroposto")
    about_the_schema = {"comments", "functions"}
    names = {path.stem for path in (_ROOT / "sql").glob("*.sql")} - about_the_schema

    assert {name for name in names if name.partition("_")[0] not in rooms} == set()
