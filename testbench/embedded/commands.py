"""The persistent server of this machine, for the command line and the demo."""

from testbench.embedded import host
from testbench.embedded.postgres import EmbeddedPostgres


def default_server() -> EmbeddedPostgres:
    return EmbeddedPostgres(host.data_folder() / "postgres")


def demo_server() -> EmbeddedPostgres:
    """The demo's own; it ends with the demo, yet is as durable as a real one."""
    return EmbeddedPostgres(host.demo_folder() / "postgres", ephemeral=True, durable=True)


def up() -> str:
    """Start the server unless it runs, and return the URL of its database."""
    return default_server().start().url()


def down() -> None:
    default_server().stop()
