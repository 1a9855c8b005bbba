"""How a process of this room begins and ends: its log, its limits, its listeners, its signals."""

import asyncio
import logging
import os
import resource
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from ingest.settings import BadSettings

logger = logging.getLogger(__name__)

_CANCEL_EVERY_S = 1.0


def start_logging(level: str, *quiet: str) -> None:
    """Write to standard error; of the libraries in ``quiet`` only what is wrong."""
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for name in quiet:
        logging.getLogger(name).setLevel(logging.WARNING)


def raise_file_limit() -> None:
    """Every socket is a file, and the usual limit is 1024: take as many as the system lets us."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    logger.info("at most %d sockets (limit of open files)", hard)


def file_limit() -> int:
    """Return how many files, sockets among them, the system lets us have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


@contextmanager
def listening(variable: str, host: str, port: int) -> Iterator[None]:
    """Raise BadSettings where what is inside cannot listen, and name the variable of the port."""
    try:
        yield
    except OSError as exc:
        # A negative number is of name resolution, and has no text in the operating system.
        reason = os.strerror(exc.errno) if exc.errno and exc.errno > 0 else exc.strerror
        sentence = f"{variable}={port}: cannot listen on {host}: {reason or exc}"
        raise BadSettings(sentence) from exc


def stop_signals() -> asyncio.Event:
    """Return what SIGINT and SIGTERM set from now on."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def end_all(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel tasks and return once they have ended.

    A cancellation may be lost, as one that meets the result a library waits for: it is repeated.
    """
    while running := [task for task in tasks if not task.done()]:
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=_CANCEL_EVERY_S)


async def first_end(stop: asyncio.Event, tasks: Iterable[asyncio.Task[None]]) -> None:
    """Wait for the stop signal; a task that ends before it is a defect and is raised."""
    waiting = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    for task in done - {waiting}:
        task.result()
