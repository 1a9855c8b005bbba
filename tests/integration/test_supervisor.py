"""The supervisor of the demo with small real programs."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from testbench.demo.supervisor import Program, ProgramFailed, Supervisor
from tests.waiting import wait_until

ENVIRONMENT = {"PATH": "/usr/bin:/bin"}


def shell(name: str, script: str, **more: object) -> Program:
    return Program(name, ("/bin/sh", "-c", script), ENVIRONMENT, **more)  # type: ignore[arg-type]


class Said(list[tuple[str, str]]):
    def __call__(self, name: str, text: str) -> None:
        self.append((name, text))


def is_alive(pid: int) -> bool:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return fields[0] != "Z"


async def until_written(path: Path) -> str:
    async with asyncio.timeout(5):
        while not path.exists() or not path.read_text().strip():  # noqa: ASYNC110, ASYNC240
            await asyncio.sleep(0.01)
    return path.read_text()  # noqa: ASYNC240


async def test_they_end_in_the_reverse_of_their_order(tmp_path: Path) -> None:
    ends = tmp_path / "ends"
    script = "trap 'echo {} >> {}; exit' TERM; echo up; while :; do sleep 0.05; done"
    async with Supervisor(tmp_path, Said()) as supervisor:
        for name in ("first", "second", "third"):
            log = tmp_path / f"{name}.log"

            async def is_up(log: Path = log) -> bool:
                return "up" in log.read_text()  # noqa: ASYNC240

            await supervisor.start(shell(name, script.format(name, ends), is_ready=is_up))
    assert ends.read_text().split() == ["third", "second", "first"]


async def test_a_program_that_ends_is_told_with_its_last_lines(tmp_path: Path) -> None:
    async with Supervisor(tmp_path, Said()) as supervisor:
        await supervisor.start(shell("oracle", "sleep 0.1; echo the end is near; exit 3"))
        with pytest.raises(ProgramFailed, match=r"(?s)oracle ended .* exit code 3.*end is near"):
            await asyncio.wait_for(asyncio.shield(supervisor.failed), 5)


async def test_one_that_is_not_required_is_told_and_missed_by_nobody(tmp_path: Path) -> None:
    said = Said()
    async with Supervisor(tmp_path, said) as supervisor:
        await supervisor.start(shell("extra", "sleep 0.1; exit 1", is_required=False))
        async with asyncio.timeout(5):
            while not said:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert not supervisor.failed.done()
    assert said[0][0] == "extra"
    assert "the rest goes on" in said[0][1]


async def test_one_that_ends_before_it_is_ready(tmp_path: Path) -> None:
    async def never() -> bool:
        return False

    async with Supervisor(tmp_path, Said()) as supervisor:
        with pytest.raises(ProgramFailed, match=r"(?s)hasty ended with exit code 2.*no such thing"):
            await supervisor.start(shell("hasty", "echo no such thing; exit 2", is_ready=never))


async def test_one_that_is_never_ready(tmp_path: Path) -> None:
    async def never() -> bool:
        return False

    slow = shell("slow", "exec sleep 60", is_ready=never, within_s=0.3)
    async with Supervisor(tmp_path, Said()) as supervisor:
        with pytest.raises(ProgramFailed, match="slow was not ready"):
            await supervisor.start(slow)


async def test_children_of_children_do_not_stay(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    script = f"trap 'exit' TERM; sleep 60 & echo $! > {pid_file}; wait"
    async with Supervisor(tmp_path, Said()) as supervisor:
        await supervisor.start(shell("parent", script))
        pid = int(await until_written(pid_file))
        assert is_alive(pid)
    wait_until(lambda: not is_alive(pid), f"{pid} is still there")


async def test_one_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    script = f"trap '' TERM; echo $$ > {pid_file}; while :; do sleep 0.05; done"
    began = time.monotonic()
    async with Supervisor(tmp_path, Said()) as supervisor:
        await supervisor.start(shell("deaf", script, stop_within_s=0.3))
        pid = int(await until_written(pid_file))
    assert not is_alive(pid)
    assert time.monotonic() - began < 5


async def test_run_returns_at_the_end_and_shows_its_lines(tmp_path: Path) -> None:
    said = Said()
    async with Supervisor(tmp_path, said) as supervisor:
        await supervisor.run(shell("task", "echo one; echo two", is_shown=True))
        async with asyncio.timeout(5):
            while len(said) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        with pytest.raises(ProgramFailed, match="exit code 4"):
            await supervisor.run(shell("bad", "exit 4"))
    assert said == [("task", "one"), ("task", "two")]


async def test_the_log_of_the_run_before_is_kept(tmp_path: Path) -> None:
    async with Supervisor(tmp_path, Said()) as supervisor:
        await supervisor.run(shell("task", "echo first"))
        await supervisor.run(shell("task", "echo second"))
    assert (tmp_path / "task.log").read_text() == "second\n"
    assert (tmp_path / "task.log.1").read_text() == "first\n"


async def test_something_watched_that_vanishes(tmp_path: Path) -> None:
    async with Supervisor(tmp_path, Said()) as supervisor:
        supervisor.watch("database", lambda: False)
        with pytest.raises(ProgramFailed, match="database ended"):
            await asyncio.wait_for(asyncio.shield(supervisor.failed), 5)


def test_they_end_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    code = f"""
        import asyncio
        from pathlib import Path
        from testbench.demo.supervisor import Program, Supervisor

        async def main():
            async with Supervisor(Path({str(tmp_path)!r}), print) as supervisor:
                script = "echo $$ > {tmp_path}/pid; exec sleep 60"
                await supervisor.start(Program("child", ("/bin/sh", "-c", script), {ENVIRONMENT}))
                await asyncio.sleep(60)

        asyncio.run(main())
    """
    supervisor = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)])
    try:
        pid_file = tmp_path / "pid"
        wait_until(lambda: pid_file.exists() and bool(pid_file.read_text().strip()), "no child")
        pid = int(pid_file.read_text())
        assert is_alive(pid)
    finally:
        os.kill(supervisor.pid, signal.SIGKILL)
        supervisor.wait(10)
    wait_until(lambda: not is_alive(pid), f"{pid} outlived its supervisor")
