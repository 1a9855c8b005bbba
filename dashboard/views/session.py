"""One session: its curves on one time axis, its energy by two methods, its messages."""

from datetime import UTC, datetime
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import addresses, blocks, confirming, db, formats, header, visitor
from dashboard.charts import sequence
from dashboard.charts import sessions as charts
from dashboard.data import operations
from dashboard.data import sessions as ask
from dashboard.visitor import t

_AMBER, _RED = 3.0, 10.0
_PARTS = 12


def span(session: Any) -> ask.Span:
    until = session["last_evidence_at"]
    if session["is_open"]:
        # Whole minutes, so that a page drawn twice asks the same question.
        until = max(until, pd.Timestamp(datetime.now(UTC)).ceil("min"))
    return ask.Span(
        str(session["charge_point"]),
        int(session["connector_id"]),
        int(session["transaction_id"]),
        session["started_at"].to_pydatetime(),
        until.to_pydatetime(),
    )


def summary(session: Any) -> None:
    language = visitor.language()
    unit = {name: session[name] for name in session.index}
    facts = {
        "column.energy": formats.energy(unit["energy_wh"], language, 2),
        "column.duration": formats.duration(unit["duration_s"]),
        "session.soc": soc(session),
        **_battery(session),
        "column.mean_power": formats.power(unit["mean_power_w"], language),
        "column.peak_power": formats.power(unit["peak_power_w"], language),
        "column.idle": formats.duration(unit["idle_s"]),
        "column.cost": formats.cost(unit["cost"], unit["unpriced_wh"], visitor.words()),
        "column.tag": str(unit["id_tag_alias"] or formats.UNKNOWN),
        "column.stop_reason": stop_reason(session),
    }
    blocks.facts({t(key): value for key, value in facts.items()})


def _battery(session: Any) -> dict[str, str]:
    """What the charge tells about the battery, where it tells something."""
    language, found = visitor.language(), {}
    if pd.notna(session["pack_estimate_wh"]):
        found["session.pack"] = "≈ " + formats.energy(session["pack_estimate_wh"], language, 0)
    if pd.notna(session["efficiency"]):
        found["session.efficiency"] = formats.percent(session["efficiency"] * 100, language)
    return found


def soc(session: Any) -> str:
    """From, to and gain; or that the vehicle did not tell."""
    start, end = session["soc_start_percent"], session["soc_end_percent"]
    if pd.isna(start):
        return t("unknown.not_told")
    language = visitor.language()
    gain = formats.number(end - start, language, 0)
    first, last = formats.number(start, language, 0), formats.percent(end, language, 0)
    told = f"{first} → {last} ({'' if end < start else '+'}{gain})"
    return f"{told} · {t('session.extrapolated')}" if session["soc_is_extrapolated"] else told


def stop_reason(session: Any) -> str:
    if session["is_open"]:
        return t("session.running")
    inferred = session["inferred_by"]
    if inferred:
        return t("session.inferred", by=t(f"inferred.{inferred}"))
    reason = session["stop_reason"]
    return visitor.words().glossed("reason.", reason) if reason else t("unknown.not_told")


def energies(session: Any) -> None:
    """The same energy by each method, and how far they are apart."""
    language = visitor.language()
    st.subheader(t("session.energies"), help=t("session.energies_help"), anchor=False)
    methods = {
        "register": session["energy_register_wh"],
        "register_series": session["energy_series_wh"],
        "integral": session["energy_integral_wh"],
    }
    if session["energy_source"] == "interval":  # kept nowhere else
        methods["interval"] = session["energy_wh"]
    facts = {
        t(f"energy_source.{name}")
        + (" ✓" if session["energy_source"] == name else ""): formats.energy(value, language, 3)
        for name, value in methods.items()
    }
    facts[t("session.delta")] = formats.percent(session["energy_delta_percent"], language, 2)
    blocks.facts(facts)
    _judge(session)
    if session["flags"]:
        flags = visitor.words().terms("finding.", ", ".join(session["flags"]))
        st.caption(t("session.flags", flags=blocks.plain(flags)))


