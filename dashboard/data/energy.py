"""Consumption, demand and the figures of a period."""

from dataclasses import replace
from datetime import date, datetime, timedelta

import pandas as pd

from dashboard.data import asking
from dashboard.filters import Period, Selection

QUARTER_S, HOUR_S = 900.0, 3600.0


def totals(selection: Selection) -> "pd.Series[float]":
    """The figures of a period; NaN where nothing was counted."""
    return asking.recent("totals", **asking.chosen(selection)).iloc[0]


def totals_before(selection: Selection, now: datetime) -> "pd.Series[float]":
    """The figures of the period before, as far into it as the chosen one is at ``now``."""
    before, period = selection.before(), selection.period
    if not period.since <= now < period.until:
        return totals(before)
    midnight = Period(before.period.last, before.period.last).since
    cut_at = now.replace(minute=now.minute // 5 * 5, second=0, microsecond=0)  # hits the cache
    values = {"last_midnight": midnight, "cut_at": cut_at - timedelta(days=period.days)}
    return asking.recent("totals_until", **values, **asking.chosen(before)).iloc[0]


def peak(selection: Selection) -> "pd.Series[float] | None":
    """started_at and demand_w; None where nothing was drawn."""
    frame = asking.recent("peak", **asking.chosen(selection))
    return None if frame.empty else frame.iloc[0]


def contracted(selection: Selection) -> pd.DataFrame:
    """Columns: site, contracted_w, demand_w, share_percent, sites (chosen whole); worst first.

    Empty where no tariff contracts a demand, or where the choice cuts through every site.
    """
    return asking.recent("contracted_demand", **asking.chosen(selection))


def daily(selection: Selection) -> pd.DataFrame:
    """A row per local day: energy_wh, sessions, cost, idle_s, technical_percent, ..."""
    return asking.recent("daily", **asking.chosen(selection))


def by_charge_point(selection: Selection) -> pd.DataFrame:
    """Columns: day, charge_point and name (None: the rest), place, energy_wh."""
    return asking.recent("energy_by_charge_point", **asking.chosen(selection))


def known_from(selection: Selection) -> date:
    """The first day of the period of which anything is known; its first where nothing is."""
    known = daily(selection).dropna(subset=["energy_wh", "technical_percent"], how="all")
    first: date = selection.period.first if known.empty else known["day"].iloc[0]
    return first


def week_pattern(selection: Selection) -> pd.DataFrame:
    """Mean by weekday (1 = Monday) and hour since ``known_from``. Columns: .., energy_wh."""
    known = Period(known_from(selection), selection.period.last)
    return asking.recent("week_pattern", **asking.chosen(replace(selection, period=known)))


def series(selection: Selection, width_s: float) -> pd.DataFrame:
    """Columns: at (UTC), posto, energy_wh, in steps of ``width_s``."""
    return asking.recent("energy_series", width_s=width_s, **asking.chosen(selection))


def days(selection: Selection, grain: str) -> pd.DataFrame:
    """Columns: day, <posto>_wh, none_wh (of no posto), energy_wh; grain is day or month."""
    return asking.recent("energy_days", grain=grain, **asking.chosen(selection))


def demand_duration(selection: Selection) -> pd.DataFrame:
    """Columns: hours (for so long at least), demand_w."""
    return asking.recent("demand_duration", **asking.chosen(selection))


def peaks(selection: Selection) -> pd.DataFrame:
    """Columns: started_at, demand_w, who."""
    return asking.recent("peaks", **asking.chosen(selection))


def incomplete(selection: Selection) -> "pd.Series[int]":
    """Of how many charge points data are missing, by day; days that lack nothing are left out."""
    frame = asking.recent("incomplete_days", **asking.chosen(selection))
    return frame.set_index("day")["charge_points"]
