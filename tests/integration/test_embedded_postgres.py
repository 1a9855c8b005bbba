"""The embedded server keeps its promises to those who kill, share and restart it."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from testbench.embedded import EmbeddedPostgres, EmbeddedUnavailable, host, runtime
from tests.waiting import wait_until


@pytest.fixture
def folder() -> Iterator[Path]:
    with host.temporary_folder(in_memory=True) as path:
        yield path


@pytest.fixture(scope="module")
def initialised() -> Iterator[Path]:
    """A data folder to make copies of, which is quicker than initialising each."""
    with host.temporary_folder(in_memory=True) as path:
        with EmbeddedPostgres(path / "data", ephemeral=True):
            pass
        yield path / "data"


@pytest.fixture
def server(folder: Path, initialised: Path) -> Iterator[EmbeddedPostgres]:
    """A server of the test's own, durable since the tests kill it."""
    subprocess.run(["cp", "--archive", initialised, folder / "data"], check=True)
    with EmbeddedPostgres(folder / "data", ephemeral=True, durable=True) as started:
        yield started


def execute(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def setting(server: EmbeddedPostgres, name: str) -> object:
    return execute(server.url(), f"SHOW {name}")[0][0]


def has_ended(server: EmbeddedPostgres) -> bool:
    try:
        execute(server.url(), "SELECT 1")
    except psycopg.OperationalError:
        return True
    return False


def test_it_is_timescaledb_of_the_apache_edition(empty_database_url: str) -> None:
    url = empty_database_url
    execute(url, "CREATE TABLE reading (at timestamptz NOT NULL, power_w real)")
    execute(url, "SELECT create_hypertable('reading', by_range('at', INTERVAL '1 day'))")
    execute(url, "INSERT INTO reading VALUES ('2026-01-01Z', 1), ('2026-01-03Z', 2)")
    assert execute(url, "SELECT count(*) FROM show_chunks('reading')") == [(2,)]
    assert execute(url, "SHOW timescaledb.license") == [("apache",)]


@pytest.mark.parametrize(("durable", "expected"), [(None, "off"), (True, "on")])
def test_an_ephemeral_server_is_durable_only_on_request(
    folder: Path, durable: bool | None, expected: str
) -> None:
    with EmbeddedPostgres(folder / "data", ephemeral=True, durable=durable) as server:
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            assert setting(server, name) == expected


def test_a_restart_keeps_the_data(server: EmbeddedPostgres) -> None:
    execute(server.url(), "CREATE TABLE kept AS SELECT 42 AS value")
    server.stop()
    assert server.pid is None
    server.start()
    assert execute(server.url(), "SELECT value FROM kept") == [(42,)]


def test_a_killed_server_starts_again_with_what_was_committed(server: EmbeddedPostgres) -> None:
    execute(server.url(), "CREATE TABLE kept AS SELECT 42 AS value")
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("SELECT 1")  # a backend that outlives its postmaster
        server.kill()
        assert has_ended(server)
        server.start()
    assert execute(server.url(), "SELECT value FROM kept") == [(42,)]


def test_an_immediate_stop_loses_nothing_that_was_committed(server: EmbeddedPostgres) -> None:
    execute(server.url(), "CREATE TABLE kept AS SELECT 42 AS value")
    server.stop(immediate=True)
    server.start()
    assert execute(server.url(), "SELECT value FROM kept") == [(42,)]


def test_a_pid_file_that_names_another_program_is_stale(server: EmbeddedPostgres) -> None:
    pid_file = server.data / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    server.kill()
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]))
    assert server.pid is None
    server.start()
    assert execute(server.url(), "SELECT 1") == [(1,)]


def test_a_database_is_copied_with_its_hypertables(postgres_server: EmbeddedPostgres) -> None:
    original = postgres_server.create_database("original")
    execute(original, "CREATE TABLE reading (at timestamptz NOT NULL)")
    execute(original, "SELECT create_hypertable('reading', by_range('at', INTERVAL '1 day'))")
    execute(original, "INSERT INTO reading VALUES ('2026-01-01Z')")
    copy = postgres_server.create_database("copy", template="original")
    execute(copy, "INSERT INTO reading VALUES ('2026-01-03Z')")
    assert execute(copy, "SELECT count(*) FROM reading") == [(2,)]
    assert execute(copy, "SELECT count(*) FROM show_chunks('reading')") == [(2,)]
    assert execute(original, "SELECT count(*) FROM reading") == [(1,)]


def test_a_database_is_dropped_under_its_connections(postgres_server: EmbeddedPostgres) -> None:
    url = postgres_server.create_database("dropped")
    with psycopg.connect(url, autocommit=True):
        postgres_server.drop_database("dropped")
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        execute(url, "SELECT 1")


START = """
import sys
from pathlib import Path
from testbench.embedded import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]), ephemeral="ephemeral" in sys.argv, durable=False)
print(server.start().pid, flush=True)
if server.ephemeral:
    sys.stdin.read()
"""


