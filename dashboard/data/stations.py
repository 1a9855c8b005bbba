"""Charge points: the list, and what belongs to one."""

from datetime import datetime
from typing import Any

import pandas as pd

from dashboard.data import asking
from dashboard.filters import Selection


def stations(selection: Selection) -> pd.DataFrame:
    """A row per charge point with its figures of the period."""
    return asking.recent("stations", **asking.chosen(selection))


def station(charge_point: str) -> "pd.Series[Any] | None":
    """One charge point; None where there is none of this identity."""
    frame = asking.recent("station", charge_point=charge_point)
    return None if frame.empty else frame.iloc[0]


def states(charge_point: str, since: datetime, until: datetime) -> pd.DataFrame:
    """connector_id, started_at, ended_at, state, error_code."""
    return asking.recent("station_states", charge_point=charge_point, since=since, until=until)


def protocol(charge_point: str, selection: Selection) -> "pd.Series[Any]":
    """connections, last_reason, set_aside, orphan_stops, clock_skew_s of the period."""
    params = asking.chosen(selection) | {"charge_point": charge_point}
    return asking.recent("station_protocol", **params).iloc[0]


def configuration(charge_point: str) -> pd.DataFrame:
    """Configuration keys as last read, and what was asked for."""
    return asking.recent("station_configuration", charge_point=charge_point)
