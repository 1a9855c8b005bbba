"""The procedure of docs/operations.md, "Back up and restore", step by step."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from ingest.store import Store
from sql.migrations import pending
from testbench.embedded import EmbeddedPostgres, host, runtime
from tests.integration.test_writer import meter_values, start


@pytest.fixture
def filled(database_url: str) -> str:
    """A database with a transaction and a thousand readings over three chunks."""
    store = Store(uuid4(), "Accepted")
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute("INSERT INTO charge_point (identity) VALUES ('CP-1')")
        store.save(conn, [start("A")[0]])
        store.save(conn, [meter_values(step * 180, energy_wh=step) for step in range(1000)])
    return database_url


@pytest.fixture
def other_server() -> Iterator[EmbeddedPostgres]:
    with (
        host.temporary_folder() as folder,
        EmbeddedPostgres(folder / "postgres", ephemeral=True) as server,
    ):
        yield server


def run(program: str, *arguments: str) -> None:
    done = subprocess.run([runtime.program(program), *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def contents(url: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as conn:
        return conn.execute(
            "SELECT count(*), sum(energy_wh), min(sampled_at), max(sampled_at)"
            " FROM report.meter_value"
            " UNION ALL SELECT count(*), sum(meter_start_wh), min(started_at), max(started_at)"
            " FROM report.transaction"
            " UNION ALL SELECT count(*), NULL, min(received_at), NULL FROM report.ocpp_message"
        ).fetchall()


def test_a_dump_restored_into_an_empty_server_works_as_before(
    filled: str, other_server: EmbeddedPostgres, tmp_path: Path
) -> None:
    dump = str(tmp_path / "eletroposto.dump")
    roles = [f"eletroposto_{room}" for room in ("ingest", "flows", "dashboard", "operator")]
    run("pg_dump", "--format=custom", f"--file={dump}", filled)

    target = other_server.create_database("restored")
    with psycopg.connect(target, autocommit=True) as conn:
        for role in roles:
            known = conn.execute("SELECT FROM pg_roles WHERE rolname = %s", [role]).fetchone()
            if known is None:
                conn.execute(f'CREATE ROLE "{role}" NOLOGIN')
        conn.execute("SELECT timescaledb_pre_restore()")
    run("pg_restore", "--no-owner", f"--dbname={target}", dump)
    with psycopg.connect(target, autocommit=True) as conn:
        conn.execute("SELECT timescaledb_post_restore()")

    assert contents(target) == contents(filled)
    assert pending(target) == []
    store = Store(uuid4(), "Accepted")
    options = "-c role=eletroposto_ingest"
    with psycopg.connect(target, autocommit=True, options=options) as conn:
        message, fact = start("B", connector_id=2)
        store.save(conn, [message, meter_values(10**6, energy_wh=1)])
    assert fact.transaction_id == 2  # the numbers go on where they were
    assert contents(target)[0][0] == 1001
