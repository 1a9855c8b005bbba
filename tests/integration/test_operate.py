"""What the command line lets operators say about charge points and vehicles."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from typer.testing import CliRunner

from eletroposto.cli import app
from ingest.credentials import check_password

Run = Callable[..., tuple[int, str, str]]
KEY = "sixteen bytes ok"


@pytest.fixture
def run(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("ELETROPOSTO_DATABASE_URL", database_url)

    def invoke(*words: str, typed: str | None = None) -> tuple[int, str, str]:
        said = CliRunner().invoke(app, list(words), input=typed, env={"COLUMNS": "200"})
        return said.exit_code, said.stdout, said.stderr

    return invoke


def rows(url: str, query: str) -> list[dict[str, Any]]:
    with psycopg.connect(url, row_factory=dict_row) as conn:
        return conn.execute(query).fetchall()


@pytest.mark.parametrize("from_file", [True, False])
def test_a_password_comes_from_a_file_or_from_standard_input(
    run: Run, database_url: str, tmp_path: Path, from_file: bool
) -> None:
    path = tmp_path / "key"
    path.write_text(KEY + "\n")

    where = str(path) if from_file else "-"
    code, _, err = run(
        "charge-point", "add", "CP", "--password-file", where, typed=KEY + "\nmore\n"
    )

    assert (code, err) == (0, "")
    (row,) = rows(database_url, "SELECT password_hash FROM charge_point")
    assert check_password(KEY.encode(), row["password_hash"])
    assert KEY not in str(rows(database_url, "SELECT * FROM operation_log"))


def test_a_charge_point_is_set(run: Run, database_url: str) -> None:
    run("charge-point", "add", "CP", "--rated-power-w", "50000")

    assert run("charge-point", "set", "CP", "--energy-factor", "1000") == (0, "CP: set\n", "")
    assert run("charge-point", "set", "CP", "--connector", "1", "--current-type", "dc")[0] == 0

    (point,) = rows(database_url, "SELECT energy_factor FROM report.charge_point_setup")
    (connector,) = rows(database_url, "SELECT current_type, rated_power_w FROM report.connector")
    assert point["energy_factor"] == 1000
    assert connector == {"current_type": "DC", "rated_power_w": 50000}
    log = rows(database_url, "SELECT what FROM operation_log ORDER BY at")
    assert [row["what"] for row in log][1:] == ["set_energy_factor", "set_connector"]


def test_vehicles_are_added_listed_and_removed(run: Run, database_url: str) -> None:
    about = ("--name", "Bus 1", "--capacity-kwh", "324", "--consumption-kwh-per-km", "1.2")
    assert run("vehicle", "add", "bus-01", *about) == (0, "bus-01: Bus 1\n", "")

    _, listed, _ = run("vehicle", "list")
    assert listed.splitlines()[1].split() == ["BUS-01", "Bus", "1", "324.0", "1.2"]
    (row,) = rows(database_url, "SELECT usable_capacity_wh, consumption_wh_per_km FROM vehicle")
    assert row == {"usable_capacity_wh": 324_000, "consumption_wh_per_km": 1200}

    assert run("vehicle", "remove", "BUS-01")[0] == 0
    assert run("vehicle", "remove", "BUS-01")[0] == 1
    assert rows(database_url, "SELECT * FROM vehicle") == []


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (
            ("charge-point", "add", "A", "--password-file", "/no/such"),
            2,
            "--password-file /no/such",
        ),
        (("charge-point", "add", "A", "--password-file", "/dev/null"), 2, "password is empty"),
        (("charge-point", "add", "A", "--password", "x", "--password-file", "-"), 2, "one of them"),
        (("charge-point", "set", "A"), 2, "nothing to set"),
        (("charge-point", "set", "A", "--current-type", "AC"), 2, "--connector goes with"),
        (("charge-point", "set", "A", "--connector", "1"), 2, "--connector goes with"),
        (("charge-point", "set", "A", "--energy-factor", "0"), 2, "more than 0"),
        (("charge-point", "set", "A", "--energy-factor", "1000"), 1, "no charge point 'A'"),
        (("vehicle", "add", "A", "--capacity-kwh", "nan"), 2, "more than 0"),
        (("vehicle", "add", " "), 1, "1 to 255 characters"),
    ],
)
def test_what_is_wrong_is_named(
    run: Run, words: tuple[str, ...], code: int, complaint: str
) -> None:
    exit_code, out, err = run(*words)

    assert (exit_code, out) == (code, "")
    assert complaint in err
