"""Settings of the flows, from ``ELETROPOSTO_*`` environment variables only."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

# Prefect reports to its makers and shows their advertisements unless told otherwise. This is the
# one place that says so; whoever starts a Prefect process passes these on.
QUIET_PREFECT: Mapping[str, str] = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
    "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
}
_DASHBOARD_URL = "http://localhost:8501"


class SettingsError(ValueError):
    """A variable is missing or cannot be read; the message names it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the flows need to know.

    Attributes:
        database_url: The database; the flows act in the role eletroposto_flows.
        dojot_url: Base URL of DOJOT's gateway; empty: there is no DOJOT to reconcile with.
        dojot_retention: How long DOJOT keeps history; older windows are not compared. 0: for ever.
        dojot_settle_s: How old a reading must be before it is looked for in DOJOT.
        missing_tolerated_percent: Share of readings that may be missing on either side before
            the reconciliation counts as failed, although it repairs them.
        dashboard_url: Where links of artifacts lead.
        parallel_runs: How many runs one ``flows serve`` executes at a time.
        dask: Who computes backfills: the address of a Dask scheduler, a number of local workers,
            or None: the process of the run.
    """

    database_url: str
    dojot_url: str = ""
    dojot_user: str = ""
    dojot_password: str = ""
    dojot_retention: timedelta = timedelta(days=7)
    dojot_settle_s: int = 300
    missing_tolerated_percent: float = 1.0
    dashboard_url: str = _DASHBOARD_URL
    parallel_runs: int = 2
    dask: str | int | None = None

    @classmethod
    def from_env(cls, environment: Mapping[str, str]) -> "Settings":
        """Raises: SettingsError."""
        if not (url := environment.get("ELETROPOSTO_DATABASE_URL", "")):
            raise SettingsError("ELETROPOSTO_DATABASE_URL is not set: where is the database?")
        return cls(
            database_url=url,
            dojot_url=environment.get("ELETROPOSTO_DOJOT_URL", "").rstrip("/"),
            dojot_user=environment.get("ELETROPOSTO_DOJOT_USER", "") or "admin",
            dojot_password=environment.get("ELETROPOSTO_DOJOT_PASSWORD", ""),
            dojot_retention=_days(environment, "ELETROPOSTO_DOJOT_RETENTION", 7),
            dojot_settle_s=_whole(environment, "ELETROPOSTO_DOJOT_SETTLE_S", 300),
            missing_tolerated_percent=_number(
                environment, "ELETROPOSTO_MISSING_TOLERATED_PERCENT", 1.0
            ),
            dashboard_url=environment.get("ELETROPOSTO_DASHBOARD_URL", _DASHBOARD_URL),
            parallel_runs=_whole(environment, "ELETROPOSTO_PARALLEL_RUNS", 2),
            dask=read_dask(environment),
        )


def read_dask(environment: Mapping[str, str]) -> str | int | None:
    """Read ``2`` (local workers) or ``tcp://scheduler:8786``; empty or 0: no Dask.

    Raises:
        SettingsError: If it is neither.
    """
    text = environment.get("ELETROPOSTO_FLOWS_DASK", "").strip()
    if text.isdecimal():
        return int(text) or None
    if text and not re.fullmatch(r"(\w+://)?[^/\s]+:\d+", text):
        raise SettingsError(
            f"ELETROPOSTO_FLOWS_DASK={text!r} is neither a number of workers nor host:port"
        )
    return text or None


def _days(environment: Mapping[str, str], name: str, default: float) -> timedelta:
    """Read ``7``, ``7d`` or ``7 days``, as the relay does."""
    text = environment.get(name, "").strip()
    number = text.removesuffix("days").removesuffix("d")
    try:
        return timedelta(days=_number({name: number.strip()}, name, default))
    except (SettingsError, OverflowError):
        raise SettingsError(f"{name}={text!r} is not a number of days") from None


def _whole(environment: Mapping[str, str], name: str, default: int) -> int:
    number = _number(environment, name, default)
    if number != int(number):
        raise SettingsError(f"{name}={environment[name]!r} is not a whole number")
    return int(number)


def _number(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(name, "")
    if not text:
        return default
    try:
        number = float(text)
    except ValueError:
        raise SettingsError(f"{name}={text!r} is not a number") from None
    if not 0 <= number < float("inf"):
        raise SettingsError(f"{name}={text!r} must be 0 or more")
    return number
