"""The bar above every page: period, charge points, language, and how fresh the data are."""

from datetime import UTC, date, datetime
from typing import Any

import streamlit as st

from dashboard import addresses, blocks, data, db, formats, i18n, states, visitor
from dashboard.filters import presets, today
from dashboard.visitor import t

_STALE_S, _OLD_S = 120, 900
_FLOW_STALE_S, _FLOW_OLD_S = 900, 3600  # the flows run every five minutes
_EARLIEST, _LATEST = date(2010, 1, 1), date(2100, 1, 1)


def draw(period: bool, charge_points: bool) -> None:
    """Draw the bar; a page about one thing has no use for the choice among many.

    The address says the period also where it is not drawn: a link from there keeps it.
    """
    _take_language()
    days = _days()
    values: dict[str, tuple[Any, Any]] = {}
    for key, default in days.items():
        addresses.take(key, addresses.day(_EARLIEST, _LATEST, default), default)
    with st.container(horizontal=True, vertical_alignment="center", key="header"):
        if period:
            _period()
        if charge_points:
            _charge_points()
            values["estacao"] = ([*st.session_state["estacao"]], [])
        _language()
    values |= {key: (st.session_state[key], default) for key, default in days.items()}
    addresses.show_all(values | {"lang": (st.session_state["lang"], i18n.DEFAULT)})
    if period and visitor.has_reversed_dates():
        st.info(t("header.reversed"), icon=":material/swap_horiz:")


def _days() -> dict[str, date]:
    """The days of the address, and what they are where it says nothing."""
    default = presets(today())["month"]
    return {"de": default.first, "ate": default.last}


def _period() -> None:
    for key in _days():
        st.date_input(
            t(f"header.{key}"),
            min_value=_EARLIEST,
            max_value=_LATEST,
            format=formats.date_field(visitor.language()),
            key=key,
            persist_state="session",
            width=128,
            label_visibility="collapsed",
        )
    st.menu_button(
        _period_name(),
        list(presets(today())),
        format_func=lambda name: t(f"period.{name}"),
        key="_preset",
        on_click=_take_preset,
        icon=":material/date_range:",
    )


def _take_preset() -> None:
    chosen = presets(today()).get(st.session_state["_preset"])
    if chosen:
        st.session_state["de"], st.session_state["ate"] = chosen.first, chosen.last


def _period_name() -> str:
    """The name of the period if its two days have one."""
    now = visitor.selection().period
    names = [name for name, period in presets(today()).items() if period == now]
    return t(f"period.{names[0]}" if names else "period.custom")


def _charge_points() -> None:
    known = data.charge_point_names()
    addresses.take("estacao", addresses.any_of(list(known)), [])
    st.multiselect(
        t("header.charge_points"),
        list(known),
        format_func=lambda identity: known.get(identity, identity),
        placeholder=t("header.all"),
        key="estacao",
        persist_state="session",
        select_all=False,
        wrap=False,
        width=260,
        label_visibility="collapsed",
    )


def _take_language() -> None:
    """From the address; the menu was written before, so going back may mean to begin again."""
    before = visitor.language()
    addresses.take("lang", addresses.one_of(i18n.LANGUAGES, i18n.DEFAULT), i18n.DEFAULT)
    if visitor.language() != before:
        st.rerun()


def _language() -> None:
    st.segmented_control(
        t("header.language"),
        i18n.LANGUAGES,
        required=True,
        key="lang",
        persist_state="session",
        label_visibility="collapsed",
    )


def title(text: str) -> None:
    """The title of a page with how fresh the data are."""
    with st.container(horizontal=True, vertical_alignment="center", key="title"):
        st.title(text, anchor=False, width="content")
        _freshness()
        _quality()


@st.fragment(run_every="10s")
def _freshness() -> None:
    """A badge that says until when the page is true, coloured when that is too long ago."""
    try:
        newest, (flow, done_until) = data.newest_message(), data.slowest_flow()
    except db.NoAnswer:
        st.badge(t("fresh.away"), icon=":material/cloud_off:", color="red")
        return
    if newest is None:
        st.badge(t("fresh.never"), icon=":material/hourglass_empty:", color="gray")
        return
    now = datetime.now(UTC)
    if _is_behind(done_until, now, _FLOW_STALE_S) and (not done_until or done_until < newest):
        _behind(flow, done_until, now)
        return
    text = t("fresh.until", clock=formats.clock(newest), age=formats.age(newest, now))
    color, icon = states.freshness((now - newest).total_seconds(), _STALE_S, _OLD_S)
    st.badge(text, icon=icon, color=color, help=t("fresh.help"))


def _is_behind(done_until: datetime | None, now: datetime, seconds: float) -> bool:
    return done_until is None or (now - done_until).total_seconds() > seconds


def _behind(flow: str, done_until: datetime | None, now: datetime) -> None:
    """Messages come, but the figures of the page are older: say which flow they wait for."""
    name = visitor.words().known(f"flow.{flow}", flow)
    color: states.Badge
    if done_until is None:
        text, color = t("fresh.not_computed", flow=name), "gray"
    else:
        at, age = formats.instant(done_until, visitor.language()), formats.age(done_until, now)
        text = t("fresh.behind", flow=name, at=at, age=age)
        color = "red" if _is_behind(done_until, now, _FLOW_OLD_S) else "orange"
    st.badge(text, icon=":material/history:", color=color, help=t("fresh.behind_help"))


def is_old() -> bool:
    """Whether messages or flows are so far behind that figures of now deserve doubt."""
    newest, now = data.newest_message(), datetime.now(UTC)
    if newest is None:
        return False
    behind = _is_behind(data.slowest_flow()[1], now, _FLOW_OLD_S)
    return behind or (now - newest).total_seconds() > _OLD_S


def _quality() -> None:
    """A dot that leads to the page on quality."""
    try:
        level = data.quality_level()
    except db.NoAnswer:
        return
    name = "unknown" if level is None else ("ok", "amber", "red")[level]
    icon = {"ok": "verified", "amber": "warning", "red": "error"}.get(name, "help")
    blocks.link("quality", t(f"header.quality_{name}"), f":material/{icon}:")
