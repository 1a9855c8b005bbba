"""A private TimescaleDB server behind a socket that only its owner can reach."""

import atexit
import hashlib
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import psycopg
from psycopg import sql

from testbench.embedded import host, runtime
from testbench.embedded.errors import EmbeddedUnavailable
from testbench.embedded.settings import server_settings

DATABASE = "eletroposto"
SHUTDOWN_SECONDS = 60
# Crash recovery may have much to replay.
STARTUP_SECONDS = 300
# Backends outlive a killed postmaster by up to 5 s, and PostgreSQL waits for the last of them.
ORPHAN_SECONDS = 15
LOG_BYTES = 20_000_000


class Postmaster(NamedTuple):
    pid: int
    is_ready: bool


class EmbeddedPostgres:
    """One data folder and the server that serves it.

    A persistent server outlives this process until ``stop``. An ephemeral one ends with this
    process, however that ends, and is not durable unless told so: without fsync a killed server
    keeps its data, a killed machine does not.
    """

    def __init__(self, data: Path, *, ephemeral: bool = False, durable: bool | None = None) -> None:
        self.data = data.resolve()
        self.ephemeral = ephemeral
        self.durable = not ephemeral if durable is None else durable
        self.log = self.data.with_name(f"{self.data.name}.log")
        # A socket path may have 107 bytes, a data folder has any length.
        digest = hashlib.sha256(os.fsencode(self.data)).hexdigest()[:10]
        self.socket_folder = Path(f"/tmp/{host.APP}-{host.server_user().pw_uid}-{digest}")

    def start(self) -> Self:
        """Serve, creating the data folder if need be; a server that runs already is used."""
        runtime.install()
        with self._locked():
            if not self._is_running():
                self._prepare_data()
                self._prepare_socket_folder()
                self._launch()
            try:
                self._open_databases()
            except EmbeddedUnavailable:
                self._end(signal.SIGINT)
                raise
        if self.ephemeral:
            atexit.register(self.stop)
        return self

    def stop(self, immediate: bool = False) -> None:
        """Shut down and wait until it is done; ``immediate`` leaves recovery to the next start."""
        atexit.unregister(self.stop)
        if not self.data.exists():
            return
        with self._locked():
            self._end(signal.SIGQUIT if immediate else signal.SIGINT)
            shutil.rmtree(self.socket_folder, ignore_errors=True)

    def kill(self) -> None:
        """Kill the postmaster as a crash would, and wait until it is gone."""
        self._end(signal.SIGKILL)

    @property
    def pid(self) -> int | None:
        """The pid of the postmaster, None unless it runs."""
        running = self._postmaster()
        return running.pid if running else None

    def url(self, database: str = DATABASE) -> str:
        """For psycopg, psql and everything else that uses libpq."""
        return f"postgresql://postgres@/{database}?host={self.socket_folder}"

    def create_database(self, name: str, *, template: str | None = None) -> str:
        """Create a database with TimescaleDB, or as a copy of ``template``, and return its URL.

        Nobody may be connected to the template.
        """
        if template is not None:
            # Copying the files writes out every other database's pages before: cheap without fsync.
            strategy = "wal_log" if self.durable else "file_copy"
            self._execute(f"CREATE DATABASE {{}} TEMPLATE {{}} STRATEGY {strategy}", name, template)
            return self.url(name)
        self._execute("CREATE DATABASE {}", name)
        with self._connect(name) as connection:
            connection.execute("CREATE EXTENSION timescaledb")
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database and the connections that are left in it."""
        self._execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with host.locked(self.data.with_name(f"{self.data.name}.lock")):
            yield

    def _postmaster(self) -> Postmaster | None:
        """Who serves the data folder; None for what a crash left behind in the pid file."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            pid = int(lines[0])
        except (FileNotFoundError, IndexError, ValueError):
            return None
        if not host.is_alive(pid, str(self.data)):
            return None
        return Postmaster(pid, is_ready=len(lines) > 7 and lines[7].strip() == "ready")

    def _serves(self) -> bool:
        return (found := self._postmaster()) is not None and found.is_ready

    def _is_running(self) -> bool:
        """Wait for a server that is about to start or to stop, then say whether it serves."""
        _wait(lambda: self._serves() or self._postmaster() is None, STARTUP_SECONDS)
        return self._serves()

    def _prepare_data(self) -> None:
        version = self.data / "PG_VERSION"
        if not version.exists():
            self._initialise()
        elif (made_by := version.read_text().strip()) != (major := runtime.postgres_major()):
            raise EmbeddedUnavailable(
                f"{self.data} was made by PostgreSQL {made_by}, this is {major}: move it away"
            )

    def _initialise(self) -> None:
        """Initialise beside the final place: a half made data folder never stands there."""
        new = self.data.with_name(f"{self.data.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        host.give_to_server(new)
        # The built-in provider depends neither on locales of the machine nor on versions of ICU.
        options = (
            "--username=postgres --auth=trust --encoding=UTF8 --locale=C --data-checksums"
            " --locale-provider=builtin --builtin-locale=C.UTF-8"
        )
        sync = [] if self.durable else ["--no-sync"]
        host.run([runtime.program("initdb"), "--pgdata", new, *options.split(), *sync])
        new.rename(self.data)

    def _prepare_socket_folder(self) -> None:
        """Whoever enters this folder is superuser of the database, so nobody else's will do."""
        folder = self.socket_folder
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if folder.is_symlink() or found.st_uid not in (os.geteuid(), host.server_user().pw_uid):
            raise EmbeddedUnavailable(f"{folder} belongs to someone else")
        folder.chmod(0o700)
        host.give_to_server(folder)

    def _launch(self) -> None:
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.rename(f"{self.log}.1")
        give_up = time.monotonic() + ORPHAN_SECONDS
        while (said := self._try_launch()) is not None:
            if "is still in use" not in said or time.monotonic() > give_up:
                raise EmbeddedUnavailable(f"PostgreSQL did not start ({self.log}): {said[-500:]}")
            time.sleep(0.1)

    def _try_launch(self) -> str | None:
        """Start and wait until it serves; else return what it said before it ended."""
        # PostgreSQL takes the pid of a zombie for a living server. Removing the files is safe:
        # it also refuses to start while its shared memory is in use.
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        (self.socket_folder / ".s.PGSQL.5432.lock").unlink(missing_ok=True)
        said_before = self.log.stat().st_size if self.log.exists() else 0
        settings = server_settings(self.socket_folder, durable=self.durable)
        pid = host.spawn(
            [runtime.program("postgres"), "-D", self.data, *settings],
            self.log,
            dies_with_us=self.ephemeral,
        )
        _wait(lambda: self._serves() or not host.is_alive(pid, str(self.data)), STARTUP_SECONDS)
        if self._serves():
            return None
        return self.log.read_bytes()[said_before:].decode(errors="replace")

    def _end(self, signal_number: int) -> None:
        if running := self._postmaster():
            os.kill(running.pid, signal_number)
            _wait(lambda: not host.is_alive(running.pid, str(self.data)), SHUTDOWN_SECONDS)

    def _open_databases(self) -> None:
        """Create the default database, bring the others up to this version of TimescaleDB."""
        with self._connect("postgres") as connection:
            rows = connection.execute(
                "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate"
            ).fetchall()
        names = {name for (name,) in rows}
        for name in names - {"postgres"}:
            self._update_extension(name)
        if DATABASE not in names:
            self.create_database(DATABASE)

    def _update_extension(self, database: str) -> None:
        with self._connect(database) as connection:
            if not _has_timescaledb(connection):
                return
        with self._connect(database) as connection:
            # Only as the first statement of a connection.
            connection.execute("ALTER EXTENSION timescaledb UPDATE")
            if _has_compressed_chunks(connection):
                # This edition would read them as empty, without any error.
                raise EmbeddedUnavailable(
                    f"{self.data} has compressed chunks, which need the community edition"
                )

    def _connect(self, database: str) -> psycopg.Connection[tuple[str]]:
        return psycopg.connect(self.url(database), autocommit=True)

    def _execute(self, statement: str, *names: str) -> None:
        identifiers = [sql.Identifier(name) for name in names]
        with self._connect("postgres") as connection:
            connection.execute(sql.SQL(statement).format(*identifiers))


def _has_timescaledb(connection: psycopg.Connection[tuple[str]]) -> bool:
    found = connection.execute("SELECT extname FROM pg_extension WHERE extname = 'timescaledb'")
    return found.fetchone() is not None


def _has_compressed_chunks(connection: psycopg.Connection[tuple[str]]) -> bool:
    found = connection.execute(
        "SELECT table_name::text FROM _timescaledb_catalog.chunk"
        " WHERE compressed_chunk_id IS NOT NULL AND NOT dropped LIMIT 1"
    )
    return found.fetchone() is not None


def _wait(is_done: Callable[[], bool], seconds: float) -> None:
    give_up = time.monotonic() + seconds
    while not is_done():
        if time.monotonic() > give_up:
            raise EmbeddedUnavailable(f"PostgreSQL is neither up nor down after {seconds:.0f} s")
        time.sleep(0.01)
