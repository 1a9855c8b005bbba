"""Figures of states, availability and faults."""

from itertools import pairwise
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from dashboard import formats
from dashboard import states as looks
from dashboard.charts import style
from dashboard.i18n import Words

_MARKS = ("circle", "diamond", "x")
_LEVELS = ("#2a8f6d", "#d9a22b", "#b8433a")
_SHADES = ((0.0, "#b8433a"), (0.7, "#d9a22b"), (1.0, "#2a8f6d"))
_LEAST = 90  # percent; what is below looks alike
_MONTH = {"pt": "%m/%Y", "en": "%Y-%m"}
_CODES = 20
_PERCENT = (0, 25, 50, 75, 100)


def timeline(frame: pd.DataFrame, words: Words) -> go.Figure:
    """A bar per connector, cut where its state changed.

    Columns: connector_id, started_at, ended_at, state, error_code.
    """
    connectors = sorted(frame["connector_id"].unique(), reverse=True)
    figure = style.base(words.language, 90 + 46 * len(connectors), barmode="stack")
    for state in [name for name in looks.STATES if (frame["state"] == name).any()]:
        part = frame[frame["state"] == state]
        start = style.local(part["started_at"])
        seconds = (part["ended_at"] - part["started_at"]).dt.total_seconds()
        figure.add_bar(
            base=start,
            x=seconds * 1000,
            y=[words("timeline.connector", number=number) for number in part["connector_id"]],
            orientation="h",
            name=f"{looks.look(state).symbol} {words.glossed('state.', state)}",
            marker={"color": looks.look(state).color, "line": {"width": 0}},
            customdata=[_interval(row, words) for row in part.itertuples()],
            hovertemplate="%{customdata}<extra></extra>",
        )
    figure.update_layout(barmode="overlay", hovermode="closest", bargap=0.35)
    figure.update_yaxes(
        type="category",
        categoryarray=[words("timeline.connector", number=number) for number in connectors],
        showgrid=False,
    )
    style.time_axis(figure, words.language)
    return figure


def _interval(row: Any, words: Words) -> str:
    gloss = words.known(f"state.{row.state}", "")
    start = formats.instant(row.started_at, words.language, True)
    length = formats.duration((row.ended_at - row.started_at).total_seconds())
    error = f"<br>{style.safe(row.error_code)}" if row.error_code else ""
    return f"<b>{style.safe(row.state)}</b> {gloss}<br>{start}<br>{length}{error}"


def matrix(frame: pd.DataFrame, words: Words, column: str) -> go.Figure:
    """Charge point by month, in the order of the frame. Columns: name, month, ``column``."""
    grid = frame.pivot_table(index="name", columns="month", values=column)
    grid = grid.reindex(frame["name"].unique())
    figure = style.base(words.language, 110 + 30 * len(grid))
    pattern = _MONTH[words.language]
    figure.add_heatmap(
        z=grid.to_numpy(),
        x=[f"{month:{pattern}}" for month in pd.to_datetime(grid.columns)],
        y=[style.safe(name) for name in grid.index],
        zmin=_LEAST,
        zmax=100,
        colorscale=[[place, color] for place, color in _SHADES],
        xgap=2,
        ygap=2,
        text=[[formats.number(value, words.language, 2) for value in row] for row in grid.values],
        hovertemplate="%{y} %{x}: %{text} %<extra></extra>",
        showscale=False,
    )
    _write_cells(figure, grid, words)
    figure.update_layout(hovermode="closest")
    figure.update_yaxes(autorange="reversed", type="category", showgrid=False, rangemode="normal")
    figure.update_xaxes(type="category")
    return figure


def _write_cells(figure: go.Figure, grid: pd.DataFrame, words: Words) -> None:
    """The value of each cell in the ink that stands out from its colour; a heatmap has but one."""
    cells = [
        (f"{month:{_MONTH[words.language]}}", style.safe(name), value)
        for name, row in zip(grid.index, grid.to_numpy(), strict=True)
        for month, value in zip(pd.to_datetime(grid.columns), row, strict=True)
        if not pd.isna(value)
    ]
    figure.add_scatter(
        x=[month for month, _, _ in cells],
        y=[name for _, name, _ in cells],
        text=[formats.number(value, words.language, 2) for _, _, value in cells],
        mode="text",
        textfont={"size": 11, "color": [style.ink(shade(value)) for _, _, value in cells]},
        hoverinfo="skip",
        showlegend=False,
    )


