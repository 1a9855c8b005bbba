"""What all figures share: palette, axes in local time with numeric dates, separators."""

import html
from collections.abc import Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from dashboard.formats import SEPARATORS, ZONE
from dashboard.i18n import Language

# Told apart by colour-blind readers, legible on white and on dark blue.
PALETTE = (
    "#2b6cb0", "#d9822b", "#2a8f6d", "#8e5ea2", "#b8433a", "#5b9bb5", "#b59a2a", "#7d8794",
)  # fmt: skip
OTHERS = PALETTE[-1]
# A network has more charge points than a palette has colours: the same hues, darker and lighter.
_DEEPER = ("#1b4677", "#8f5312", "#17573f", "#573862", "#752722", "#33647a", "#6e5e14")
_PALER = ("#8db9e6", "#f0b87d", "#86c9b1", "#c5a6d3", "#dd928c", "#a9cfdd", "#dccb74")
_CHARGE_POINTS = (*PALETTE[:-1], *_DEEPER, *_PALER)
POSTO_COLORS = {"ponta": "#b8433a", "intermediario": "#d9a22b", "fora_ponta": "#2b6cb0"}
UNPRICED = "#8b96a3"
GRID = "rgba(128,140,155,0.22)"
BAND = "rgba(43,108,176,0.28)"
SHADE = "rgba(128,140,155,0.20)"
# Heat from the page's own background to the palette's blue.
HEAT = [[0.0, "rgba(43,108,176,0.04)"], [0.5, "rgba(43,108,176,0.45)"], [1.0, "#2b6cb0"]]

DARK, _LIGHT = "#000000", "#ffffff"

_DAY_TICK = {"pt": "%d/%m", "en": "%m-%d"}
_HOVER = {"pt": "%d/%m/%Y %H:%M", "en": "%Y-%m-%d %H:%M"}
_MS_DAY = 86_400_000
CONFIG: dict[str, Any] = {"displaylogo": False, "modeBarButtonsToRemove": ["lasso2d", "select2d"]}


def rgb(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def contrast(one: tuple[int, int, int], other: tuple[int, int, int]) -> float:
    """How well two colours stand apart, 1 to 21, as of WCAG 2."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(color: tuple[int, int, int]) -> float:
    parts = [part / 255 for part in color]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def ink(ground: tuple[int, int, int]) -> str:
    """Dark or light, whichever is easier to read on ``ground``."""
    return max((DARK, _LIGHT), key=lambda color: contrast(rgb(color), ground))


def local(values: "pd.Series[Any]") -> "pd.Series[Any]":
    """UTC instants as local clock time, which Plotly takes as it is."""
    return pd.to_datetime(values, utc=True).dt.tz_convert(ZONE).dt.tz_localize(None)


def local_instant(value: Any) -> pd.Timestamp:
    return pd.Timestamp(value).tz_convert(ZONE).tz_localize(None)


def base(language: Language, height: int, **layout: Any) -> go.Figure:
    """An empty figure in the house style."""
    figure = go.Figure()
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 28, "b": 8},
        separators=SEPARATORS[language],
        colorway=list(PALETTE),
        hovermode="x unified",
        bargap=0.18,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "title": None},
        **layout,
    )
    figure.update_xaxes(showgrid=False, automargin=True)
    figure.update_yaxes(
        gridcolor=GRID, zeroline=False, automargin=True, rangemode="tozero", separatethousands=True
    )
    return figure


def time_axis(figure: go.Figure, language: Language, **axis: Any) -> None:
    """Numeric dates in the order of the language, finer as one zooms in."""
    day = _DAY_TICK[language]
    month = "%m/%Y" if language == "pt" else "%Y-%m"
    figure.update_xaxes(
        type="date",
        hoverformat=_HOVER[language],
        tickformatstops=[
            {"dtickrange": [None, 60_000], "value": "%H:%M:%S"},
            {"dtickrange": [60_000, _MS_DAY - 1], "value": f"%H:%M\n{day}"},
            {"dtickrange": [_MS_DAY, "M1"], "value": day},
            {"dtickrange": ["M1", None], "value": month},
        ],
        **axis,
    )


def day_axis(figure: go.Figure, language: Language, days: Sequence[Any]) -> None:
    """An axis of whole days; hovering shows the day alone."""
    time_axis(figure, language)
    figure.update_xaxes(hoverformat=_HOVER[language].split(" ")[0])
    if len(days) == 1:  # a lone bar would fill the figure
        lone = pd.Timestamp(days[0])
        figure.update_xaxes(range=[lone - pd.Timedelta(days=3), lone + pd.Timedelta(days=3)])


def charge_point_color(place: int | None) -> str:
    """The colour of the charge point that came ``place``-th, the same in every figure."""
    return OTHERS if place is None else _CHARGE_POINTS[(place - 1) % len(_CHARGE_POINTS)]


def safe(text: object) -> str:
    """Text from outside, for Plotly's little HTML."""
    return html.escape(str(text)[:80])
