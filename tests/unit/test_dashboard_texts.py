"""Both languages say everything, and pages say nothing by themselves."""

import ast
import re
import string
from pathlib import Path

import pytest

from dashboard.i18n import Words, chosen, texts

ROOM = Path(__file__).parents[2] / "dashboard"
SOURCES = sorted(ROOM.rglob("*.py"))
# What Streamlit shows to the reader: the first argument of these.
SPOKEN = {
    "title", "header", "subheader", "markdown", "caption", "info", "warning", "error", "success",
    "write", "text", "button", "metric", "toggle", "checkbox", "selectbox", "multiselect",
    "text_input", "number_input", "date_input", "time_input", "text_area", "expander", "popover",
    "form_submit_button", "toast", "badge", "segmented_control", "menu_button", "download_button",
}  # fmt: skip


def calls(tree: ast.AST):
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def name_of(call: ast.Call) -> str:
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


def test_both_languages_have_the_same_keys():
    assert texts("pt").keys() == texts("en").keys()


def test_a_text_takes_the_same_values_in_both_languages():
    def fields(text: str) -> set[str | None]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    different = [key for key in texts("pt") if fields(texts("pt")[key]) != fields(texts("en")[key])]

    assert different == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOM)))
def test_every_key_named_in_the_code_exists(path):
    known = texts("pt")
    named = {
        call.args[0].value
        for call in calls(ast.parse(path.read_text(encoding="utf-8")))
        if name_of(call) in {"t", "words"} and call.args and isinstance(call.args[0], ast.Constant)
    }

    assert named - known.keys() == set()


def literals() -> set[str]:
    """Every literal of the code, and the beginnings of those put together when it runs."""
    return {
        node.value
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_every_text_is_asked_for():
    written = literals()
    beginnings = tuple(one for one in written if re.fullmatch(r"\w+\.(\w+_)?", one))

    asked = {key for key in texts("pt") if key in written or key.startswith(beginnings)}

    assert texts("pt").keys() - asked == set()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOM)))
def test_pages_speak_through_the_texts_only(path):
    """A literal with a letter in it would be the same in every language."""
    spoken = [
        ast.unparse(call.args[0])
        for call in calls(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call.func, ast.Attribute)
        and getattr(call.func.value, "id", "") == "st"
        and call.func.attr in SPOKEN
        and call.args
        and isinstance(call.args[0], ast.Constant)
        and re.search("[A-Za-z]", str(call.args[0].value))
    ]

    assert spoken == []


def test_columns_are_titled_in_both_languages():
    labels = {
        label
        for path in SOURCES
        for label in re.findall(r'Column\(\s*"\w+",\s*"([\w.]+)"', path.read_text(encoding="utf-8"))
    }

    assert labels
    assert labels - texts("en").keys() == set()


@pytest.mark.parametrize("odd", [None, "", "fr", "<script>", "PT-br"])
def test_an_odd_language_means_portuguese(odd):
    assert chosen(odd) == "pt"


def test_what_we_have_no_word_for_is_shown_as_it_came():
    assert Words("pt").known("state.Levitating", "Levitating") == "Levitating"
