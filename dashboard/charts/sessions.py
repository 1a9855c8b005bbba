"""Figures of sessions: the bars of many, the curves of one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from dashboard import formats, states
from dashboard.charts import style
from dashboard.i18n import Words

_LEGEND = 24  # more names than this say less than hovering does


def energy_bars(frame: pd.DataFrame, words: Words, places: Mapping[str, int]) -> go.Figure:
    """Energy per session in order of time: the bars of the paper's Figure 4.

    Colour tells the charge point, hatching an estimated energy, an open end a session that still
    runs. A session without energy has no bar but a mark. Columns as of ``data.sessions``;
    ``places`` decide the colours.
    """
    shown = frame.iloc[::-1].reset_index(drop=True)
    figure = style.base(words.language, 340)
    groups = sorted(shown.groupby("charge_point"), key=lambda group: places.get(str(group[0]), 0))
    is_named = 1 < len(groups) <= _LEGEND
    colors = shown["charge_point"].map(lambda name: style.charge_point_color(places.get(name)))
    # Hundreds of traces would take the browser seconds.
    for part in [part for _, part in groups] if is_named else [shown]:
        estimated = ~part["energy_source"].isin(["register", "register_series"])
        figure.add_bar(
            x=part.index,
            y=part["energy_wh"] / 1000,
            width=0.86,
            name=style.safe(part["name"].iloc[0]),
            marker={
                "color": colors[part.index].tolist(),
                "pattern": {"shape": ["/" if odd else "" for odd in estimated], "solidity": 0.4},
            },
            customdata=_bar_facts(part, words),
            hovertemplate=_BAR_HOVER,
        )
    _unknown_marks(figure, shown, words)
    _session_axis(figure, shown, words)
    figure.update_layout(
        hovermode="closest",
        barmode="overlay",
        clickmode="event+select",
        showlegend=is_named,
    )
    figure.update_yaxes(title="kWh")
    return figure


_BAR_HOVER = "<b>%{customdata[1]}</b><br>%{customdata[2]}<br>%{y:,.2f} kWh<br>%{customdata[3]}"
_BAR_HOVER += "<extra></extra>"


def _bar_facts(part: pd.DataFrame, words: Words) -> list[list[Any]]:
    columns = ("transaction_id", "name", "connector_id", "started_at", "energy_source")
    return [
        [
            number,
            style.safe(f"{name} / {connector}"),
            formats.instant(started_at, words.language),
            words(f"energy_source.{source}"),
        ]
        for number, name, connector, started_at, source in zip(
            *(part[column].tolist() for column in columns), strict=True
        )
    ]


def _unknown_marks(figure: go.Figure, shown: pd.DataFrame, words: Words) -> None:
    unknown = shown[shown["energy_wh"].isna()]
    if unknown.empty:
        return
    figure.add_scatter(
        x=unknown.index,
        y=[0] * len(unknown),
        mode="markers",
        marker={"symbol": "x-thin-open", "size": 9, "color": style.UNPRICED},
        name=words("sessions.no_energy"),
        customdata=_bar_facts(unknown, words),
        hovertemplate="<b>%{customdata[1]}</b><br>%{customdata[2]}<extra></extra>",
    )


def _session_axis(figure: go.Figure, shown: pd.DataFrame, words: Words) -> None:
    """Sessions stand in a row; the ticks say when."""
    step = max(1, len(shown) // 8)
    at = list(range(0, len(shown), step))
    day = "%d/%m" if words.language == "pt" else "%m-%d"
    begun = style.local(shown["started_at"].iloc[at])
    texts = [f"{start:{day}}" for start in begun]
    figure.update_xaxes(tickvals=at, ticktext=texts, title=words("sessions.in_order"))
    if len(shown) < 8:
        figure.update_xaxes(range=[-4, len(shown) + 3])


@dataclass(frozen=True, slots=True)
class _Row:
    column: str
    label: str
    unit: str
    scale: float
    color: str
    digits: int
    least_span: float = 0  # noise must not fill a panel


_ROWS = (
    _Row("power_w", "session.power", "kW", 1000, style.PALETTE[0], 2),
    _Row("soc_percent", "session.soc", "%", 1, style.PALETTE[2], 0),
    _Row("voltage_v", "session.voltage", "V", 1, style.PALETTE[3], 1, 20),
    _Row("current_a", "session.current", "A", 1, style.PALETTE[1], 1, 20),
    _Row("temperature_c", "session.temperature", "°C", 1, style.PALETTE[4], 1, 12),
)


def curves(
    readings: pd.DataFrame,
    phases: pd.DataFrame,
    gaps: pd.DataFrame,
    statuses: pd.DataFrame,
    words: Words,
) -> go.Figure:
    """Power, SoC, voltage, current and temperature over one time axis.

    Gaps are shaded and not bridged by lines. Quantities that were never sent have no row.
    """
    rows = [row for row in _ROWS if _has(readings, phases, row)]
    figure = style.base(words.language, 90 + 130 * len(rows))
    broken = _broken(readings, gaps)
    for number, row in enumerate(rows, start=1):
        axis = f"y{number}" if number > 1 else "y"
        _curve(figure, broken, row, axis, words)
        _phase_lines(figure, phases, row, axis)
    _stack_axes(figure, rows, readings, words)
    style.time_axis(figure, words.language)
    _shade_gaps(figure, gaps, words)
    _mark_statuses(figure, statuses, words)
    return figure


def _has(readings: pd.DataFrame, phases: pd.DataFrame, row: _Row) -> bool:
    return bool(readings[row.column].notna().any()) or bool(_of_row(phases, row).any())


def _of_row(phases: pd.DataFrame, row: _Row) -> "pd.Series[bool]":
    prefix = {"voltage_v": "Voltage.", "current_a": "Current."}.get(row.column, "?")
    return phases["measurand"].astype(str).str.startswith(prefix)


def _broken(readings: pd.DataFrame, gaps: pd.DataFrame) -> pd.DataFrame:
    """The readings with an empty one inside every gap, which breaks the line there."""
    holes = pd.DataFrame({"at": gaps["started_at"] + (gaps["ended_at"] - gaps["started_at"]) / 2})
    both = pd.concat([readings.assign(is_hole=False), holes.assign(is_hole=True)])
    return both.sort_values("at", ignore_index=True)


def _told(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """What was read of one quantity, and the holes.

    Frames tell different quantities, some at other instants than the rest: a line goes from each
    reading of its own to the next, and is broken by gaps alone.
    """
    return frame[frame[column].notna() | frame["is_hole"]]


def _curve(figure: go.Figure, frame: pd.DataFrame, row: _Row, axis: str, words: Words) -> None:
    if row.column == "power_w" and frame["power_offered_w"].notna().any():
        offered = _told(frame, "power_offered_w")
        figure.add_scatter(
            x=style.local(offered["at"]),
            y=offered["power_offered_w"] / 1000,
            yaxis=axis,
            mode="lines",
            line={"color": style.UNPRICED, "dash": "dot", "width": 1, "shape": "hv"},
            name=words("session.power_offered"),
            hovertemplate="%{y:,.1f} kW",
            showlegend=False,
        )
    frame = _told(frame, row.column)
    if not frame[row.column].notna().any():
        return
    hover, beside = f"%{{y:,.{row.digits}f}} {row.unit}", None
    if row.column == "power_w" and _is_averaged(frame):
        _band(figure, frame, axis)
        beside = frame[["power_min_w", "power_max_w"]] / 1000
        hover += " (%{customdata[0]:,.2f} – %{customdata[1]:,.2f})"
    figure.add_scatter(
        x=style.local(frame["at"]),
        y=frame[row.column] / row.scale,
        customdata=beside,
        yaxis=axis,
        mode="lines",
        line={"color": row.color, "width": 1.8, "shape": "hv" if row.unit == "%" else "linear"},
        name=words(row.label),
        hovertemplate=hover,
        showlegend=False,
    )


def _is_averaged(frame: pd.DataFrame) -> bool:
    """Whether a point stands for several readings, and the mean is not all there is to see."""
    return bool((frame["power_max_w"] > frame["power_min_w"]).any())


def _band(figure: go.Figure, frame: pd.DataFrame, axis: str) -> None:
    """From the lowest to the highest reading, so that the peak is on the picture; open at gaps."""
    part = frame["power_max_w"].isna().cumsum()
    x: list[Any] = []
    y: list[float | None] = []
    for _, piece in frame[frame["power_max_w"].notna()].groupby(part):
        at = style.local(piece["at"]).tolist()
        high, low = piece["power_max_w"] / 1000, piece["power_min_w"] / 1000
        x += [*at, *reversed(at), None]
        y += [*high, *reversed(low.tolist()), None]
    figure.add_scatter(
        x=x,
        y=y,
        yaxis=axis,
        mode="lines",
        fill="toself",
        fillcolor=style.BAND,
        line={"width": 0},
        hoverinfo="skip",
        showlegend=False,
    )


def _phase_lines(figure: go.Figure, phases: pd.DataFrame, row: _Row, axis: str) -> None:
    for place, (name, part) in enumerate(phases[_of_row(phases, row)].groupby("measurand")):
        figure.add_scatter(
            x=style.local(part["at"]),
            y=part["value"],
            yaxis=axis,
            mode="lines",
            line={"width": 1.2, "color": style.PALETTE[(place + 2) % len(style.PALETTE)]},
            name=str(name).split(".", 1)[1],
            hovertemplate=f"%{{y:,.1f}} {row.unit}",
            showlegend=False,
        )


def _bounds(readings: pd.DataFrame, row: _Row) -> dict[str, Any]:
    """From zero for power, the whole scale for SoC, a little around the values for the rest."""
    if row.unit == "%":
        return {"range": [0, 102]}
    low, high = readings[row.column].min() / row.scale, readings[row.column].max() / row.scale
    if not row.least_span or pd.isna(low):
        return {"rangemode": "tozero"}
    middle, half = (low + high) / 2, max(high - low, row.least_span) * 0.55
    return {"range": [middle - half, middle + half]}


def _stack_axes(
    figure: go.Figure, rows: Sequence[_Row], readings: pd.DataFrame, words: Words
) -> None:
    """One panel below the other, all on the same time axis."""
    share, space = 1 / max(len(rows), 1), 0.035
    layout: dict[str, Any] = {}
    for number, row in enumerate(rows, start=1):
        top = 1 - (number - 1) * share
        layout[f"yaxis{number if number > 1 else ''}"] = {
            "domain": [max(top - share + space, 0), top],
            "title": {"text": f"{words(row.label)}<br>({row.unit})", "font": {"size": 11}},
            "gridcolor": style.GRID,
            "zeroline": False,
            "nticks": 4,
            **_bounds(readings, row),
        }
    last = f"y{len(rows)}" if len(rows) > 1 else "y"
    figure.update_layout(layout, xaxis={"anchor": last, "showspikes": True, "spikemode": "across"})


def _shade_gaps(figure: go.Figure, gaps: pd.DataFrame, words: Words) -> None:
    for gap in gaps.itertuples():
        figure.add_shape(
            type="rect",
            x0=style.local_instant(gap.started_at),
            x1=style.local_instant(gap.ended_at),
            y0=0,
            y1=1,
            yref="paper",
            fillcolor=style.SHADE,
            line_width=0,
            layer="below",
        )
        figure.add_annotation(
            x=style.local_instant(gap.started_at + (gap.ended_at - gap.started_at) / 2),
            y=1,
            yref="paper",
            yanchor="top",
            text=words("session.gap"),
            showarrow=False,
            font={"size": 10},
        )


def _mark_statuses(figure: go.Figure, statuses: pd.DataFrame, words: Words) -> None:
    for number, change in enumerate(statuses.head(40).itertuples()):
        look = states.look(change.status)
        at = style.local_instant(change.at)
        figure.add_shape(
            type="line",
            x0=at,
            x1=at,
            y0=0,
            y1=1,
            yref="paper",
            line={"color": look.color, "width": 1, "dash": "dot"},
        )
        figure.add_annotation(
            x=at,
            y=1 + 0.03 * (number % 2),
            yref="paper",
            yanchor="bottom",
            text=look.symbol,
            hovertext=f"{change.status} {formats.instant(change.at, words.language, True)}",
            showarrow=False,
            font={"size": 13, "color": look.color},
        )
