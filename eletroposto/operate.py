"""What operators do from a shell: send a command, register charge points and id_tags."""

import getpass
import json
import math
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn
from urllib.parse import quote
from zoneinfo import available_timezones

import psycopg
import typer
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

import sql
from eletroposto.database import require_url

charge_point_app = typer.Typer(no_args_is_help=True)
id_tag_app = typer.Typer(no_args_is_help=True)
vehicle_app = typer.Typer(no_args_is_help=True)

_QUERIES = sql.load("eletroposto")
_GRACE_S = 6.0  # the central system looks for expired commands every few seconds
_LONGEST_TIMEOUT_S = 86_400
_SHORTEST_KEY, _LONGEST_KEY = 16, 20
# Statuses of an answer that say yes. All others of the standard say no, in so many words.
_YES = {"Accepted", "AcceptedCanceled", "RebootRequired", "Scheduled", "Unlocked"}

Identity = Annotated[str, typer.Argument(metavar="CHARGE_POINT", help="Its identity.")]
Tag = Annotated[str, typer.Argument(help="As the reader reads it; case does not matter.")]


class TagStatus(StrEnum):
    """OCPP 1.6 7.2, but for ConcurrentTx, which is found out when it happens."""

    ACCEPTED = "Accepted"
    BLOCKED = "Blocked"
    EXPIRED = "Expired"
    INVALID = "Invalid"


class CurrentType(StrEnum):
    AC = "AC"
    DC = "DC"


# ---------------------------------------------------------------- commands


def send(
    charge_point: Identity,
    action: Annotated[
        str, typer.Argument(metavar="ACTION", help="An action of OCPP 1.6, in any case.")
    ],
    payload: Annotated[
        str, typer.Argument(metavar="[JSON]", help="Its payload; - reads it from standard input.")
    ] = "{}",
    timeout: Annotated[
        float,
        typer.Option(
            help="Seconds to wait for the answer, at most 120; a day with --wait, 120 of it for the"
            " answer."
        ),
    ] = 30.0,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for a charge point that is not connected.")
    ] = False,
) -> None:
    """Send a CALL and print the answer as JSON: exit 0 answered, 1 refused or failed, 2 usage."""
    name, body = _checked(action, payload)
    _require_timeout(timeout, wait=wait)
    with _connected() as conn:
        _require_connected(conn, charge_point, or_later=wait)
        conn.execute("LISTEN eletroposto_answer")
        row = conn.execute(
            _QUERIES["queue_command"],
            {
                "identity": charge_point,
                "action": name,
                "payload": Jsonb(body),
                "who": _who(),
                "seconds": math.ceil(timeout),
            },
        ).fetchone()
        assert row is not None
        _show(name, charge_point, _await_answer(conn, row["queue_command"], timeout))


def _checked(action: str, payload: str) -> tuple[str, dict[str, Any]]:
    """Return the action as the standard writes it and a payload that suits it, or exit 2."""
    from ingest.actions import InvalidPayload, UnknownAction, action_named, check

    text = sys.stdin.read() if payload == "-" else payload
    try:
        name = action_named(action)
        body = json.loads(text)
        if not isinstance(body, dict):
            _misused(f"the payload is {type(body).__name__}, not an object: {text:.80}")
        return name, check(name, body)
    except json.JSONDecodeError as exc:
        _misused(f"the payload is not JSON: {exc}: {text:.80}")
    except (InvalidPayload, UnknownAction) as exc:
        _misused(str(exc))


def _require_timeout(timeout_s: float, *, wait: bool) -> None:
    from ingest.calls import LONGEST_WAIT_S

    longest_s = _LONGEST_TIMEOUT_S if wait else LONGEST_WAIT_S
    if not 0 < timeout_s <= longest_s:
        _misused(f"--timeout {timeout_s:g}: more than 0 and at most {longest_s:g} seconds")


def _require_connected(conn: psycopg.Connection[Any], identity: str, *, or_later: bool) -> None:
    found = conn.execute(_QUERIES["find_charge_point"], {"identity": identity}).fetchone()
    if found is None:
        _failed(f"unknown charge point {identity!r}")
    if found["registration"] != "registered":
        _failed(f"{identity} is {found['registration']}, it may not connect")
    if not (found["is_online"] or or_later):
        _failed(f"{identity} is offline")


