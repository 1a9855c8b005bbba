"""``eletroposto doctor``: what this machine has, what it lacks, and what to do about it."""

import os
import resource
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

import httpx
import psycopg
from pydantic_settings import BaseSettings

from eletroposto import database
from flows.settings import Settings as FlowSettings
from flows.settings import SettingsError
from ingest.relay.settings import RelaySettings
from ingest.settings import BadSettings, Settings, from_environment
from sql import migrations
from testbench.demo.settings import CannotStart
from testbench.demo.settings import read_settings as read_demo_settings
from testbench.embedded import host

_OLDEST_PYTHON = (3, 11)
_FEW_FILES = 4096
_WAIT_S = 3.0
_FEW_LOCKS = 256
_ANY_URL = "postgresql:///"
_ROLES = [f"eletroposto_{room}" for room in ("dashboard", "flows", "ingest", "operator")]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: ``note`` may be left as it is, ``missing`` keeps something from working."""

    what: str
    level: Literal["ok", "note", "missing"]
    text: str


Check = Callable[[], Iterator[Finding]]
Unfit = (BadSettings, CannotStart, SettingsError)  # what each room says of settings that do not fit


def _central_system() -> Settings:
    return from_environment(Settings, **_some_database())


def _relay() -> RelaySettings:
    return from_environment(RelaySettings, **_some_database())


def _flows() -> None:
    FlowSettings.from_env(os.environ | {"ELETROPOSTO_DATABASE_URL": _ANY_URL})


def _some_database() -> dict[str, str]:
    """The database is looked at by itself, and a machine may have none."""
    return {} if os.environ.get("ELETROPOSTO_DATABASE_URL") else {"database_url": _ANY_URL}


_PORTS: tuple[tuple[Callable[[], BaseSettings], dict[str, str]], ...] = (
    (_central_system, {"ocpp_port": "chargers", "health_port": "metrics of ingest"}),
    (_relay, {"relay_health_port": "metrics of the relay"}),
    (read_demo_settings, {"dashboard_port": "the dashboard", "prefect_port": "Prefect"}),
)


def main() -> int:
    """Print what was found; the exit code is 1 if something that is needed is missing."""
    findings = [finding for check in _CHECKS for finding in check()]
    for finding in findings:
        print(f"{finding.level:<8} {finding.what:<12} {finding.text}")
    return int(any(finding.level == "missing" for finding in findings))


def check_python() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < _OLDEST_PYTHON:
        yield Finding("python", "missing", f"{version}; install 3.11 or newer")
    else:
        yield Finding("python", "ok", version)


def check_embedded() -> Iterator[Finding]:
    """The database and broker of demo and tests."""
    from testbench.embedded import runtime

    if runtime.is_installed():
        yield Finding("embedded", "ok", f"TimescaleDB and Mosquitto are in {runtime.root()}")
        return
    lacking = [tool for tool in ("apt-get", "apt-cache", "dpkg-deb") if not shutil.which(tool)]
    if sys.platform != "linux" or lacking:
        cause = f"no {', '.join(lacking)}" if lacking else sys.platform
        advice = f"{cause}: for the demo and the tests use docker compose, or Debian"
        yield Finding("embedded", "note", advice)
    else:
        yield Finding("embedded", "ok", "will be fetched at the first use, about 40 MB")


def check_chromium() -> Iterator[Finding]:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found or shutil.which("google-chrome"):
        yield Finding("chromium", "ok", found or "google-chrome")
    else:
        yield Finding(
            "chromium", "note", "not found; only screenshots and tests in a browser need it"
        )


def check_file_descriptors() -> Iterator[Finding]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < _FEW_FILES:
        advice = f"at most {hard}: each charger takes one; raise `ulimit -Hn` for more than that"
        yield Finding("open files", "note", advice)
    else:
        limit = "unlimited" if hard == resource.RLIM_INFINITY else str(hard)
        yield Finding("open files", "ok", f"{soft}, may be raised to {limit}")


def check_settings() -> Iterator[Finding]:
    complaints: dict[str, str] = {}  # by variable: several programs may read it
    for read in (_central_system, _relay, _flows, read_demo_settings):
        try:
            read()
        except Unfit as exc:
            lines = str(exc).splitlines()
            complaints = {line.partition("=")[0]: line for line in lines} | complaints
    for complaint in complaints.values():
        yield Finding("settings", "missing", complaint)
    if not complaints:
        yield Finding("settings", "ok", "all can be read")


def check_ports() -> Iterator[Finding]:
    taken = [
        f"{port} ({purpose}; {variable})"
        for variable, port, purpose in _ports()
        if not host.is_free(port)
    ]
    if taken:
        advice = "by eletroposto itself, or else change the variable"
        yield Finding("ports", "note", f"taken: {', '.join(taken)}: {advice}")
    else:
        yield Finding("ports", "ok", "all free")


def _ports() -> Iterator[tuple[str, int, str]]:
    """Variable, number and purpose of each port whose settings fit."""
    for read, purposes in _PORTS:
        try:
            settings = read()
        except Unfit:
            continue
        for name, purpose in purposes.items():
            variable = f"{settings.model_config['env_prefix']}{name}".upper()
            yield variable, getattr(settings, name), purpose


def check_database() -> Iterator[Finding]:
    database.use_embedded_if_running()
    if not (url := os.environ.get("ELETROPOSTO_DATABASE_URL")):
        advice = "none; `eletroposto db up` starts one, or set ELETROPOSTO_DATABASE_URL"
        yield Finding("database", "note", advice)
        return
    try:
        with psycopg.connect(url, connect_timeout=int(_WAIT_S)) as connection:
            yield from _look_at(connection)
            yield from _check_locks(connection)
            yield from _check_roles(connection)
        yield from _check_schema(url)
    except psycopg.Error as exc:
        cause = " ".join(str(exc).split())
        yield Finding("database", "missing", f"ELETROPOSTO_DATABASE_URL does not answer: {cause}")


def _look_at(connection: psycopg.Connection) -> Iterator[Finding]:
    row = connection.execute(
        "SELECT current_setting('server_version'), current_setting('timescaledb.license', true),"
        " (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb')"
    ).fetchone()
    assert row is not None
    version, licence, extension = row
    if licence is None:
        advice = (
            "is not loaded: set shared_preload_libraries = 'timescaledb', or use another server"
        )
        yield Finding("database", "missing", f"PostgreSQL {version}, but TimescaleDB {advice}")
        return
    edition = {"timescale": "community", "apache": "Apache"}.get(licence, licence)
    text = f"PostgreSQL {version}, TimescaleDB {extension or 'not created yet'}, {edition} edition"
    yield Finding("database", "ok", text)


def _check_locks(connection: psycopg.Connection) -> Iterator[Finding]:
    row = connection.execute("SHOW max_locks_per_transaction").fetchone()
    assert row is not None
    if int(row[0]) < _FEW_LOCKS:
        advice = "a query locks each chunk and index it touches; set 512 and restart the server"
        yield Finding("locks", "note", f"max_locks_per_transaction is {row[0]}: {advice}")
    else:
        yield Finding("locks", "ok", f"max_locks_per_transaction is {row[0]}")


def _check_roles(connection: psycopg.Connection) -> Iterator[Finding]:
    """A restored database may have lost them: they belong to the server."""
    row = connection.execute(
        "SELECT array_agg(name ORDER BY name) FILTER (WHERE rol.oid IS NULL),"
        " to_regclass('eletroposto_migration') IS NULL"
        " FROM unnest(%s::name[]) AS wanted (name) LEFT JOIN pg_roles AS rol ON rolname = name",
        [_ROLES],
    ).fetchone()
    assert row is not None
    lacking, is_new = row
    if is_new:
        return
    if lacking:
        advice = "restore them with `pg_dumpall --roles-only` (docs/operations.md)"
        yield Finding("roles", "missing", f"{', '.join(lacking)}: {advice}")
        return
    row = connection.execute(
        "SELECT pg_has_role('eletroposto_operator', 'eletroposto_dashboard', 'USAGE')"
    ).fetchone()
    if row == (False,):
        advice = "GRANT eletroposto_dashboard TO eletroposto_operator"
        yield Finding("roles", "missing", f"operators cannot read the pages: {advice}")
    else:
        yield Finding("roles", "ok", "all there")


def _check_schema(url: str) -> Iterator[Finding]:
    try:
        lacking = migrations.pending(url)
    except migrations.MigrationError as exc:
        yield Finding("schema", "missing", str(exc))
        return
    if lacking:
        advice = f"lacks {len(lacking)} migrations; run `eletroposto db migrate`"
        yield Finding("schema", "missing", advice)
    else:
        yield Finding("schema", "ok", "up to date")


def check_dojot() -> Iterator[Finding]:
    try:
        settings = _relay()
    except BadSettings:
        return
    if not settings.dojot_url:
        yield Finding("dojot", "ok", "ELETROPOSTO_DOJOT_URL is not set: nothing is relayed")
        return
    yield _check_gateway(settings)
    address = settings.dojot_mqtt
    try:
        socket.create_connection(settings.mqtt_address, _WAIT_S).close()
        yield Finding("dojot mqtt", "ok", address)
    except (OSError, ValueError) as exc:
        yield Finding("dojot mqtt", "missing", f"ELETROPOSTO_DOJOT_MQTT={address}: {exc}")


def _check_gateway(settings: RelaySettings) -> Finding:
    url, password = settings.dojot_url, settings.dojot_password.get_secret_value()
    login = {"username": settings.dojot_user, "passwd": password}
    try:
        answer = httpx.post(f"{url}/auth", json=login, timeout=_WAIT_S, trust_env=False)
    except (httpx.TransportError, httpx.InvalidURL) as exc:
        where = urlsplit(url).netloc or url
        return Finding("dojot", "missing", f"{where} does not answer: {exc}")
    if answer.is_success:
        return Finding("dojot", "ok", f"login of {login['username']} accepted")
    advice = "check ELETROPOSTO_DOJOT_USER and ELETROPOSTO_DOJOT_PASSWORD"
    return Finding("dojot", "missing", f"login answered {answer.status_code}: {advice}")


_CHECKS: tuple[Check, ...] = (
    check_python,
    check_embedded,
    check_chromium,
    check_file_descriptors,
    check_settings,
    check_ports,
    check_database,
    check_dojot,
)
