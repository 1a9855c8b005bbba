"""Keeps widgets and the page's address in step where Streamlit's own binding cannot.

Streamlit writes the label of an option into the address. Ours depend on the language or are names
that may change, and a link must outlive both: so the address carries the value itself.
"""

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st


def take(key: str, read: Callable[[list[str]], Any], default: Any) -> None:
    """Call before the widget ``key``: an address typed, linked or gone back to sets its value.

    ``read`` turns the texts of the address into a value; nonsense must become something harmless.
    An address without the key means the default, except after moving to another page, which keeps
    what was chosen.
    """
    written = st.query_params.get_all(key)
    seen = st.session_state.get(f"_address_{key}")
    if written and written != seen:
        st.session_state[key] = read(written)
    elif key not in st.session_state or _was_cleared(written, seen):
        st.session_state[key] = default


def _was_cleared(written: list[str], seen: list[str] | None) -> bool:
    return not written and bool(seen) and not st.session_state.get("_moved")


def show(key: str, value: Any, default: Any) -> None:
    """Call after the widget: write its value into the address, or nothing for the default."""
    texts = [] if value == default or value is None else _texts(value)
    if texts != st.query_params.get_all(key):
        if texts:
            st.query_params[key] = texts
        else:
            st.query_params.pop(key, None)
    st.session_state[f"_address_{key}"] = texts


def one_of(options: Sequence[str], default: str) -> Callable[[list[str]], str]:
    """A reader for ``take``: the first text if it is an option."""
    return lambda values: values[0] if values[0] in options else default


def number(text: str) -> int | None:
    """The number that an address names; None for nonsense and for what no column could hold."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def arrive(page: str) -> None:
    """Note which page this run draws, so that ``take`` can tell moving from clearing."""
    st.session_state["_moved"] = st.session_state.get("_page") != page
    st.session_state["_page"] = page


def _texts(value: Any) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]
