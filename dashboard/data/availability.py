"""Availability, outages and faults."""

import pandas as pd

from dashboard.data import asking
from dashboard.filters import Selection


def months(selection: Selection) -> pd.DataFrame:
    """A row per charge point and month of the last twelve: up_s, down_s, technical_percent, ..."""
    return asking.recent("availability_months", **asking.chosen(selection))


def nevi_ports(selection: Selection) -> pd.DataFrame:
    """Per port and month: observed_min, outage_min, excluded_min, nevi_percent."""
    return asking.recent("nevi_ports", **asking.chosen(selection))


def nevi_year(selection: Selection) -> pd.DataFrame:
    """The worst ports over twelve months, and of how many: ports, below (97 %), most_months."""
    return asking.recent("nevi_year", **asking.chosen(selection))


def outages(selection: Selection) -> pd.DataFrame:
    """Down time that touched the period, longest first."""
    return asking.recent("outages", **asking.chosen(selection))


def faults(selection: Selection) -> pd.DataFrame:
    """Columns: error_code, vendor_error_code, episodes, faulted_s, charge_points."""
    return asking.recent("faults", **asking.chosen(selection))


def exclusions(selection: Selection) -> pd.DataFrame:
    """Exclusions in force that touch the period."""
    return asking.live("exclusions", **asking.chosen(selection))
