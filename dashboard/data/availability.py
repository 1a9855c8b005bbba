"""Availability, outages and faults."""

import pandas as pd

from dashboard.data import asking
from dashboard.filters import Selection

_SECONDS = ["observed_s", "up_s", "down_s", "excluded_s", "unknown_s"]


def ports(selection: Selection) -> pd.DataFrame:
    """Per port and month of the last twelve: the seconds, technical_percent, nevi_percent.

    A year of a large network costs the database a while and changes slowly, so it is kept longer,
    and everything below is added up from it.
    """
    return asking.settled("nevi_ports", **asking.chosen(selection))


def nevi_ports(selection: Selection) -> pd.DataFrame:
    """As ``ports``, in minutes: observed_min, outage_min, excluded_min, unknown_min."""
    frame = ports(selection)
    names = {"observed": "observed_s", "outage": "down_s", "excluded": "excluded_s"}
    names["unknown"] = "unknown_s"
    return frame.assign(**{f"{name}_min": frame[column] / 60 for name, column in names.items()})


def months(selection: Selection) -> pd.DataFrame:
    """A row per charge point and month of the last twelve: up_s, down_s, technical_percent, ..."""
    sums = ports(selection).groupby(["charge_point", "month"], as_index=False)[_SECONDS].sum()
    return _with_percentages(sums)


def port_years(selection: Selection) -> pd.DataFrame:
    """A row per port over the twelve months, worst first; months says how many have data."""
    frame = ports(selection)
    by_port = frame.groupby(["charge_point", "connector_id"], as_index=False)
    counted = by_port.size().rename(columns={"size": "months"})
    years = _with_percentages(by_port[_SECONDS].sum()).merge(counted)
    years = years.assign(outage_min=years["down_s"] / 60, excluded_min=years["excluded_s"] / 60)
    known = years.dropna(subset="nevi_percent")
    return known.sort_values("nevi_percent", kind="stable", ignore_index=True)


def _with_percentages(sums: pd.DataFrame) -> pd.DataFrame:
    """Divide sums: a mean of percentages would weigh a short month like a long one."""
    known = (sums["up_s"] + sums["down_s"]).replace(0, float("nan"))
    return sums.assign(
        technical_percent=100 * sums["up_s"] / known,
        nevi_percent=100 * (sums["up_s"] + sums["excluded_s"]) / known,
    )


def outages(selection: Selection) -> pd.DataFrame:
    """The longest down times that touched the period; of_all says of how many."""
    return asking.recent("outages", rows=asking.SHOWN, **asking.chosen(selection))


def every_outage(selection: Selection) -> pd.DataFrame:
    """All of ``outages``, for a file."""
    frame = asking.in_slices("outages", selection, rows=None)
    # One that touches two parts of the period is found in both.
    once = frame.drop_duplicates(["charge_point", "connector_id", "started_at"])
    return once.sort_values("duration_s", ascending=False, kind="stable", ignore_index=True)


def faults(selection: Selection) -> pd.DataFrame:
    """Columns: error_code, vendor_error_code, episodes, faulted_s, charge_points."""
    return asking.recent("faults", **asking.chosen(selection))


def exclusions(selection: Selection) -> pd.DataFrame:
    """Exclusions in force that touch the period."""
    return asking.live("exclusions", **asking.chosen(selection))
