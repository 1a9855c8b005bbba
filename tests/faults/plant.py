"""The real processes of a campaign: database, central system, DOJOT stand-in, relay."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg

from sql.migrations import migrate
from testbench.embedded import EmbeddedPostgres, host
from tests.acceptance.conftest import CentralSystem
from tests.faults.proxy import Proxy
from tests.relaying import environment

_DATABASE = "faults"


@dataclass
class Program:
    """A process of ours that may be killed and started again, with its output in a file.

    Attributes:
        with_children: A signal is for the processes it started, too, as when a machine goes down.
    """

    arguments: list[str]
    environment: dict[str, str]
    log_file: Path
    with_children: bool = False
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *self.arguments],
                env=os.environ | self.environment,
                stdout=log,
                stderr=log,
                start_new_session=self.with_children,
            )

    @property
    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self.process is None:
            return
        if self.with_children:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            self.process = None


@dataclass
class Dojot:
    """The stand-in with its broker, and the relay."""

    stand_in: Program
    relay: Program
    database: Path
    url: str

    async def start_stand_in(self) -> None:
        """Start it and return once it serves."""
        self.stand_in.start()
        async with asyncio.timeout(30), httpx.AsyncClient(trust_env=False, verify=False) as client:
            while True:
                try:
                    # The relay logs in anew after each of its deaths.
                    no_limit = {"limit_logins": False}
                    await client.patch(f"{self.url}/_standin/faults", json=no_limit)
                except httpx.TransportError:
                    await asyncio.sleep(0.05)
                else:
                    return

    async def control(self, what: str) -> None:
        """Use a switch of the stand-in."""
        async with httpx.AsyncClient(trust_env=False, verify=False, timeout=30) as client:
            (await client.post(f"{self.url}/_standin/{what}")).raise_for_status()

    async def switch(self, **faults: object) -> None:
        """Turn switches of testbench/dojot/faults.py."""
        async with httpx.AsyncClient(trust_env=False, verify=False, timeout=30) as client:
            (await client.patch(f"{self.url}/_standin/faults", json=faults)).raise_for_status()

    def stop(self) -> None:
        self.relay.end()
        self.stand_in.end()


@dataclass
class Plant:
    """Everything that can break."""

    postgres: EmbeddedPostgres
    central_system: CentralSystem
    proxy: Proxy
    folder: Path
    dojot: Dojot | None = None

    @property
    def database_url(self) -> str:
        return self.postgres.url(_DATABASE)

    @property
    def url(self) -> str:
        """Of the central system, by way of the proxy."""
        return f"ws://127.0.0.1:{self.proxy.port}/ocpp"

    def administrator(self) -> psycopg.Connection[Any]:
        """A connection beside those of the programs, to another database."""
        return psycopg.connect(self.postgres.url("postgres"), autocommit=True)

    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.database_url, autocommit=True)

    def flows(self) -> Program:
        """A run of the flows that follow what came in, not started yet."""
        return Program(
            ["eletroposto", "flows", "run", "update"],
            {"ELETROPOSTO_DATABASE_URL": self.database_url},
            self.folder / "flows.log",
        )

    def logs(self) -> dict[str, str]:
        return {path.name: path.read_text(errors="replace") for path in self.folder.glob("*.log")}


@asynccontextmanager
async def planted(folder: Path, *, with_dojot: bool) -> AsyncIterator[Plant]:
    """Run everything in ``folder``, which keeps the logs."""
    async with AsyncExitStack() as stack:
        service_folder = stack.enter_context(host.temporary_folder())
        postgres = EmbeddedPostgres(service_folder / "postgres", ephemeral=True, durable=True)
        await asyncio.to_thread(postgres.start)
        stack.callback(postgres.stop, immediate=True)
        migrate(postgres.create_database(_DATABASE))
        central_system = CentralSystem(
            postgres.url(_DATABASE),
            folder / "ingest.log",
            {
                "unknown_charge_points": "accept",
                "unknown_id_tags": "accept",
                "configure_on_boot": "false",
                "ping_interval": "3",
            },
        )
        await asyncio.to_thread(central_system.start)
        stack.callback(central_system.stop)
        proxy = Proxy(central_system.port)
        await proxy.start()
        stack.push_async_callback(proxy.stop)
        plant = Plant(postgres, central_system, proxy, folder)
        if with_dojot:
            plant.dojot = _dojot(plant, service_folder)
            stack.callback(plant.dojot.stop)
            await plant.dojot.start_stand_in()
            plant.dojot.relay.start()
        yield plant


def _dojot(plant: Plant, service_folder: Path) -> Dojot:
    data = service_folder / "dojot"
    http_port, mqtt_port = str(host.free_port()), str(host.free_port())
    ports = ["--http-port", http_port, "--mqtt-port", mqtt_port]
    url = f"http://127.0.0.1:{http_port}"
    return Dojot(
        Program(
            ["testbench.dojot", *ports, "--data", str(data)], {}, plant.folder / "stand-in.log"
        ),
        Program(
            ["ingest.relay"],
            environment(plant.database_url, url, f"127.0.0.1:{mqtt_port}"),
            plant.folder / "relay.log",
        ),
        data / "dojot.sqlite",
        url,
    )
