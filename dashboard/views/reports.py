"""Monthly reports: one made now, and those the scheduled flow made."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pandas as pd
import streamlit as st

from dashboard import addresses, blocks, data, formats, header, month_report, visitor
from dashboard.data import costs, energy
from dashboard.data import sessions as session_data
from dashboard.data import stations as station_data
from dashboard.filters import Period, Selection, today
from dashboard.visitor import t

_MONTHS = 24


def months() -> list[str]:
    """The last months, and all since the first report, as texts of an address, newest first."""
    first = today().replace(day=1)
    found: list[str] = []
    oldest = costs.oldest_report() or first
    while len(found) < _MONTHS or first >= oldest:
        found.append(f"{first:%Y-%m}")
        first = (first - timedelta(days=1)).replace(day=1)
    return found


def chosen() -> date:
    options = months()
    addresses.take("mes", addresses.one_of(options, options[0]), options[0])
    st.selectbox(
        t("report.month"),
        options,
        format_func=lambda text: month_report.month_name(_first(text), visitor.words()),
        key="mes",
        width=220,
        persist_state="session",
    )
    addresses.show("mes", st.session_state["mes"], options[0])
    return _first(st.session_state["mes"])


def _first(text: str) -> date:
    return date.fromisoformat(f"{text}-01")


def selection_of(first: date) -> Selection:
    last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    return Selection(Period(first, last), None)


def gathered(first: date) -> month_report.Month:
    """Everything of the month; costs too much for a page that is only looked at."""
    selection = selection_of(first)
    return month_report.Month(
        first,
        energy.totals(selection).to_dict(),
        energy.daily(selection),
        station_data.stations(selection),
        session_data.every_session(selection, session_data.Wanted()),
        until_of(first),
    )


def until_of(first: date) -> date | None:
    """Today where the month is not over."""
    return today() if first == today().replace(day=1) else None


def made_now(first: date) -> None:
    """The figures of the chosen month; its report is made when asked for."""
    words, totals = visitor.words(), energy.totals(selection_of(first))
    if pd.isna(totals["sessions"]):
        st.info(t("report.nothing"), icon=":material/search_off:")
        return
    blocks.facts(month_report.figures(totals.to_dict(), words))
    if until := until_of(first):
        st.caption(t("report.until", day=formats.day(until, words.language)))
    stored = kept_files(first)
    at = formats.instant(datetime.now(UTC), words.language)
    ways: dict[str, Callable[[], bytes]] = {
        "html": lambda: month_report.html(gathered(first), words, at),
        "xlsx": lambda: month_report.workbook(gathered(first), words),
    }
    with st.container(horizontal=True):
        for way, make in ways.items():
            st.download_button(
                t(f"report.{way}"),
                data=_from(stored[way]) if way in stored else make,
                file_name=f"eletroposto-{first:%Y-%m}.{way}",
                mime="text/html" if way == "html" else "application/octet-stream",
                key=f"report_{way}",
                on_click="ignore",
                icon=":material/download:",
            )


def kept_files(first: date) -> dict[str, int]:
    """Numbers of the files a flow made of the month for the network, by format.

    A month that has them has one report, not two that may differ in what they say.
    """
    frame = costs.reports(first, None)
    mine = frame[(frame["kind"] == "monthly") & (frame["language"] == visitor.language())]
    return dict(zip(mine["format"], mine["report_file_id"].astype(int), strict=True))


def _from(report_file_id: int) -> Callable[[], bytes]:
    return lambda: costs.report_content(report_file_id)


def earlier(first: date) -> None:
    """What the flow made of the month and its quarter; each file as it was made then."""
    if costs.oldest_report() is None:
        st.info(t("report.none_yet"), icon=":material/schedule:")
        return
    frame = costs.reports(first, _whose())
    if frame.empty:
        st.info(t("report.none_of_month"), icon=":material/search_off:")
        return
    with st.grid(min_column_width=280):
        for row in frame.itertuples():
            number = int(row.report_file_id)
            st.download_button(
                blocks.plain(row.file_name),
                data=_from(number),
                file_name=str(row.file_name),
                key=f"report_file_{number}",
                on_click="ignore",
                type="tertiary",
                icon=":material/description:",
                help=formats.instant(row.created_at, visitor.language()),
            )


def _whose() -> str | None:
    """The charge point whose report is wanted; None: of the whole network."""
    known = data.charge_point_names()
    addresses.take("de_quem", addresses.one_of(list(known), ""), "")
    st.selectbox(
        t("report.whose"),
        ["", *known],
        format_func=lambda identity: known.get(identity, t("report.network")),
        key="de_quem",
        width=320,
        persist_state="session",
    )
    addresses.show("de_quem", st.session_state["de_quem"], "")
    return st.session_state["de_quem"] or None


header.title(t("reports.title"))
if not data.charge_point_names():
    blocks.first_run()
    st.stop()
with blocks.card():
    month = chosen()
    made_now(month)
with blocks.card(t("report.earlier"), help_=t("report.earlier_help")):
    earlier(month)