def start_elsewhere(data: Path, *options: str) -> subprocess.Popen[str]:
    """Start the server of a data folder in another Python."""
    command = [sys.executable, "-c", START, str(data), *options]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_concurrent_starts_give_one_server_that_outlives_them(folder: Path) -> None:
    server = EmbeddedPostgres(folder / "data")
    starters = [start_elsewhere(server.data) for _ in range(3)]
    try:
        pids = {starter.communicate(timeout=60)[0].strip() for starter in starters}
        assert pids == {str(server.pid)}
        assert execute(server.url(), "SELECT 1") == [(1,)]
    finally:
        server.stop()
    assert has_ended(server)


def test_an_ephemeral_server_dies_with_its_parent(folder: Path) -> None:
    server = EmbeddedPostgres(folder / "data")
    with start_elsewhere(server.data, "ephemeral") as parent:
        assert parent.stdout is not None
        assert int(parent.stdout.readline()) == server.pid
        parent.kill()
    wait_until(lambda: server.pid is None, "the server outlives its parent")
    assert has_ended(server)
    server.stop()  # nothing to stop, but it tidies up
    assert not server.socket_folder.exists()


def test_an_ephemeral_server_outlives_the_thread_that_started_it(folder: Path) -> None:
    server = EmbeddedPostgres(folder / "data", ephemeral=True)
    thread = threading.Thread(target=server.start)
    thread.start()
    thread.join()
    assert execute(server.url(), "SELECT pg_sleep(0.5)::text") == [("",)]
    server.stop()


def test_data_of_another_major_version_is_refused(server: EmbeddedPostgres) -> None:
    server.stop()
    (server.data / "PG_VERSION").write_text("9\n")
    with pytest.raises(EmbeddedUnavailable, match="was made by PostgreSQL 9"):
        server.start()
    assert server.pid is None


def test_compressed_chunks_are_refused_for_they_would_be_read_as_empty(
    server: EmbeddedPostgres,
) -> None:
    url = server.create_database("from_elsewhere")
    execute(url, "CREATE TABLE reading (at timestamptz NOT NULL)")
    execute(url, "SELECT create_hypertable('reading', by_range('at'))")
    execute(url, "INSERT INTO reading VALUES (now())")
    execute(url, "UPDATE _timescaledb_catalog.chunk SET compressed_chunk_id = id")
    server.stop()
    with pytest.raises(EmbeddedUnavailable, match="need the community edition"):
        server.start()
    assert server.pid is None


def test_a_socket_folder_of_someone_else_is_refused(folder: Path) -> None:
    server = EmbeddedPostgres(folder / "data")
    server.socket_folder.symlink_to(folder)
    try:
        with pytest.raises(EmbeddedUnavailable, match="belongs to someone else"):
            server.start()
    finally:
        server.socket_folder.unlink()


def test_only_the_owner_may_enter_the_socket_folder(postgres_server: EmbeddedPostgres) -> None:
    found = postgres_server.socket_folder.stat()
    assert found.st_mode & 0o777 == 0o700
    assert found.st_uid == host.server_user().pw_uid != 0
    assert setting(postgres_server, "listen_addresses") == ""


def test_a_server_that_cannot_start_says_why_in_one_line(server: EmbeddedPostgres) -> None:
    server.stop()
    (server.data / "postgresql.conf").write_text("nonsense = 1\n")
    with pytest.raises(EmbeddedUnavailable, match="nonsense") as raised:
        server.start()
    assert "\n" not in str(raised.value)


def test_psql_and_pg_dump_work_with_the_url(empty_database_url: str) -> None:
    execute(empty_database_url, "CREATE TABLE kept AS SELECT 42 AS value")
    query = [str(runtime.program("psql")), "-XAt", empty_database_url]
    query += ["-c", "SELECT value FROM kept"]
    assert subprocess.run(query, capture_output=True, check=True).stdout == b"42\n"
    dump = [str(runtime.program("pg_dump")), "-Fc", "-t", "kept", empty_database_url]
    dumped = subprocess.run(dump, capture_output=True, check=True).stdout
    restore = [str(runtime.program("pg_restore")), "-f", "-"]
    restored = subprocess.run(restore, input=dumped, capture_output=True, check=True).stdout
    assert b"COPY public.kept (value)" in restored


def test_an_interrupted_initialisation_is_made_anew(folder: Path) -> None:
    half_made = folder / "data.new"
    half_made.mkdir()
    (half_made / "PG_VERSION").write_text("half made\n")
    with EmbeddedPostgres(folder / "data", ephemeral=True) as server:
        assert execute(server.url(), "SELECT 1") == [(1,)]


def test_two_servers_do_not_meet(postgres_server: EmbeddedPostgres, folder: Path) -> None:
    with EmbeddedPostgres(folder / "other", ephemeral=True) as other:
        assert other.url() != postgres_server.url()
        other.kill()
        assert has_ended(other)
    assert execute(postgres_server.url(), "SELECT 1") == [(1,)]
