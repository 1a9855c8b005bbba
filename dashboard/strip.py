"""The live strip: one card per connector."""

from datetime import UTC, datetime
from html import escape
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import blocks, data, formats, states, visitor
from dashboard.filters import Selection
from dashboard.visitor import t

_CARDS = 6
_FRESH_S = 120


@st.fragment(run_every="5s")
def draw(selection: Selection) -> None:
    """The connectors that matter most now; the rest is a click away."""
    with blocks.card():
        connectors = data.connectors_now(selection)
        if connectors.empty:
            st.caption(t("live.none"))
            return
        with st.grid(min_column_width=160, gap="small"):
            for row in connectors.head(_CARDS).itertuples():
                _card(row)
        hidden = len(connectors) - _CARDS
        if hidden > 0:
            text = t("live.one_more") if hidden == 1 else t("live.more", count=hidden)
            blocks.link("stations", text, ":material/ev_station:")


def _card(row: Any) -> None:
    # The number of the connector never stands in a line of its own.
    name = f"{blocks.plain(row.name)}\N{NO-BREAK SPACE}·\N{NO-BREAK SPACE}{row.connector_id}"
    with st.container(border=True, gap=None, key=f"card_{row.Index}"):
        if pd.notna(row.transaction_id):
            blocks.link("session", name, transacao=int(row.transaction_id))
        else:
            blocks.link("station", name, ponto=row.charge_point)
        st.html(card_html(row, datetime.now(UTC)))


def card_html(row: Any, now: datetime) -> str:
    """The inside of a card; everything from outside is escaped."""
    state = row.state
    look, words = states.look(state), visitor.words()
    gloss = words.known(f"state.{state}", "")
    since = row.state_since
    for_ = t("live.since", age=formats.age(since, now)) if pd.notna(since) else t("live.no_since")
    return (
        '<div class="ep-card">'
        f'<div class="state"><i style="color:{look.color}">{look.symbol}</i>'
        f"<b>{escape(state)}</b>"
        f'<span class="gloss">{escape(gloss)}</span></div>'
        f'<div class="figures">{_figures(row, now)}</div>'
        f'<div class="since">{escape(for_)}</div></div>'
    )


def _figures(row: Any, now: datetime) -> str:
    """kW, kWh so far and SoC of a running session; nothing for an idle connector."""
    if pd.isna(row.transaction_id):
        rated = formats.power(row.rated_power_w, visitor.language(), 0)
        kind = row.current_type or ""
        return f"<span>{escape(kind)} {rated}</span>"
    language = visitor.language()
    reading_at = row.reading_at
    fresh = pd.notna(reading_at) and (now - reading_at).total_seconds() < _FRESH_S
    power = row.power_w if fresh else None
    soc = row.soc_percent
    parts = [
        f"<span><b>{formats.power(power, language)}</b></span>",
        f"<span><b>{formats.energy(row.energy_so_far_wh, language)}</b></span>",
        f"<span>SoC <b>{formats.percent(soc, language, 0)}</b></span>",
    ]
    if pd.notna(reading_at) and not fresh:
        parts.append(escape(t("live.old_reading", age=formats.age(reading_at, now))))
    return "".join(parts) + _bar(soc)


def _bar(soc: float | None) -> str:
    if soc is None or pd.isna(soc):
        return ""
    width = min(max(soc, 0), 100)
    style = f"width:{width:.0f}%;background:{states.look('Charging').color}"
    return f'</div><div class="ep-bar"><i style="{style}"></i>'
