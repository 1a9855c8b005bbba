"""The flows as Prefect runs them: one served deployment, for real, in processes of their own."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import yaml

from eletroposto.rebuild import REBUILD
from flows.catalogue import DEPLOYED_BY
from flows.settings import QUIET_PREFECT
from tests.flow_facts import NOON, Facts, minutes, some_days

_PATIENCE_S = 180


def deployed() -> dict[str, str | None]:
    """Each deployment and its schedule."""
    # Every worker imports this file, and Prefect takes seconds.
    from flows.serve import SCHEDULES

    return {**SCHEDULES, REBUILD: None}


@pytest.fixture
def environment(tmp_path: Path, database_url: str) -> dict[str, str]:
    """Of a Prefect whose server does not run yet, on a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")},
        **QUIET_PREFECT,
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_API_HOST": "127.0.0.1",
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_SERVER_UI_ENABLED": "false",
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{tmp_path}/prefect.db",
        "PREFECT_RUNNER_POLL_FREQUENCY": "1",
        "ELETROPOSTO_DATABASE_URL": database_url,
    }


@pytest.fixture
def api(environment: dict[str, str], tmp_path: Path) -> Iterator[httpx.Client]:
    """The API of a running server, beside which the flows are served."""
    url = environment["PREFECT_API_URL"]
    with (
        _Process(["-m", "prefect", "server", "start"], environment, tmp_path / "server.log"),
        httpx.Client(base_url=url, timeout=20) as client,
    ):
        _wait(lambda: _is_healthy(client), tmp_path / "server.log")
        serve = ["-c", "from eletroposto.rebuild import app; app()", "serve"]
        with _Process(serve, environment, tmp_path / "serve.log"):
            _wait(lambda: len(_deployments(client)) == len(deployed()), tmp_path / "serve.log")
            yield client


class _Process:
    def __init__(self, arguments: list[str], environment: dict[str, str], log: Path) -> None:
        self._log = log.open("wb")
        self._process = subprocess.Popen(
            [sys.executable, *arguments],
            env=environment,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()


def _wait(is_done: Any, log: Path) -> Any:
    give_up = time.monotonic() + _PATIENCE_S
    while not (result := is_done()):
        assert time.monotonic() < give_up, log.read_text()[-3000:]
        time.sleep(0.3)
    return result


def _is_healthy(client: httpx.Client) -> bool:
    try:
        return client.get("/health").status_code == 200
    except httpx.TransportError:
        return False


def _deployments(client: httpx.Client) -> list[dict[str, Any]]:
    answer = client.post("/deployments/filter", json={})
    return list(answer.json()) if answer.status_code == 200 else []


def test_a_served_deployment_computes_a_backfill(
    facts: Facts, api: httpx.Client, environment: dict[str, str], tmp_path: Path
):
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON, NOON + minutes(60), 0, 40_000)
    deployments = {row["name"]: row for row in _deployments(api)}
    assert deployments.keys() == deployed().keys()
    assert deployments["update"]["concurrency_limit"] == 1 or deployments["update"].get(
        "global_concurrency_limit"
    )
    zones = {
        schedule["schedule"]["timezone"]
        for deployment in deployments.values()
        for schedule in deployment["schedules"]
    }
    assert zones == {"America/Sao_Paulo"}

    parameters = {
        "start": (NOON - timedelta(days=1)).isoformat(),
        "end": (NOON + timedelta(days=1)).isoformat(),
        "charge_points": ["CP-1"],
    }
    deployment_id = deployments["sessions"]["id"]
    run = api.post(
        f"/deployments/{deployment_id}/create_flow_run",
        json={"parameters": parameters, "state": {"type": "SCHEDULED"}},
    ).json()
    done = ("COMPLETED", "FAILED", "CRASHED")
    state = _wait(
        lambda: (
            found
            if (found := api.get(f"/flow_runs/{run['id']}").json())["state"]["type"] in done
            else None
        ),
        tmp_path / "serve.log",
    )

    assert state["state"]["type"] == "COMPLETED", state["state"]["message"]
    assert state["name"].startswith("sessions: ")
    assert facts.session(tx)["energy_wh"] == 40_000
    artifacts = api.post("/artifacts/filter", json={}).json()
    assert {row["key"] for row in artifacts} >= {"sessions-verdict", "sessions-dashboard"}
    tasks = api.post("/task_runs/filter", json={}).json()
    assert [row["state"]["type"] for row in tasks] == ["COMPLETED"]

    _a_broken_threshold_fails_in_words(facts, api, environment)
    _two_workers_compute_the_same_rows(facts, api, environment)


