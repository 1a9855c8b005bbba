"""The central system as it is run: a process of its own, real sockets, a database of its own."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import httpx
import psycopg
import pytest
from psycopg import errors

from testbench.embedded import EmbeddedPostgres, host
from tests.acceptance.network import Network
from tests.waiting import fetch

_READY_WITHIN_S = 30
_ENDS_WITHIN_S = 20


def ingest_login(database_url: str) -> str:
    """Return how to log in as one who may do what the central system has to, and no more."""
    with (
        psycopg.connect(database_url, autocommit=True) as owner,
        contextlib.suppress(errors.DuplicateObject, errors.UniqueViolation),
    ):
        owner.execute("CREATE ROLE ingest_a LOGIN PASSWORD 'x' IN ROLE eletroposto_ingest")
    return psycopg.conninfo.make_conninfo(database_url, user="ingest_a", password="x")


@dataclass
class CentralSystem:
    """One ``python -m ingest``.

    Attributes:
        url: For charge points, without the identity.
        settings: ``ELETROPOSTO_*`` variables without their prefix, in lower case.
        sources: Where the rooms are that it runs; None: where the tests run.
        program: What runs it, as ``python -m`` takes it.
        may_trace: Whether a test makes it leave a traceback in its log.
    """

    database_url: str
    log_file: Path
    settings: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=host.free_port)
    health_port: int = field(default_factory=host.free_port)
    sources: Path | None = None
    program: tuple[str, ...] = ("ingest",)
    may_trace: bool = False
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ocpp"

    @property
    def health_url(self) -> str:
        return f"http://127.0.0.1:{self.health_port}"

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    @property
    def pid(self) -> int:
        assert self._process is not None, "not started"
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process and return once it is ready for charge points."""
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *self.program],
                env=self._environment(),
                cwd=self.sources,
                stdout=log,
                stderr=log,
            )
        give_up = time.monotonic() + _READY_WITHIN_S
        while not self.is_ready():
            assert self._process.poll() is None, f"ingest ended at start:\n{self.log}"
            assert time.monotonic() < give_up, f"ingest is not ready:\n{self.log}"
            time.sleep(0.05)

    def is_ready(self) -> bool:
        try:
            fetch(f"http://127.0.0.1:{self.port}/")  # any answer will do
            return fetch(f"{self.health_url}/healthz").status_code == 200
        except httpx.TransportError:
            return False

    def stop(self) -> int:
        """End it in order (SIGTERM) and return its exit code; harmless if it does not run."""
        return self._end(signal.SIGTERM)

    def kill(self) -> int:
        """End it as a power cut would (SIGKILL)."""
        return self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop and start on the same ports."""
        self.stop()
        self.start()

    def _end(self, number: signal.Signals) -> int:
        if self._process is None:
            return 0
        self._process.send_signal(number)
        try:
            return self._process.wait(_ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise AssertionError(f"ingest did not end after {number.name}:\n{self.log}") from None
        finally:
            self._process = None

    def _environment(self) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("ELETROPOSTO_")}
        own = {
            "database_url": self.database_url,
            "ocpp_port": str(self.port),
            "health_port": str(self.health_port),
            **self.settings,
        }
        return inherited | {f"ELETROPOSTO_{name.upper()}": value for name, value in own.items()}


HASTY = ("tests.acceptance.hasty_ingest",)


@contextmanager
def serving(
    database_url: str, folder: Path, program: tuple[str, ...] = ("ingest",), /, **settings: str
) -> Iterator[CentralSystem]:
    """Run one that may do what it has to and no more; it has to end in order, with a quiet log.

    Unless told otherwise a charge point that knocks is registered, and nobody is configured.
    """
    chosen = {"unknown_charge_points": "accept", "configure_on_boot": "false", **settings}
    login, log_file = ingest_login(database_url), folder / "ingest.log"
    central_system = CentralSystem(login, log_file, chosen, program=program)
    try:
        central_system.start()
        yield central_system
    finally:
        code = central_system.stop()
    assert_in_order(central_system, code)


def assert_in_order(central_system: CentralSystem, code: int) -> None:
    assert code == 0, f"it ended with {code}:\n{central_system.log}"
    assert central_system.may_trace or "Traceback" not in central_system.log, central_system.log


class StartCentralSystem(Protocol):
    def __call__(self, **settings: str) -> CentralSystem: ...


@pytest.fixture
def start_central_system(database_url: str, tmp_path: Path) -> Iterator[StartCentralSystem]:
    """Start replicas with settings of the test's choice: ``start_central_system(ocpp_host="::1")``.

    Unless told otherwise a charge point that knocks is registered, an unknown id_tag is Invalid,
    and nobody is configured after boot.
    """
    running: list[CentralSystem] = []

    def start(**settings: str) -> CentralSystem:
        chosen = {"unknown_charge_points": "accept", "configure_on_boot": "false", **settings}
        log_file = tmp_path / f"ingest-{len(running) + 1}.log"
        central_system = CentralSystem(ingest_login(database_url), log_file, chosen)
        running.append(central_system)
        central_system.start()
        return central_system

    yield start
    codes = [central_system.stop() for central_system in running]
    for central_system, code in zip(running, codes, strict=True):
        assert_in_order(central_system, code)


@pytest.fixture
def central_system(start_central_system: StartCentralSystem) -> CentralSystem:
    """One replica with the settings of ``start_central_system``."""
    return start_central_system()


@pytest.fixture(scope="session")
def network(
    postgres_server: EmbeddedPostgres,
    migrated_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Network]:
    """A central system for all tests that need no other: each brings its own charge points."""
    url = postgres_server.create_database("network", template=migrated_template)
    with (
        serving(url, tmp_path_factory.mktemp("network")) as central_system,
        psycopg.connect(url, autocommit=True) as database,
    ):
        yield Network(central_system.url, url, database)
