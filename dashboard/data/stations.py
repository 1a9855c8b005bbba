"""Charge points: the list, and what belongs to one."""

import pandas as pd

from dashboard.data import asking
from dashboard.filters import Selection


def stations(selection: Selection) -> pd.DataFrame:
    """A row per charge point with its figures of the period."""
    return asking.recent("stations", **asking.chosen(selection))