def shade(percent: float) -> tuple[int, int, int]:
    """The colour of a cell of the matrix, 0 to 255 each of red, green and blue."""
    place = min(max((percent - _LEAST) / (100 - _LEAST), 0), 1)
    (low, first), (high, second) = next(pair for pair in pairwise(_SHADES) if place <= pair[1][0])
    share = (place - low) / (high - low)
    mixed = [
        round(a + (b - a) * share) for a, b in zip(style.rgb(first), style.rgb(second), strict=True)
    ]
    return mixed[0], mixed[1], mixed[2]


def pareto(frame: pd.DataFrame, words: Words) -> go.Figure:
    """Episodes by error code, and the running share. Columns: error_code, episodes."""
    every = frame.groupby("error_code")["episodes"].sum().sort_values(ascending=False)
    share = (every.cumsum() / every.sum() * 100).head(_CODES)
    codes = every.head(_CODES)
    figure = style.base(words.language, 300)
    names = [style.safe(code) for code in codes.index]
    figure.add_bar(
        x=names,
        y=codes,
        name=words("availability.episodes"),
        marker_color=looks.look("Faulted").color,
        hovertemplate="%{y}",
    )
    figure.add_scatter(
        x=names,
        y=share,
        yaxis="y2",
        name=words("availability.running_share"),
        mode="lines+markers",
        line={"color": style.UNPRICED, "width": 1.5},
        hovertemplate="%{y:.0f} %",
    )
    figure.update_layout(
        yaxis2={"overlaying": "y", "side": "right", "range": [0, 105], "showgrid": False,
                "tickmode": "array", "tickvals": _PERCENT,
                "ticktext": [f"{share} %" for share in _PERCENT]}
    )  # fmt: skip
    figure.update_xaxes(type="category")
    # Episodes are whole: no tick between one and the next.
    figure.update_layout(yaxis={"tickmode": "linear", "dtick": _whole_step(int(codes.max()))})
    return figure


def _whole_step(most: int) -> int:
    """The step of about five ticks from 0 to ``most``: 1, 2 or 5 times a power of ten."""
    size = 1
    while True:
        for factor in (1, 2, 5):
            if factor * size * 5 >= most:
                return factor * size
        size *= 10


def calendar(frame: pd.DataFrame, words: Words) -> go.Figure:
    """Charge point by day, coloured by the worst verdict.

    Columns: name, day, level (0 ok, 1 amber, 2 red), what. A day without a cell was not judged.
    """
    names = sorted(frame["name"].unique())
    days = pd.date_range(frame["day"].min(), frame["day"].max())
    at = pd.to_datetime(frame["day"])
    grid = frame.assign(day=at).pivot_table(
        index="name", columns="day", values="level", aggfunc="max"
    )
    texts = frame.assign(day=at).groupby(["name", "day"])["what"].first().unstack()
    grid, texts = grid.reindex(names, columns=days), texts.reindex(names, columns=days)
    figure = style.base(words.language, 90 + 26 * len(names))
    figure.add_heatmap(
        z=grid.to_numpy(),
        x=days,
        y=[style.safe(name) for name in names],
        customdata=texts.fillna("").map(style.safe).to_numpy(),
        text=grid.replace({0: "", 1: "!", 2: "×"}).fillna("").to_numpy(),
        texttemplate="%{text}",
        textfont={"color": style.DARK, "size": 12},
        zmin=0,
        zmax=2,
        colorscale=[
            [0, _LEVELS[0]], [0.33, _LEVELS[0]], [0.33, _LEVELS[1]], [0.66, _LEVELS[1]],
            [0.66, _LEVELS[2]], [1, _LEVELS[2]],
        ],
        xgap=2,
        ygap=2,
        showscale=False,
        hovertemplate="%{y} %{x}<br>%{customdata}<extra></extra>",
    )  # fmt: skip
    for level, key in enumerate(("quality.ok", "quality.amber", "quality.red")):
        figure.add_scatter(
            x=[None], y=[None], mode="markers", name=words(key),
            marker={"color": _LEVELS[level], "symbol": _MARKS[level], "size": 10},
        )  # fmt: skip
    style.day_axis(figure, words.language, list(days))
    figure.update_layout(hovermode="closest")
    figure.update_yaxes(autorange="reversed", type="category", showgrid=False, rangemode="normal")
    return figure
