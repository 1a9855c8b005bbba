"""Starts programs in order, watches them, and ends them in reverse order.

A program that ends although it should not is told in one line, with the last lines it wrote.
"""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

Probe = Callable[[], Awaitable[bool]]

_LAST_LINES = 15
_PROBE_S = 0.2
# Programs end with us, even if we are killed and cannot end them.
_WITH_US = ("/usr/bin/setpriv", "--pdeathsig", "TERM")


@dataclass(frozen=True, slots=True)
class Program:
    """One process to run.

    Attributes:
        name: Of its log file, and of itself in messages.
        is_ready: Asked again and again until it is true; None: ready as soon as it runs.
        within_s: Longest time until it is ready.
        is_required: Its end is ours.
        is_shown: Its lines are progress, shown on the terminal.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    is_ready: Probe | None = None
    within_s: float = 60
    stop_signal: signal.Signals = signal.SIGTERM
    stop_within_s: float = 10
    is_required: bool = True
    is_shown: bool = False


class ProgramFailed(RuntimeError):
    """A program ended, or did not become ready; the message is for people."""


class _Running:
    """A program and its process, the leader of a process group of its own."""

    def __init__(self, program: Program, process: asyncio.subprocess.Process, log: Path) -> None:
        self.program = program
        self.process = process
        self.log = log
        self.is_stopping = False

    def failure(self, what: str) -> ProgramFailed:
        lines = self.log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
        said = "".join(f"\n    {line}" for line in lines)
        return ProgramFailed(f"{self.program.name} {what}; the end of {self.log}:{said}")

    async def stop(self) -> None:
        """Ask the leader to end; what is left of the group after the deadline is killed."""
        self.is_stopping = True
        if self.process.returncode is None:
            self._signal(os.kill, self.program.stop_signal)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.program.stop_within_s):
                    await self.process.wait()
        self.kill()
        await self.process.wait()

    def kill(self) -> None:
        self._signal(os.killpg, signal.SIGKILL)

    def _signal(self, send: Callable[[int, int], None], number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            send(self.process.pid, number)


class Supervisor:
    """Runs programs until the block ends, then stops them in reverse order.

    Attributes:
        failed: Done, with an exception, once a required program ended by itself.
    """

    def __init__(self, logs: Path, say: Callable[[str, str], None]) -> None:
        self._logs = logs
        self._say = say
        self._running: list[_Running] = []
        self._watching: set[asyncio.Task[None]] = set()
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for running in reversed(self._running):
            await running.stop()
        for task in self._watching:
            task.cancel()
        self.failed.cancel()

    def kill(self) -> None:
        """Leave nothing running, at once."""
        for running in self._running:
            running.is_stopping = True
            running.kill()

    async def start(self, program: Program) -> None:
        """Start a program and return once it is ready.

        Raises:
            ProgramFailed: If it ended before, or was not ready in time.
        """
        running = await self._spawn(program)
        give_up = time.monotonic() + program.within_s
        while program.is_ready is not None and not await program.is_ready():
            if running.process.returncode is not None:
                raise running.failure(f"ended with exit code {running.process.returncode}")
            if time.monotonic() > give_up:
                raise running.failure(f"was not ready after {program.within_s:.0f} s")
            await asyncio.sleep(_PROBE_S)
        self._watch(self._follow(running))

    async def run(self, program: Program) -> None:
        """Run a program to its end.

        Raises:
            ProgramFailed: If its exit code is not 0.
        """
        running = await self._spawn(program)
        code = await running.process.wait()
        self._forget(running)
        if code:
            raise running.failure(f"ended with exit code {code}")

    def watch(self, name: str, is_alive: Callable[[], bool]) -> None:
        """Look every second whether something that is no program of ours still runs."""
        self._watch(self._look_after(name, is_alive))

    async def _spawn(self, program: Program) -> _Running:
        log = self._logs / f"{program.name}.log"
        if log.exists():
            log.replace(log.with_suffix(".log.1"))
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *_WITH_US,
                *program.command,
                env=program.environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        running = _Running(program, process, log)
        self._running.append(running)
        if program.is_shown:
            self._watch(self._show(running))
        return running

    def _forget(self, running: _Running) -> None:
        """Kill what it left behind now: later its number may be somebody else's."""
        running.kill()
        self._running.remove(running)

    def _watch(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._watching.add(task)
        task.add_done_callback(self._watching.discard)

    async def _follow(self, running: _Running) -> None:
        code = await running.process.wait()
        if running.is_stopping:
            return
        self._forget(running)
        failure = running.failure(f"ended by itself with exit code {code}")
        if not running.program.is_required:
            self._say(running.program.name, f"{failure}\n  the rest goes on without it")
        else:
            self._fail(failure)

    async def _look_after(self, name: str, is_alive: Callable[[], bool]) -> None:
        while is_alive():  # noqa: ASYNC110  nobody would set an event
            await asyncio.sleep(1)
        self._fail(ProgramFailed(f"{name} ended by itself; see {self._logs}"))

    def _fail(self, failure: ProgramFailed) -> None:
        if not self.failed.done():
            self.failed.set_exception(failure)

    async def _show(self, running: _Running) -> None:
        """Repeat its lines on the terminal as they come."""
        with running.log.open(errors="replace") as lines:
            is_over = False
            while not is_over:
                is_over = running.process.returncode is not None
                for line in lines:
                    self._say(running.program.name, line.rstrip())
                await asyncio.sleep(0.2)
