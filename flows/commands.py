"""``eletroposto flows``: run a flow now, or serve all of them on their schedules."""

import logging
import os
import sys
from typing import Annotated, Any, NoReturn

import psycopg
import typer

from flows.scope import Scope, ScopeError, read_moment
from flows.settings import QUIET_PREFECT, Settings, SettingsError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Compute sessions, energy, availability and the rest.",
)


@app.command()
def serve() -> None:
    """Serve every flow on its schedule; needs a Prefect server in PREFECT_API_URL."""
    settings = _settings()
    _quieten()
    if not os.environ.get("PREFECT_API_URL"):
        _refuse("PREFECT_API_URL is not set: start `prefect server start` and point it there")
    from flows.serve import serve_all

    serve_all(settings.parallel_runs)


@app.command()
def run(
    name: Annotated[str, typer.Argument(help="update, sessions, ... (see `flows names`)")],
    start: Annotated[str | None, typer.Option(help="2026-11-01, local time")] = None,
    end: Annotated[str | None, typer.Option(help="exclusive")] = None,
    charge_point: Annotated[list[str] | None, typer.Option(help="may be repeated")] = None,
    dry_run: Annotated[bool, typer.Option(help="compute, keep nothing")] = False,
    force: Annotated[bool, typer.Option(help="also what did not change, or all")] = False,
) -> None:
    """Run a flow now: what is new, or the window from --start to --end.

    Exit code 0: done; 1: failed, or a threshold is broken; 2: the request makes no sense.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    settings = _settings()
    try:
        moments = [read_moment(text) if text else None for text in (start, end)]
        scope = Scope.read(moments[0], moments[1], charge_point, dry_run, force)
    except ScopeError as exc:
        _refuse(str(exc))
    if os.environ.get("PREFECT_API_URL") or (name == "backfill" and settings.dask is not None):
        _run_in_prefect(name, scope)
    else:
        _run_here(settings, name, scope)


@app.command()
def names() -> None:
    """List the flows."""
    from flows import catalogue

    print("\n".join(catalogue.names()))


def _run_here(settings: Settings, name: str, scope: Scope) -> None:
    from flows.catalogue import carry_out
    from flows.runs import ThresholdBroken

    _check_name(name)
    try:
        for part, outcome in carry_out(settings, name, scope):
            counts = ", ".join(f"{kind} {count}" for kind, count in outcome.counts.items())
            print(f"{part:<16} {outcome.verdict}  ({counts})")
    except ThresholdBroken as exc:
        _fail(name, str(exc))
    except ScopeError as exc:
        _refuse(str(exc))
    except psycopg.OperationalError as exc:
        _fail(name, f"{_what_failed(exc)}: {exc}")


def _what_failed(exc: psycopg.OperationalError) -> str:
    if exc.sqlstate is None:
        return "no database"
    if isinstance(exc, psycopg.errors.DiskFull):
        return "the disk of the database is full"
    return "the database could not do it"


def _run_in_prefect(name: str, scope: Scope) -> None:
    _check_name(name)
    _quieten()
    from flows.catalogue import check
    from flows.serve import find

    try:
        check(name, scope)
        the_flow: Any = find(name)
    except (ScopeError, SettingsError) as exc:
        _refuse(str(exc))
    state = the_flow(
        start=scope.start,
        end=scope.end,
        charge_points=list(scope.charge_points) or None,
        dry_run=scope.dry_run,
        force=scope.force,
        return_state=True,
    )
    if not state.is_completed():
        _fail(name, state.message or state.name)


def _check_name(name: str) -> None:
    from flows import catalogue

    if name not in catalogue.names():
        _refuse(f"no flow {name!r}; there are: {', '.join(catalogue.names())}")


def _settings() -> Settings:
    try:
        return Settings.from_env(os.environ)
    except SettingsError as exc:
        _refuse(str(exc))


def _quieten() -> None:
    for variable, value in QUIET_PREFECT.items():
        os.environ.setdefault(variable, value)


def _refuse(message: str) -> NoReturn:
    print(f"eletroposto flows: {message}", file=sys.stderr)
    raise typer.Exit(2)


def _fail(name: str, message: str) -> NoReturn:
    print(f"eletroposto flows: {name}: {message}", file=sys.stderr)
    raise typer.Exit(1)
