"""How ingest and the relay end where they cannot start: a sentence and exit code 2."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

SETTINGS = {
    "DOJOT_URL": "http://127.0.0.1:1",
    "OCPP_PORT": "0",
    "HEALTH_PORT": "0",
    "RELAY_HEALTH_PORT": "0",
}


@pytest.fixture
def taken_port() -> Iterator[str]:
    """A port that somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield str(listener.getsockname()[1])


def start(module: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a process until it ends by itself."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("ELETROPOSTO_")}
    told = {f"ELETROPOSTO_{name}": value for name, value in (SETTINGS | settings).items()}
    return subprocess.run(
        [sys.executable, "-m", module],
        env=inherited | told,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("module", "variable"),
    [
        ("ingest", "OCPP_PORT"),
        ("ingest", "HEALTH_PORT"),
        ("ingest.relay", "RELAY_HEALTH_PORT"),
    ],
)
def test_a_port_that_is_taken_is_named(
    database_url: str, taken_port: str, module: str, variable: str
) -> None:
    ended = start(module, DATABASE_URL=database_url, **{variable: taken_port})
    assert (ended.returncode, ended.stdout) == (2, "")
    sentence = f"ELETROPOSTO_{variable}={taken_port}: cannot listen on 127.0.0.1: Address already"
    assert sentence in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr


def test_an_address_that_is_no_one_of_ours_is_named(database_url: str) -> None:
    ended = start("ingest", DATABASE_URL=database_url, HEALTH_HOST="no such host")
    assert ended.returncode == 2
    assert "ELETROPOSTO_HEALTH_PORT=0: cannot listen on no such host" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("module", ["ingest", "ingest.relay"])
def test_a_setting_that_does_not_fit_is_named(module: str) -> None:
    ended = start(module, DATABASE_URL="postgresql:///nowhere", LOG_LEVEL="loud")
    assert (ended.returncode, ended.stdout) == (2, "")
    name = module.rpartition(".")[2]
    assert ended.stderr.startswith(f"{name}: ELETROPOSTO_LOG_LEVEL='LOUD': ")
    assert "Traceback" not in ended.stderr


def test_the_relay_takes_the_log_level_in_any_case() -> None:
    ended = start("ingest.relay", DATABASE_URL="x", DOJOT_URL="", LOG_LEVEL="debug")
    assert ended.returncode == 0, ended.stderr
    assert "there is nothing to relay to" in ended.stderr
