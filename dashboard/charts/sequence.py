"""The OCPP messages of a session as a sequence diagram: the paper's Figure 3."""

import json
import re
from dataclasses import dataclass
from html import escape
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from dashboard import formats
from dashboard.charts import style
from dashboard.i18n import Words

_STEP = 26
_LEFT, _RIGHT = 0.0, 1.0
_TAG = re.compile(r'("(?:idTag|parentIdTag)"\s*:\s*)"(?:[^"\\]|\\.)*"')


@dataclass(frozen=True, slots=True)
class Arrow:
    """One message: from the charge point to the central system or back."""

    at: Any
    label: str
    detail: str
    to_right: bool
    is_answer: bool


@dataclass(frozen=True, slots=True)
class Omitted:
    """So many messages left out here: of one action, or of any."""

    count: int
    action: str | None = None


def masked(frame: str) -> str:
    """A frame without the identifiers of people."""
    return _TAG.sub(r'\1"•••"', frame)


def arrows(frames: pd.DataFrame, words: Words, with_tags: bool) -> list[Arrow | Omitted]:
    """Messages and answers in order, and how many were left out in between."""
    found: list[Arrow | Omitted] = []
    for row in frames.itertuples():
        inbound = row.direction == "in"
        label = row.action if isinstance(row.action, str) else "?"
        is_answer = row.message_type in (3, 4)
        text = _answered(label, row.raw) if is_answer else _labelled(label, row.raw, words)
        shown = _shown(row.raw, with_tags)
        found.append(Arrow(row.received_at, text, shown, inbound, is_answer))
        if isinstance(row.answer, str):  # a column of some answers holds NaN for none
            found.append(
                Arrow(row.answered_at, _answered(label, row.answer), _shown(row.answer, with_tags),
                      not inbound, True)
            )  # fmt: skip
        if row.omitted:
            found.append(Omitted(int(row.omitted), label))
        if row.dropped:
            found.append(Omitted(int(row.dropped)))
    return found


def diagram(frames: pd.DataFrame, words: Words, with_tags: bool) -> go.Figure:
    """Two life lines, time downwards. Columns as of ``data.sessions.frames``."""
    steps = arrows(frames, words, with_tags)
    figure = style.base(words.language, 90 + _STEP * len(steps))
    bottom = -len(steps) - 0.3
    for x in (_LEFT, _RIGHT):
        figure.add_shape(
            type="line", x0=x, x1=x, y0=0.3, y1=bottom, line={"color": style.UNPRICED, "width": 1.5}
        )
    for x, key in ((_LEFT, "sequence.charge_point"), (_RIGHT, "sequence.central_system")):
        figure.add_annotation(
            x=x + 0.05 if x else x, y=0.9, xanchor="right" if x else "center",
            text=f"<b>{words(key)}</b>", showarrow=False,
        )  # fmt: skip
    for number, step in enumerate(steps):
        if isinstance(step, Omitted):
            what = step.action or words("sequence.messages")
            text = words("sequence.omitted", count=step.count, what=what)
            figure.add_annotation(x=0.5, y=-number - 0.5, text=f"⋮ {text}", showarrow=False)
        else:
            _draw(figure, step, -number - 0.5, words)
    _hover_points(figure, steps, words)
    figure.update_layout(hovermode="closest", margin={"l": 4, "r": 4, "t": 6, "b": 4})
    figure.update_xaxes(visible=False, range=[-0.3, 1.05], fixedrange=True)
    figure.update_yaxes(visible=False, range=[bottom - 0.4, 1.5], fixedrange=True)
    figure.update_yaxes(rangemode="normal")
    return figure


def _draw(figure: go.Figure, arrow: Arrow, y: float, words: Words) -> None:
    tail, head = (_LEFT, _RIGHT) if arrow.to_right else (_RIGHT, _LEFT)
    color = style.UNPRICED if arrow.is_answer else style.PALETTE[0 if arrow.to_right else 1]
    figure.add_annotation(
        x=head, y=y, ax=tail, ay=y, axref="x", ayref="y", text="", showarrow=True,
        arrowhead=2, arrowsize=1.1, arrowwidth=1 if arrow.is_answer else 1.5, arrowcolor=color,
    )  # fmt: skip
    figure.add_annotation(
        x=0.5, y=y, yshift=8, showarrow=False, text=style.safe(arrow.label),
        font={"size": 11 if arrow.is_answer else 12}, opacity=0.8 if arrow.is_answer else 1,
    )  # fmt: skip
    if not arrow.is_answer:
        clock = f"{formats.local(arrow.at):%H:%M:%S}"
        figure.add_annotation(
            x=-0.04, y=y, xanchor="right", showarrow=False, text=clock, font={"size": 10}
        )


def _hover_points(figure: go.Figure, steps: list[Arrow | Omitted], words: Words) -> None:
    shown = [(-n - 0.5, step) for n, step in enumerate(steps) if isinstance(step, Arrow)]
    figure.add_scatter(
        x=[0.5] * len(shown),
        y=[y for y, _ in shown],
        mode="markers",
        marker={"size": 20, "opacity": 0},
        customdata=[[step.detail] for _, step in shown],
        hovertemplate="%{customdata[0]}<extra></extra>",
        hoverlabel={"align": "left", "font": {"family": "monospace", "size": 11}},
        showlegend=False,
    )


def _labelled(action: str, raw: str, words: Words) -> str:
    """The action with the one fact that tells messages of a kind apart."""
    payload = _part(raw, 3)
    if isinstance(meter := payload.get("meterStart"), int):
        return f"{action} (meterStart {formats.number(meter, words.language, 0, 'Wh')})"
    for key in ("status", "reason", "meterStart", "requestedMessage"):
        if key in payload:
            return f"{action} ({payload[key]})"
    return action


def _answered(action: str, answer: str) -> str:
    if isinstance(error := _element(answer, 2), str):
        return f"{action} CALLERROR ({error})"
    payload = _part(answer, 2)
    info = payload.get("idTagInfo")
    status = payload.get("status") or (info.get("status") if isinstance(info, dict) else None)
    number = payload.get("transactionId")
    facts = [str(fact) for fact in (status, f"#{number}" if number is not None else None) if fact]
    return f"{action}.conf" + (f" ({', '.join(facts)})" if facts else "")


def _part(raw: str, place: int) -> dict[str, Any]:
    part = _element(raw, place)
    return part if isinstance(part, dict) else {}


def _element(raw: str, place: int) -> Any:
    try:
        return json.loads(raw)[place]
    except (ValueError, TypeError, IndexError, KeyError):
        return None


def _shown(raw: str, with_tags: bool) -> str:
    """The frame in lines short enough for a hover box."""
    text = raw if with_tags else masked(raw)
    lines = [text[at : at + 90] for at in range(0, min(len(text), 900), 90)]
    return "<br>".join(escape(line) for line in lines)
