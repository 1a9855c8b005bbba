"""Availability by three definitions, outages and faults."""

from typing import Any

import pandas as pd
import streamlit as st

from dashboard import blocks, data, formats, header, shown, visitor
from dashboard.blocks import Column
from dashboard.charts import states as charts
from dashboard.data import availability as ask
from dashboard.data import energy, operations
from dashboard.data import sessions as session_data
from dashboard.filters import Selection
from dashboard.visitor import t

REASONS = (
    "utility interruption", "vehicle", "scheduled maintenance", "vandalism", "natural disaster",
    "outside operating hours",
)  # fmt: skip
OUTAGES = (
    Column("name", "column.name"),
    Column("connector_id", "column.connector", "integer"),
    Column("started_at", "column.started_at", "instant"),
    Column("ended_at", "column.stopped_at", "instant"),
    Column("duration_s", "column.duration", "duration"),
    Column("states", "column.states", "glossed", terms="state."),
    Column("error_code", "column.error"),
    Column("excluded_for", "column.excluded", "term", terms="exclude."),
    Column("charge_point", "column.identity", "code"),
)
FAULTS = (
    Column("error_code", "column.error"),
    Column("vendor_error_code", "column.vendor_error"),
    Column("episodes", "availability.episodes", "integer"),
    Column("faulted_s", "column.duration", "duration"),
    Column("charge_points", "column.charge_points", "integer"),
)
_ROWS, _RULE_PERCENT = 30, 97
MATRIX = (
    Column("charge_point", "column.identity", "code"),
    Column("month", "column.month", "day"),
    Column("technical_percent", "column.availability", "percent", 3),
    Column("nevi_percent", "nevi.percent", "percent", 3),
    Column("down_s", "column.down", "duration"),
    Column("excluded_s", "column.excluded", "duration"),
    Column("unknown_s", "column.unknown", "duration"),
)
YEAR = (
    Column("name", "column.name"),
    Column("connector_id", "column.connector", "integer"),
    Column("nevi_percent", "nevi.percent", "percent", 3),
    Column("outage_min", "nevi.outage", "number", 0),
    Column("excluded_min", "nevi.excluded", "number", 0),
    Column("months", "nevi.months", "integer"),
)
NEVI = (
    Column("month", "column.month", "day"),
    Column("charge_point", "column.identity", "code"),
    Column("connector_id", "column.connector", "integer"),
    Column("observed_min", "nevi.observed", "number", 0),
    Column("outage_min", "nevi.outage", "number", 0),
    Column("excluded_min", "nevi.excluded", "number", 0),
    Column("unknown_min", "nevi.unknown", "number", 0),
    Column("technical_percent", "column.availability", "percent", 3),
    Column("nevi_percent", "nevi.percent", "percent", 3),
)
NEVI_SESSIONS = (
    Column("charge_point", "column.identity", "code"),
    Column("connector_id", "column.connector", "integer"),
    Column("started_at", "column.started_at", "instant"),
    Column("stopped_at", "column.stopped_at", "instant"),
    Column("energy_wh", "column.energy_kwh", "kwh", 3),
    Column("peak_power_w", "column.peak_kw", "kw", 2),
    Column("error_codes", "nevi.error_codes"),
    Column("stop_reason", "column.stop_reason", "glossed", terms="reason."),
    Column("flags", "column.flags", "term", terms="finding."),
)


def three(selection: Selection) -> None:
    """The three definitions side by side, never without their names."""
    totals, language = energy.totals(selection), visitor.language()
    with st.grid(min_column_width=230):
        for name, column in (
            ("technical", "technical_percent"),
            ("nevi", "nevi_percent"),
            ("driver", "success_percent"),
        ):
            st.metric(
                t(f"availability.{name}"),
                formats.percent(totals[column], language, 2),
                help=t(f"availability.{name}_help"),
                border=True,
            )
    known = t("availability.unknown", unknown=formats.duration(totals["unknown_s"]))
    st.caption(f"{t('availability.window')} {known}")


def months(selection: Selection) -> None:
    frame = ask.months(selection)
    if frame.empty:
        st.info(t("availability.no_months"), icon=":material/calendar_month:")
        return
    measure = blocks.choose(
        t("availability.measure"),
        "medida",
        ["technical", "nevi"],
        "availability.measure_",
        "technical",
    )
    worst_first, hidden = worst(frame, f"{measure}_percent")
    figure = charts.matrix(worst_first, visitor.words(), f"{measure}_percent")
    blocks.plot(figure, "matrix", t("availability.matrix_alt"))
    if hidden:
        st.caption(t("availability.hidden", shown=_ROWS, count=hidden))
    blocks.downloads("eletroposto-disponibilidade", lambda: frame, MATRIX, "matrix")


def worst(frame: pd.DataFrame, column: str) -> tuple[pd.DataFrame, int]:
    """The charge points with the worst year, worst first, and how many are left out."""
    names = data.charge_point_names()
    good = ["up_s", "excluded_s"] if column == "nevi_percent" else ["up_s"]
    sums = frame.groupby("charge_point")[["up_s", "down_s", "excluded_s"]].sum()
    share = sums[good].sum(axis=1) / (sums["up_s"] + sums["down_s"])
    order = share.sort_values(kind="stable").index[:_ROWS]
    kept = frame[frame["charge_point"].isin(order)]
    kept = kept.assign(name=kept["charge_point"].map(lambda each: names.get(each, each)))
    place = kept["charge_point"].map({each: number for number, each in enumerate(order)})
    return kept.iloc[place.argsort(kind="stable")], max(len(share) - _ROWS, 0)


