"""The relay beside a load: when it is ready for one, and what it spends on handing on."""

import asyncio
import os
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg

from benchmarks.load import Failed
from benchmarks.processes import usage
from benchmarks.servers import System, process, wait_for_port, wait_until_up
from testbench.embedded import EmbeddedMosquitto, host

_ACKNOWLEDGED = "eletroposto_relay_acknowledged_total"
_PATIENCE_S = 600
# Devices are made when the first message of a charge point has to go somewhere.
_IS_READY = """
    SELECT
        NOT EXISTS (
            SELECT FROM charge_point AS cp
            WHERE NOT EXISTS (
                SELECT FROM dojot_device AS device
                WHERE device.charge_point_id = cp.charge_point_id
            )
        )
        AND NOT EXISTS (SELECT FROM dojot_event)
        AND NOT EXISTS (SELECT FROM dojot_outbox)"""


@dataclass(slots=True)
class Relay:
    """A relay that works for a system under load.

    Attributes:
        metrics: The URL where it tells how much it has done.
        looks: Messages handed on and CPU seconds, each time somebody looked.
    """

    pid: int
    metrics: str
    system: System
    looks: list[tuple[float, float]] = field(default_factory=list)

    async def ready(self) -> None:
        """Wait until DOJOT has a device for each charge point and nothing waits to be handed on.

        Raises:
            Failed: If that takes too long.
        """
        await asyncio.to_thread(self._wait)

    def _wait(self) -> None:
        end = time.monotonic() + _PATIENCE_S
        with psycopg.connect(self.system.database_url, autocommit=True) as conn:
            while conn.execute(_IS_READY).fetchone() != (True,):
                if time.monotonic() > end:
                    raise Failed(f"the relay was not ready for a load after {_PATIENCE_S} s")
                time.sleep(0.2)

    def look(self) -> None:
        """Take down what it has done so far: when the counted time begins and when it ends."""
        handed_on = _metric(self.metrics, _ACKNOWLEDGED)
        self.looks.append((handed_on, usage(self.pid).cpu_s))

    def handed_on(self) -> float:
        """Messages between the last two looks. Raises Failed if there were none."""
        before, after = self.looks[-2:]
        if after[0] == before[0]:
            raise Failed("the relay handed nothing on beside the load")
        return after[0] - before[0]

    def cpu_s_per_1000(self) -> float:
        """CPU seconds between the last two looks for each thousand messages handed on."""
        before, after = self.looks[-2:]
        return (after[1] - before[1]) / self.handed_on() * 1000


@contextmanager
def relay(system: System) -> Iterator[Relay]:
    """Run the relay for a system.

    DOJOT's API is the stand-in's, but the broker is another one that nobody reads from: what is
    measured is the relay, not the storage behind it, which in production is another machine's.
    """
    http_port, health = host.free_port(), host.free_port()
    with host.temporary_folder() as folder, EmbeddedMosquitto(folder / "sink") as sink:
        stand_in = [
            *(sys.executable, "-m", "testbench.dojot", "--data", str(folder / "dojot")),
            *("--http-port", str(http_port), "--mqtt-port", "0"),
        ]
        environment = os.environ | {
            "ELETROPOSTO_DATABASE_URL": system.database_url,
            "ELETROPOSTO_DOJOT_URL": f"http://127.0.0.1:{http_port}",
            "ELETROPOSTO_DOJOT_MQTT": f"127.0.0.1:{sink.port}",
            "ELETROPOSTO_DOJOT_USER": "admin",
            "ELETROPOSTO_DOJOT_PASSWORD": "admin",
            "ELETROPOSTO_RELAY_HEALTH_PORT": str(health),
            "ELETROPOSTO_LOG_LEVEL": "ERROR",
        }
        with process(stand_in, dict(os.environ), quiet=True):
            wait_for_port(http_port)
            with process([sys.executable, "-m", "ingest.relay"], environment) as pid:
                wait_until_up(f"http://127.0.0.1:{health}/healthz")
                yield Relay(pid, f"http://127.0.0.1:{health}/metrics", system)


def _metric(url: str, name: str) -> float:
    """Return the sum of a metric over its labels."""
    with urllib.request.urlopen(url, timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))
