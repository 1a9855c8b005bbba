"""Serves the flows on their schedules from one process."""

from importlib import import_module

from prefect import Flow, serve
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.runner import RunnerDeployment
from prefect.types.entrypoint import EntrypointType

from flows.catalogue import DEPLOYED_BY

_ZONE = "America/Sao_Paulo"

SCHEDULES: dict[str, str | None] = {
    "update": "*/5 * * * *",
    "backfill": None,
    "reconcile_dojot": "12 * * * *",
    "retention": "40 3 * * *",
    "reports": "0 5 1 * *",
    "sessions": None,
    "soc": None,
    "consumption": None,
    "availability": None,
    "quality": None,
}


def build(name: str) -> RunnerDeployment:
    """Return the deployment of one flow.

    An update that is due while another is at it is cancelled, and Prefect says why: the next is
    due soon. Other runs wait.
    """
    the_flow = find(name)
    cron = SCHEDULES.get(name)
    strategy = ConcurrencyLimitStrategy
    deployment = the_flow.to_deployment(
        name=name,
        schedules=[CronSchedule(cron=cron, timezone=_ZONE)] if cron else None,
        concurrency_limit=ConcurrencyLimitConfig(
            limit=1,
            collision_strategy=strategy.CANCEL_NEW if name == "update" else strategy.ENQUEUE,
        ),
        entrypoint_type=EntrypointType.MODULE_PATH,
        tags=["eletroposto"],
    )
    assert isinstance(deployment, RunnerDeployment)
    return deployment


def find(name: str) -> Flow[..., None]:
    """Return a flow as Prefect knows it."""
    the_flow: Flow[..., None] = getattr(
        import_module(DEPLOYED_BY.get(name, "flows.deployments")), name
    )
    return the_flow


def serve_all(parallel_runs: int) -> None:
    """Serve until a signal comes. Schedules stay on when it does: a restart goes on with them."""
    serve(*map(build, (*SCHEDULES, *DEPLOYED_BY)), pause_on_shutdown=False, limit=parallel_runs)
