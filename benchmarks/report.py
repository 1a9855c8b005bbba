"""Put measured tables into a page: ``python -m benchmarks.report bench.json growth.json``.

A page holds ``<!-- table: NAME -->`` and ``<!-- end -->`` on lines of their own; what stands
between is replaced by the newest table of that name. Tables not measured stay as they are.
"""

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.tables import Table

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
_PLACE = re.compile(r"(<!-- table: (?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


class BadReport(ValueError):
    """A file or a page that cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """A table, when it was measured and how busy the machine was."""

    table: Table
    circumstances: str

    def markdown(self) -> str:
        return f"\n{self.table.title}. {self.circumstances}\n\n{self.table.markdown()}\n\n"


def read(paths: list[Path]) -> dict[str, Measurement]:
    """Return the measurements by name; of two the one of the later file. Raises BadReport."""
    found = {}
    for path in paths:
        try:
            facts = json.loads(path.read_text())
            for table in facts["tables"]:
                found[table["name"]] = Measurement(_table(table), _circumstances(facts))
        except (OSError, ValueError, KeyError, TypeError) as exc:
            raise BadReport(f"{path} is no output of the benchmarks: {exc!r}") from None
    return found


def _table(found: dict[str, Any]) -> Table:
    rows = [tuple(row) for row in found["rows"]]
    return Table(found["name"], found["title"], tuple(found["columns"]), rows)


def _circumstances(facts: dict[str, Any]) -> str:
    before, after = facts["host_load_before"][0], facts["host_load_after"][0]
    return (
        f"Measured {facts['at'][:10]} on {facts['machine']}, Python {facts['python']};"
        f" load of the machine {before:.1f} before, {after:.1f} after."
    )


def rewrite(page: str, measured: dict[str, Measurement]) -> str:
    """Return the page with the tables in their places. Raises BadReport if one has no place."""
    places = {place["name"] for place in _PLACE.finditer(page)}
    if homeless := sorted(measured.keys() - places):
        raise BadReport(f"the page has no place for {', '.join(homeless)}")

    def fill(place: re.Match[str]) -> str:
        if (found := measured.get(place["name"])) is None:
            return place[0]
        return f"{place[1]}{found.markdown()}{place[3]}"

    return _PLACE.sub(fill, page)


def main(
    outputs: Annotated[list[Path], typer.Argument(help="What --output wrote, oldest first.")],
    page: Annotated[Path, typer.Option(help="The page to rewrite.")] = PAGE,
) -> None:
    """Rewrite the tables of a page."""
    try:
        page.write_text(rewrite(page.read_text(), read(outputs)))
    except BadReport as exc:
        print(f"report: {exc}", file=sys.stderr)
        raise typer.Exit(1) from None


if __name__ == "__main__":
    typer.run(main)
