"""The Mosquitto behind the stand-in, configured to behave like DOJOT's VerneMQ where it can.

What Mosquitto does differently is done by the proxy in front of it (proxy.py): it cannot refuse
MQTT 5, does not close the connection of a forbidden publish, grants every subscription and knows
no limit for the age of a connection.
"""

import os
import secrets
from pathlib import Path

from testbench.embedded import EmbeddedMosquitto

# No password is asked for, so the bridge's right to every topic lies in a name nobody can guess;
# the configuration of a broker that somebody else runs has to name it.
BRIDGE_USER = os.environ.get("ELETROPOSTO_STANDIN_BRIDGE") or f"bridge-{secrets.token_hex(8)}"

# "attrs/more" is accepted, though nobody reads it.
_ACL = f"""\
pattern write %u/attrs
pattern write %u/attrs/#
pattern read %u/config

user {BRIDGE_USER}
topic readwrite #
"""


class NeighbourBroker:
    """A broker of the loopback interface that somebody else runs: it lives without us."""

    def __init__(self, port: int) -> None:
        self.port = port

    def stop(self) -> None: ...

    def kill(self) -> None: ...


Broker = EmbeddedMosquitto | NeighbourBroker


def broker_in(folder: Path, port: int | None = None) -> Broker:
    """Return the broker at ``port``, or one not yet started whose files are in ``folder``."""
    return EmbeddedMosquitto(folder) if port is None else NeighbourBroker(port)


def start_broker(broker: Broker) -> None:
    if isinstance(broker, NeighbourBroker):
        return
    acl = broker.folder / "acl"
    broker.folder.mkdir(parents=True, exist_ok=True)
    broker.folder.chmod(0o755)
    acl.write_text(_ACL)
    acl.chmod(0o644)
    broker.start(
        config_lines=[
            f"acl_file {acl}",
            "max_connections -1",
            "max_inflight_messages 20",
            "max_queued_messages 10000",
            "log_type error",
            "log_type warning",
        ]
    )
