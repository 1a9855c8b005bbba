"""Every question the dashboard asks the database."""

from dashboard.data.asking import forget
from dashboard.data.live import (
    attention,
    charge_point_names,
    charge_point_places,
    connectors_now,
    newest_message,
    quality_level,
    slowest_flow,
)
from dashboard.data.sessions import nearest as nearest_sessions

__all__ = [
    "attention",
    "charge_point_names",
    "charge_point_places",
    "connectors_now",
    "forget",
    "nearest_sessions",
    "newest_message",
    "quality_level",
    "slowest_flow",
]
