"""The relay: what charge points said, handed on to DOJOT. A process of its own."""

from ingest.relay.settings import RelaySettings

__all__ = ["RelaySettings"]