def _a_broken_threshold_fails_in_words(
    facts: Facts, api: httpx.Client, environment: dict[str, str]
) -> None:
    """The same server again, as starting one takes long: run from the command line beside it."""
    facts.conn.execute(
        "INSERT INTO dojot_device (charge_point_id, tenant, device_id, label, template_id)"
        " VALUES (1, 'admin', 'a1b2c3', 'CP-1', '1')"
    )
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=3)
    facts.reading(1, hour, energy_wh=1)
    window = ("--start", hour.isoformat(), "--end", (hour + timedelta(hours=1)).isoformat())

    done = _run(
        facts.url,
        "reconcile_dojot",
        *window,
        **{**environment, "ELETROPOSTO_DOJOT_URL": "http://127.0.0.1:1"},
    )

    assert done.returncode == 1
    assert "DOJOT could not be asked" in done.stderr
    runs = api.post("/flow_runs/filter", json={}).json()
    (failed,) = [row for row in runs if row["state"]["type"] == "FAILED"]
    assert "DOJOT could not be asked" in failed["state"]["message"]
    (row,) = facts.rows("SELECT status, url FROM report.flow_run WHERE flow = 'reconcile_dojot'")
    assert row["status"] == "failed"
    assert failed["id"] in row["url"]


def _two_workers_compute_the_same_rows(
    facts: Facts, api: httpx.Client, environment: dict[str, str]
) -> None:
    """A backfill on a Dask cluster of two processes, compared with that of one process."""
    facts.forget()
    some_days(facts, charge_points=4, days=2)
    window = {"start": NOON - timedelta(days=4), "end": NOON + timedelta(days=2)}
    facts.run("backfill", **window)
    expected = facts.computed()
    assert expected["session"] and expected["session_soc"] and expected["availability_day"]
    facts.conn.execute(f"TRUNCATE {', '.join(expected)}")

    done = _run(
        facts.url,
        "backfill",
        *("--start", window["start"].isoformat(), "--end", window["end"].isoformat()),
        **{**environment, "ELETROPOSTO_FLOWS_DASK": "2"},
    )

    assert done.returncode == 0, done.stderr[-3000:]
    assert "Creating a new Dask cluster" in done.stdout + done.stderr
    assert facts.computed() == expected
    tasks = api.post("/task_runs/filter", json={}).json()
    shares = [row["name"] for row in tasks if " of (" in row["name"]]
    assert len(shares) == 4 * 4, "a share of each charge point for each of four flows"


def test_the_work_pool_has_the_same_deployments_as_serve():
    text = (Path(__file__).parents[2] / "prefect.yaml").read_text(encoding="utf-8")
    crons = {
        row["name"]: row["schedules"][0]["cron"] if "schedules" in row else None
        for row in yaml.safe_load(text)["deployments"]
    }
    assert crons == deployed()


def test_a_worker_finds_every_flow_and_its_form():
    """By module and name, as a served run does in a process of its own."""
    from prefect.flows import load_flow_from_entrypoint

    form = {"start": "2026-11-01", "end": "2026-11-02", "charge_points": ["CP-1"], "dry_run": True}
    for name in deployed():
        module = DEPLOYED_BY.get(name, "flows.deployments")
        loaded = load_flow_from_entrypoint(f"{module}.{name}")
        assert loaded.validate_parameters(form)["start"] == datetime(2026, 11, 1)
        assert loaded.flow_run_name is not None, f"runs of {name} would have names of fancy"


def test_run_without_a_server_prints_what_was_done(database_url: str, facts: Facts):
    cp = facts.charge_point()
    facts.transaction(cp, NOON, NOON + minutes(60), 0, 40_000)

    done = _run(database_url, "update")

    assert done.returncode == 0, done.stderr
    assert "1 sessions computed" in done.stdout


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        (("nonsense",), "no flow 'nonsense'"),
        (("sessions", "--start", "2026-02-01", "--end", "2026-01-01"), "the window is empty"),
        (("sessions", "--start", "2026-02-01"), "needs both start and end"),
        (("sessions", "--start", "yesterday", "--end", "2026-01-01"), "not a date or time"),
        (
            ("sessions", "--start", "2026-01-01", "--end", "2026-01-02", "--charge-point", "X"),
            "no such charge point: 'X'",
        ),
    ],
)
def test_requests_without_sense_are_refused_in_words(
    database_url: str, arguments: tuple[str, ...], complaint: str
):
    done = _run(database_url, *arguments)

    assert done.returncode == 2
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr


def test_a_database_that_is_away_is_named():
    done = _run("postgresql://nobody@127.0.0.1:1/nothing", "update")

    assert done.returncode == 1
    assert "no database" in done.stderr


def _run(database_url: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")
    }
    return subprocess.run(
        [sys.executable, "-c", "from flows.commands import app; app()", "run", *arguments],
        env={**environment, **variables, "ELETROPOSTO_DATABASE_URL": database_url},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_runs_are_recorded_with_what_they_did(database_url: str, facts: Facts):
    facts.charge_point()
    facts.run()

    rows = facts.rows("SELECT * FROM report.flow_run ORDER BY flow_run_id")

    assert [row["flow"] for row in rows] == [
        "sessions",
        "soc",
        "consumption",
        "availability",
        "quality",
    ]
    assert {row["status"] for row in rows} == {"completed"}
    with psycopg.connect(database_url, options="-c role=eletroposto_dashboard") as conn:
        freshness = conn.execute("SELECT flow, waiting FROM report.flow_freshness").fetchall()
    assert dict(freshness).keys() == {row["flow"] for row in rows}
