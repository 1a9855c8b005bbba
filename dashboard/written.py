"""Numbers of a table as people write them, without what pandas does to style a cell."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

Texts = Mapping[str, Sequence[str]]


def written(frame: pd.DataFrame, texts: Texts) -> Any:
    """The frame with other texts on its cells than their values, by which it is still sorted.

    ``texts`` has one for each row of some columns.

    Streamlit takes such texts from the ``Styler`` of pandas alone, and asks it by these two names.
    Its own answer has a style sheet for every cell, which for a thousand rows takes the better
    part of a second; this one has the texts and nothing else.
    """
    styler: Any = frame.style
    styler._compute = lambda: styler
    styler._translate = lambda *_: {"body": _cells(frame, texts)}
    return styler


def _cells(frame: pd.DataFrame, texts: Texts) -> list[list[dict[str, str]]]:
    """The texts, column by column."""
    places = {name: place for place, name in enumerate(frame.columns)}
    return [
        [
            {"id": f"row{row}_col{places[name]}", "display_value": text}
            for row, text in enumerate(cells)
        ]
        for name, cells in texts.items()
    ]
