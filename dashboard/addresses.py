"""Keeps widgets and the page's address in step where Streamlit's own binding cannot.

Streamlit writes the label of an option into the address. Ours depend on the language or are names
that may change, and a link must outlive both: so the address carries the value itself. And it
refuses to leave for a page whose address names what is bound, which every link of ours does.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

import streamlit as st


def take(key: str, read: Callable[[list[str]], Any], default: Any) -> None:
    """Call before the widget ``key``: an address typed, linked or gone back to sets its value.

    ``read`` turns the texts of the address into a value; nonsense must become something harmless,
    and is told to the reader. An address without the key means the default, except after moving to
    another page, which keeps what was chosen: there it means that, also when one goes back to it.
    """
    written = st.query_params.get_all(key)
    seen = st.session_state.get(f"_address_{key}")
    if written and written != seen:
        st.session_state[key] = read(written)
        _compare(key, written, st.session_state[key])
    elif key not in st.session_state:
        st.session_state[key] = default
    elif not written and seen and not st.session_state.get("_moved"):
        st.session_state[key] = st.session_state.get(_bare(key), default)
    if st.session_state.get("_moved") and not written:
        st.session_state[_bare(key)] = st.session_state[key]


def _bare(key: str) -> str:
    """Where is noted what this page's address without the key meant when one came to it."""
    return f"_bare_{st.session_state.get('_page')}_{key}"


def _compare(key: str, written: list[str], value: Any) -> None:
    lost = [text for text in written if text not in _texts(value)]
    st.session_state.setdefault("_left_out", []).extend(f"{key}={text}" for text in lost)


def left_out() -> list[str]:
    """What the address of this run asked for and could not have."""
    return list(st.session_state.get("_left_out", []))


def show(key: str, value: Any, default: Any) -> None:
    """Call after the widget: write its value into the address, or nothing for the default."""
    show_all({key: (value, default)})


def show_all(values: Mapping[str, tuple[Any, Any]]) -> None:
    """As ``show``, for several widgets in one step of the browser's history."""
    texts = {
        key: [] if value == default or value is None else _texts(value)
        for key, (value, default) in values.items()
    }
    changed = {key: new for key, new in texts.items() if new != st.query_params.get_all(key)}
    for key in changed:
        if not changed[key]:
            st.query_params.pop(key, None)
    if any(changed.values()):
        st.query_params.update({key: new for key, new in changed.items() if new})
    for key, new in texts.items():
        st.session_state[f"_address_{key}"] = new


def shown(key: str) -> list[str]:
    """What a link says so that its page shows the same; also where the widget is not drawn."""
    noted: list[str] | None = st.session_state.get(f"_address_{key}")
    return st.query_params.get_all(key) if noted is None else noted


def one_of(options: Sequence[str], default: str) -> Callable[[list[str]], str]:
    """A reader for ``take``: the first text if it is an option."""
    return lambda values: values[0] if values[0] in options else default


def any_of(options: Sequence[str]) -> Callable[[list[str]], list[str]]:
    """A reader for ``take``: the texts that are options, each once."""
    return lambda values: [value for value in dict.fromkeys(values) if value in options]


def day(earliest: date, latest: date, default: date) -> Callable[[list[str]], date]:
    """A reader for ``take``: the day that the first text names."""

    def read(values: list[str]) -> date:
        try:
            named = date.fromisoformat(values[0])
        except ValueError:
            return default
        is_usual = named.isoformat() == values[0]  # and no other way to write a day
        return named if is_usual and earliest <= named <= latest else default

    return read


def number(text: str) -> int | None:
    """The number that an address names; None for nonsense and for what no column could hold."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def arrive(page: str) -> None:
    """Note which page this run draws, so that ``take`` can tell moving from clearing."""
    st.session_state["_moved"] = st.session_state.get("_page") != page
    st.session_state["_page"] = page
    st.session_state["_left_out"] = []


def _texts(value: Any) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]