def year(selection: Selection) -> None:
    """The rule's own number: each port over twelve months, against 97 %."""
    frame, names = ask.port_years(selection), data.charge_point_names()
    if frame.empty:
        return
    values = {"ports": len(frame), "months": int(frame["months"].max())}
    below = frame[frame["nevi_percent"] < _RULE_PERCENT]
    if below.empty:
        st.success(t("availability.ports_fine", **values), icon=":material/check_circle:")
        return
    text = t("availability.ports_below", below=len(below), **values)
    st.warning(text, icon=":material/warning:")
    named = below.assign(name=below["charge_point"].map(lambda each: names.get(each, each)))
    blocks.table(named, YEAR, "year_table", height=240)


def reliability(selection: Selection) -> None:
    faults, totals = ask.faults(selection), energy.totals(selection)
    if faults.empty:
        st.success(t("availability.no_faults"), icon=":material/check_circle:")
        return
    episodes = float(faults["episodes"].sum())
    mean_up = None if pd.isna(totals["up_s"]) else totals["up_s"] / episodes
    blocks.facts(
        {
            t("availability.episodes"): formats.number(episodes, visitor.language(), 0),
            t("availability.mtbf"): formats.duration(mean_up),
            t("availability.mttr"): formats.duration(faults["faulted_s"].sum() / episodes),
        }
    )
    left, right = st.columns(2, gap="large")
    with left:
        blocks.plot(charts.pareto(faults, visitor.words()), "pareto", t("availability.pareto_alt"))
    with right:
        blocks.table(faults, FAULTS, "faults_table")


def outages(selection: Selection) -> None:
    frame = ask.outages(selection)
    if frame.empty:
        st.success(t("availability.no_outages"), icon=":material/check_circle:")
    else:
        chosen = blocks.table(frame, OUTAGES, "outages_table", select=visitor.may_act())
        shown.say(frame)
        blocks.downloads(
            "eletroposto-paradas", lambda: ask.every_outage(selection), OUTAGES, "outages"
        )
        if chosen is not None:
            _exclude(frame.iloc[chosen])
    _exclusions(selection)


def _exclude(outage: Any) -> None:
    """Ask an operator why an outage is not the operator's fault."""
    with st.form("exclude", border=True):
        where = f"{blocks.plain(outage['name'])} · {outage['connector_id']}"
        start = formats.instant(outage["started_at"], visitor.language())
        st.markdown(t("exclude.title", where=where, start=start))
        reason = st.selectbox(
            t("exclude.reason"), REASONS, format_func=lambda name: t(f"exclude.{name}")
        )
        evidence = st.text_input(t("exclude.evidence"), max_chars=500)
        if not st.form_submit_button(t("exclude.submit"), type="primary"):
            return
    if not evidence.strip():
        st.error(t("exclude.needs_evidence"))
        return
    end = outage["ended_at"] if pd.notna(outage["ended_at"]) else pd.Timestamp.now("UTC")
    with blocks.acting(t("exclude.done")):
        operations.exclude(
            str(outage["charge_point"]),
            int(outage["connector_id"]),
            outage["started_at"].to_pydatetime(),
            end.to_pydatetime(),
            str(reason),
            evidence.strip(),
        )


def _exclusions(selection: Selection) -> None:
    frame = ask.exclusions(selection)
    if frame.empty:
        return
    st.markdown(f"**{t('exclude.list')}**")
    for row in frame.itertuples():
        with st.container(horizontal=True, vertical_alignment="center"):
            start = formats.instant(row.started_at, visitor.language())
            connector = (
                t("exclude.whole") if pd.isna(row.connector_id) else f"{row.connector_id:.0f}"
            )
            reason = visitor.words().known(f"exclude.{row.reason}", row.reason)
            text = f"{row.name} · {connector} · {start} · {reason}: {row.evidence} ({row.author})"
            st.markdown(blocks.plain(text))
            if visitor.may_act() and st.button(
                t("exclude.withdraw"), key=f"withdraw_{row.downtime_exclusion_id}", type="tertiary"
            ):
                with blocks.acting(t("exclude.withdrawn")):
                    operations.withdraw_exclusion(int(row.downtime_exclusion_id))


def nevi(selection: Selection) -> None:
    """The data set the rule asks for, less payment."""
    st.caption(t("nevi.explained"))
    with st.container(horizontal=True):
        blocks.downloads("nevi-portas", lambda: ask.nevi_ports(selection), NEVI, "nevi_ports",
                         t("nevi.ports"))  # fmt: skip
        blocks.downloads("nevi-sessoes", lambda: session_data.nevi_sessions(selection),
                         NEVI_SESSIONS, "nevi_sessions", t("nevi.sessions"))  # fmt: skip
        blocks.downloads("nevi-paradas", lambda: ask.every_outage(selection), OUTAGES,
                         "nevi_outages", t("nevi.outages"))  # fmt: skip


selection = visitor.selection()
header.title(t("availability.title"))
if not data.charge_point_names():
    blocks.first_run()
    st.stop()
with blocks.card():
    three(selection)
with blocks.card(t("availability.year"), help_=t("availability.year_help")):
    year(selection)
with blocks.card(t("availability.months"), help_=t("availability.months_help")):
    months(selection)
with blocks.card(t("availability.outages"), help_=t("availability.outages_help")):
    outages(selection)
with blocks.card(t("availability.faults")):
    reliability(selection)
with blocks.card(t("nevi.title")):
    nevi(selection)