def _await_answer(
    conn: psycopg.Connection[Any], command_id: int, timeout_s: float
) -> dict[str, Any]:
    """Return the command once it is finished, or as it is when nobody finishes it."""
    give_up = time.monotonic() + timeout_s + _GRACE_S
    while True:
        found = conn.execute(_QUERIES["find_answer"], {"command_id": command_id}).fetchone()
        assert found is not None
        remaining_s = give_up - time.monotonic()
        if found["finished_at"] is not None or remaining_s <= 0:
            return dict(found)
        for notice in conn.notifies(timeout=min(remaining_s, 1.0), stop_after=1):
            if notice.payload == str(command_id):
                break


def _show(action: str, identity: str, command: dict[str, Any]) -> None:
    match command:
        case {"status": "answered", "response": response}:
            typer.echo(json.dumps(response, ensure_ascii=False))
            status = response.get("status", _status_not_given(action))
            if status in _YES:
                return
            failure = f"refused: {status}"
        case {"status": "expired", "error_description": reason}:
            failure = f"expired: {reason or 'no central system took the command'}"
        case {"status": "failed", "error_code": code, "error_description": reason}:
            failure = f"{code}: {reason}" if reason else str(code)
        case {"status": status}:
            failure = f"no answer in time, the command is {status}"
    _failed(f"{action} to {identity}: {failure}")


def _status_not_given(action: str) -> str:
    from ingest.actions import ANSWERED_WITHOUT_STATUS

    return "Accepted" if action in ANSWERED_WITHOUT_STATUS else "the answer has no status"


# ---------------------------------------------------------------- charge points


@charge_point_app.command("add")
def add_charge_point(
    charge_point: Identity,
    password: Annotated[
        str | None,
        typer.Option(help="Its AuthorizationKey, for all who can list processes to see."),
    ] = None,
    password_file: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="A file with its AuthorizationKey, text or hex; - asks."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="The name to show.")] = None,
    site: Annotated[str | None, typer.Option(help="Where it stands, in words.")] = None,
    latitude: Annotated[float | None, typer.Option(min=-90, max=90)] = None,
    longitude: Annotated[float | None, typer.Option(min=-180, max=180)] = None,
    time_zone: Annotated[
        str | None, typer.Option(help="Of times it sends without a zone, such as America/Belem.")
    ] = None,
    rated_power_w: Annotated[
        float | None, typer.Option(min=1, help="Rated power of its connectors, in W.")
    ] = None,
    security_profile: Annotated[
        int | None, typer.Option(min=0, max=3, help="The lowest one to accept from now on.")
    ] = None,
    approve: Annotated[
        bool, typer.Option("--approve", help="Also one that was refused before.")
    ] = False,
) -> None:
    """Register a charge point, or change what is given of one that is known."""
    _require_identity(charge_point)
    if time_zone is not None and time_zone not in available_timezones():
        _misused(f"--time-zone {time_zone!r}: no such zone")
    hashed = _hashed(password, password_file)
    given = {
        "identity": charge_point,
        "name": name,
        "site": site,
        "latitude": latitude,
        "longitude": longitude,
        "time_zone": time_zone,
        "security_profile": security_profile,
        "approve": approve,
    }
    with _connected() as conn, conn.transaction():
        row = conn.execute(
            _QUERIES["add_charge_point"], {**given, "password_hash": hashed}
        ).fetchone()
        assert row is not None
        if rated_power_w is not None:
            rating = {"charge_point_id": row["charge_point_id"], "rated_power_w": rated_power_w}
            conn.execute(_QUERIES["rate_connectors"], rating)
        details = {**given, "rated_power_w": rated_power_w, "password": hashed is not None}
        _note(conn, "add_charge_point", charge_point, details)
    typer.echo(f"{charge_point}: {row['registration']}")


def _require_identity(text: str) -> None:
    """Ask the door how it would read this at the end of an address."""
    from ingest.central_system import read_identity

    if read_identity("/" + quote(text, errors="replace")) != text:
        _misused(
            f"{text!r:.80} can be no identity: it ends the address of the websocket, is printable,"
            " and has no blank at either end"
        )


@charge_point_app.command("list")
def list_charge_points() -> None:
    """List charge points, those that wait for approval first."""
    with _connected() as conn:
        _print_table(conn.execute(_QUERIES["list_charge_points"]).fetchall())


