"""Saying how much of a long list is on the screen."""

import pandas as pd
import streamlit as st

from dashboard import formats, visitor
from dashboard.visitor import t


def say(frame: pd.DataFrame, of_all: float | None = None) -> None:
    """Say so where ``frame`` is not all there is; of_all: else its column of that name."""
    total = of_all if of_all is not None else frame["of_all"].max()
    if total > len(frame):
        language = visitor.language()
        shown, all_ = (formats.number(count, language, 0) for count in (len(frame), total))
        st.caption(t("table.shown", shown=shown, all=all_))
