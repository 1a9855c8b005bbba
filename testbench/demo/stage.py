"""What the demo does, in order, and how it ends."""

import asyncio
import contextlib
import fcntl
import shutil
import signal
import sys
import time
from collections.abc import Coroutine, Iterator
from typing import Any

import psycopg

from sql.migrations import migrate
from testbench.demo.console import Console
from testbench.demo.programs import Programs, fetch
from testbench.demo.registration import register
from testbench.demo.settings import CannotStart, Settings, check_ports, read_settings
from testbench.demo.supervisor import ProgramFailed, Supervisor
from testbench.embedded import EmbeddedPostgres, EmbeddedUnavailable, host, runtime
from testbench.embedded.commands import demo_server

_UPDATE_S = 15
_RELAY_S = 120
_KEPT_OVER_FRESH = {"lock", "logs"}


def main(days: int | None = None, fresh: bool = False) -> int:
    """Run the demo until it is interrupted; the exit code is 1 if it could not go on.

    Args:
        days: Of history; None: as ELETROPOSTO_DEMO_DAYS says.
        fresh: Forget what earlier demos stored.
    """
    try:
        settings = read_settings(days=days)
        check_ports(settings)
        with _alone(settings):
            if fresh:
                _forget(settings)
            return asyncio.run(_run(settings))
    except CannotStart as exc:
        print(f"eletroposto demo: {exc}", file=sys.stderr)
        return 1
    except EmbeddedUnavailable as exc:  # another database, its advice, is none for the demo
        print(f"eletroposto demo: {exc.cause}; see docs/embedded.md", file=sys.stderr)
        return 1


@contextlib.contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Hold the demo's folder: two demos would replay their past into one database."""
    with host.locked(settings.data / "settling"):  # also makes the folder, or says why not
        lock = (settings.data / "lock").open("w")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotStart(f"another demo uses {settings.data}") from None
        yield


def _forget(settings: Settings) -> None:
    demo_server().stop()
    for path in settings.data.iterdir():
        if path.is_dir() and path.name not in _KEPT_OVER_FRESH:
            shutil.rmtree(path)


async def _run(settings: Settings) -> int:
    console, database = Console(), demo_server()
    logs = settings.data / "logs"
    for folder in (logs, settings.data / "tmp"):
        host.make_folder(folder)
    console.say("demo", f"data and logs in {settings.data}; Ctrl-C stops everything")
    try:
        async with Supervisor(logs, console.say) as supervisor:
            play = asyncio.create_task(_play(settings, database, supervisor, console))
            await _until_asked_or_failed(play, supervisor)
            console.say("demo", "stopping")
        console.say("demo", "stopped")
        return 0
    except ProgramFailed as failure:
        print(f"eletroposto demo: {failure}", file=sys.stderr)
        return 1
    finally:
        await asyncio.to_thread(database.stop)


async def _until_asked_or_failed(play: asyncio.Task[None], supervisor: Supervisor) -> None:
    """Return when a signal asks for the end; a second one no longer waits for anybody."""
    asked = asyncio.Event()

    def ask() -> None:
        if asked.is_set():
            supervisor.kill()
        asked.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ask)
    waiting = asyncio.create_task(asked.wait())
    ends: list[asyncio.Future[Any]] = [play, waiting, supervisor.failed]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    for task in (waiting, play):
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await play
    if supervisor.failed.done():
        supervisor.failed.result()


async def _play(
    settings: Settings, database: EmbeddedPostgres, supervisor: Supervisor, console: Console
) -> None:
    """Start everything in the order in which one thing needs another, then keep it running."""
    await _fetch(supervisor, console)
    url = await _open_database(database, console)
    supervisor.watch("database", lambda: database.pid is not None)
    programs = Programs(settings, url)
    console.say("dashboard", "starting")
    await asyncio.gather(
        supervisor.start(programs.dashboard()),
        supervisor.start(programs.dojot()),
        supervisor.start(programs.ingest()),
    )
    console.table(programs.urls)
    await supervisor.start(programs.relay())
    await _tell_the_past(settings, programs, supervisor, console)
    # Prefect's server works hard at its start, and nothing that people look at waits for it.
    await _both(_charge(programs, supervisor, console), _schedule(programs, supervisor, console))
    await _reconcile(url, programs, supervisor, console)
    await asyncio.shield(supervisor.failed)


async def _both(*works: Coroutine[Any, Any, None]) -> None:
    """Do them side by side; the first failure ends all and is raised as itself."""
    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(work)
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None


async def _fetch(supervisor: Supervisor, console: Console) -> None:
    if not runtime.is_installed():
        runtime.check_machine()
        console.say("database", "fetching TimescaleDB and Mosquitto, about 40 MB, once")
        await supervisor.run(fetch())


async def _open_database(database: EmbeddedPostgres, console: Console) -> str:
    await asyncio.to_thread(database.start)
    applied = await asyncio.to_thread(migrate, database.url())
    await asyncio.to_thread(register, database.url())
    console.say("database", f"serves; migrations applied: {len(applied)}")
    return database.url()


async def _tell_the_past(
    settings: Settings, programs: Programs, supervisor: Supervisor, console: Console
) -> None:
    console.say("history", f"{settings.days} days of sessions through the websocket")
    updates = asyncio.create_task(_update_often(programs, supervisor))
    try:
        await supervisor.run(programs.history())
    finally:
        updates.cancel()


async def _charge(programs: Programs, supervisor: Supervisor, console: Console) -> None:
    """Charge from now on, and compute from the past what the pages show."""
    await supervisor.start(programs.live())
    console.say("live", "a bus charges, a reading every 10 s")
    await supervisor.run(programs.update())
    console.say("flows", "the past is computed: sessions, energy, availability")
    await supervisor.run(programs.reports())


async def _update_often(programs: Programs, supervisor: Supervisor) -> None:
    """Let the pages fill while the past is being told."""
    while True:
        await asyncio.sleep(_UPDATE_S)
        with contextlib.suppress(ProgramFailed):  # the update after the history tells
            await supervisor.run(programs.update())


async def _schedule(programs: Programs, supervisor: Supervisor, console: Console) -> None:
    """Start Prefect and the flows on their schedules; the demo is worth seeing without."""
    try:
        await supervisor.start(programs.prefect())
        console.say("prefect-server", "serves")
        await supervisor.start(programs.flows())
    except ProgramFailed as failure:
        console.say("prefect-server", f"{failure}\n  the rest goes on without it")


async def _reconcile(
    url: str, programs: Programs, supervisor: Supervisor, console: Console
) -> None:
    """Compare both sides once the relay has handed over the past."""
    await _wait_until_relayed(url)
    try:
        await supervisor.run(programs.reconcile())
        console.say("reconcile", "what DOJOT has agrees with the database")
    except ProgramFailed as failure:
        console.say("reconcile", str(failure))


async def _wait_until_relayed(url: str) -> None:
    give_up = time.monotonic() + _RELAY_S
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        while time.monotonic() < give_up:
            waiting = await connection.execute("SELECT 1 FROM dojot_outbox LIMIT 1")
            if await waiting.fetchone() is None:
                return
            await asyncio.sleep(1)
