"""The process of the relay: its limits, signals, log and exit code."""

import asyncio
import logging
import sys

import uvloop

from ingest.process import raise_file_limit, start_logging, stop_signals
from ingest.relay.relay import Relay
from ingest.relay.settings import RelaySettings
from ingest.settings import BadSettings, from_environment

logger = logging.getLogger("ingest.relay")


async def run_relay(settings: RelaySettings, stop: asyncio.Event | None = None) -> None:
    """Relay until ``stop`` is set, or SIGINT or SIGTERM comes if none is given.

    Raises:
        BadSettings: Where it should listen, it cannot.
    """
    if not settings.dojot_url:
        logger.warning("ELETROPOSTO_DOJOT_URL is empty: there is nothing to relay to")
        return
    raise_file_limit()
    await Relay(settings).run(stop or stop_signals())


def run(settings: RelaySettings) -> None:
    """Run the relay in a loop of its own, until it is interrupted."""
    uvloop.run(run_relay(settings))


def main() -> int:
    """Run with the settings of the environment; the exit code is 2 if they do not fit."""
    try:
        settings = from_environment(RelaySettings)
        # Each would write a line for every request: of ours to DOJOT, of others to /healthz.
        start_logging(settings.log_level, "httpx", "websockets")
        run(settings)
    except BadSettings as exc:
        print(f"relay: {exc}", file=sys.stderr)
        return 2
    logger.info("stopped")
    return 0