def _judge(session: Any) -> None:
    """Say what a difference means, in the colours of product rules: 3 % and 10 %."""
    delta = session["energy_delta_percent"]
    share = 0.0
    if session["duration_s"] and pd.notna(session["gap_s"]):
        share = session["gap_s"] / session["duration_s"] * 100
    if session["energy_source"] == "integral":  # there is nothing to compare it with
        _judge_integral(share)
    elif share > _RED or abs(delta) > _RED:
        st.error(t("session.delta_red"), icon=":material/error:")
    elif pd.isna(delta):
        st.caption(t("session.no_delta"))
    elif abs(delta) > _AMBER:
        st.warning(t("session.delta_amber"), icon=":material/warning:")
    else:
        st.caption(t("session.delta_ok"))


def _judge_integral(gap_percent: float) -> None:
    """What flowed while nothing was read is not in the integral."""
    if gap_percent > _RED:
        share = formats.percent(gap_percent, visitor.language(), 0)
        st.error(t("session.integral_gaps", share=share), icon=":material/error:")
    else:
        st.caption(t("session.integral_only"))


def curves(where: ask.Span) -> None:
    readings = ask.curve(where)
    if readings.empty:
        st.info(t("session.no_readings"), icon=":material/show_chart:")
        return
    figure = charts.curves(
        readings, ask.phases(where), ask.gaps(where), ask.statuses(where), visitor.words()
    )
    blocks.plot(figure, "curves", t("session.curves_alt"))
    st.caption(
        t("session.legend")
        + (t("session.averaged", seconds=int(where.width_s)) if where.width_s > 10 else "")
    )
    name = f"eletroposto-sessao-{where.transaction_id}"
    with st.container(horizontal=True):
        every = t("session.every_reading")
        blocks.downloads(
            f"{name}-leituras", lambda: ask.readings(where), EVERY_READING, "readings", every
        )
        blocks.downloads(name, lambda: readings, READINGS, "curve", t("session.points"))


EVERY_READING = (
    blocks.Column("sampled_at", "column.at", "second"),
    blocks.Column("charge_point", "column.identity", "code"),
    blocks.Column("connector_id", "column.connector", "integer"),
    blocks.Column("transaction_id", "column.transaction", "integer"),
    blocks.Column("context", "session.context", "code"),
    blocks.Column("energy_wh", "column.energy_wh", "number"),
    blocks.Column("power_w", "column.power_w", "number"),
    blocks.Column("soc_percent", "session.soc", "percent"),
    blocks.Column("voltage_v", "session.voltage", "number"),
    blocks.Column("current_a", "session.current", "number"),
    blocks.Column("temperature_c", "session.temperature", "number"),
    blocks.Column("current_offered_a", "session.current_offered", "number"),
    blocks.Column("power_offered_w", "session.power_offered", "number"),
    blocks.Column("extra", "session.extra", "code"),
    blocks.Column("origin", "session.origin", "code"),
)
READINGS = (
    blocks.Column("at", "column.at", "instant"),
    blocks.Column("power_w", "column.power_w", "number"),
    blocks.Column("energy_wh", "column.energy_wh", "number"),
    blocks.Column("soc_percent", "session.soc", "percent"),
    blocks.Column("voltage_v", "session.voltage", "number"),
    blocks.Column("current_a", "session.current", "number"),
    blocks.Column("temperature_c", "session.temperature", "number"),
    blocks.Column("power_offered_w", "session.power_offered", "number"),
)


def by_posto(where: ask.Span) -> None:
    frame = ask.postos(where)
    language = visitor.language()
    facts = {
        t(f"posto.{row.posto or 'none'}"): f"{formats.energy(row.energy_wh, language, 2)}"
        + (f" · {formats.money(row.cost, language)}" if pd.notna(row.cost) else "")
        for row in frame.itertuples()
    }
    if facts:
        blocks.facts(facts)


