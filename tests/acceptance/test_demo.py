"""The whole product as `make demo` starts it: one session is the same wherever one looks."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from psycopg.rows import dict_row
from streamlit.testing.v1 import AppTest

from testbench.embedded import EmbeddedPostgres, host
from tests.waiting import wait_until

APP = Path(__file__).parents[2] / "dashboard" / "app.py"
PORTS = ("DASHBOARD", "PREFECT", "OCPP", "HEALTH", "RELAY_HEALTH", "DOJOT", "MQTT")
COMPUTED_WITHIN_S = 240  # of which a quiet machine takes a tenth


def free_ports(count: int) -> list[int]:
    """Ports that are free now; held together, so that no two are the same."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(one.getsockname()[1]) for one in held]
    for one in held:
        one.close()
    return ports


@dataclass
class Demo:
    process: subprocess.Popen[bytes]
    folder: Path
    ports: dict[str, int]

    @property
    def said(self) -> str:
        return (self.folder / "said").read_text(errors="replace")

    @property
    def database_url(self) -> str:
        return EmbeddedPostgres(self.folder / "demo" / "postgres").url()

    @property
    def dojot_url(self) -> str:
        return f"http://127.0.0.1:{self.ports['DOJOT']}"

    def has_said(self, text: str) -> bool:
        assert self.process.poll() is None, f"the demo ended:\n{self.said}"
        return text in self.said

    def accounts(self) -> list[dict[str, Any]]:
        """What the simulator says of the sessions that are over."""
        lines = (self.folder / "demo/bench/account.jsonl").read_text().splitlines()
        told = [json.loads(line) for line in lines]
        return [one for one in told if one["stop_confirmed"]]

    def ask(self, query: str, *values: object) -> list[dict[str, Any]]:
        with psycopg.connect(self.database_url, row_factory=dict_row) as connection:
            return connection.execute(query, values).fetchall()

    def descendants(self) -> set[tuple[int, str]]:
        """Every process it started, with its start time, since numbers are used again."""
        parents = {pid: parent for pid, (parent, _) in processes().items()}
        found: set[int] = set()
        while (
            more := {pid for pid, up in parents.items() if up in found | {self.process.pid}} - found
        ):
            found |= more
        return {(pid, started) for pid, (_, started) in processes().items() if pid in found}


