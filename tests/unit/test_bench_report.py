"""Figures on their way from a run of the benchmarks to the page."""

import json
import math
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer

from benchmarks import pages
from benchmarks.load import Failed
from benchmarks.report import PAGE, BadReport, read, rewrite
from benchmarks.tables import Findings, Table, publish

TABLE = Table("write-path", "Write path", ("what", "measured"), [("frames/s", "**4,000**")])
NOTHING = """Before.
<!-- table: write-path -->
old
<!-- end -->
Between.
<!-- table: b -->
b
<!-- end -->
"""


def output(path: Path, *tables: Table) -> Path:
    findings = Findings()
    for table in tables:
        findings.add(table, {})
    path.write_text(findings.as_json())
    return path


def test_a_table_takes_its_place_and_leaves_the_others(tmp_path: Path) -> None:
    page = rewrite(NOTHING, read([output(tmp_path / "a.json", TABLE)]))

    assert "| what | measured |\n| --- | --- |\n| frames/s | **4,000** |\n" in page
    assert "old" not in page
    assert page.startswith("Before.\n<!-- table: write-path -->\n")
    assert page.endswith("<!-- end -->\nBetween.\n<!-- table: b -->\nb\n<!-- end -->\n")
    assert "load of the machine" in page


def test_doing_it_twice_changes_nothing(tmp_path: Path) -> None:
    measured = read([output(tmp_path / "a.json", TABLE)])

    assert rewrite(rewrite(NOTHING, measured), measured) == rewrite(NOTHING, measured)


def test_the_later_file_counts(tmp_path: Path) -> None:
    later = Table("write-path", "Write path", ("what", "measured"), [("frames/s", "**5,000**")])

    measured = read([output(tmp_path / "a.json", TABLE), output(tmp_path / "b.json", later)])

    assert "5,000" in rewrite(NOTHING, measured)


def test_a_table_without_a_place_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadReport, match="no place for write-path"):
        rewrite("An empty page.\n", read([output(tmp_path / "a.json", TABLE)]))


@pytest.mark.parametrize("text", ["", "[]", "{}", json.dumps({"tables": [{"name": "x"}]})])
def test_what_is_no_output_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "odd.json"
    path.write_text(text)

    with pytest.raises(BadReport, match=r"odd\.json is no output of the benchmarks"):
        read([path])


def test_the_page_has_a_place_for_every_table(tmp_path: Path) -> None:
    folder = Path(__file__).parents[2] / "benchmarks"
    made = (re.findall(r'Table\(\s*"([\w-]+)"', text.read_text()) for text in folder.glob("*.py"))
    names = {name for found in made for name in found} - {"foreign"}
    tables = [Table(name, "T", ("x",), [("1",)]) for name in names]

    page: Any = rewrite(PAGE.read_text(), read([output(tmp_path / "a.json", *tables)]))

    assert page.count("<!-- end -->") == len(names)


@pytest.mark.parametrize(
    ("trouble", "raised", "cause"),
    [
        (Failed("the server refused"), typer.Exit, "the server refused"),
        (KeyboardInterrupt(), KeyboardInterrupt, "interrupted"),
    ],
)
def test_what_was_found_before_a_failure_is_kept(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    trouble: BaseException,
    raised: type[BaseException],
    cause: str,
) -> None:
    def collect(findings: Findings) -> None:
        findings.begin("write path")
        findings.add(TABLE, {})
        findings.begin("pages")
        raise trouble

    with pytest.raises(raised):
        publish(collect, tmp_path / "a.json")

    said = capsys.readouterr()
    reason = f"INCOMPLETE: pages failed: {cause}"
    assert TABLE.markdown() in said.out
    assert reason in said.out
    assert said.err == f"bench: {reason}\n"
    assert json.loads((tmp_path / "a.json").read_text())["incomplete"] == reason
    assert read([tmp_path / "a.json"])["write-path"].table == TABLE


def test_a_question_that_was_not_answered_has_no_time() -> None:
    times = {"30 days": {"quick": 5.0, "slow": math.inf}, "365 days": {"slow": 310.4}}

    table = pages.questions_table(times, "some")

    assert table.rows == [
        ("slow", "**cancelled**", "**310**"),
        ("quick", "5", "not asked"),
        ("2 questions, 1 above 300 ms", "", ""),
    ]


@pytest.mark.parametrize("days", [1, 30, 31, 32, 365])
def test_the_slices_of_a_file_are_the_period(days: int) -> None:
    since = datetime(2026, 1, 1, 3, tzinfo=UTC)
    until = since + timedelta(days=days)

    slices = pages.slices_of({"since": since, "until": until, "tag": "T"})

    ends = [(each["since"], each["until"]) for each in reversed(slices)]
    assert ends[0][0] == since
    assert ends[-1][1] == until
    assert [end for _, end in ends[:-1]] == [begin for begin, _ in ends[1:]]
    assert all(timedelta() < end - begin <= timedelta(days=31) for begin, end in ends)
    assert all(each["tag"] == "T" for each in slices)
