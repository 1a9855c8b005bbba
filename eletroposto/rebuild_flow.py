"""The rebuild as Prefect sees it: a flow that the rooms can only offer together.

No ``from __future__ import annotations``: Prefect evaluates the annotations of served flows.
"""

from datetime import datetime

from prefect import flow

from eletroposto.rebuild import REBUILD
from flows.deployments import compute, run_name
from flows.scope import Scope


@flow(flow_run_name=run_name)
def rebuild(
    start: datetime | None = None,
    end: datetime | None = None,
    charge_points: list[str] | None = None,
    dry_run: bool = False,
    force: bool = False,
) -> None:
    """Put back the readings of a window from the raw log, and compare what is stored with it."""
    compute(REBUILD, Scope.read(start, end, charge_points, dry_run, force))
