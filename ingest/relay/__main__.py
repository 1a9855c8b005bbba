"""``python -m ingest.relay``: the process of the relay, its limits, signals, log and exit code."""

import logging
import sys

import uvloop

from ingest.process import raise_file_limit, start_logging, stop_signals
from ingest.relay.relay import Relay
from ingest.relay.settings import RelaySettings
from ingest.settings import BadSettings, from_environment

logger = logging.getLogger("ingest.relay")


async def _relay(settings: RelaySettings) -> None:
    if not settings.dojot_url:
        logger.warning("ELETROPOSTO_DOJOT_URL is empty: there is nothing to relay to")
        return
    raise_file_limit()
    await Relay(settings).run(stop_signals())


def main() -> int:
    """Run with the settings of the environment; the exit code is 2 if they do not fit."""
    try:
        settings = from_environment(RelaySettings)
        # Each would write a line for every request: of ours to DOJOT, of others to /healthz.
        start_logging(settings.log_level, "httpx", "websockets")
        uvloop.run(_relay(settings))
    except BadSettings as exc:
        print(f"relay: {exc}", file=sys.stderr)
        return 2
    logger.info("stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
