"""Where the embedded services work, as whom, and what they say where they do not."""

import multiprocessing
import os
import pwd
import subprocess
import sys
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import psycopg
import pytest

from eletroposto import database
from testbench.embedded import EmbeddedPostgres, EmbeddedUnavailable, commands, host, runtime


@pytest.fixture
def folder() -> Iterator[Path]:
    with host.temporary_folder() as path:
        yield path


def as_ordinary_user(function: Callable[[], str]) -> str:
    """What the function returns in a process of an ordinary user: games if we are root, else us.

    The process is a fork, for that user may not be able to read our Python.
    """
    here, there = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=_call, args=(function, there))
    process.start()
    there.close()
    try:
        answer: str = here.recv()
        return answer
    finally:
        here.close()
        process.join()
        process.close()


def _call(function: Callable[[], str], answer: Connection) -> None:
    if host.is_root():
        user = pwd.getpwnam("games")
        os.setgroups([])
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)
    answer.send(function())


@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
def test_an_ordinary_user_runs_the_server_as_themselves(
    folder: Path, postgres_server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ELETROPOSTO_CACHE", str(host.cache_folder()))
    monkeypatch.setenv("ELETROPOSTO_DATA", str(folder / "of_user"))
    folder.chmod(0o777)

    def who_serves() -> str:
        server = commands.default_server()
        try:
            with psycopg.connect(server.start().url()) as connection:
                found = connection.execute("SELECT extname FROM pg_extension ORDER BY 1").fetchall()
            owner = pwd.getpwuid(server.data.stat().st_uid).pw_name
            return f"{owner} {sorted(name for (name,) in found)}"
        finally:
            server.stop()

    user = "games" if host.is_root() else pwd.getpwuid(os.geteuid()).pw_name
    assert as_ordinary_user(who_serves) == f"{user} ['plpgsql', 'timescaledb']"


@pytest.fixture
def machine_without_apt(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELETROPOSTO_CACHE", str(folder / "cache"))
    monkeypatch.setenv("PATH", str(folder))


def assert_says_what_to_do(error: EmbeddedUnavailable) -> None:
    assert "\n" not in str(error)
    assert "docker compose up -d db" in str(error)
    assert "ELETROPOSTO_DATABASE_URL" in str(error)


@pytest.mark.usefixtures("machine_without_apt")
def test_without_apt_the_error_says_what_to_do() -> None:
    with pytest.raises(EmbeddedUnavailable, match="need Debian or Ubuntu") as raised:
        commands.up()
    assert_says_what_to_do(raised.value)


@pytest.mark.usefixtures("machine_without_apt")
def test_without_linux_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(EmbeddedUnavailable, match="no embedded services on darwin") as raised:
        commands.up()
    assert_says_what_to_do(raised.value)


def test_without_a_reachable_mirror_the_error_says_what_to_do(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ELETROPOSTO_CACHE", str(folder / "cache"))
    monkeypatch.setenv("ELETROPOSTO_APT_MIRROR", f"file:{folder / 'no mirror'}")
    with pytest.raises(EmbeddedUnavailable, match="apt-get failed") as raised:
        runtime.install()
    assert_says_what_to_do(raised.value)
    assert [path.name for path in (folder / "cache").iterdir()] == ["lock"]


def test_a_folder_that_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELETROPOSTO_CACHE", str(host.cache_folder()))
    monkeypatch.setenv("ELETROPOSTO_DATA", "/proc/eletroposto")
    with pytest.raises(EmbeddedUnavailable, match="cannot write /proc/eletroposto") as raised:
        commands.up()
    assert_says_what_to_do(raised.value)


def test_the_persistent_server_is_commanded(
    folder: Path, postgres_server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ELETROPOSTO_CACHE", str(host.cache_folder()))
    monkeypatch.setenv("ELETROPOSTO_DATA", str(folder / "data"))
    up = [sys.executable, "-c", "from testbench.embedded import commands; print(commands.up())"]
    try:
        url = subprocess.run(up, check=True, capture_output=True, text=True).stdout.strip()
        pid = commands.default_server().pid
        assert commands.up() == url
        assert commands.default_server().pid == pid
        with psycopg.connect(url) as connection:
            assert connection.execute("SHOW fsync").fetchone() == ("on",)
    finally:
        commands.down()
    assert commands.default_server().pid is None


def test_the_command_line_finds_the_running_demo(
    folder: Path,
    postgres_server: EmbeddedPostgres,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("ELETROPOSTO_CACHE", str(host.cache_folder()))
    monkeypatch.setenv("ELETROPOSTO_DATA", str(folder / "data"))
    monkeypatch.setenv("ELETROPOSTO_DATABASE_URL", "")

    with commands.demo_server().start() as demo:
        database.use_embedded_if_running()

        assert os.environ["ELETROPOSTO_DATABASE_URL"] == demo.url()
    assert capsys.readouterr().err == "using the database of the running demo\n"


def test_a_folder_in_memory_is_on_disk_where_memory_is_scarce(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(host, "_ENOUGH_MEMORY", 0)
    with host.temporary_folder(in_memory=True) as folder:
        assert folder.parent == Path("/dev/shm")
    monkeypatch.setattr(host, "_ENOUGH_MEMORY", 1 << 60)
    with host.temporary_folder(in_memory=True) as folder:
        assert folder.parent == Path("/tmp")
