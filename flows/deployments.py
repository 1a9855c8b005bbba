"""The flows as Prefect sees them: parameters, names, retries, artifacts. No thinking here.

No ``from __future__ import annotations`` in this module: Prefect evaluates the annotations of
served flows, and fails on strings.
"""

import os
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import httpx
import psycopg
from prefect import flow, get_run_logger, task
from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.runtime import flow_run
from prefect.tasks import Task

from flows.catalogue import UPDATE, carry_out, check, compute_share
from flows.dask_cluster import task_runner
from flows.links import dashboard_link
from flows.runs import Outcome, ThresholdBroken
from flows.scope import Scope
from flows.settings import Settings, read_dask
from flows.spreading import Share

_Moment = datetime | None
_Identities = list[str] | None
_TABLE_ROWS = 500
_DASK = read_dask(os.environ)


def _is_worth_another_try(_: Task[..., Any], __: TaskRun, state: State[Any]) -> bool:
    """Only what may pass by itself: a lost database, a network that fails."""
    failure = state.result(raise_on_failure=False)
    return isinstance(failure, psycopg.OperationalError | httpx.TransportError)


_RETRIES: dict[str, Any] = {
    "retries": 3,
    "retry_delay_seconds": [5, 30, 120],
    "retry_jitter_factor": 0.3,
    "retry_condition_fn": _is_worth_another_try,
}


@task(task_run_name="{name}", cache_policy=NO_CACHE, **_RETRIES)
def compute(name: str, scope: Scope) -> None:
    """Carry out one flow on the database and leave its table and verdict as artifacts.

    The task fails with a readable message when a threshold is broken.
    """
    _carry_out(name, scope, None)


@task(task_run_name="{name} of {scope.charge_points}", cache_policy=NO_CACHE, **_RETRIES)
def compute_part(name: str, scope: Scope) -> Outcome:
    """Compute one worker's share of a flow."""
    return compute_share(Settings.from_env(os.environ), name, scope)


def _share(name: str, scopes: Sequence[Scope]) -> list[Outcome]:
    futures = [compute_part.submit(name, scope) for scope in scopes]
    return [future.result() for future in futures]


def _carry_out(name: str, scope: Scope, share: Share | None) -> None:
    settings = Settings.from_env(os.environ)
    try:
        for part, outcome in carry_out(settings, name, scope, flow_run.ui_url, share):
            _show(part, outcome)
    except ThresholdBroken as exc:
        _show(name, exc.outcome)
        raise
    link = dashboard_link(settings.dashboard_url, name, scope)
    create_link_artifact(key=_key(name, "dashboard"), link=link, link_text="Dashboard")


def _show(name: str, outcome: Outcome) -> None:
    get_run_logger().info("%s: %s", name, outcome.verdict)
    lines = [f"# {name}", outcome.broken or outcome.verdict, ""]
    lines += [f"- {kind}: {count}" for kind, count in outcome.counts.items()]
    create_markdown_artifact(key=_key(name, "verdict"), markdown="\n".join(lines))
    if outcome.table:
        create_table_artifact(
            key=_key(name, "table"), table=_plain(outcome.table), description=outcome.verdict
        )


def _plain(rows: Sequence[Any]) -> list[dict[str, Any]]:
    return [
        {key: str(value) if isinstance(value, date) else value for key, value in row.items()}
        for row in rows[:_TABLE_ROWS]
    ]


def _key(*words: str) -> str:
    return "-".join(words).replace("_", "-")


def run_name() -> str:
    """Return what Prefect shows of the run it is asked in: the flow and its window."""
    given = flow_run.parameters
    window = f"{given['start']} to {given['end']}" if given.get("start") else "what is new"
    return f"{flow_run.flow_name}: {window}"


@flow(flow_run_name=run_name)
def update(
    start: _Moment = None,
    end: _Moment = None,
    charge_points: _Identities = None,
    dry_run: bool = False,
    force: bool = False,
) -> None:
    """What is new: sessions, state of charge, consumption, availability and quality, in this order.

    For a window there is ``backfill``, which does not keep this one from its schedule.
    """
    scope = Scope.read(start, end, charge_points, dry_run, force)
    check("update", scope)
    for name in UPDATE:
        compute(name, scope)


@flow(flow_run_name=run_name, task_runner=task_runner(_DASK))
def backfill(
    start: _Moment = None,
    end: _Moment = None,
    charge_points: _Identities = None,
    dry_run: bool = False,
    force: bool = False,
) -> None:
    """A window anew, or with ``force`` everything, beside what is new; on Dask where it is set."""
    scope = Scope.read(start, end, charge_points, dry_run, force)
    check("backfill", scope)
    for name in UPDATE:
        if _DASK is None:
            compute(name, scope)
        else:
            _carry_out(name, scope, _share)


@flow(flow_run_name=run_name)
def sessions(
    start: _Moment = None,
    end: _Moment = None,
    charge_points: _Identities = None,
    dry_run: bool = False,
    force: bool = False,
) -> None:
    """What each transaction was: bounds, energy with its source, power, idle time."""
    compute("sessions", Scope.read(start, end, charge_points, dry_run, force))


@flow(flow_run_name=run_name)
def soc(
    start: _Moment = None,
    end: _Moment = None,
    charge_points: _Identities = None,
    dry_run: bool = False,
    force: bool = False,
) -> None:
    """State of charge of sessions."""
    compute("soc", Scope.read(start, end, charge_points, dry_run, force))


@flow(flow_run_name=run_name)
def consumption(
    start: _Moment = None,
    end: _Moment = None,
    charge_points: _Identities = None,
    dry_run: bool = False,
    force: bool = False,
) -> None:
    """Prices, consumption per day, demand per site."""
    compute("consumption", Scope.read(start, end, charge_points, dry_run, force))


@flow(flow_run_name=run_name)
def availability(
    start: _Moment = None,
    end: _Moment = None,
    charge_points: _Identities = None,
    dry_run: bool = False,
    force: bool = False,
) -> None:
    """States, availability per day, outages and faults."""
    compute("availability", Scope.read(start, end, charge_points, dry_run, force))


@flow(flow_run_name=run_name)
def quality(
    start: _Moment = None,
    end: _Moment = None,
    charge_points: _Identities = None,
    dry_run: bool = False,
    force: bool = False,
) -> None:
    """What is odd about the data, per charge point and day."""
    compute("quality", Scope.read(start, end, charge_points, dry_run, force))


@flow(flow_run_name=run_name)
def reconcile_dojot(
    start: _Moment = None,
    end: _Moment = None,
    charge_points: _Identities = None,
    dry_run: bool = False,
    force: bool = False,
) -> None:
    """Compare the readings of the database with those of DOJOT, and repair both."""
    compute("reconcile_dojot", Scope.read(start, end, charge_points, dry_run, force))


@flow(flow_run_name=run_name)
def retention(
    start: _Moment = None,
    end: _Moment = None,
    charge_points: _Identities = None,
    dry_run: bool = False,
    force: bool = False,
) -> None:
    """Drop raw data older than the settings say; aggregates stay."""
    compute("retention", Scope.read(start, end, charge_points, dry_run, force))


@flow(flow_run_name=run_name)
def reports(
    start: _Moment = None,
    end: _Moment = None,
    charge_points: _Identities = None,
    dry_run: bool = False,
    force: bool = False,
) -> None:
    """Monthly reports and the quarterly export; without a window those of the last month."""
    compute("reports", Scope.read(start, end, charge_points, dry_run, force))
