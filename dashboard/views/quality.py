"""Quality and reconciliation: can these numbers be trusted, and does DOJOT have the same?"""

from typing import Any

import pandas as pd
import streamlit as st

from dashboard import blocks, data, evidence, formats, header, shown, visitor
from dashboard.blocks import Column
from dashboard.charts import states as charts
from dashboard.data import quality as ask
from dashboard.filters import Selection
from dashboard.i18n import Words
from dashboard.visitor import t

RECONCILIATION = (
    Column("name", "column.name"),
    Column("window_start", "quality.window_start", "instant"),
    Column("window_end", "quality.window_end", "instant"),
    Column("verdict", "quality.verdict", "term", terms="verdict."),
    Column("rows_database", "quality.rows_database", "integer"),
    Column("rows_dojot", "quality.rows_dojot", "integer"),
    Column("missing_in_dojot", "quality.missing_in_dojot", "integer"),
    Column("missing_in_database", "quality.missing_in_database", "integer"),
    Column("duplicates", "quality.duplicates", "integer"),
    Column("republished", "quality.republished", "integer"),
    Column("imported", "quality.imported", "integer"),
    Column("energy_difference_wh", "quality.energy_difference", "number", 0),
    Column("detail", "quality.detail"),
    Column("checked_at", "quality.checked_at", "instant"),
    Column("charge_point", "column.identity", "code"),
    Column("flow_run_url", "quality.run", "url"),
)
FINDINGS = (
    Column("day", "column.day", "day"),
    Column("name", "column.name"),
    Column("connector_id", "column.connector", "integer"),
    Column("kind", "quality.kind", "term", terms="finding."),
    Column("severity", "quality.severity", "term", terms="quality."),
    Column("occurrences", "quality.occurrences", "integer"),
    Column("value", "quality.value", "measure"),
    Column("told", "quality.evidence"),
)
FINDINGS_FILE = (
    *FINDINGS,
    Column("unit", "quality.unit"),
    Column("evidence", "quality.evidence_json"),
)
SET_ASIDE = (
    Column("reason", "quality.reason"),
    Column("pieces", "quality.occurrences", "integer"),
    Column("charge_points", "column.charge_points", "integer"),
    Column("newest_at", "quality.newest", "instant"),
    Column("example", "quality.example"),
)
FLOWS = (
    Column("flow", "quality.flow", "term", terms="flow."),
    Column("done_until", "quality.done_until", "instant"),
    Column("waiting", "quality.waiting", "integer"),
    Column("started_at", "quality.last_run", "instant"),
    Column("status", "quality.status", "term", terms="run."),
    Column("message", "quality.detail"),
    Column("url", "quality.run", "url"),
)


def calendar(selection: Selection) -> None:
    frame = ask.days(selection)
    if frame.empty:
        st.info(t("quality.not_judged"), icon=":material/rule:")
        return
    blocks.plot(charts.calendar(frame, visitor.words()), "calendar", t("quality.calendar_alt"))


def compared(selection: Selection) -> None:
    """The sums of both sides, then window by window."""
    totals, language = ask.reconciliation_totals(selection), visitor.language()
    if not totals["windows"]:
        st.info(t("quality.not_reconciled"), icon=":material/sync_problem:")
        return
    share = 100 * totals["agreeing"] / totals["windows"]
    names = ("rows_database", "rows_dojot", "missing_in_dojot", "missing_in_database", "duplicates")
    facts = {t("quality.agreeing"): formats.percent(share, language)}
    facts |= {t(f"quality.{name}"): formats.number(totals[name], language, 0) for name in names}
    facts[t("quality.checked_at")] = formats.instant(totals["checked_at"], language)
    blocks.facts(facts)
    frame = ask.reconciliation(selection)
    chosen = blocks.table(frame, RECONCILIATION, "reconciliation_table", select=True)
    shown.say(frame, totals["windows"])
    blocks.downloads("eletroposto-reconciliacao", lambda: ask.every_reconciliation(selection),
                     RECONCILIATION, "reconciliation")  # fmt: skip
    if chosen is not None:
        backfill(frame.iloc[chosen])


def backfill(row: Any) -> None:
    """The command that compares a window anew, ready to copy."""
    start, end = (
        f"{formats.local(row[name]):%Y-%m-%dT%H:%M}" for name in ("window_start", "window_end")
    )
    st.caption(t("quality.backfill"))
    command = f"eletroposto flows run reconcile_dojot --start {start} --end {end}"
    st.code(f"{command} --charge-point {shell_word(str(row['charge_point']))}", language="bash")


def shell_word(text: str) -> str:
    """Text that a shell takes for one word, whatever is in it."""
    return "'" + text.replace("'", "'\\''") + "'"


def pipelines() -> None:
    frame, lag, language = ask.flow_freshness(), ask.ingest_lag(), visitor.language()
    blocks.facts(
        {
            t("quality.lag_messages"): formats.number(lag["messages"], language, 0),
            t("quality.lag_median"): formats.number(lag["median_ms"], language, 1, "ms"),
            t("quality.lag_p95"): formats.number(lag["p95_ms"], language, 1, "ms"),
        }
    )
    if frame.empty:
        st.info(t("quality.no_flows"), icon=":material/schedule:")
    else:
        words = visitor.words()
        told = [evidence.run_told(message, words) for message in frame["message"]]
        blocks.table(frame.assign(message=told), FLOWS, "flows_table")


def found(selection: Selection) -> None:
    words = visitor.words()
    frame = in_words(ask.findings(selection), words)
    if frame.empty:
        st.success(t("quality.no_findings"), icon=":material/check_circle:")
        return
    chosen = blocks.table(frame, FINDINGS, "findings_table", select=True)
    shown.say(frame)
    with st.container(horizontal=True):
        blocks.downloads(
            "eletroposto-achados",
            lambda: in_words(ask.every_finding(selection), words),
            FINDINGS_FILE,
            "findings",
        )
        st.caption(t("quality.findings_hint"))
    if chosen is not None:
        row = frame.iloc[chosen]
        blocks.leave_for("sessions", de=row["day"], ate=row["day"], estacao=row["charge_point"])


def in_words(frame: pd.DataFrame, words: Words) -> pd.DataFrame:
    """Findings with what they rest on as people read it."""
    return frame.assign(told=[evidence.told(text, words) for text in frame["evidence"]])


def aside(selection: Selection) -> None:
    frame: pd.DataFrame = ask.set_aside(selection)
    if not visitor.may_see_tags():
        frame = frame.assign(example=None)
    if frame.empty:
        st.success(t("quality.nothing_aside"), icon=":material/check_circle:")
    else:
        blocks.table(frame, SET_ASIDE, "aside_table")


selection = visitor.selection()
header.title(t("quality.title"))
if not data.charge_point_names():
    blocks.first_run()
    st.stop()
with blocks.card(t("quality.calendar"), help_=t("quality.calendar_help")):
    calendar(selection)
with blocks.card(t("quality.dojot"), help_=t("quality.dojot_help")):
    compared(selection)
with blocks.card(t("quality.findings")):
    found(selection)
with blocks.card(t("quality.aside"), help_=t("quality.aside_help")):
    aside(selection)
with blocks.card(t("quality.pipelines"), help_=t("quality.pipelines_help")):
    pipelines()
