"""TimescaleDB and Mosquitto without docker and without installing anything into the system."""

from testbench.embedded.errors import EmbeddedUnavailable
from testbench.embedded.mosquitto import EmbeddedMosquitto
from testbench.embedded.postgres import EmbeddedPostgres

__all__ = ["EmbeddedMosquitto", "EmbeddedPostgres", "EmbeddedUnavailable"]
