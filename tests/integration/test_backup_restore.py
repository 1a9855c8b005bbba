"""Logins as docker/logins.sql makes them, and "Back up and restore" of docs/operations.md.

Both are done step by step, on servers of their own, as people and processes would: nobody who works
with the data afterwards is a superuser.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import errors
from psycopg.conninfo import make_conninfo
from psycopg.types.json import Jsonb

from flows.catalogue import carry_out
from flows.scope import Scope
from flows.settings import Settings
from ingest.store import Store
from sql import migrations
from sql.migrations import Migration, available, migrate, pending
from testbench.embedded import EmbeddedPostgres, host, runtime
from tests.integration.test_writer import NOON, meter_values, start

ROOT = Path(__file__).parents[2]
OWNER = "eletroposto"
# Login by login: the roles in which its process acts.
LOGINS = {
    "ingest": ("eletroposto_ingest",),
    "relay": ("eletroposto_ingest",),
    "flows": ("eletroposto_flows",),
    "dashboard": ("eletroposto_dashboard", "eletroposto_operator"),
}
ROLES = {role for roles in LOGINS.values() for role in roles}
TARIFF = {"name": "A4", "consumer_group": "A", "modality": "verde", "valid_from": "2026-01-01"}
PERIODS = [{"posto": "fora_ponta", "price_per_kwh": 0.6}]


def serving(folder: Path) -> EmbeddedPostgres:
    return EmbeddedPostgres(folder / "postgres", ephemeral=True)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A server with the logins of the compose file and a schema made by its owner."""
    secrets = tmp_path_factory.mktemp("secrets")
    for name in ("owner", "prefect", *LOGINS):
        (secrets / f"db_{name}").write_text(f"of the {name}\n")
    script = (ROOT / "docker/logins.sql").read_text().replace("/run/secrets", str(secrets))
    (secrets / "logins.sql").write_text(script)
    with host.temporary_folder(in_memory=True) as folder, serving(folder) as server:
        run("psql", "--no-psqlrc", f"--file={secrets}/logins.sql", server.url())
        migrate(url_of(server, OWNER))
        fill(server)
        yield server


@pytest.fixture
def other_server() -> Iterator[EmbeddedPostgres]:
    with host.temporary_folder(in_memory=True) as folder, serving(folder) as server:
        server.drop_database(OWNER)  # the guide begins on an empty one
        yield server


def url_of(server: EmbeddedPostgres, login: str) -> str:
    password = f"of the {'owner' if login == OWNER else login}"
    return make_conninfo(server.url(), user=login, password=password)


def acting(server: EmbeddedPostgres, login: str, role: str) -> psycopg.Connection[Any]:
    """Connect as the processes do: with their login, narrowed to their role."""
    options = f"-c role={role} -c timezone=UTC"
    return psycopg.connect(url_of(server, login), autocommit=True, options=options)


def fill(server: EmbeddedPostgres) -> None:
    """A transaction and a thousand readings over three chunks, stored by the central system."""
    with psycopg.connect(url_of(server, OWNER), autocommit=True) as conn:
        conn.execute("INSERT INTO charge_point (identity) VALUES ('CP-1')")
    store = Store(uuid4(), "Accepted")
    with acting(server, "ingest", "eletroposto_ingest") as conn:
        store.save(conn, [start("A")[0]])
        store.save(conn, [meter_values(step * 180, energy_wh=step) for step in range(1000)])


