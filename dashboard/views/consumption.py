"""Consumption and demand: how much, in which tariff period, and what the peaks are made of."""

from datetime import date
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import blocks, data, formats, header, partial, visitor
from dashboard.blocks import Column
from dashboard.charts import energy as charts
from dashboard.data import energy as ask
from dashboard.filters import Period, Selection
from dashboard.visitor import t

GRAINS = ("quarter", "hour", "day", "month")
# Finer steps only for periods in which they can be told apart.
_LONGEST = {"quarter": 10, "hour": 60}

SERIES = (
    Column("at", "column.at", "instant"),
    Column("posto", "column.posto", "term", terms="posto."),
    Column("energy_wh", "column.energy_kwh", "kwh", 3),
)
DAYS = (
    Column("day", "column.day", "day"),
    Column("energy_wh", "column.energy_kwh", "kwh"),
    Column("fora_ponta_wh", "posto.fora_ponta", "kwh"),
    Column("intermediario_wh", "posto.intermediario", "kwh"),
    Column("ponta_wh", "posto.ponta", "kwh"),
    Column("none_wh", "posto.none", "kwh"),
)
PEAKS = (
    Column("started_at", "column.at", "instant"),
    Column("demand_w", "column.demand_kw", "kw"),
    Column("who", "column.who"),
)


def grains(selection: Selection) -> list[str]:
    return [name for name in GRAINS if selection.period.days <= _LONGEST.get(name, 10_000)]


def consumed(selection: Selection) -> None:
    offered = grains(selection)
    columns: tuple[Column, ...]
    default = "day" if selection.period.days > 2 else "quarter"
    grain = blocks.choose(t("consumption.grain"), "passo", offered, "grain.", default)
    if grain in ("quarter", "hour"):
        width = ask.QUARTER_S if grain == "quarter" else ask.HOUR_S
        frame = ask.series(selection, width)
        figure, columns = charts.series(frame, visitor.words(), width), SERIES
    else:
        frame = ask.days(selection, grain)
        hatched = partial.days(selection) if grain == "day" else partial.months(selection)
        figure, columns = charts.days(frame, visitor.words(), grain, hatched), DAYS
    blocks.plot(figure, "consumed", t("consumption.alt"))
    if grain in ("day", "month"):
        partial.say(selection, by_month=grain == "month")
    blocks.downloads("eletroposto-consumo", lambda: frame, columns, "consumed")


def figures(selection: Selection) -> None:
    totals, peak = ask.totals(selection), ask.peak(selection)
    language = visitor.language()
    known_from = ask.known_from(selection)
    mean = mean_demand(totals, Period(known_from, selection.period.last))
    top = None if peak is None else float(peak["demand_w"])
    facts = {
        "column.energy": formats.energy(totals["energy_wh"], language),
        "consumption.peak": formats.power(top, language),
        "consumption.peak_at": formats.instant(
            None if peak is None else peak["started_at"], language
        ),
        "consumption.mean": _since(formats.power(mean, language), known_from, selection),
        "consumption.load_factor": formats.percent(
            mean / top * 100 if mean and top else None, language
        ),
        "consumption.contracted": contracted(selection),
    }
    blocks.facts({t(key): value for key, value in facts.items()})


def contracted(selection: Selection) -> str:
    """The site whose demand comes nearest to what its tariff contracts."""
    sites, language = ask.contracted(selection), visitor.language()
    if sites.empty:
        return t("consumption.not_compared" if selection.charge_points else "unknown.no_tariff")
    worst = sites.iloc[0]
    power = formats.power(worst["contracted_w"], language, 0)
    peak = formats.power(worst["demand_w"], language)
    share = formats.percent(worst["share_percent"], language, 0)
    site = worst["site"] or t("consumption.no_site")
    return t("consumption.contracted_of", power=power, peak=peak, share=share, site=site)


def _is_one_site(sites: pd.DataFrame) -> bool:
    return len(sites) == 1 and int(sites["sites"].iloc[0]) == 1


def _since(text: str, first: date, selection: Selection) -> str:
    """Where nothing is known of the first days, from which one on a mean is taken."""
    if first == selection.period.first:
        return text
    return t("consumption.since", text=text, day=formats.day(first, visitor.language()))


def mean_demand(totals: Any, period: Period) -> float | None:
    """Energy over the part of the period that has passed."""
    end = min(pd.Timestamp(period.until), pd.Timestamp.now("UTC"))
    hours = (end - pd.Timestamp(period.since)).total_seconds() / 3600
    energy = totals["energy_wh"]
    return None if pd.isna(energy) or hours <= 0 else float(energy) / hours


def demand(selection: Selection) -> None:
    left, right = st.columns(2, gap="large")
    with left, blocks.card(t("consumption.duration"), help_=t("consumption.duration_help")):
        frame = ask.demand_duration(selection)
        sites = ask.contracted(selection)
        # A line for what one site contracted says nothing about the sum of several.
        line_w = float(sites["contracted_w"].iloc[0]) if _is_one_site(sites) else None
        figure = charts.duration(frame, line_w, visitor.words())
        blocks.plot(figure, "duration", t("consumption.duration_alt"))
    with right, blocks.card(t("consumption.peaks"), help_=t("consumption.peaks_help")):
        peaks = ask.peaks(selection)
        blocks.table(peaks, PEAKS, "peaks_table")
        blocks.downloads("eletroposto-picos", lambda: peaks, PEAKS, "peaks")


def compare(selection: Selection) -> None:
    """Beside the period before, day by day."""
    if selection.period.days < 2:
        return
    with blocks.card(t("consumption.compare"), help_=t("consumption.compare_help")):
        now, before = ask.daily(selection), ask.daily(selection.before())
        if before["energy_wh"].isna().all():
            st.caption(blocks.nothing_in(selection.before()))
            return
        figure = charts.compared(now, before, visitor.words())
        blocks.plot(figure, "compare", t("consumption.compare_alt"))


selection = visitor.selection()
header.title(t("consumption.title"))
if not data.charge_point_names():
    blocks.first_run()
    st.stop()
with blocks.card():
    if ask.by_charge_point(selection).empty:
        blocks.nothing_here(selection)
        st.stop()
    figures(selection)
with blocks.card():
    consumed(selection)
demand(selection)
compare(selection)
