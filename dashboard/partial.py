"""Days whose figures are not whole: today, and days of which data are missing."""

from datetime import date, timedelta

import streamlit as st

from dashboard import data
from dashboard.data import energy
from dashboard.filters import Selection, today
from dashboard.visitor import t

_DAY = timedelta(days=1)
_SHARE = 0.1  # of the charge points: in a large network some datum is always missing


def days(selection: Selection) -> set[date]:
    """The days to hatch."""
    lacking, count = energy.incomplete(selection), _count(selection)
    return {day for day, missing in lacking.items() if missing >= _SHARE * count} | {today()}


def months(selection: Selection) -> set[date]:
    """The first days of the months to hatch: cut by the period, or with a day to hatch."""
    period = selection.period
    cut = {day.replace(day=1) for day in (period.first - _DAY, period.last + _DAY)}
    return {day.replace(day=1) for day in days(selection)} | cut


def say(selection: Selection, by_month: bool = False) -> None:
    """What the hatching means, and of how many charge points data are missing."""
    lacking, count, texts = energy.incomplete(selection), _count(selection), []
    if not lacking.empty:
        texts.append(t("overview.partial", count=int(lacking.max()), all=count, days=len(lacking)))
    if by_month:
        texts.append(t("overview.unfinished_month"))
    elif selection.period.first <= today() <= selection.period.last:
        texts.append(t("overview.unfinished"))
    if texts:
        st.caption(" ".join(texts))


def _count(selection: Selection) -> int:
    return len(selection.charge_points or data.charge_point_names())
