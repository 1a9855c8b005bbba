"""Costs by tariff period, charge point and tag, and the CO2 estimate."""

from typing import Any

import pandas as pd
import streamlit as st

from dashboard import blocks, data, formats, header, shown, visitor
from dashboard.blocks import Column
from dashboard.charts import costs as charts
from dashboard.data import costs as ask
from dashboard.filters import Selection
from dashboard.visitor import t

STATIONS = (
    Column("name", "column.name"),
    Column("energy_wh", "column.energy_kwh", "kwh"),
    Column("cost", "column.cost", "cost"),
    Column("cost_fora_ponta", "posto.fora_ponta", "money"),
    Column("cost_intermediario", "posto.intermediario", "money"),
    Column("cost_ponta", "posto.ponta", "money"),
    Column("cost_if_fora_ponta", "costs.if_off_peak", "money"),
    Column("unpriced_wh", "costs.unpriced", "kwh"),
)
TAGS = (
    Column("id_tag_alias", "column.tag"),
    Column("sessions", "column.sessions", "integer"),
    Column("attempts", "sessions.attempts", "integer"),
    Column("energy_wh", "column.energy_kwh", "kwh"),
    Column("cost", "column.cost", "cost"),
    Column("unpriced_wh", "costs.unpriced", "kwh"),
)
DEMAND = (
    Column("month", "demand.month", "day"),
    Column("site", "column.site"),
    Column("tariff", "demand.tariff"),
    Column("days", "demand.days", "integer"),
    Column("contracted_demand_kw", "tariff.demand", "number"),
    Column("measured_demand_kw", "demand.measured", "number"),
    Column("measured_at", "demand.measured_at", "instant"),
    Column("billed_demand_kw", "demand.billed", "number"),
    Column("full_price_per_kw", "demand.price", "money"),
    Column("demand_cost", "demand.cost", "money"),
)
TARIFFS = (
    Column("name", "tariff.name"),
    Column("modality", "tariff.modality"),
    Column("site", "column.site"),
    Column("valid_from", "tariff.from", "day"),
    Column("valid_to", "tariff.to", "day"),
    Column("posto", "column.posto", "term", terms="posto."),
    Column("from_time", "tariff.from_time"),
    Column("to_time", "tariff.to_time"),
    Column("full_price_per_kwh", "tariff.price", "number", 4),
    Column("contracted_demand_kw", "tariff.demand", "number", 0),
    Column("source", "column.source"),
)


def figures(frame: pd.DataFrame) -> None:
    language = visitor.language()
    total = frame[["energy_wh", "cost", "cost_if_fora_ponta", "unpriced_wh"]].sum(min_count=1)
    priced = total["energy_wh"] - total["unpriced_wh"]
    mean = total["cost"] / (priced / 1000) if priced and pd.notna(total["cost"]) else None
    facts = {
        "column.energy": formats.energy(total["energy_wh"], language),
        "column.cost": formats.cost(total["cost"], total["unpriced_wh"], visitor.words()),
        "costs.mean": formats.money(mean, language, 4),
        "costs.if_off_peak": formats.money(total["cost_if_fora_ponta"], language),
        "costs.saving": formats.money(total["cost"] - total["cost_if_fora_ponta"], language),
        "costs.unpriced": formats.energy(total["unpriced_wh"], language),
    }
    blocks.facts({t(key): value for key, value in facts.items()})
    if pd.isna(total["cost"]):
        st.info(t("costs.no_tariff"), icon=":material/sell:")
    else:
        st.caption(t("costs.what_if"))


def co2(frame: pd.DataFrame) -> None:
    """An estimate, shown only when its three factors were entered."""
    factors = ask.co2()
    if factors is None or pd.isna(factors["avoided_kg_per_kwh"]):
        st.info(t("co2.missing"), icon=":material/eco:")
        return
    _co2_figures(frame, factors)


def _co2_figures(frame: pd.DataFrame, factors: Any) -> None:
    language, kwh = visitor.language(), frame["energy_wh"].sum() / 1000
    avoided = kwh * factors["avoided_kg_per_kwh"]
    distance = kwh / factors["consumption_kwh_per_km"]
    blocks.facts(
        {
            t("co2.avoided"): formats.number(avoided, language, 0, "kg"),
            t("co2.distance"): formats.number(distance, language, 0, "km"),
            t("co2.grid"): formats.number(factors["grid_kg_per_kwh"], language, 3, "kg/kWh"),
            t("co2.ice"): formats.number(factors["combustion_kg_per_km"], language, 3, "kg/km"),
        }
    )
    st.caption(t("co2.estimate"))
    for name in ("grid", "combustion", "consumption"):
        source = blocks.plain(factors[f"{name}_source"])
        st.caption(t("co2.source", factor=t(f"co2.{name}"), source=source))


def demand(selection: Selection) -> None:
    """What group A pays for demand, apart from energy."""
    frame = ask.demand(selection)
    if frame.empty or frame["demand_cost"].isna().all():
        st.caption(t("demand.none"))
    if not frame.empty:
        blocks.table(frame, DEMAND, "demand_table")
        blocks.downloads("eletroposto-demanda", lambda: frame, DEMAND, "demand")
    st.caption(t("demand.help"))


def page(selection: Selection) -> None:
    frame = ask.costs(selection)
    if frame.empty:
        blocks.nothing_here(selection)
        return
    figures(frame)
    if frame["cost"].notna().any():
        figure = charts.by_charge_point(frame, visitor.words())
        blocks.plot(figure, "cost_bars", t("costs.alt"))
    blocks.table(frame, STATIONS, "costs_table")
    blocks.downloads("eletroposto-custos", lambda: frame, STATIONS, "costs")
    left, right = st.columns(2, gap="large")
    with left, blocks.card(t("costs.by_tag")):
        tags = ask.by_tag(selection)
        blocks.table(tags, TAGS, "tags_table")
        shown.say(tags)
        blocks.downloads("eletroposto-custos-por-etiqueta", lambda: ask.every_tag(selection), TAGS,
                         "tags")  # fmt: skip
        st.caption(t("costs.two_rules"))
    with right, blocks.card(t("co2.title"), help_=t("co2.help")):
        co2(frame)


def tariffs() -> None:
    frame = ask.tariffs()
    if frame.empty:
        st.info(t("costs.no_tariff"), icon=":material/sell:")
    else:
        blocks.table(frame, TARIFFS, "tariffs_table")
    if visitor.may_act():
        blocks.link("registry", t("costs.edit"), ":material/edit:")


header.title(t("costs.title"))
if not data.charge_point_names():
    blocks.first_run()
    st.stop()
with blocks.card():
    page(visitor.selection())
with blocks.card(t("demand.title")):
    demand(visitor.selection())
with blocks.card(t("costs.tariffs")):
    tariffs()
