"""Figures of consumption and demand. Energy comes in Wh and is drawn in kWh, power in kW."""

from collections.abc import Container, Mapping
from datetime import date
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from dashboard import formats
from dashboard.charts import style
from dashboard.i18n import Words

_LEAST_WH = 0.5  # below is what rounding leaves
POSTOS = ("fora_ponta", "intermediario", "ponta")


def by_day(
    frame: pd.DataFrame, words: Words, hatched: Container[date], places: Mapping[str, int]
) -> go.Figure:
    """Energy by day, stacked by charge point. Columns: day, charge_point, name, energy_wh.

    The bars of ``hatched`` days are incomplete. ``places`` decide the colours.
    """
    figure = style.base(words.language, 300, barmode="stack")
    for identity, part in frame.groupby(frame["charge_point"].fillna(""), sort=False):
        figure.add_bar(
            x=pd.to_datetime(part["day"]),
            y=part["energy_wh"] / 1000,
            name=style.safe(part["name"].iloc[0]) if identity else words("chart.others"),
            marker={
                "color": style.charge_point_color(places.get(str(identity))),
                "pattern": _pattern(part["day"], hatched),
            },
            hovertemplate="%{y:,.1f} kWh",
        )
    style.day_axis(figure, words.language, list(frame["day"].unique()))
    figure.update_yaxes(title="kWh")
    return figure


def _pattern(days: "pd.Series[Any]", hatched: Container[date]) -> dict[str, Any]:
    return {"shape": ["/" if day in hatched else "" for day in days], "solidity": 0.4}


def week(frame: pd.DataFrame, words: Words) -> go.Figure:
    """Weekday by hour. Columns: weekday (1 = Monday), hour, energy_wh."""
    grid = (
        frame.pivot_table(index="weekday", columns="hour", values="energy_wh", aggfunc="sum")
        .reindex(index=range(1, 8), columns=range(24))
        .div(1000)
    )
    figure = style.base(words.language, 300)
    figure.add_heatmap(
        z=grid.to_numpy(),
        x=[f"{hour:02d}" for hour in range(24)],
        y=[words(f"weekday.{day}") for day in range(1, 8)],
        colorscale=style.HEAT,
        xgap=1,
        ygap=1,
        colorbar={"title": "kWh", "thickness": 10, "outlinewidth": 0, "separatethousands": True},
        hovertemplate="%{y} %{x} h: %{z:,.1f} kWh<extra></extra>",
    )
    figure.update_layout(hovermode="closest")
    figure.update_yaxes(autorange="reversed", showgrid=False, rangemode="normal", type="category")
    figure.update_xaxes(type="category", dtick=3)
    return figure


def series(frame: pd.DataFrame, words: Words, width_s: float) -> go.Figure:
    """Energy in steps of ``width_s`` by tariff period. Columns: at, posto, energy_wh."""
    figure = style.base(words.language, 360, barmode="stack", bargap=0.05)
    for posto, part in _by_posto(frame):
        figure.add_bar(
            x=style.local(part["at"]) + pd.Timedelta(seconds=width_s / 2),
            y=part["energy_wh"] / 1000,
            width=width_s * 1000 * 0.95,
            **_posto_look(posto, words),
        )
    style.time_axis(figure, words.language)
    figure.update_yaxes(title="kWh")
    return figure


def days(frame: pd.DataFrame, words: Words, grain: str, hatched: Container[date] = ()) -> go.Figure:
    """Energy by day or month by tariff period. Columns: day, <posto>_wh, none_wh.

    The bars of ``hatched`` days, or of months that begin on them, are incomplete.
    """
    figure = style.base(words.language, 360, barmode="stack")
    for posto in [name for name in (*POSTOS, "none") if (frame[f"{name}_wh"] >= _LEAST_WH).any()]:
        figure.add_bar(
            x=pd.to_datetime(frame["day"]),
            y=frame[f"{posto}_wh"] / 1000,
            marker_pattern=_pattern(frame["day"], hatched),
            **_posto_look(posto, words),
        )
    style.day_axis(figure, words.language, list(frame["day"]))
    if grain == "month":
        pattern = "%m/%Y" if words.language == "pt" else "%Y-%m"
        figure.update_xaxes(dtick="M1", tickformat=pattern, hoverformat=pattern)
        figure.update_xaxes(tickformatstops=[])
    figure.update_yaxes(title="kWh")
    return figure


def compared(now: pd.DataFrame, before: pd.DataFrame, words: Words) -> go.Figure:
    """Two periods side by side, day by day from their first. Columns: day, energy_wh."""
    figure = style.base(words.language, 280, barmode="group")
    for frame, key, color in (
        (before, "consumption.before", style.UNPRICED),
        (now, "consumption.now", style.PALETTE[0]),
    ):
        figure.add_bar(
            x=list(range(1, len(frame) + 1)),
            y=frame["energy_wh"] / 1000,
            name=words(key),
            marker_color=color,
            customdata=[formats.day(day, words.language) for day in frame["day"]],
            hovertemplate="%{customdata}: %{y:,.1f} kWh",
        )
    figure.update_xaxes(title=words("consumption.day_of_period"))
    figure.update_yaxes(title="kWh")
    return figure


def duration(frame: pd.DataFrame, contracted_w: float | None, words: Words) -> go.Figure:
    """Demand against the hours it was reached. Columns: hours, demand_w, the highest first."""
    figure = style.base(words.language, 300)
    demand_kw = (frame["demand_w"] / 1000).tolist()
    figure.add_scatter(
        x=[0, *frame["hours"]] if demand_kw else [],
        y=[*demand_kw[:1], *demand_kw],
        mode="lines",
        # A point stands at the end of its step.
        line={"shape": "vh", "color": style.PALETTE[0], "width": 2},
        fill="tozeroy",
        fillcolor="rgba(43,108,176,0.12)",
        name=words("consumption.demand"),
        hovertemplate="%{y:,.1f} kW",
    )
    if contracted_w:
        _contracted(figure, contracted_w, words)
    figure.update_xaxes(title=words("consumption.hours"), separatethousands=True)
    figure.update_yaxes(title="kW")
    return figure


def _contracted(figure: go.Figure, contracted_w: float, words: Words) -> None:
    figure.add_hline(
        y=contracted_w / 1000,
        line={"color": style.PALETTE[4], "dash": "dash", "width": 1.5},
        annotation_text=words("consumption.contracted"),
        annotation_position="top right",
    )


def _by_posto(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    known = frame["posto"].fillna("none")
    return [(name, frame[known == name]) for name in (*POSTOS, "none") if (known == name).any()]


def _posto_look(posto: str, words: Words) -> dict[str, Any]:
    return {
        "name": words(f"posto.{posto}"),
        "marker_color": style.POSTO_COLORS.get(posto, style.UNPRICED),
        "hovertemplate": "%{y:,.2f} kWh",
    }
