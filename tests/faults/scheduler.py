"""A Prefect server and the process that serves the flows, as they run in production."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from flows.settings import QUIET_PREFECT
from testbench.embedded import host
from tests.faults.plant import Plant, Program

_READY_WITHIN_S = 120
_ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


@dataclass
class Scheduler:
    """Both may be killed; deployments and runs are asked of the server."""

    server: Program
    served: Program
    api: httpx.AsyncClient

    async def start_server(self) -> None:
        """Start it and return once it answers."""
        self.server.start()
        await self._until(self._answers, "the Prefect server")

    async def start_serving(self) -> None:
        """Serve the flows and return once every one of them can be asked for."""
        self.served.start()
        await self._until(self._is_served, "the flows")

    async def ask(self, name: str) -> str:
        """Ask for a run of a deployment and return its number."""
        answer = await self.api.get(f"/deployments/name/{name}/{name}")
        deployment_id = answer.raise_for_status().json()["id"]
        answer = await self.api.post(
            f"/deployments/{deployment_id}/create_flow_run",
            json={"state": {"type": "SCHEDULED"}},
        )
        return str(answer.raise_for_status().json()["id"])

    async def state_after(self, run: str, within_s: float) -> str:
        """Wait for a run to end, and return the state it is in then or when time is up."""
        give_up, state = time.monotonic() + within_s, "UNKNOWN"
        while state not in _ENDED and time.monotonic() < give_up:
            answer = await self.api.get(f"/flow_runs/{run}")
            state = answer.raise_for_status().json()["state"]["type"]
            await asyncio.sleep(0.3)
        return state

    async def _answers(self) -> bool:
        return (await self.api.get("/health")).status_code == 200

    async def _is_served(self) -> bool:
        """The rebuild is the last that is made known."""
        return (await self.api.get("/deployments/name/rebuild/rebuild")).status_code == 200

    async def _until(self, is_so: Any, what: str) -> None:
        give_up = time.monotonic() + _READY_WITHIN_S
        while True:
            try:
                if await is_so():
                    return
            except httpx.TransportError:
                pass
            if time.monotonic() > give_up:
                raise TimeoutError(f"{what} did not come within {_READY_WITHIN_S} s")
            await asyncio.sleep(0.2)


@asynccontextmanager
async def scheduled(plant: Plant) -> AsyncIterator[Scheduler]:
    """Run both for a while, on a database of Prefect's own as in production; none of it is kept."""
    port = host.free_port()
    await asyncio.to_thread(_drop, plant)
    with plant.administrator() as conn:
        conn.execute("CREATE DATABASE prefect")
    with host.temporary_folder() as folder:
        environment = _environment(folder, port, plant)
        server = Program(
            ["prefect", "server", "start"], environment, plant.folder / "prefect.txt", True
        )
        served = Program(
            ["eletroposto", "flows", "serve"], environment, plant.folder / "served.txt", True
        )
        async with httpx.AsyncClient(
            base_url=environment["PREFECT_API_URL"], timeout=20, trust_env=False
        ) as api:
            scheduler = Scheduler(server, served, api)
            try:
                await scheduler.start_server()
                await scheduler.start_serving()
                yield scheduler
            finally:
                await asyncio.to_thread(served.end, signal.SIGKILL)
                await asyncio.to_thread(server.end, signal.SIGKILL)
                await asyncio.to_thread(_drop, plant)


def _drop(plant: Plant) -> None:
    with plant.administrator() as conn:
        conn.execute("DROP DATABASE IF EXISTS prefect WITH (FORCE)")


def _environment(folder: Path, port: int, plant: Plant) -> dict[str, str]:
    database = f"postgresql+asyncpg://postgres@/prefect?host={plant.postgres.socket_folder}"
    return {
        **QUIET_PREFECT,
        "PREFECT_HOME": str(folder / "home"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_API_HOST": "127.0.0.1",
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_SERVER_UI_ENABLED": "false",
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": database,
        "PREFECT_RUNNER_POLL_FREQUENCY": "1",
        "ELETROPOSTO_DATABASE_URL": plant.database_url,
    }
