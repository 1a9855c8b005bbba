"""The person looking at a page: language, role and what was chosen in the header."""

from datetime import date
from typing import Literal

import streamlit as st

from dashboard import i18n
from dashboard.filters import Period, Selection, ordered, presets, today
from dashboard.i18n import Language

Role = Literal["viewer", "engineer", "operator"]
ROLES: tuple[Role, ...] = ("viewer", "engineer", "operator")


def language() -> Language:
    """From the language switch, or before it is drawn from the URL."""
    return i18n.chosen(st.session_state.get("lang") or st.query_params.get("lang"))


def words() -> i18n.Words:
    return i18n.Words(language())


def t(key: str, /, **values: object) -> str:
    """The text of ``key`` in the visitor's language."""
    return words()(key, **values)


def sign_in(name: str, role: Role) -> None:
    """Remember who this is for the rest of the script run."""
    st.session_state["_name"], st.session_state["_role"] = name, role


def name() -> str:
    return str(st.session_state.get("_name", "dashboard"))


def role() -> Role:
    role: Role = st.session_state.get("_role", "viewer")
    return role


def may_see_tags() -> bool:
    """Identifiers of people in clear: engineers and operators only."""
    return role() != "viewer"


def may_act() -> bool:
    return role() == "operator"


def selection() -> Selection:
    """What the header holds now; the defaults on pages without one."""
    return Selection(_dates()[0], list(st.session_state.get("estacao") or []) or None)


def has_reversed_dates() -> bool:
    return _dates()[1]


def _dates() -> tuple[Period, bool]:
    default = presets(today())["month"]
    return ordered(_day("de", default.first), _day("ate", default.last))


def _day(key: str, otherwise: date) -> date:
    value = st.session_state.get(key)
    return value if isinstance(value, date) else otherwise
