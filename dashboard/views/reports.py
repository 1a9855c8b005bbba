"""Monthly reports: one made now, and those the scheduled flow made."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import streamlit as st

from dashboard import addresses, blocks, data, formats, header, month_report, visitor
from dashboard.data import costs, energy
from dashboard.data import sessions as session_data
from dashboard.data import stations as station_data
from dashboard.filters import Period, Selection, today
from dashboard.visitor import t

_MONTHS = 24


def months() -> list[str]:
    """The last months as texts of an address, newest first."""
    first, found = today().replace(day=1), []
    for _ in range(_MONTHS):
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


def gathered(first: date) -> month_report.Month:
    last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    selection = Selection(Period(first, last), None)
    every = session_data.Wanted()
    return month_report.Month(
        first,
        energy.totals(selection).to_dict(),
        energy.daily(selection),
        station_data.stations(selection),
        session_data.sessions(selection, every, session_data.EXPORTED),
    )


def made_now(first: date) -> None:
    """The report of the chosen month, made when asked for."""
    words = visitor.words()
    month = gathered(first)
    if month.sessions.empty:
        st.info(t("report.nothing"), icon=":material/search_off:")
        return
    blocks.facts(month_report.figures(month, words))
    at = formats.instant(datetime.now(UTC), words.language)
    ways: dict[str, Callable[[], bytes]] = {
        "html": lambda: month_report.html(month, words, at),
        "xlsx": lambda: month_report.workbook(month, words),
    }
    with st.container(horizontal=True):
        for way, make in ways.items():
            st.download_button(
                t(f"report.{way}"),
                data=make,
                file_name=f"eletroposto-{first:%Y-%m}.{way}",
                mime="text/html" if way == "html" else "application/octet-stream",
                key=f"report_{way}",
                on_click="ignore",
                icon=":material/download:",
            )


def earlier() -> None:
    """What the flow made; each file as it was made then."""
    frame = costs.reports()
    if frame.empty:
        st.info(t("report.none_yet"), icon=":material/schedule:")
        return
    with st.grid(min_column_width=280):
        for row in frame.head(60).itertuples():
            number = int(row.report_file_id)
            st.download_button(
                blocks.plain(row.file_name),
                data=lambda number=number: costs.report_content(number),  # type: ignore[misc]
                file_name=str(row.file_name),
                key=f"report_file_{number}",
                on_click="ignore",
                type="tertiary",
                icon=":material/description:",
                help=formats.instant(row.created_at, visitor.language()),
            )


header.title(t("reports.title"))
if not data.charge_point_names():
    blocks.first_run()
    st.stop()
with blocks.card():
    made_now(chosen())
with blocks.card(t("report.earlier"), help_=t("report.earlier_help")):
    earlier()
