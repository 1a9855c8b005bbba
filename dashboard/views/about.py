"""About the data: how every number is calculated, the data dictionary, licences."""

from pathlib import Path

import streamlit as st

from dashboard import blocks, header, visitor
from dashboard.blocks import Column
from dashboard.data import about as ask
from dashboard.visitor import t

_DOCS = Path(__file__).parents[2] / "docs"
_TEXTS = {"pt": "how-numbers-are-calculated.pt-BR.md", "en": "how-numbers-are-calculated.md"}
DICTIONARY = (
    Column("column_name", "about.column", "code"),
    Column("type_name", "about.type", "code"),
    Column("column_comment", "about.meaning"),
)


def calculated() -> None:
    """The project's own document, so that page and document cannot differ."""
    path = _DOCS / _TEXTS[visitor.language()]
    if path.is_file():
        st.markdown(_without_title(path.read_text(encoding="utf-8")))
    else:
        st.markdown(t("about.short"))


def _without_title(text: str) -> str:
    first, _, rest = text.partition("\n")
    return rest if first.startswith("# ") else text


def dictionary() -> None:
    frame = ask.dictionary()
    st.caption(t("about.dictionary_help"))
    names = sorted(frame["view_name"].unique())
    name = st.selectbox(t("about.view"), names, index=names.index("session"), key="about_view")
    part = frame[frame["view_name"] == name]
    st.markdown(blocks.plain(part["view_comment"].iloc[0] or ""))
    blocks.table(part, DICTIONARY, "dictionary_table")


header.title(t("about.title"))
how, words_, open_ = st.tabs([t("about.how"), t("about.dictionary"), t("about.licences")])
with how:
    calculated()
with words_, blocks.card():
    dictionary()
with open_:
    st.markdown(t("about.licence_text"))