def processes() -> dict[int, tuple[int, str]]:
    """Parent and start time of every process of the machine."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if fields[0] != "Z":
            found[int(path.parent.name)] = (int(fields[1]), fields[19])
    return found


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    """Three days of past, so that each hour of the day has a session that is over."""
    with host.temporary_folder() as folder:
        ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
        chosen = {f"ELETROPOSTO_DEMO_{name}_PORT": str(port) for name, port in ports.items()}
        with (folder / "said").open("wb") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "eletroposto", "demo", "--days", "3"],
                env=os.environ | chosen | {"ELETROPOSTO_DATA": str(folder)},
                stdout=said,
                stderr=said,
            )
        running = Demo(process, folder, ports)
        try:
            computed = "the past is computed"
            wait_until(lambda: running.has_said(computed), "no past", COMPUTED_WITHIN_S)
            yield running
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                process.wait(60)


def test_the_past_agrees_everywhere_and_everything_ends(
    demo: Demo, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts = demo.accounts()
    assert accounts, demo.said
    for account in accounts:
        agree_with_the_database(demo, account)
    latest = max(accounts, key=lambda account: str(account["stopped_at"]))
    agree_with_dojot(demo, latest)
    agree_with_the_page(demo, latest, monkeypatch)
    charges_live(demo)
    ends_with_everything_it_started(demo)


def agree_with_the_database(demo: Demo, account: dict[str, Any]) -> None:
    number = account["transaction_id"]
    (told,) = demo.ask("SELECT * FROM report.transaction WHERE transaction_id = %s", number)
    for name in ("charge_point", "connector_id", "id_tag", "meter_start_wh", "meter_stop_wh"):
        assert told[name] == account[name], (name, account)
    for name in ("started_at", "stopped_at"):
        assert abs((told[name] - instant(account[name])).total_seconds()) < 0.001, (name, account)

    readings = demo.ask("SELECT * FROM report.meter_value WHERE transaction_id = %s", number)
    assert len(readings) == account["readings_sent"] == account["readings_confirmed"]
    delivered_wh = account["meter_stop_wh"] - account["meter_start_wh"]
    last = max(readings, key=lambda reading: reading["sampled_at"])
    assert last["energy_wh"] - account["meter_start_wh"] == pytest.approx(delivered_wh, rel=0.001)

    (session,) = demo.ask("SELECT * FROM report.session WHERE transaction_id = %s", number)
    assert session["energy_wh"] == pytest.approx(delivered_wh, rel=0.001)
    assert session["energy_integral_wh"] == pytest.approx(delivered_wh, rel=0.02)
    duration = instant(account["stopped_at"]) - instant(account["started_at"])
    assert session["duration_s"] == pytest.approx(duration.total_seconds(), abs=1)
    assert session["soc_end_percent"] == account["soc_end_percent"]


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def agree_with_dojot(demo: Demo, account: dict[str, Any]) -> None:
    """The register of the connector in DOJOT: as many values, and the last is the same."""
    login = {"username": "admin", "passwd": "admin"}
    with httpx.Client(base_url=demo.dojot_url, trust_env=False, timeout=10) as api:
        token = api.post("/auth", json=login).json()["jwt"]
        api.headers["Authorization"] = f"Bearer {token}"
        devices = api.get("/device").json()["devices"]
        (device,) = [one["id"] for one in devices if one["label"] == account["charge_point"]]
        query = {
            "attr": f"energy_wh_{account['connector_id']}",
            "dateFrom": account["started_at"],
            "dateTo": account["stopped_at"],
            "firstN": "100000",
        }

        def history() -> list[dict[str, Any]]:
            answer = api.get(f"/history/device/{device}/history", params=query)
            found: list[dict[str, Any]] = answer.json() if answer.is_success else []
            return found

        sent = account["readings_sent"]
        wait_until(lambda: len(history()) >= sent, f"DOJOT lacks some of {sent} readings", 60)
        values = [float(entry["value"]) for entry in history()]
    assert len(values) == sent
    delivered_wh = account["meter_stop_wh"] - account["meter_start_wh"]
    assert max(values) - account["meter_start_wh"] == pytest.approx(delivered_wh, rel=0.001)


def agree_with_the_page(
    demo: Demo, account: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    health = f"http://127.0.0.1:{demo.ports['DASHBOARD']}/_stcore/health"
    assert httpx.get(health, trust_env=False).status_code == 200
    monkeypatch.setenv("ELETROPOSTO_DATABASE_URL", demo.database_url)
    page = AppTest.from_file(str(APP), default_timeout=60)
    page.run()
    page.switch_page("views/session.py")
    page.query_params["transacao"] = str(account["transaction_id"])
    page.run()
    assert not page.exception, page.exception
    shown = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", facts(page)))
    kwh = (account["meter_stop_wh"] - account["meter_start_wh"]) / 1000
    assert portuguese(shown["Energia"].removesuffix(" kWh")) == pytest.approx(kwh, abs=0.006)


def facts(page: AppTest) -> str:
    return "".join(element.proto.body for element in page.get("html"))


def portuguese(number: str) -> float:
    return float(number.replace(".", "").replace(",", "."))


def charges_live(demo: Demo) -> None:
    """The bench shows a bus in mid-charge, with a reading of the last half minute."""

    def is_fresh() -> bool:
        (card,) = demo.ask(
            "SELECT state, power_w, reading_at FROM report.connector_now"
            " WHERE charge_point = 'BENCH-1' AND connector_id = 1"
        )
        if card["state"] != "Charging" or card["reading_at"] is None:
            return False
        age = datetime.now(UTC) - card["reading_at"]
        return bool(age.total_seconds() < 30 and 10_000 < card["power_w"] <= 50_000)

    wait_until(is_fresh, "no live charging", 60)


def ends_with_everything_it_started(demo: Demo) -> None:
    started = demo.descendants()
    assert len(started) > 8
    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(60) == 0, demo.said
    give_up = time.monotonic() + 5
    while left := started & {(pid, at) for pid, (_, at) in processes().items()}:
        assert time.monotonic() < give_up, f"still running: {left}"
        time.sleep(0.1)


def test_a_taken_port_is_named_with_the_variable_that_changes_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, host.temporary_folder() as folder:
        port = str(other.getsockname()[1])
        chosen = {"ELETROPOSTO_DEMO_MQTT_PORT": port, "ELETROPOSTO_DATA": str(folder)}
        ended = subprocess.run(
            [sys.executable, "-m", "eletroposto", "demo"],
            env=os.environ | chosen,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert ended.returncode == 1
    assert f"port {port} is taken, free it or set ELETROPOSTO_DEMO_MQTT_PORT" in ended.stderr


def test_a_setting_that_does_not_fit_is_named() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "eletroposto", "demo"],
        env=os.environ | {"ELETROPOSTO_DEMO_DAYS": "many"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 1
    assert "ELETROPOSTO_DEMO_DAYS='many'" in ended.stderr
