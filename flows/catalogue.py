"""The flows by name."""

from collections.abc import Iterator, Mapping

from flows import (
    availability,
    consumption,
    quality,
    reconcile_dojot,
    reports,
    retention,
    sessions,
    soc,
    windows,
)
from flows.database import connect
from flows.runs import Compute, Outcome, run
from flows.scope import Scope
from flows.settings import Settings

# In the order in which one builds on the other.
UPDATE = ("sessions", "soc", "consumption", "availability", "quality")

_COMPUTE: Mapping[str, Compute] = {
    "sessions": sessions.compute,
    "soc": soc.compute,
    "consumption": consumption.compute,
    "availability": availability.compute,
    "quality": quality.compute,
}

NAMES = (*UPDATE, "update", "reconcile_dojot", "retention", "reports")


# Flows that need another room's knowledge: whoever composes the rooms adds them here.
FROM_OUTSIDE: dict[str, Compute] = {}


def names() -> tuple[str, ...]:
    """Return what ``carry_out`` knows."""
    return (*NAMES, *FROM_OUTSIDE)


def carry_out(
    settings: Settings, name: str, scope: Scope, run_url: str | None = None
) -> Iterator[tuple[str, Outcome]]:
    """Run a flow, or the parts of ``update`` one after the other, and yield what each did.

    Raises:
        ThresholdBroken: If what was found is not acceptable.
    """
    parts = UPDATE if name == "update" else (name,)
    if scope.is_incremental and not scope.dry_run:
        with connect(settings.database_url) as conn:
            windows.claim(conn)
    for part in parts:
        compute = _compute(settings, part, run_url)
        yield part, run(settings.database_url, part, scope, compute, run_url)


def _compute(settings: Settings, name: str, run_url: str | None) -> Compute:
    if name == "reconcile_dojot":
        return reconcile_dojot.computer(settings, run_url)
    if name == "retention":
        return retention.compute
    if name == "reports":
        return reports.compute
    return FROM_OUTSIDE.get(name) or _COMPUTE[name]