def run(program: str, *arguments: str) -> str:
    done = subprocess.run([runtime.program(program), *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr


def ask(server: EmbeddedPostgres, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(server.url()) as conn:
        return conn.execute(query.encode()).fetchall()


def contents(server: EmbeddedPostgres) -> list[tuple[Any, ...]]:
    return ask(
        server,
        "SELECT count(*), sum(energy_wh), min(sampled_at), max(sampled_at) FROM report.meter_value"
        " UNION ALL SELECT count(*), sum(meter_start_wh), min(started_at), max(started_at)"
        " FROM report.transaction"
        " UNION ALL SELECT count(*), NULL, min(received_at), NULL FROM report.ocpp_message",
    )


def rights(server: EmbeddedPostgres) -> dict[str, list[tuple[Any, ...]]]:
    """Who there is, with what password; whose member each is; whose our objects are."""
    return {
        "roles": ask(
            server,
            "SELECT rolname, rolsuper, rolcreaterole, rolcanlogin, rolpassword FROM pg_authid"
            " WHERE rolname !~ '^pg_' ORDER BY 1",
        ),
        "members": ask(
            server,
            "SELECT DISTINCT roleid::regrole::text, member::regrole::text FROM pg_auth_members"
            " WHERE member::regrole::text !~ '^pg_' ORDER BY 1, 2",
        ),
        "owners": ask(
            server,
            "SELECT DISTINCT relnamespace::regnamespace::text, relowner::regrole::text"
            " FROM pg_class WHERE relnamespace::regnamespace::text IN ('public', 'report')"
            " UNION SELECT DISTINCT nspname || '()', proowner::regrole::text FROM pg_proc"
            " INNER JOIN pg_namespace AS nsp ON nsp.oid = pronamespace"
            " WHERE nspname IN ('report', 'operation')",
        ),
    }


# ---------------------------------------------------------------- the logins


def test_nobody_is_superuser_and_every_password_is_hashed(installed: EmbeddedPostgres) -> None:
    found = {name: rest for name, *rest in rights(installed)["roles"]}
    assert found.keys() == {"postgres", OWNER, "prefect", *LOGINS, *ROLES}
    assert [name for name, (is_super, *_) in found.items() if is_super] == ["postgres"]
    for name in (OWNER, "prefect", *LOGINS):
        assert str(found[name][-1]).startswith("SCRAM-SHA-256"), name


@pytest.mark.parametrize("login", LOGINS)
def test_a_login_acts_in_its_own_roles_only(installed: EmbeddedPostgres, login: str) -> None:
    allowed = set()
    with psycopg.connect(url_of(installed, login), autocommit=True) as conn:
        for role in (*ROLES, OWNER, "postgres"):
            try:
                conn.execute(f'SET ROLE "{role}"'.encode())
            except errors.InsufficientPrivilege:
                continue
            allowed.add(role)
            conn.execute("RESET ROLE")
        with pytest.raises(errors.InsufficientPrivilege):
            conn.execute("CREATE ROLE mine")
    # An operator is a reader too.
    assert allowed == set(LOGINS[login])


def test_prefect_and_we_do_not_see_each_other(installed: EmbeddedPostgres) -> None:
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(url_of(installed, "prefect"))
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(make_conninfo(url_of(installed, "ingest"), dbname="prefect"))


# ---------------------------------------------------------------- back up and restore


def test_a_backup_restored_into_an_empty_server_works_as_before(
    installed: EmbeddedPostgres,
    other_server: EmbeddedPostgres,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    roles, dump = str(tmp_path / "roles.sql"), str(tmp_path / "eletroposto.dump")
    run("pg_dumpall", "--roles-only", f"--file={roles}", f"--dbname={installed.url()}")
    run("pg_dump", "--format=custom", f"--file={dump}", installed.url())

    anywhere = other_server.url("postgres")
    said = run("psql", "--no-psqlrc", "--quiet", f"--file={roles}", anywhere)
    unexpected = [line for line in said.splitlines() if '"postgres" already exists' not in line]
    assert unexpected == []
    run("psql", "--no-psqlrc", f"--command=CREATE DATABASE {OWNER} OWNER {OWNER}", anywhere)
    target = other_server.url()
    run("psql", "--no-psqlrc", "--command=CREATE EXTENSION timescaledb", target)
    run("psql", "--no-psqlrc", "--command=SELECT timescaledb_pre_restore()", target)
    said = run("pg_restore", "--exit-on-error", f"--dbname={target}", dump)
    assert said == ""
    run("psql", "--no-psqlrc", "--command=SELECT timescaledb_post_restore()", target)

    assert contents(other_server) == contents(installed)
    assert rights(other_server) == rights(installed)
    _everybody_works(other_server)
    _the_owner_upgrades(other_server, monkeypatch)
    _old_facts_can_be_dropped(other_server)


def _everybody_works(server: EmbeddedPostgres) -> None:
    """Each in the role of its process, with a login that is no superuser."""
    store = Store(uuid4(), "Accepted")
    with acting(server, "ingest", "eletroposto_ingest") as conn:
        message, fact = start("B", connector_id=2)
        store.save(conn, [message, meter_values(10**6, energy_wh=1)])
    assert fact.transaction_id == 2, "the numbers go on where they were"
    assert contents(server)[0][0] == 1001
    with acting(server, "relay", "eletroposto_ingest") as conn:
        conn.execute("DELETE FROM dojot_outbox")
    list(carry_out(Settings(url_of(server, "flows")), "sessions", Scope()))
    with acting(server, "dashboard", "eletroposto_dashboard") as conn:
        assert conn.execute("SELECT count(*) FROM report.session").fetchone() == (2,)
        with pytest.raises(errors.InsufficientPrivilege):
            conn.execute("SELECT report.add_holiday('2026-12-25', 'Natal')")
    with acting(server, "dashboard", "eletroposto_operator") as conn:
        conn.execute("SELECT report.add_tariff(%s, %s, 'ana')", [Jsonb(TARIFF), Jsonb(PERIODS)])
        found = conn.execute("SELECT name, author FROM report.tariff").fetchall()
    assert found == [("A4", "ana")]


def _the_owner_upgrades(server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    url = url_of(server, OWNER)
    assert pending(url) == []
    further = Migration(
        "9001_further.sql",
        "ALTER TABLE meter_value ADD COLUMN further int; ALTER FUNCTION id_tag_alias STABLE;"
        " GRANT SELECT ON tariff TO eletroposto_dashboard; CREATE VIEW report.further AS SELECT 1",
    )
    monkeypatch.setattr(migrations, "available", lambda: [*available(), further])
    assert migrate(url) == ["9001_further.sql"]
    monkeypatch.undo()


def _old_facts_can_be_dropped(server: EmbeddedPostgres) -> None:
    """By the flows, on behalf of who owns the chunks that were restored."""
    before = contents(server)[2]
    assert before[0] > 1000
    assert before[2] == NOON
    list(carry_out(Settings(url_of(server, "flows")), "retention", Scope()))
    assert contents(server)[2][0] == 0
