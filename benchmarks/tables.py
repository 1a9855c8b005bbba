"""Tables of figures: printed, written as JSON, and put into docs/performance.md from there."""

import json
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import typer

from benchmarks.load import Failed
from testbench.embedded import EmbeddedUnavailable


@dataclass(frozen=True, slots=True)
class Table:
    """Some figures; ``name`` is how a page asks for them."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]

    def markdown(self) -> str:
        lines = [self.columns, tuple("---" for _ in self.columns), *self.rows]
        return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


@dataclass
class Findings:
    """Everything one run of the benchmarks found.

    Attributes:
        part: What is being measured; it has no table yet.
        incomplete: Which part failed and why; empty: none did.
    """

    tables: list[Table] = field(default_factory=list)
    runs: dict[str, object] = field(default_factory=dict)
    host_load: tuple[float, float, float] = field(default_factory=os.getloadavg)
    part: str = ""
    incomplete: str = ""

    def begin(self, part: str) -> None:
        self.part = part

    def fail(self, cause: str) -> None:
        """Of what was found before, say that it is not all."""
        self.incomplete = cause
        if self.tables:
            self.incomplete = f"INCOMPLETE: {self.part} failed: {cause}"

    def add(self, table: Table, runs: object) -> None:
        self.tables.append(table)
        self.runs[table.name] = runs

    def as_json(self) -> str:
        facts = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
            "python": platform.python_version(),
            "host_load_before": [round(each, 2) for each in self.host_load],
            "host_load_after": [round(each, 2) for each in os.getloadavg()],
            "incomplete": self.incomplete,
            "tables": [asdict(table) for table in self.tables],
            "runs": self.runs,
        }
        return json.dumps(facts, indent=2)


def say(text: str) -> None:
    """Tell of progress, beside the figures."""
    print(text, file=sys.stderr, flush=True)


def publish(collect: Callable[[Findings], None], output: Path | None) -> None:
    """Print what ``collect`` finds; when a part of it fails, the tables of the parts before.

    Raises:
        typer.Exit: With code 1 where a load could not be made; nothing of that part is printed.
    """
    findings = Findings()
    try:
        _check_writable(output)
        collect(findings)
    except (Failed, EmbeddedUnavailable, OSError, psycopg.Error) as exc:
        findings.fail(str(exc).strip() or repr(exc))
    except BaseException:
        findings.fail("interrupted")
        _tell(findings, output)
        raise
    _tell(findings, output)
    if findings.incomplete:
        raise typer.Exit(1)


def _check_writable(output: Path | None) -> None:
    """Raises Failed: before the load, not after it."""
    if output is None:
        return
    if output.is_dir() or not output.parent.is_dir():
        raise Failed(f"--output {output}: there is no such folder, or it is one")
    if not os.access(output if output.exists() else output.parent, os.W_OK):
        raise Failed(f"--output {output} cannot be written")


def _tell(findings: Findings, output: Path | None) -> None:
    if findings.incomplete:
        say(f"bench: {findings.incomplete}")
    if not findings.tables:
        return
    for table in findings.tables:
        print(f"\n{table.title}\n\n{table.markdown()}")
    before, after = findings.host_load[0], os.getloadavg()[0]
    print(f"\nLoad of the machine: {before:.1f} before, {after:.1f} after.")
    if findings.incomplete:
        print(f"\n{findings.incomplete}")
    if output:
        output.write_text(findings.as_json())
