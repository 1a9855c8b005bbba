"""Runs the tests marked with a case of certification and writes docs/conformance.md from them.

python -m tests.conformance_table
"""

import re
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import pytest

TABLE = Path(__file__).parents[1] / "docs" / "conformance.md"
# The cases of the compliance testing tool for OCPP 1.6 that concern a central system.
CATALOGUE = re.findall(
    r"\S+",
    """
    001 003 004_1 004_2 005_1 007 010 011_1 011_2 012 013 014 017_1 017_2 018_1 019_1 019_2 021
    023_1 023_2 023_3 024 026 028 030 031 032_1 037_1 037_3 039 040_1 040_2 042_1 042_2
    043_1 043_3 043_4 043_5 044_1 044_2 044_3 045_1 045_2 046 047 048_1 048_2 048_3 048_4 049
    051 052 053 054 055 056 057 059 061 064 066 067 073 074 075_1 075_2 076 077 078 079 080 081
    083 085 086 087 088
    """,
)
_EXTRA = "extra"
_HEAD = """\
# Conformance

What certification checks of an OCPP 1.6J central system, and what else real networks ask of one.
Every row is a test against real sockets, a real central system and a real database. Case numbers
are those of the compliance testing tool; the tests were written from the behaviour the cases ask
for, and are no certificate. `python -m tests.conformance_table` runs them and writes this page.

"""


@dataclass(slots=True)
class Results:
    """A pytest plugin: the outcome of each test, and the cases it is marked with."""

    cases: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    passed: set[str] = field(default_factory=set)

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        marks = item.iter_markers("conformance")
        self.cases[item.nodeid] = [(mark.args[0], mark.args[1]) for mark in marks]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.add(report.nodeid)
        elif report.when == "call" and report.passed:
            self.passed.add(report.nodeid)

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Return case, what is checked, test, result; sorted, a row for each text of a case."""
        tests: dict[tuple[str, str, str], list[str]] = defaultdict(list)
        for test, cases in self.cases.items():
            for case, what in cases:
                tests[case, what, test.partition("[")[0]].append(test)
        found = [
            (case, what, name.rpartition("/")[2].replace(".py::", "::"), self._result(names))
            for (case, what, name), names in tests.items()
        ]
        return sorted(found, key=lambda row: (row[0] == _EXTRA, row))

    def _result(self, tests: list[str]) -> str:
        has_passed = all(test in self.passed and test not in self.failed for test in tests)
        return "passed" if has_passed else "FAILED"


def table(rows: list[tuple[str, str, str, str]]) -> str:
    lines = ["| case | what is checked | test | result |", "|---|---|---|---|"]
    lines += [f"| {case} | {what} | `{test}` | {result} |" for case, what, test, result in rows]
    return "\n".join(lines) + "\n"


def cases_in(page: str) -> dict[str, set[str]]:
    """Return the results of each case on the page."""
    found: dict[str, set[str]] = defaultdict(set)
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and cells[3] in {"passed", "FAILED"}:
            found[cells[0]].add(cells[3])
    return dict(found)


def main() -> int:
    results = Results()
    pytest.main(["-q", "-m", "conformance", "tests/acceptance"], plugins=[results])
    rows = results.rows()
    missing = [case for case in CATALOGUE if case not in {row[0] for row in rows}]
    TABLE.write_text(_HEAD + table(rows))
    print(f"{TABLE.name}: {len(rows)} rows; cases without a test: {', '.join(missing) or 'none'}")
    return 1 if missing or results.failed else 0


if __name__ == "__main__":
    sys.exit(main())
