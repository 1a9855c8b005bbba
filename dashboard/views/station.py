"""One charge point: states over time, availability, sessions, faults, its manners on the wire."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import blocks, data, formats, header, shown, states, strip, visitor
from dashboard.blocks import Column
from dashboard.charts import sessions as session_charts
from dashboard.charts import states as charts
from dashboard.data import availability
from dashboard.data import sessions as session_data
from dashboard.data import stations as ask
from dashboard.filters import Selection
from dashboard.visitor import t

WINDOWS = {"day": timedelta(days=1), "week": timedelta(days=7), "month": timedelta(days=30)}
SESSIONS = (
    Column("started_at", "column.started_at", "instant"),
    Column("connector_id", "column.connector", "integer"),
    Column("id_tag_alias", "column.tag"),
    Column("energy_wh", "column.energy_kwh", "kwh", 2),
    Column("duration_s", "column.duration", "duration"),
    Column("soc_end_percent", "column.soc_end", "percent", 0),
    Column("stop_reason", "column.stop_reason", "glossed", terms="reason."),
)
CONFIGURATION = (
    Column("key", "config.key", "code"),
    Column("value", "config.value", "code"),
    Column("is_readonly", "config.readonly"),
    Column("read_at", "config.read_at", "instant"),
    Column("asked_value", "config.asked", "code"),
    Column("asked_status", "config.asked_status"),
    Column("asked_at", "config.asked_at", "instant"),
)
MONTHS = (
    Column("month", "column.month", "day"),
    Column("technical_percent", "column.availability", "percent", 3),
    Column("nevi_percent", "nevi.percent", "percent", 3),
    Column("down_s", "column.down", "duration"),
    Column("excluded_s", "column.excluded", "duration"),
    Column("unknown_s", "column.unknown", "duration"),
)


def facts(station: Any) -> None:
    language = visitor.language()
    seen = {
        "column.identity": station["charge_point"],
        "column.site": station["site"],
        "column.vendor": station["vendor"],
        "column.model": station["model"],
        "column.serial": station["serial_number"],
        "column.firmware": station["firmware_version"],
        "column.last_message": formats.instant(station["last_message_at"], language),
        "column.booted": formats.instant(station["booted_at"], language),
    }
    blocks.facts({t(key): str(value or t("unknown.not_told"))[:80] for key, value in seen.items()})


def timeline(charge_point: str) -> None:
    window = blocks.choose(t("station.window"), "janela", list(WINDOWS), "window.", "day")
    until = datetime.now(UTC).replace(second=0, microsecond=0)
    frame = ask.states(charge_point, until - WINDOWS[window], until)
    if frame.empty:
        st.info(t("station.no_states"), icon=":material/timeline:")
        return
    blocks.plot(charts.timeline(frame, visitor.words()), "timeline", t("station.timeline_alt"))


def months(selection: Selection) -> None:
    frame = availability.months(selection)
    blocks.table(frame.sort_values("month", ascending=False), MONTHS, "months_table")


def sessions(selection: Selection) -> None:
    frame = session_data.sessions(selection, session_data.Wanted())
    if frame.empty:
        blocks.nothing_here(selection)
        return
    figure = session_charts.energy_bars(
        frame.head(200), visitor.words(), data.charge_point_places()
    )
    points = blocks.plot(figure, "station_bars", t("sessions.figure_alt", count=len(frame)), True)
    if points and points[0].get("customdata"):
        blocks.leave_for("session", transacao=int(points[0]["customdata"][0]))
    chosen = blocks.table(frame, SESSIONS, "station_sessions", select=True, height=300)
    totals = session_data.session_totals(selection, session_data.Wanted())
    shown.say(frame, totals["sessions"] + totals["attempts"])
    blocks.downloads(
        "eletroposto-sessoes",
        lambda: session_data.every_session(selection, session_data.Wanted()),
        SESSIONS,
        "station_sessions_files",
    )
    if chosen is not None:
        blocks.leave_for("session", transacao=int(frame["transaction_id"].iloc[chosen]))


def faults(selection: Selection) -> None:
    frame = availability.faults(selection)
    if frame.empty:
        st.success(t("availability.no_faults"), icon=":material/check_circle:")
        return
    blocks.plot(charts.pareto(frame, visitor.words()), "pareto", t("availability.pareto_alt"))


def manners(charge_point: str, selection: Selection) -> None:
    """How it behaves on the wire; what nobody looks at until it hurts."""
    found, language = ask.protocol(charge_point, selection), visitor.language()
    per_day = found["connections"] / selection.period.days
    skew = found["clock_skew_s"]
    blocks.facts(
        {
            t("protocol.connections"): formats.number(per_day, language, 2),
            t("protocol.last_reason"): str(found["last_reason"] or formats.UNKNOWN),
            t("protocol.set_aside"): formats.number(found["set_aside"], language, 0),
            t("protocol.orphan_stops"): formats.number(found["orphan_stops"], language, 0),
            t("protocol.clock_skew"): t("protocol.no_skew")
            if pd.isna(skew)
            else formats.duration(skew),
        }
    )
    if visitor.may_see_tags():
        blocks.link("messages", t("protocol.messages"), ":material/forum:", estacao=charge_point)


def configuration(charge_point: str) -> None:
    frame = ask.configuration(charge_point)
    if frame.empty:
        st.info(t("config.none"), icon=":material/settings:")
        return
    blocks.table(frame, CONFIGURATION, "configuration_table")
    blocks.downloads("eletroposto-configuracao", lambda: frame, CONFIGURATION, "configuration")


def page(station: Any) -> None:
    identity = str(station["charge_point"])
    selection = Selection(visitor.selection().period, [identity])
    look = states.look("Available" if station["is_online"] else "offline")
    header.title(blocks.plain(station["name"]))
    key = "station.online" if station["is_online"] else "station.offline"
    since = formats.age(station["online_changed_at"], datetime.now(UTC))
    st.badge(t(key, since=since), icon=look.icon, color=look.badge)
    facts(station)
    strip.draw(selection)
    with blocks.card(t("station.timeline")):
        timeline(identity)
    names = ("sessions", "months", "faults", "protocol", "configuration")
    tabs = dict(zip(names, st.tabs([t(f"station.{name}") for name in names]), strict=True))
    with tabs["sessions"], blocks.card():
        sessions(selection)
    with tabs["months"], blocks.card():
        months(selection)
    with tabs["faults"], blocks.card():
        faults(selection)
    with tabs["protocol"], blocks.card():
        manners(identity, selection)
    with tabs["configuration"], blocks.card():
        configuration(identity)


found = ask.station(st.query_params.get("ponto", "")[:500])
if found is None:
    header.title(t("station.title"))
    st.info(t("station.unknown"), icon=":material/search_off:")
    blocks.link("stations", t("station.all"), ":material/list:")
    st.stop()
page(found)