@charge_point_app.command("approve")
def approve_charge_point(charge_point: Identity) -> None:
    """Let a charge point in that knocked."""
    _decide(charge_point, "registered")


@charge_point_app.command("refuse")
def refuse_charge_point(charge_point: Identity) -> None:
    """Keep a charge point out; if it is connected it is disconnected."""
    _decide(charge_point, "refused")


def _decide(identity: str, decision: str) -> None:
    parameters = {"identity": identity, "decision": decision, "who": _who()}
    with _connected() as conn:
        conn.execute(_QUERIES["decide_registration"], parameters)
    typer.echo(f"{identity}: {decision}")


@charge_point_app.command("set")
def set_charge_point(
    charge_point: Identity,
    energy_factor: Annotated[
        float | None,
        typer.Option(help="Multiplies its energy readings: 1000 if it labels kWh as Wh."),
    ] = None,
    connector: Annotated[
        int | None, typer.Option(min=1, help="The connector the next two speak of.")
    ] = None,
    current_type: Annotated[CurrentType | None, typer.Option(case_sensitive=False)] = None,
    rated_power_w: Annotated[
        float | None, typer.Option(min=1, help="Rated power of the connector, in W.")
    ] = None,
) -> None:
    """Say what a charge point does not tell. Its sessions are computed anew at the next run."""
    about_connector = current_type is not None or rated_power_w is not None
    if about_connector != (connector is not None):
        _misused("--connector goes with --current-type or --rated-power-w")
    if energy_factor is None and connector is None:
        _misused("nothing to set")
    if energy_factor is not None and not 0 < energy_factor < math.inf:
        _misused(f"--energy-factor {energy_factor:g}: more than 0")
    said = {"identity": charge_point, "who": _who()}
    with _connected() as conn, conn.transaction():
        if energy_factor is not None:
            conn.execute(_QUERIES["set_energy_factor"], {**said, "energy_factor": energy_factor})
        if connector is not None:
            about = {"current_type": current_type, "rated_power_w": rated_power_w}
            conn.execute(_QUERIES["set_connector"], {**said, "connector_id": connector, **about})
    typer.echo(f"{charge_point}: set")


def _hashed(password: str | None, password_file: str | None) -> str | None:
    if password is not None and password_file is not None:
        _misused("--password and --password-file: one of them")
    if password_file is not None:
        password = _read_password(password_file)
    if password is None:
        return None
    from ingest.credentials import hash_password, key_of

    if not password:
        _misused("--password is empty" if password_file is None else "the password is empty")
    if not _SHORTEST_KEY <= len(key_of(password.encode())) <= _LONGEST_KEY:
        typer.echo(
            f"note: an AuthorizationKey has {_SHORTEST_KEY} to {_LONGEST_KEY} bytes; charge points"
            " may not take this one",
            err=True,
        )
    return hash_password(password)


def _read_password(path: str) -> str:
    """Read a password from a file, from standard input (-), or without an echo from a person."""
    try:
        if path != "-":
            return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
        if sys.stdin.isatty():
            return getpass.getpass("AuthorizationKey: ")
        return sys.stdin.readline().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as exc:
        _misused(f"--password-file {path}: {exc}")


# ---------------------------------------------------------------- id_tags


@id_tag_app.command("add")
def add_id_tag(
    tag: Tag,
    status: Annotated[TagStatus, typer.Option(case_sensitive=False)] = TagStatus.ACCEPTED,
    expiry: Annotated[
        str | None, typer.Option(help="When it ends: ISO 8601, UTC where no zone is given.")
    ] = None,
    parent: Annotated[str | None, typer.Option(help="The tag of its group.")] = None,
    max_active: Annotated[
        int | None, typer.Option(min=0, help="Most transactions at one time.")
    ] = None,
    alias: Annotated[str | None, typer.Option(help="The name to show in its place.")] = None,
) -> None:
    """Add an id_tag, or replace what is known of it."""
    from ingest.fields import LONGEST_ID_TAG

    if not tag.strip():
        _misused("the tag is empty")
    parameters = {
        "id_tag": tag,
        "status": status.value,
        "expiry_at": _instant(expiry),
        "parent_id_tag": parent,
        "max_active": max_active,
        "alias": alias,
        "who": _who(),
    }
    with _connected() as conn:
        conn.execute(_QUERIES["save_id_tag"], parameters)
    typer.echo(f"{tag.strip()}: {status.value}")
    if len(tag.strip()) > LONGEST_ID_TAG:
        typer.echo("longer than 20 characters: no charge point can be sent this tag", err=True)
    if parent and len(parent.strip()) > LONGEST_ID_TAG:
        typer.echo("a parent longer than 20 characters is not told to charge points", err=True)


