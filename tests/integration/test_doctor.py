"""The doctor against a real database and a real stand-in for DOJOT."""

import asyncio
import socket
from pathlib import Path

import psycopg
import pytest

from eletroposto import doctor
from testbench.dojot import running
from testbench.embedded import host


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the developer's machine, and no embedded server of theirs."""
    for name in ("DATABASE_URL", "DOJOT_URL", "DOJOT_MQTT", "DOJOT_USER", "DOJOT_PASSWORD"):
        monkeypatch.delenv(f"ELETROPOSTO_{name}", raising=False)
    monkeypatch.setenv("ELETROPOSTO_DATA", str(tmp_path))


def lines(capsys: pytest.CaptureFixture[str]) -> dict[str, tuple[str, str]]:
    """Level and text of each line that was printed, by what it is about."""
    out = capsys.readouterr().out.splitlines()
    return {line[9:21].strip(): (line[:9].strip(), line[22:]) for line in out}


def test_a_machine_without_any_database_is_not_ill(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.main() == 0
    level, text = lines(capsys)["database"]
    assert level == "note"
    assert "eletroposto db up" in text


def test_a_database_that_is_ready(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ELETROPOSTO_DATABASE_URL", database_url)
    assert doctor.main() == 0
    said = lines(capsys)
    assert said["schema"] == ("ok", "up to date")
    assert said["database"][0] == "ok"
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SHOW server_version").fetchone()
    assert row is not None
    assert f"PostgreSQL {row[0]}, TimescaleDB 2." in said["database"][1]
    assert "Apache edition" in said["database"][1]
    assert said["locks"] == ("ok", "max_locks_per_transaction is 512")
    assert said["roles"] == ("ok", "all there")


def test_what_a_stock_server_and_a_careless_restore_lack(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Locks are a setting of the whole server, so the threshold is moved instead."""
    monkeypatch.setenv("ELETROPOSTO_DATABASE_URL", database_url)
    monkeypatch.setattr(doctor, "_FEW_LOCKS", 513)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("REVOKE eletroposto_dashboard FROM eletroposto_operator")
        try:
            assert doctor.main() == 1
        finally:
            connection.execute("GRANT eletroposto_dashboard TO eletroposto_operator")
    said = lines(capsys)
    assert said["locks"][0] == "note"
    assert "set 512" in said["locks"][1]
    assert said["roles"][0] == "missing"
    assert "GRANT eletroposto_dashboard TO eletroposto_operator" in said["roles"][1]


def test_a_database_without_the_schema(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ELETROPOSTO_DATABASE_URL", empty_database_url)
    assert doctor.main() == 1
    level, text = lines(capsys)["schema"]
    assert level == "missing"
    assert "eletroposto db migrate" in text


def test_a_database_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ELETROPOSTO_DATABASE_URL", "postgresql://me@127.0.0.1:1/nothing")
    assert doctor.main() == 1
    assert "does not answer" in lines(capsys)["database"][1]


def test_a_taken_port_is_named_with_its_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        monkeypatch.setenv("ELETROPOSTO_OCPP_PORT", str(port))
        assert doctor.main() == 0
    level, text = lines(capsys)["ports"]
    assert level == "note"
    assert f"{port} (chargers; ELETROPOSTO_OCPP_PORT)" in text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OCPP_PORT", "abc"),
        ("HEALTH_PORT", "99999"),
        ("DOJOT_MQTT", "broker"),
        ("LOG_LEVEL", "LOUD"),  # of several programs, named once
        ("PARALLEL_RUNS", "few"),
        ("DEMO_DASHBOARD_PORT", "http"),
    ],
)
def test_a_setting_that_does_not_fit_is_named(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(f"ELETROPOSTO_{name}", value)
    assert doctor.main() == 1
    out = capsys.readouterr().out
    assert out.count(f"missing  settings     ELETROPOSTO_{name}={value!r}") == 1
    assert out.count("missing") == 1


async def ask_about_dojot(url: str, mqtt: str, password: str) -> list[doctor.Finding]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ELETROPOSTO_DOJOT_URL", url)
        patch.setenv("ELETROPOSTO_DOJOT_MQTT", mqtt)
        patch.setenv("ELETROPOSTO_DOJOT_PASSWORD", password)
        return await asyncio.to_thread(lambda: list(doctor.check_dojot()))


async def test_dojot_that_lets_us_in() -> None:
    with host.temporary_folder() as folder:
        async with running(folder / "broker") as dojot:
            found = await ask_about_dojot(dojot.url, dojot.mqtt, dojot.password)
    assert [(one.what, one.level) for one in found] == [("dojot", "ok"), ("dojot mqtt", "ok")]


async def test_dojot_with_a_wrong_password_or_no_broker() -> None:
    with host.temporary_folder() as folder:
        async with running(folder / "broker") as dojot:
            found = await ask_about_dojot(dojot.url, "127.0.0.1:1", "wrong")
    assert [one.level for one in found] == ["missing", "missing"]
    assert "ELETROPOSTO_DOJOT_PASSWORD" in found[0].text
    assert "ELETROPOSTO_DOJOT_MQTT=127.0.0.1:1" in found[1].text
