"""docs/dojot.md names every error and every outcome that the relay counts, and no other."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
_COUNTING = {"error", "_fail", "DojotError"}


def calls() -> Iterator[tuple[str, ast.Call]]:
    for path in sorted((ROOT / "ingest/relay").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                function = node.func
                name = function.attr if isinstance(function, ast.Attribute) else ""
                yield (function.id if isinstance(function, ast.Name) else name), node


def words(node: ast.AST) -> set[str]:
    return {
        inner.value
        for inner in ast.walk(node)
        if isinstance(inner, ast.Constant) and isinstance(inner.value, str)
    }


def counted_errors() -> set[str]:
    """The first text that is passed on where an error is counted or made."""
    found: set[str] = set()
    for name, call in calls():
        if name in _COUNTING and isinstance(call.func, ast.Attribute | ast.Name):
            place = 1 if name == "_fail" and len(call.args) > 1 else 0
            found |= words(call.args[place]) if len(call.args) > place else set()
    source = ast.parse((ROOT / "ingest/relay/dojot_api.py").read_text())
    for node in ast.walk(source):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "names":
            found |= words(node.value)
    return {word for word in found if re.fullmatch(r"[a-z_]+", word)}


def table_of_errors() -> set[str]:
    text = (ROOT / "docs/dojot.md").read_text()
    rows = text.partition("| error | meaning | then |")[2].partition("\n\n")[0]
    first_cells = (line.split("|")[1] for line in rows.splitlines() if line.startswith("| `"))
    return {name for cell in first_cells for name in re.findall(r"`(\w+)`", cell)}


def test_every_error_is_explained() -> None:
    assert len(counted_errors()) > 15
    assert table_of_errors() == counted_errors()


def test_every_outcome_of_an_order_is_explained() -> None:
    source = (ROOT / "ingest/relay/order_desk.py").read_text()
    outcomes = set(re.findall(r'(?:return|_done\(|_count\()\s*"([a-z ]+)"', source))
    text = (ROOT / "docs/dojot.md").read_text()
    told = text.partition("counts the outcome of each message:")[2].partition(".\n")[0]

    assert len(outcomes) == 6
    assert set(re.findall(r"`([a-z ]+)`", told)) == outcomes


def test_sections_of_the_contract_that_are_cited_exist() -> None:
    contract = (ROOT / "docs/dojot-contract.md").read_text()
    sections = set(re.findall(r"^#+ (\d[abc]?)\. ", contract, re.M))
    seventh = contract.partition("## 7. ")[2]
    sections |= {f"7.{number}" for number in re.findall(r"^(\d+)\. ", seventh, re.M)}
    cited: set[str] = set()
    for folder in ("testbench/dojot", "tests/unit", "tests/integration"):
        for path in (ROOT / folder).rglob("*.py"):
            for found in re.findall(
                r"[Cc]ontract sections? ([^:;.)]*(?:\.\d+)?)", path.read_text()
            ):
                cited |= set(re.findall(r"\b\d(?:\.\d+|[abc])?\b", found))

    assert len(cited) > 8
    assert cited <= sections
