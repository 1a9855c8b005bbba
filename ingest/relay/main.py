"""The process of the relay: its limits, signals, log and exit code."""

import asyncio
import logging
import os
import resource
import signal
import sys

import uvloop
from pydantic import ValidationError

from ingest.relay.relay import Relay
from ingest.relay.settings import RelaySettings

logger = logging.getLogger("ingest.relay")


async def run_relay(settings: RelaySettings, stop: asyncio.Event | None = None) -> None:
    """Relay until ``stop`` is set, or SIGINT or SIGTERM comes if none is given."""
    if not settings.dojot_url:
        logger.warning("ELETROPOSTO_DOJOT_URL is empty: there is nothing to relay to")
        return
    _raise_file_limit()
    if stop is None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await Relay(settings).run(stop)


def _raise_file_limit() -> None:
    """Each session is an open file, and the usual limit is 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def run(settings: RelaySettings) -> None:
    """Run the relay in a loop of its own, until it is interrupted."""
    uvloop.run(run_relay(settings))


def main() -> int:
    """Run with the settings of the environment; the exit code is 2 if they do not fit."""
    logging.basicConfig(
        level=os.environ.get("ELETROPOSTO_LOG_LEVEL") or "INFO",
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    # Each would write a line for every request: of ours to DOJOT, of others to /healthz.
    for name in ("httpx", "websockets"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        settings = RelaySettings()
    except ValidationError as error:
        for problem in error.errors():
            variable = f"ELETROPOSTO_{problem['loc'][0]}".upper()
            print(f"relay: {variable}: {problem['msg']}", file=sys.stderr)
        return 2
    run(settings)
    logger.info("stopped")
    return 0
