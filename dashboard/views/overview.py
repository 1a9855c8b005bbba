"""Is everything all right? What was consumed, by whom, when?"""

from datetime import UTC, datetime
from typing import Any, Literal

import pandas as pd
import streamlit as st

from dashboard import blocks, data, formats, header, partial, strip, visitor
from dashboard.charts import energy as charts
from dashboard.data import energy
from dashboard.filters import Selection
from dashboard.i18n import Language
from dashboard.visitor import t

_ATTENTION = 3
_LEAST_WH = 500  # what is shown without decimals would be 0 kWh


def verdict(selection: Selection) -> None:
    """One sentence, and what wants a person."""
    connectors = data.connectors_now(selection)
    wanted = data.attention(selection)
    online = int((connectors["state"] != "offline").sum())
    count = 0 if wanted.empty else int(wanted["of_all"].iloc[0])
    values = {"online": online, "all": len(connectors), "count": count}
    if wanted.empty:
        st.success(t("overview.all_right", **values), icon=":material/check_circle:")
        return
    st.warning(t("overview.attention", **values), icon=":material/priority_high:")
    with st.container(horizontal=True, gap="small", key="attention"):
        _attention_links(wanted.head(_ATTENTION))
        if count > _ATTENTION:
            with st.popover(t("overview.more", count=count - _ATTENTION)):
                _attention_links(wanted.iloc[_ATTENTION:])
                if count > len(wanted):
                    st.caption(t("overview.most_urgent", shown=len(wanted), all=count))


def _attention_links(wanted: pd.DataFrame) -> None:
    now = datetime.now(UTC)
    for row in wanted.itertuples():
        connector = "" if pd.isna(row.connector_id) else f" · {row.connector_id:.0f}"
        where = blocks.plain(row.name) + connector
        text = t(f"attention.{row.kind}", age=formats.age(row.since, now))
        blocks.link(
            "station", f"{where} – {text}", ":material/arrow_forward:", ponto=row.charge_point
        )


def figures(selection: Selection) -> None:
    """The eight figures of the period, each beside the period before."""
    now = energy.totals(selection)
    earlier = selection.before()
    first_known = energy.known_from(earlier)
    is_whole = first_known == earlier.period.first
    before = energy.totals_before(selection, datetime.now(UTC)) if is_whole else None
    daily = energy.daily(selection)
    with st.grid(min_column_width=225, gap="small", key="figures"):
        _metric(
            "energy", formats.energy(now["energy_wh"], _lang(), 0), "energy_wh", now, before, daily
        )
        _metric(
            "sessions", formats.number(now["sessions"], _lang(), 0), "sessions", now, before, daily
        )
        _metric(
            "availability",
            formats.percent(now["technical_percent"], _lang(), 2),
            "technical_percent",
            now,
            before,
            daily,
            color="normal",
            help_values={"nevi": formats.percent(now["nevi_percent"], _lang(), 2)},
        )
        _metric(
            "utilisation",
            formats.percent(now["utilisation_percent"], _lang()),
            "utilisation_percent",
            now,
            before,
            daily,
        )
        _peak(selection)
        _metric("idle", formats.duration(now["idle_s"]), "idle_s", now, before, daily)
        _cost(now, before, daily)
        _faults(selection)
    if not is_whole:  # half a period makes every figure look as if it had grown
        day = formats.day(first_known, _lang())
        st.caption(t("overview.not_compared", day=day))


def _lang() -> Language:
    return visitor.language()


def _metric(
    name: str,
    value: str,
    column: str,
    now: Any,
    before: Any,
    daily: pd.DataFrame,
    color: Literal["normal", "inverse", "off"] = "off",
    help_values: dict[str, str] | None = None,
) -> None:
    # What is not known is a gap in the curve, never 0.
    curve = daily[column].tolist() if daily[column].notna().sum() > 1 else None
    change = None
    if before is not None:
        are_percents = column.endswith("_percent")
        change = formats.change(now[column], before[column], _lang(), are_percents)
    is_steady = change is not None and change[0] not in "+-"
    st.metric(
        t(f"kpi.{name}"),
        value,
        change,
        delta_color="off" if is_steady else color,
        delta_arrow="off" if is_steady else "auto",
        help=t(f"kpi.{name}_help", **(help_values or {})),
        border=True,
        chart_data=curve,
        chart_type="area",
        height="stretch",
    )


def _peak(selection: Selection) -> None:
    peak, sites = energy.peak(selection), energy.contracted(selection).dropna(subset="demand_w")
    text = None if selection.charge_points else t("kpi.peak_no_contract")
    if not sites.empty:
        text = t("kpi.peak_share", **peak_of_site(sites.iloc[0]))
    _told("peak", formats.power(None if peak is None else peak["demand_w"], _lang()), text)


def peak_of_site(row: Any) -> dict[str, str]:
    """The peak of one site in its own kW, beside what its own tariff contracts."""
    return {
        "site": blocks.plain(row["site"] or t("consumption.no_site")),
        "peak": formats.power(row["demand_w"], _lang()),
        "contracted": formats.power(row["contracted_w"], _lang(), 0),
        "share": formats.percent(row["share_percent"], _lang(), 0),
    }


def _cost(now: Any, before: Any, daily: pd.DataFrame) -> None:
    cost, unpriced = formats.money(now["cost"], _lang(), 0), now["unpriced_wh"]
    if pd.isna(now["cost"]):
        _told("cost", cost, t("kpi.no_tariff"))
    elif unpriced >= _LEAST_WH:
        # A sum that lacks a part is no figure to compare with another.
        _told("cost", cost, t("kpi.unpriced", energy=formats.energy(unpriced, _lang(), 0)))
    else:
        _metric("cost", cost, "cost", now, before, daily)


def _faults(selection: Selection) -> None:
    connectors = data.connectors_now(selection)
    faulted = int((connectors["state"] == "Faulted").sum())
    offline = int((connectors["state"] == "offline").sum())
    text = t("kpi.offline_count", count=offline)
    _told("faults", formats.number(faulted, _lang(), 0), text)


def _told(name: str, value: str, text: str | None) -> None:
    """A figure with a remark in place of a comparison."""
    st.metric(
        t(f"kpi.{name}"),
        value,
        text,
        delta_color="off",
        delta_arrow="off",
        help=t(f"kpi.{name}_help"),
        border=True,
        height="stretch",
    )


def shape(selection: Selection) -> None:
    """When energy was drawn, and where."""
    by_day = energy.by_charge_point(selection)
    if by_day.empty:
        blocks.nothing_here(selection)
        return
    left, right = st.columns([3, 2], gap="medium")
    with left, blocks.card(t("overview.by_day")):
        hatched = partial.days(selection)
        figure = charts.by_day(by_day, visitor.words(), hatched, data.charge_point_places())
        blocks.plot(figure, "by_day", t("overview.by_day_alt"))
        partial.say(selection)
    with right, blocks.card(t("overview.week"), help_=t("overview.week_help")):
        pattern = energy.week_pattern(selection)
        figure = charts.week(pattern, visitor.words())
        blocks.plot(figure, "week", t("overview.week_alt"))


selection = visitor.selection()
header.title(t("overview.title"))
if not data.charge_point_names():
    blocks.first_run()
    st.stop()
with blocks.card():
    verdict(selection)
strip.draw(selection)
with blocks.card(), st.container(key="stale" if header.is_old() else "current"):
    figures(selection)
with blocks.card():
    shape(selection)
