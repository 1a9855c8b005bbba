"""Costs, tariffs, the factors of the CO2 estimate, and reports."""

from datetime import date
from typing import Any

import pandas as pd

from dashboard.data import asking
from dashboard.filters import Selection


def costs(selection: Selection) -> pd.DataFrame:
    """A row per charge point: energy_wh, cost, cost_<posto>, cost_if_fora_ponta, ..."""
    return asking.recent("costs", **asking.chosen(selection))


def by_tag(selection: Selection) -> pd.DataFrame:
    """What drew most: id_tag_alias, sessions, attempts, energy_wh, cost, unpriced_wh, of_all."""
    return asking.recent("costs_by_tag", rows=asking.SHOWN, **asking.chosen(selection))


def every_tag(selection: Selection) -> pd.DataFrame:
    """All of ``by_tag``, for a file."""
    return asking.whole("costs_by_tag", rows=None, **asking.chosen(selection))


def tariffs() -> pd.DataFrame:
    """A row per tariff and tariff period."""
    return asking.live("tariffs")


def demand(selection: Selection) -> pd.DataFrame:
    """A row per month, site and tariff: contracted, measured and billed demand, and its cost."""
    return asking.recent("demand_months", **asking.chosen(selection))


def co2() -> "pd.Series[Any] | None":
    """The factors; NaN where one is not set."""
    frame = asking.live("co2")
    return None if frame.empty else frame.iloc[0]


def settings() -> pd.DataFrame:
    """name, value, unit, meaning, source, source_year of the numbers formulas use."""
    return asking.live("settings")


def reports(month: date, charge_point: str | None) -> pd.DataFrame:
    """Reports the flow made of a month and its quarter; of the network where no charge point."""
    return asking.recent("reports", month=month, charge_point=charge_point)


def oldest_report() -> date | None:
    """The first month there is a report of."""
    month: date | None = asking.recent("oldest_report")["month"].iloc[0]
    return month


def report_content(report_file_id: int) -> bytes:
    frame = asking.whole("report_content", report_file_id=report_file_id)
    return bytes(frame["content"].iloc[0])
