"""The flows by name."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

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
from flows.database import Connection, ask_one, connect
from flows.runs import Compute, Outcome, run
from flows.scope import Scope, ScopeError, charge_point_ids
from flows.settings import Settings
from flows.spreading import SPREADABLE, Share, spread

# In the order in which one builds on the other.
UPDATE = ("sessions", "soc", "consumption", "availability", "quality")

_COMPUTE: Mapping[str, Compute] = {
    "sessions": sessions.compute,
    "soc": soc.compute,
    "consumption": consumption.compute,
    "availability": availability.compute,
    "quality": quality.compute,
}

NAMES = (*UPDATE, "update", "backfill", "reconcile_dojot", "retention", "reports")

DEPLOYED_BY: dict[str, str] = {}  # modules in which Prefect finds what is offered from outside
_OFFERED: dict[str, Compute] = {}


def offer(name: str, compute: Compute, deployed_by: str) -> str:
    """Add a flow that needs another room's knowledge, and return its name.

    Whoever composes the rooms does so in a module: Prefect starts workers that import it again.

    Args:
        deployed_by: The module in which Prefect finds it, under its name.
    """
    _OFFERED[name] = compute
    DEPLOYED_BY[name] = deployed_by
    return name


def names() -> tuple[str, ...]:
    """Return what ``carry_out`` knows."""
    return (*NAMES, *_OFFERED)


def parts_of(name: str) -> tuple[str, ...]:
    """Return the flows that ``name`` is made of, in their order."""
    return UPDATE if name in ("update", "backfill") else (name,)


def check(name: str, scope: Scope) -> None:
    """Refuse what a flow would otherwise pass over in silence.

    Raises:
        ScopeError: If the scope makes no sense for this flow.
    """
    is_all_new = scope.is_incremental and not scope.force
    if name == "backfill" and is_all_new:
        raise ScopeError("a backfill needs a window, start and end, or force for everything")
    if scope.charge_points and is_all_new and parts_of(name)[0] in UPDATE:
        raise ScopeError(
            "charge points are for a window, start and end, or for force: what is new is computed"
            " for all of them"
        )
    if name == "retention" and (scope.charge_points or not scope.is_incremental):
        raise ScopeError("retention goes by age: it knows neither windows nor charge points")


def carry_out(
    settings: Settings,
    name: str,
    scope: Scope,
    run_url: str | None = None,
    share: Share | None = None,
) -> Iterator[tuple[str, Outcome]]:
    """Run a flow, or the parts of ``update`` one after the other, and yield what each did.

    Args:
        share: Where a window is computed by several workers: hands them the parts of a flow.

    Raises:
        ScopeError: If the scope makes no sense for this flow, or names an unknown charge point.
        ThresholdBroken: If what was found is not acceptable.
    """
    check(name, scope)
    with connect(settings.database_url) as conn:
        charge_point_ids(conn, scope)
        if scope.force and scope.is_incremental and parts_of(name)[0] in UPDATE:
            scope = _everything(conn, scope)
        if scope.is_incremental and not scope.dry_run and name != "retention":
            windows.claim(conn)  # retention follows no windows, and must do without a write
    for part in parts_of(name):
        compute = _compute(settings, part, run_url)
        if share is not None and part in SPREADABLE and not scope.is_incremental:
            compute = spread(part, share)
        yield (
            part,
            run(
                settings.database_url,
                part,
                scope,
                compute,
                run_url,
                locks_batches=part in UPDATE,
                frees_space=part == "retention",
            ),
        )


def compute_share(settings: Settings, name: str, scope: Scope) -> Outcome:
    """Compute one worker's share of a flow, within a run that somebody else records."""
    with connect(settings.database_url) as conn:
        return _COMPUTE[name](conn, scope)


def _everything(conn: Connection, scope: Scope) -> Scope:
    row = ask_one(conn, "everything")
    return replace(scope, start=row["since"], end=row["until"])


def _compute(settings: Settings, name: str, run_url: str | None) -> Compute:
    if name == "reconcile_dojot":
        return reconcile_dojot.computer(settings, run_url)
    if name == "retention":
        return retention.compute
    if name == "reports":
        return reports.compute
    return _OFFERED.get(name) or _COMPUTE[name]
