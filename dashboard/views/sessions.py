"""Sessions of the period: the bars of Figure 4, and a row for each."""

from typing import Any

import streamlit as st

from dashboard import addresses, blocks, columns, data, formats, header, shown, visitor
from dashboard.charts import sessions as charts
from dashboard.data import sessions as ask
from dashboard.filters import Selection
from dashboard.visitor import t

_BARS = 400


def asked() -> ask.Wanted:
    """The filters of this page; each lives in the URL."""
    with (
        st.expander(t("sessions.filters"), icon=":material/tune:"),
        st.grid(min_column_width=170),
    ):
        kind = _kind()
        tag = st.text_input(t("sessions.tag"), key="etiqueta", bind="query-params", max_chars=60)
        connector = st.number_input(
            t("sessions.connector"), 0, 999, value=0, key="conector", bind="query-params"
        )
        low = _kwh("min_kwh", t("sessions.min_kwh"))
        high = _kwh("max_kwh", t("sessions.max_kwh"))
        least = _minutes("min_min", t("sessions.min_minutes"))
        most = _minutes("max_min", t("sessions.max_minutes"))
        reason = _reason()
    return ask.Wanted(
        connector_id=int(connector) if connector else None,
        tag=tag.strip() or None if tag else None,
        min_wh=low * 1000 if low else None,
        max_wh=high * 1000 if high else None,
        min_s=least * 60 if least else None,
        max_s=most * 60 if most else None,
        reason=reason,
        kind=kind,
    )


def _kind() -> ask.Kind:
    addresses.take("tipo", addresses.one_of(ask.KINDS, "all"), "all")
    st.selectbox(
        t("sessions.kind"),
        ask.KINDS,
        format_func=lambda name: t(f"sessions.kind_{name}"),
        key="tipo",
        persist_state="session",
    )
    chosen: ask.Kind = st.session_state["tipo"]
    addresses.show("tipo", chosen, "all")
    return chosen


def _reason() -> str | None:
    addresses.take("motivo", addresses.one_of(ask.REASONS, ""), "")
    st.selectbox(
        t("column.stop_reason"),
        ("", *ask.REASONS),
        format_func=lambda name: (
            visitor.words().glossed("reason.", name) if name else t("sessions.any_reason")
        ),
        key="motivo",
        persist_state="session",
    )
    chosen: str = st.session_state["motivo"]
    addresses.show("motivo", chosen, "")
    return chosen or None


def _minutes(key: str, label: str) -> int:
    value = st.number_input(label, 0, 100_000, value=0, key=key, bind="query-params")
    return int(value or 0)


def _kwh(key: str, label: str) -> float:
    value = st.number_input(
        label, 0.0, 1e6, value=0.0, step=1.0, key=key, bind="query-params", format="%.1f"
    )
    return float(value or 0)


def sums(totals: Any) -> None:
    """What all sessions that fit add up to; attempts are counted apart, as everywhere."""
    language = visitor.language()
    facts = {
        "column.sessions": formats.number(totals["sessions"], language, 0),
        "column.energy": formats.energy(totals["energy_wh"], language),
        "column.duration": formats.duration(totals["duration_s"]),
        "column.idle": formats.duration(totals["idle_s"]),
        "column.cost": formats.cost(totals["cost"], totals["unpriced_wh"], visitor.words()),
        "sessions.attempts": formats.number(totals["attempts"], language, 0),
        "sessions.no_energy": formats.number(totals["unknown_energy"], language, 0),
        "sessions.continued": formats.number(totals["continued"], language, 0),
    }
    blocks.facts({t(key): value for key, value in facts.items()})
    st.caption(t("sessions.whole"))


def bars(frame: Any) -> None:
    """Figure 4; a click on a bar opens the session."""
    figure = charts.energy_bars(frame.head(_BARS), visitor.words(), data.charge_point_places())
    count = min(len(frame), _BARS)
    points = blocks.plot(figure, "figure4", t("sessions.figure_alt", count=count), select=True)
    if points and points[0].get("customdata"):
        blocks.leave_for("session", transacao=int(points[0]["customdata"][0]))


def page(selection: Selection) -> None:
    wanted = asked()
    frame = ask.sessions(selection, wanted)
    if frame.empty:
        _nothing(selection, wanted)
        return
    st.subheader(t("sessions.figure"), help=t("sessions.figure_help"), anchor=False)
    bars(frame)
    totals = ask.session_totals(selection, wanted)
    sums(totals)
    chosen = blocks.table(frame, columns.SESSIONS, "sessions_table", select=True)
    shown.say(frame, totals["sessions"] + totals["attempts"])
    _say_running(frame)
    with st.container(horizontal=True):
        blocks.downloads(
            "eletroposto-sessoes",
            lambda: ask.every_session(selection, wanted),
            columns.SESSIONS,
            "sessions",
        )
        st.caption(t("table.select_hint"))
    if chosen is not None:
        blocks.leave_for("session", transacao=int(frame["transaction_id"].iloc[chosen]))


def _say_running(frame: Any) -> None:
    """Running sessions count only as far as the flows have come; the cards are newer."""
    running = frame[frame["is_open"]]
    ends = map(formats.figures_until, running["started_at"], running["duration_s"])
    if known := [end for end in ends if end is not None]:
        st.caption(t("sessions.running_until", clock=formats.clock(min(known))))


def _nothing(selection: Selection, wanted: ask.Wanted) -> None:
    if wanted == ask.Wanted():
        blocks.nothing_here(selection)
        return
    filters = "; ".join(blocks.plain(text) for text in named(wanted))
    st.info(t("sessions.none_fit", filters=filters), icon=":material/filter_alt_off:")
    st.button(t("empty.clear"), on_click=clear, key="clear_session_filters")


def named(wanted: ask.Wanted) -> list[str]:
    """The filters that are set, as people read them."""
    language = visitor.language()
    found = {
        "sessions.kind": None if wanted.kind == "all" else t(f"sessions.kind_{wanted.kind}"),
        "sessions.tag": wanted.tag,
        "sessions.by_connector": wanted.connector_id,
        "sessions.min_kwh": wanted.min_wh and formats.energy(wanted.min_wh, language),
        "sessions.max_kwh_is": wanted.max_wh and formats.energy(wanted.max_wh, language),
        "sessions.min_minutes": wanted.min_s and formats.duration(wanted.min_s),
        "sessions.max_minutes_is": wanted.max_s and formats.duration(wanted.max_s),
        "column.stop_reason": wanted.reason,
    }
    return [f"{t(key)}: {value}" for key, value in found.items() if value]


def clear() -> None:
    """Every filter of this page back to what lets everything through."""
    nothing = {"tipo": "all", "etiqueta": "", "conector": 0, "min_kwh": 0.0, "max_kwh": 0.0}
    st.session_state.update({**nothing, "min_min": 0, "max_min": 0, "motivo": ""})


header.title(t("sessions.title"))
if not data.charge_point_names():
    blocks.first_run()
    st.stop()
with blocks.card():
    page(visitor.selection())