@id_tag_app.command("list")
def list_id_tags() -> None:
    """List id_tags."""
    with _connected() as conn:
        _print_table(conn.execute(_QUERIES["list_id_tags"]).fetchall())


def _instant(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        _misused(f"--expiry {text!r}: no time, such as 2027-01-31 or 2027-01-31T18:00:00-03:00")
    return at if at.tzinfo else at.replace(tzinfo=UTC)


# ---------------------------------------------------------------- vehicles


@vehicle_app.command("add")
def add_vehicle(
    tag: Tag,
    name: Annotated[str | None, typer.Option(help="The name to show.")] = None,
    capacity_kwh: Annotated[
        float | None, typer.Option(help="What its battery can use, in kWh.")
    ] = None,
    consumption_kwh_per_km: Annotated[float | None, typer.Option(help="In kWh per km.")] = None,
) -> None:
    """Say which vehicle a tag stands for, or replace what is known of it."""
    for option, value in (
        ("--capacity-kwh", capacity_kwh),
        ("--consumption-kwh-per-km", consumption_kwh_per_km),
    ):
        if value is not None and not 0 < value < math.inf:
            _misused(f"{option} {value:g}: more than 0")
    parameters = {
        "id_tag": tag,
        "name": name,
        "usable_capacity_wh": None if capacity_kwh is None else capacity_kwh * 1000,
        "consumption_wh_per_km": (
            None if consumption_kwh_per_km is None else consumption_kwh_per_km * 1000
        ),
        "who": _who(),
    }
    with _connected() as conn:
        conn.execute(_QUERIES["save_vehicle"], parameters)
    typer.echo(f"{tag.strip()}: {name or 'saved'}")


@vehicle_app.command("list")
def list_vehicles() -> None:
    """List the vehicles behind tags."""
    with _connected() as conn:
        _print_table(conn.execute(_QUERIES["list_vehicles"]).fetchall())


@vehicle_app.command("remove")
def remove_vehicle(tag: Tag) -> None:
    """Forget the vehicle behind a tag."""
    with _connected() as conn:
        row = conn.execute(_QUERIES["remove_vehicle"], {"id_tag": tag, "who": _who()}).fetchone()
    if row is None or not row["remove_vehicle"]:
        _failed(f"no vehicle behind {tag.strip()!r}")
    typer.echo(f"{tag.strip()}: removed")


# ---------------------------------------------------------------- around them


@contextmanager
def _connected() -> Iterator[psycopg.Connection[dict[str, Any]]]:
    """Connect; what the database refuses ends the program with its sentence."""
    try:
        with psycopg.connect(
            require_url(), autocommit=True, row_factory=dict_row, connect_timeout=10
        ) as conn:
            yield conn
    except psycopg.Error as exc:
        _failed(exc.diag.message_primary or str(exc).strip())


def _note(conn: psycopg.Connection[Any], what: str, subject: str, details: dict[str, Any]) -> None:
    told = {name: value for name, value in details.items() if value is not None}
    parameters = {"who": _who(), "what": what, "subject": subject, "details": Jsonb(told)}
    conn.execute(_QUERIES["note_change"], parameters)


def _who() -> str:
    """Name the user of this shell, for the record."""
    try:
        return f"{getpass.getuser()} (command line)"
    except (KeyError, OSError):  # a user without a name
        return "command line"


def _failed(sentence: str) -> NoReturn:
    typer.echo(f"eletroposto: {sentence}", err=True)
    raise typer.Exit(1)


def _misused(sentence: str) -> NoReturn:
    typer.echo(f"eletroposto: {sentence}", err=True)
    raise typer.Exit(2)


def _print_table(rows: Sequence[dict[str, Any]]) -> None:
    """Print aligned columns; unknown is an empty cell."""
    if not rows:
        typer.echo("none")
        return
    lines = [list(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        typer.echo("  ".join(cells).rstrip())


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone().isoformat(sep=" ", timespec="seconds")
    return str(value)
