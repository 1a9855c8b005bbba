"""What holds for the repository as a whole."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from types import ModuleType

import pytest
from pydantic_settings import BaseSettings

import ingest.relay
from ingest.relay.settings import RelaySettings
from ingest.settings import Settings
from testbench.demo import settings as demo

ROOT = Path(__file__).parents[2]
ROOMS = ("ingest", "flows", "dashboard", "sql", "testbench", "eletroposto")
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# In two pieces, or this file would be a finding.
REGISTRIES = ("pypi" + ".org", "python" + "hosted.org", "debian" + ".org/debian", "npmjs" + ".org")
LINK = re.compile(r"!?\[[^]]*\]\(([^)#\s]+)[^)]*\)")


def committed(*patterns: str) -> list[Path]:
    names = subprocess.run(
        ["git", "ls-files", "-z", *patterns], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [ROOT / name for name in names.stdout.split("\0") if name and (ROOT / name).is_file()]


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="ignore")


def test_no_committed_file_names_a_package_registry() -> None:
    found = [
        (path.relative_to(ROOT), host)
        for path in committed()
        for host in REGISTRIES
        if host in text_of(path)
    ]
    assert found == []


@pytest.mark.parametrize("name", ["requirements.lock", "requirements.runtime.lock"])
def test_a_lock_has_hashes_and_no_address(name: str) -> None:
    text = text_of(ROOT / name)
    assert "://" not in text
    assert not re.search(r"^\s*-(-index|i |f |-find)", text, re.M)
    blocks = re.findall(r"^[\w.\[\]-]+==(?:.*\\\n)+.*", text, re.M)
    pins = re.findall(r"^[\w.\[\]-]+==", text, re.M)
    assert len(blocks) == len(pins) > 100
    assert all("--hash=sha256:" in block for block in blocks)


def test_the_lock_for_fuzzing_has_hashes_and_no_address() -> None:
    text = text_of(ROOT / "requirements.fuzz.lock")
    assert "://" not in text
    pins = re.findall(r"^([\w-]+)==.*\\\n +--hash=sha256:", text, re.M)
    assert pins == ["atheris", "atheris"]  # which one depends on the version of Python


def test_make_check_keeps_the_rooms_apart() -> None:
    recipe = text_of(ROOT / "Makefile").partition("\ncheck:")[2].partition("\n\n")[0]
    assert "lint-imports" in recipe
    contract = text_of(ROOT / "pyproject.toml").partition("[[tool.importlinter.contracts]]")[2]
    assert 'modules = ["ingest", "flows", "dashboard", "testbench"]' in contract


def test_make_test_skips_nothing() -> None:
    marks = re.compile(r"\bpytest\.(skip|importorskip|xfail)\b|mark\.(skip|skipif|xfail)\b")
    found = [path.name for path in committed("tests/*.py") if marks.search(text_of(path))]
    assert [name for name in found if name != Path(__file__).name] == []


def imported_by(*rooms: str) -> set[str]:
    """Top-level names of what others have written, wherever in a module it is imported."""
    names: set[str] = set()
    for path in committed(*(f"{room}/*.py" for room in rooms)):
        for node in ast.walk(ast.parse(text_of(path))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add(str(node.module).partition(".")[0])
    return names - sys.stdlib_module_names - {*ROOMS, "benchmarks", "tests"}


def declared(requirements: list[str]) -> set[str]:
    """Names of distributions; those that extras bring, as psycopg-pool, are named after them."""
    found = [re.match(r"([\w-]+)(?:\[([\w,]+)])?", line) for line in requirements]
    names = {one[1] for one in found if one}
    extras = {f"{one[1]}-{extra}" for one in found if one and one[2] for extra in one[2].split(",")}
    return names | extras


def test_what_is_imported_is_declared() -> None:
    """What arrives only because somebody else happens to need it may stay away tomorrow."""
    project = tomllib.loads(text_of(ROOT / "pyproject.toml"))
    extras = project["project"]["optional-dependencies"]
    always = declared(project["project"]["dependencies"] + extras["login"] + extras["scale"])
    developing = always | declared(extras["dev"] + project["dependency-groups"]["fuzz"])
    made_of = {**packages_distributions(), "atheris": ["atheris"]}  # by `make fuzz` only

    product = (*ROOMS[:4], "eletroposto")
    for allowed, rooms in ((always, product), (developing, ("testbench", "benchmarks", "tests"))):
        undeclared = {
            name
            for name in imported_by(*rooms)
            if not allowed & {one.lower().replace("_", "-") for one in made_of[name]}
        }
        assert undeclared == set(), rooms


def documented() -> str:
    return "\n".join(map(text_of, DOCUMENTS))


@pytest.mark.parametrize("settings", [Settings, RelaySettings, demo.Settings])
def test_every_field_of_settings_is_documented(settings: type[BaseSettings]) -> None:
    prefix = str(settings.model_config["env_prefix"])
    names = {f"{prefix}{name}".upper() for name in settings.model_fields}
    assert {name for name in names if name not in documented()} == set()


def test_every_variable_that_code_names_is_documented() -> None:
    used = {
        name for room in ROOMS for path in committed(f"{room}/*.py") for name in variables(path)
    }
    assert "ELETROPOSTO_DATABASE_URL" in used
    assert {name for name in used if name not in documented()} == set()


def variables(path: Path) -> set[str]:
    """Names of variables in strings of a module; prefixes end in an underscore and are none."""
    strings = (
        node.value
        for node in ast.walk(ast.parse(text_of(path)))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    return {name for text in strings for name in re.findall(r"ELETROPOSTO_[A-Z_]*[A-Z]\b", text)}


def test_links_between_documents_lead_somewhere() -> None:
    dead = [
        (path.relative_to(ROOT), target)
        for path in committed("*.md")
        for target in LINK.findall(text_of(path))
        if "://" not in target and not (path.parent / target).exists()
    ]
    assert dead == []


def test_both_readmes_name_the_same_commands_and_variables() -> None:
    words = re.compile(r"`(?:make|eletroposto) [\w -]+`|ELETROPOSTO_\w+|localhost:\d+|docs/[\w-]+")
    english, portuguese = (
        set(words.findall(text_of(ROOT / name))) for name in ("README.md", "README.pt-BR.md")
    )
    assert english == portuguese


def test_the_licence_is_whole() -> None:
    text = text_of(ROOT / "LICENSE")
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert 'license = "Apache-2.0"' in text_of(ROOT / "pyproject.toml")


def test_every_dependency_has_its_reason() -> None:
    project = text_of(ROOT / "pyproject.toml").partition("\ndependencies = [")[2]
    names = re.findall(r'^\s+"([a-z][\w-]+)', project.partition("\n]")[0], re.M)
    table = text_of(ROOT / "docs" / "decisions.md").partition("## Dependencies")[2]
    assert len(names) > 10
    assert [name for name in names if name not in table] == []


@pytest.mark.parametrize(("room", "beside"), [(ingest, {"relay"}), (ingest.relay, set())])
def test_the_map_of_ingest_names_each_of_its_files(room: ModuleType, beside: set[str]) -> None:
    named = set(re.findall(r"``(\w+)``", room.__doc__ or ""))
    files = {path.stem for path in Path(room.__path__[0]).glob("*.py")}
    assert named == files - {"__init__"} | beside


def test_sources_fit_on_a_few_screens() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in committed("*.py")
        if (lines := len(text_of(path).splitlines())) > 500
    }
    assert {name: lines for name, lines in long.items() if not name.startswith("tests/")} == {}
