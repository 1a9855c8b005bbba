"""What is so at this moment."""

from datetime import datetime

import pandas as pd

from dashboard.data import asking
from dashboard.filters import Selection


def charge_point_names() -> dict[str, str]:
    """Identity to name of every registered charge point; equal names get their identity added."""
    frame = asking.recent("charge_point_names")
    return dict(zip(frame["charge_point"], frame["name"], strict=True))


def charge_point_places() -> dict[str, int]:
    """Identity to place in the order of registration: what colours go by."""
    frame = asking.recent("charge_point_names")
    return dict(zip(frame["charge_point"], frame["place"], strict=True))


def newest_message() -> datetime | None:
    """When anything was last heard from any charge point."""
    frame = asking.live("newest_message")
    at = frame["at"].iloc[0]
    return None if pd.isna(at) else at.to_pydatetime()


def slowest_flow() -> tuple[str, datetime | None]:
    """Which of the flows behind the figures is furthest behind, and until when it has worked."""
    row = asking.recent("slowest_flow").iloc[0]
    at = row["done_until"]
    return str(row["flow"]), None if pd.isna(at) else at.to_pydatetime()


def connectors_now(selection: Selection) -> pd.DataFrame:
    """A row per connector: state, state_since, power_w, energy_so_far_wh, soc_percent, ..."""
    return asking.live("connectors_now", charge_points=selection.charge_points)


def attention(selection: Selection) -> pd.DataFrame:
    """Columns: kind, charge_point, name, connector_id, since, detail, transaction_id, of_all.

    The most urgent; of_all says of how many.
    """
    return asking.live("attention", charge_points=selection.charge_points)


def quality_level() -> int | None:
    """The worst verdict of the last two days: 0 good, 1 amber, 2 red; None: not judged."""
    level = asking.recent("quality_now")["level"].iloc[0]
    return None if pd.isna(level) else int(level)
