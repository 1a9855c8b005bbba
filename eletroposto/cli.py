"""The command line. It composes the rooms; each is imported only when its command runs."""

import os
import sys
from importlib import import_module
from typing import Annotated

import typer

from eletroposto import database, operate

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Collects, reconciles and presents the data of EV charging stations.",
)
app.add_typer(database.app, name="db", help="The database: start, stop, migrate.")
app.command("send")(operate.send)
app.add_typer(
    operate.charge_point_app,
    name="charge-point",
    help="Charge points: add, list, set, approve, refuse.",
)
app.add_typer(operate.id_tag_app, name="id-tag", help="Who may charge: add, list.")
app.add_typer(operate.vehicle_app, name="vehicle", help="Vehicles behind tags: add, list, remove.")


@app.command()
def ingest() -> None:
    """Run the OCPP central system (settings: ELETROPOSTO_* variables)."""
    database.use_embedded_if_running()
    sys.exit(import_module("ingest.__main__").main())


@app.command()
def relay() -> None:
    """Run the relay that hands every committed reading to DOJOT."""
    database.use_embedded_if_running()
    sys.exit(import_module("ingest.relay.__main__").main())


@app.command()
def dashboard(
    port: Annotated[int, typer.Option(help="Port of the web page.")] = 8501,
    host: Annotated[
        str, typer.Option(help="Address; other than loopback needs sign-in.")
    ] = "127.0.0.1",
) -> None:
    """Serve the dashboard."""
    database.use_embedded_if_running()
    import_module("dashboard.launch").main(port=port, host=host)


@app.command()
def demo(
    days: Annotated[
        int | None, typer.Option(min=1, max=365, help="Days of sessions to replay first.")
    ] = None,
    fresh: Annotated[bool, typer.Option(help="Forget what earlier demos stored.")] = False,
) -> None:
    """Run everything on this machine, with a simulated bench: 30 days, then live.

    Ports and further settings are ELETROPOSTO_DEMO_* variables: docs/settings.md.
    """
    sys.exit(import_module("testbench.demo").main(days=days, fresh=fresh))


@app.command()
def doctor() -> None:
    """Say what this machine has, what it lacks, and what to do about it."""
    sys.exit(import_module("eletroposto.doctor").main())


def _mount(name: str, module: str, help_text: str) -> None:
    """Mount a room's own commands, imported only when their name is on the command line."""
    if name in sys.argv[1:2]:
        if name != "testbench":
            database.use_embedded_if_running()
        app.add_typer(import_module(module).app, name=name, help=help_text)
        return

    @app.command(name=name, help=help_text)
    def _placeholder() -> None:
        raise AssertionError("mounted above")


def main() -> None:
    """Entry point of ``eletroposto``."""
    os.environ.setdefault("ELETROPOSTO_LOG_LEVEL", "INFO")
    _mount("flows", "eletroposto.rebuild", "The Prefect flows: serve them, or run one.")
    _mount("testbench", "testbench.commands", "The simulated bench and its parts.")
    app()