def messages(where: ask.Span) -> None:
    frames = ask.frames(where)
    if frames.empty:
        st.info(t("session.no_frames"), icon=":material/forum:")
        return
    figure = sequence.diagram(frames, visitor.words(), visitor.may_see_tags())
    blocks.plot(figure, "sequence", t("session.sequence_alt"))


def visit(session: Any) -> None:
    """The other sessions of the same plug-in, where it was cut into several."""
    whole = ask.visit(int(session["visit_id"])) if pd.notna(session["visit_id"]) else None
    if whole is None or whole["sessions"] < 2:
        return
    language, numbers = visitor.language(), list(whole["transaction_ids"])
    text = t(
        "session.visit",
        part=numbers.index(session["transaction_id"]) + 1,
        parts=len(numbers),
        energy=formats.energy(whole["energy_wh"], language, 2),
        start=formats.instant(whole["started_at"], language),
    )
    st.info(text, icon=":material/link:")
    with st.container(horizontal=True):
        for part, number in enumerate(numbers[:_PARTS], start=1):
            if number != session["transaction_id"]:
                blocks.link("session", t("session.part", part=part), transacao=number)


def ending(session: Any, where: ask.Span) -> None:
    """For operators: a session whose stop is lost can be ended in our books."""
    if not session["is_open"] or not visitor.may_act():
        return
    if st.button(
        t("ending.button"), key="end_session", icon=":material/stop_circle:", type="tertiary"
    ):
        confirming.ask(end=where.transaction_id)
    if confirming.asked(end=where.transaction_id) is None:
        return
    connector = t("confirm.connector", number=where.connector_id)
    name = f"**{blocks.plain(session['name'])}** ({blocks.plain(where.charge_point)})"
    confirming.draw(
        t("ending.title", number=where.transaction_id),
        [f"{name} · {connector}", t("ending.text")],
        t("ending.agree"),
        lambda: _end(where.transaction_id),
        t("ending.done"),
    )


def _end(number: int) -> None:
    if not operations.end_transaction(number):
        raise db.NoAnswer("refused", t("ending.not_open"))


def neighbours(where: ask.Span) -> None:
    earlier, later = ask.neighbours(where)
    with st.container(horizontal=True):
        if earlier is not None:
            blocks.link(
                "session", t("session.earlier"), ":material/chevron_left:", transacao=earlier
            )
        if later is not None:
            blocks.link("session", t("session.later"), ":material/chevron_right:", transacao=later)
        blocks.link(
            "station", t("session.station"), ":material/ev_station:", ponto=where.charge_point
        )
        blocks.link("sessions", t("session.all"), ":material/list:")


def page(session: Any) -> None:
    where = span(session)
    name = f"{blocks.plain(session['name'])} · {session['connector_id']}"
    header.title(t("session.of", name=name))
    start = formats.instant(session["started_at"], visitor.language())
    end = formats.clock(session["stopped_at"])
    if session["is_open"]:  # the flows' figures are older than the cards'
        until = formats.figures_until(session["started_at"], session["duration_s"])
        end = t("session.now", clock=formats.clock(until))
    kind = session["current_type"] or t("unknown.not_told")
    st.caption(t("session.line", number=where.transaction_id, start=start, end=end, kind=kind))
    neighbours(where)
    ending(session, where)
    visit(session)
    summary(session)
    left, right = st.columns([3, 2], gap="large")
    with left, blocks.card(t("session.curves"), height=740):
        curves(where)
    with right:
        with blocks.card():
            energies(session)
            by_posto(where)
        with blocks.card(t("session.sequence"), help_=t("session.sequence_help")):
            messages(where)


number = addresses.number(st.query_params.get("transacao", ""))
found = ask.session(number) if number is not None else None
if found is None:
    header.title(t("session.title"))
    st.info(t("session.unknown"), icon=":material/search_off:")
    blocks.link("sessions", t("session.all"), ":material/list:")
    st.stop()
page(found)
