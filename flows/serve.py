"""Serves the flows on their schedules from one process."""

from prefect import Flow, serve
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.runner import RunnerDeployment
from prefect.types.entrypoint import EntrypointType

from flows import deployments

_ZONE = "America/Sao_Paulo"

SCHEDULES: dict[str, str | None] = {
    "update": "*/5 * * * *",
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
    """Return the deployment of one flow; those without a schedule are there for backfills."""
    the_flow: Flow[..., None] = getattr(deployments, name)
    cron = SCHEDULES[name]
    deployment = the_flow.to_deployment(
        name=name,
        schedules=[CronSchedule(cron=cron, timezone=_ZONE)] if cron else None,
        concurrency_limit=1,
        entrypoint_type=EntrypointType.MODULE_PATH,
        tags=["eletroposto"],
    )
    assert isinstance(deployment, RunnerDeployment)
    return deployment


def serve_all(parallel_runs: int) -> None:
    """Serve until a signal comes. Schedules stay on when it does: a restart goes on with them."""
    serve(*map(build, SCHEDULES), pause_on_shutdown=False, limit=parallel_runs)
