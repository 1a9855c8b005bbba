"""The map: points on a grid of latitude and longitude, so that nothing is fetched from anywhere."""

import math
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from dashboard import formats, states
from dashboard.charts import style
from dashboard.i18n import Words

_KM_PER_DEGREE = 111.32  # of latitude; of longitude at the equator
_LEAST_KM = 0.3
_NAMED = 25  # more names than this lie on top of each other


def network(frame: pd.DataFrame, words: Words) -> go.Figure:
    """Charge points by place, coloured by state. Columns: name, state, latitude, longitude."""
    placed = frame.dropna(subset=["latitude", "longitude"])
    figure = style.base(words.language, 420)
    for state, part in placed.groupby("state"):
        look = states.look(str(state))
        figure.add_scatter(
            x=part["longitude"],
            y=part["latitude"],
            mode="markers",
            marker={"size": 14, "color": look.color, "line": {"width": 1, "color": "#ffffff"}},
            name=f"{look.symbol} {words.glossed('state.', str(state))}",
            text=[style.safe(name) for name in part["name"]],
            hovertemplate="<b>%{text}</b><br>%{y:.4f}, %{x:.4f}<extra></extra>",
        )
    _frame(figure, placed)
    if len(placed) <= _NAMED:
        _names(figure, placed)
    _scale(figure, placed, words)
    figure.update_layout(hovermode="closest", dragmode="pan")
    return figure


def _names(figure: go.Figure, placed: pd.DataFrame) -> None:
    """A name beside each point, on the side away from its nearest neighbour."""
    places = list(zip(placed["latitude"], placed["longitude"], strict=True))
    figure.add_scatter(
        x=placed["longitude"],
        y=placed["latitude"],
        mode="markers+text",
        marker={"size": 24, "opacity": 0},  # keeps a name clear of its point
        text=[style.safe(name) for name in placed["name"]],
        textposition=[f"middle {_side(place, places)}" for place in places],
        textfont={"size": 12},
        hoverinfo="skip",
        showlegend=False,
    )


def _side(place: tuple[float, float], places: list[tuple[float, float]]) -> str:
    others = [other for other in places if other != place]
    nearest = min(others, key=lambda other: math.dist(place, other), default=place)
    return "left" if nearest[1] > place[1] else "right"


def _frame(figure: go.Figure, placed: pd.DataFrame) -> None:
    """Axes with a grid, on which a kilometre is as long to the east as to the north."""
    middle, half = _view(placed)
    stretch = 1 / math.cos(math.radians(middle[0]))
    line = {"showgrid": True, "gridcolor": style.GRID, "zeroline": False, "nticks": 7}
    figure.update_xaxes(
        range=[middle[1] - half * stretch * 2, middle[1] + half * stretch * 2],
        ticksuffix="°", tickformat=".3~f", **line,
    )  # fmt: skip
    figure.update_yaxes(
        range=[middle[0] - half, middle[0] + half], rangemode="normal", scaleanchor="x",
        scaleratio=stretch, ticksuffix="°", tickformat=".3~f", **line,
    )  # fmt: skip


def _view(placed: pd.DataFrame) -> tuple[tuple[float, float], float]:
    """The middle as (latitude, longitude), and half the height that shows every point."""
    south, north = placed["latitude"].min(), placed["latitude"].max()
    west, east = placed["longitude"].min(), placed["longitude"].max()
    narrow = math.cos(math.radians((south + north) / 2))
    height = max(north - south, (east - west) * narrow / 2, _LEAST_KM / _KM_PER_DEGREE)
    return ((south + north) / 2, (west + east) / 2), height * 0.7


def _scale(figure: go.Figure, placed: pd.DataFrame, words: Words) -> None:
    """A bar of a round number of kilometres, which zooms with the points."""
    (latitude, longitude), half = _view(placed)
    length_km = _round(half * _KM_PER_DEGREE / 2)
    degrees = length_km / _KM_PER_DEGREE / math.cos(math.radians(latitude))
    text = formats.number(length_km, words.language, 0, "km")
    if length_km < 1:
        text = formats.number(length_km * 1000, words.language, 0, "m")
    at: dict[str, Any] = {"xref": "x", "yref": "y"}
    west, south = longitude + half, latitude - half * 0.86
    figure.add_shape(
        type="line", x0=west, x1=west + degrees, y0=south, y1=south,
        line={"color": style.UNPRICED, "width": 3}, **at,
    )  # fmt: skip
    figure.add_annotation(
        x=west + degrees / 2, y=south, text=text, showarrow=False, yanchor="bottom", **at
    )


def _round(km: float) -> float:
    """1, 2 or 5 times a power of ten, not above ``km``."""
    size: float = 10 ** math.floor(math.log10(km))
    return max(factor * size for factor in (1, 2, 5) if factor * size <= km)
