"""What is measured, as processes of their own on a durable database of their own."""

import os
import resource
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psycopg

from benchmarks.load import Failed
from sql.migrations import migrate
from testbench.embedded import EmbeddedPostgres, host

Stored = Literal["readings", "transactions", "boots"]


@dataclass(frozen=True, slots=True)
class System:
    """A central system under load.

    Attributes:
        urls: Of its replicas, without the identity.
        counts: Queries that return how many of each it stored.
    """

    name: str
    urls: tuple[str, ...]
    pids: tuple[int, ...]
    database_url: str
    counts: Mapping[Stored, str]


@contextmanager
def database_server() -> Iterator[EmbeddedPostgres]:
    """A new TimescaleDB with fsync on; gone afterwards."""
    with (
        host.temporary_folder() as folder,
        EmbeddedPostgres(folder / "postgres", ephemeral=True, durable=True) as server,
    ):
        yield server


OURS: Mapping[Stored, str] = {
    "readings": "SELECT count(*) FROM meter_value WHERE energy_wh > 0 AND soc_percent > 0",
    "transactions": "SELECT count(*) FROM transaction",
    # Logged, and its charge point knows of it or of a later one.
    "boots": "SELECT count(*) FROM ocpp_message AS message INNER JOIN charge_point AS cp"
    " USING (charge_point_id)"
    " WHERE message.action = 'BootNotification' AND cp.booted_at >= message.received_at",
}


@contextmanager
def ours(server: EmbeddedPostgres, name: str = "ours", **settings: str) -> Iterator[System]:
    """The product's ingest on a new database, accepting whoever comes."""
    database = server.create_database(f"bench_{time.monotonic_ns()}")
    migrate(database)
    with ingest(database, **settings) as (port, pid):
        yield System(name, (_url(port),), (pid,), database, OURS)


@contextmanager
def ours_twice(server: EmbeddedPostgres) -> Iterator[tuple[System, System]]:
    """Two replicas on a new database: charge points choose by themselves, or a balancer does."""
    database = server.create_database(f"bench_two_{time.monotonic_ns()}")
    migrate(database)
    balancer_port = host.free_port()
    with ingest(database) as (port, pid), ingest(database) as (other_port, other_pid):
        ports = [str(balancer_port), str(port), str(other_port)]
        balancer = [sys.executable, "-m", "testbench.balancer", "--port", *ports]
        urls = (_url(port), _url(other_port))
        with process(balancer, dict(os.environ), quiet=True) as balancer_pid:
            wait_for_port(balancer_port)
            pids = (pid, other_pid)
            through = (*pids, balancer_pid)
            yield (
                System("two replicas", urls, pids, database, OURS),
                System("two replicas, balancer", (_url(balancer_port),), through, database, OURS),
            )


def _url(port: int) -> str:
    return f"ws://127.0.0.1:{port}/ocpp"


@contextmanager
def ingest(database: str, **settings: str) -> Iterator[tuple[int, int]]:
    """One replica on a database; yields its port and pid once it serves."""
    port, health = host.free_port(), host.free_port()
    environment = os.environ | {
        "ELETROPOSTO_DATABASE_URL": database,
        "ELETROPOSTO_OCPP_PORT": str(port),
        "ELETROPOSTO_HEALTH_PORT": str(health),
        "ELETROPOSTO_UNKNOWN_CHARGE_POINTS": "accept",
        "ELETROPOSTO_UNKNOWN_ID_TAGS": "accept",
        "ELETROPOSTO_LOG_LEVEL": "ERROR",
        **settings,
    }
    with process([sys.executable, "-m", "ingest"], environment) as pid:
        wait_until_up(f"http://127.0.0.1:{health}/healthz")
        wait_for_port(port)
        yield port, pid


@contextmanager
def naive(server: EmbeddedPostgres) -> Iterator[System]:
    """The naive reference."""
    database = server.create_database(f"bench_naive_{time.monotonic_ns()}")
    port = host.free_port()
    command = [sys.executable, "-m", "benchmarks.naive", str(port), database]
    with process(command, dict(os.environ)) as pid:
        wait_for_port(port)
        yield System(
            "naive",
            (f"ws://127.0.0.1:{port}",),
            (pid,),
            database,
            {"readings": "SELECT count(*) / 8 FROM value"},
        )


@contextmanager
def process(
    command: list[str], environment: dict[str, str], *, quiet: bool = False
) -> Iterator[int]:
    """Run a command; ends it and waits."""
    output = subprocess.DEVNULL if quiet else None
    folder = Path(__file__).parent.parent
    running = subprocess.Popen(command, env=environment, cwd=folder, stdout=output)
    try:
        yield running.pid
        if running.poll() is not None:
            raise Failed(f"{' '.join(command[:3])} ended with {running.returncode} during the load")
    finally:
        running.send_signal(signal.SIGTERM)
        try:
            running.wait(30)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def stored(system: System, what: Stored) -> int:
    with psycopg.connect(system.database_url) as conn:
        row = conn.execute(system.counts[what].encode()).fetchone()
    assert row is not None
    return int(row[0])


def wait_until_up(url: str, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise Failed(f"{url} did not answer within {seconds:g} s")


def wait_for_port(port: int, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise Failed(f"nothing listens on port {port} after {seconds:g} s")


def want_descriptors(count: int) -> None:
    """Raise the limit of open files, or say that it is too low for the load."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + 200
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise Failed(f"{count} sockets need {wanted} file descriptors, the limit is {hard}")
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
