"""The relay: what charge points said, handed on to DOJOT. A process of its own."""

from ingest.relay.main import run, run_relay
from ingest.relay.settings import RelaySettings

__all__ = ["RelaySettings", "run", "run_relay"]
