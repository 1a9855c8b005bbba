"""``eletroposto db``: a private TimescaleDB for this machine, and the schema of any."""

import os
import sys
from typing import Annotated

import psycopg
import typer
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from sql import migrations

app = typer.Typer(no_args_is_help=True)

_VARIABLE = "ELETROPOSTO_DATABASE_URL"


def use_embedded_if_running() -> None:
    """Where no URL is set, use the embedded server of this machine if it runs, else the demo's."""
    if os.environ.get(_VARIABLE):
        return
    from testbench.embedded.commands import default_server, demo_server

    if (server := default_server()).pid is not None:
        os.environ[_VARIABLE] = server.url()
    elif (server := demo_server()).pid is not None:
        typer.echo("using the database of the running demo", err=True)
        os.environ[_VARIABLE] = server.url()


def require_url() -> str:
    """Return the database's URL, or end the program saying how to get one."""
    use_embedded_if_running()
    if url := os.environ.get(_VARIABLE):
        return url
    typer.echo(f"{_VARIABLE} is not set; `eletroposto db up` starts a database here", err=True)
    raise typer.Exit(2)


@app.command()
def up() -> None:
    """Start the embedded TimescaleDB, bring its schema up to date, print its URL."""
    from testbench.embedded import commands
    from testbench.embedded.errors import EmbeddedUnavailable

    try:
        url = commands.up()
    except EmbeddedUnavailable as exc:
        typer.echo(f"eletroposto db up: {exc}", err=True)
        raise typer.Exit(1) from None
    _migrate(url)
    typer.echo(url)


@app.command()
def down() -> None:
    """Stop the embedded TimescaleDB; its data stay."""
    from testbench.embedded import commands

    commands.down()


@app.command()
def status() -> None:
    """Say whether the database answers and what its schema lacks."""
    url = require_url()
    try:
        missing = migrations.pending(url)
    except (psycopg.Error, migrations.MigrationError) as exc:
        typer.echo(f"{_without_password(url)}: {exc}", err=True)
        raise typer.Exit(1) from None
    schema = f"lacks {', '.join(missing)}" if missing else "is up to date"
    typer.echo(f"{_without_password(url)}: answers, the schema {schema}")


@app.command()
def migrate() -> None:
    """Apply the migrations that are missing."""
    _migrate(require_url())


@app.command()
def dsn(
    password: Annotated[bool, typer.Option(help="Show the password, if there is one.")] = False,
) -> None:
    """Print the URL in use."""
    url = require_url()
    secret = conninfo_to_dict(url).get("password") and not password
    typer.echo(_without_password(url) if secret else url)


def _migrate(url: str) -> None:
    try:
        applied = migrations.migrate(url)
    except (psycopg.Error, migrations.MigrationError) as exc:
        typer.echo(f"eletroposto db: {exc}", err=True)
        raise typer.Exit(1) from None
    for name in applied:
        print(f"applied {name}", file=sys.stderr)


def _without_password(url: str) -> str:
    """Return the connection settings in the other form of libpq, the password left out."""
    parts = {**conninfo_to_dict(url), "password": None}
    return make_conninfo("", **parts)
