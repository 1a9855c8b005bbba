"""The Dask cluster that computes backfills, where a setting asks for one."""

from typing import Any

from prefect.task_runners import TaskRunner

from flows.settings import SettingsError


def task_runner(dask: str | int | None) -> TaskRunner[Any] | None:
    """Return what hands tasks to the scheduler at this address, or to this many local workers.

    A worker is a process that computes one share at a time; it needs the settings of the flows in
    its environment. None: Prefect's own runner, in the process of the run.

    Raises:
        SettingsError: If Dask is asked for and not installed.
    """
    if dask is None:
        return None
    try:
        from prefect_dask.task_runners import DaskTaskRunner
    except ImportError as exc:
        raise SettingsError(f"ELETROPOSTO_FLOWS_DASK needs the extra 'scale': {exc}") from exc
    if isinstance(dask, str):
        return DaskTaskRunner(address=dask)
    return DaskTaskRunner(
        cluster_kwargs={"n_workers": dask, "threads_per_worker": 1, "dashboard_address": None}
    )
