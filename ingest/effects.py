"""What the answer to a command brings about, written down beside the answer."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import psycopg
from cryptography.x509 import load_pem_x509_certificate
from psycopg import AsyncConnection

import sql
from ingest.actions import InvalidPayload, UnknownAction, action_named, check
from ingest.certificate_authority import hash_data
from ingest.credentials import hash_password

logger = logging.getLogger(__name__)

_QUERIES = sql.load("ingest")
_REFUSED = {"Rejected", "NotSupported"}


@dataclass(frozen=True, slots=True)
class Command:
    """A CALL on its way; ``payload`` still has its secrets, the table's copy has not."""

    command_id: int
    charge_point_id: int
    action: str
    payload: dict[str, Any]
    message_id: str
    requested_by: str
    remaining_s: float
    new_password_hash: str | None = None


def new_key(command: Command) -> str | None:
    """Return the AuthorizationKey, in hex digits, that a command sets; None: it sets none."""
    try:
        payload = check(action_named(command.action), command.payload)
    except (InvalidPayload, UnknownAction):
        return None  # it will not leave
    name = payload.get("key")
    is_key = isinstance(name, str) and name.strip().lower() == "authorizationkey"
    return str(payload["value"]) if is_key else None


async def expect_new_password(conn: AsyncConnection, command: Command) -> Command:
    """Accept a new AuthorizationKey before it leaves, and the old one until it was used.

    The answer may be lost after the charge point took the key: it would be locked out.
    """
    if (key := new_key(command)) is None:
        return command
    hashed = await asyncio.to_thread(hash_password, key)
    await conn.execute(
        _QUERIES["expect_new_password"],
        {"charge_point_id": command.charge_point_id, "password_hash": hashed},
    )
    return replace(command, new_password_hash=hashed)


async def record_effect(conn: AsyncConnection, command: Command, response: dict[str, Any]) -> None:
    """Write down what a CALLRESULT means; one that cannot be understood is noted, not raised."""
    try:
        async with conn.transaction():
            if (prepare := _WITH_MORE.get(command.action)) is not None:
                await prepare(conn, command, response)
            for name in _EFFECTS.get(command.action, ()):
                await conn.execute(_QUERIES[name], {"command_id": command.command_id})
    except (psycopg.DataError, psycopg.IntegrityError) as exc:
        note = f"its effect is not known: {str(exc).splitlines()[0]}"
        logger.warning("command %d: %s", command.command_id, note)
        await conn.execute(
            _QUERIES["note_lost_effect"], {"command_id": command.command_id, "note": note}
        )


async def _forget_new_password(
    conn: AsyncConnection, command: Command, response: dict[str, Any]
) -> None:
    """A key that was refused counts no more; whatever else was said, it may be in use."""
    if command.new_password_hash is None or response.get("status") not in _REFUSED:
        return
    await conn.execute(
        _QUERIES["forget_new_password"],
        {
            "charge_point_id": command.charge_point_id,
            "password_hash": command.new_password_hash,
        },
    )


async def _install_certificate(
    conn: AsyncConnection, command: Command, response: dict[str, Any]
) -> None:
    try:
        certificate = load_pem_x509_certificate(command.payload["certificate"].encode())
    except ValueError:
        return  # the charge point took something else than a certificate
    parameters = {
        "command_id": command.command_id,
        "subject": certificate.subject.rfc4514_string(),
        **hash_data(certificate),
    }
    await conn.execute(_QUERIES["effect_of_install_certificate"], parameters)


_WITH_MORE: dict[str, Callable[[AsyncConnection, Command, dict[str, Any]], Awaitable[None]]] = {
    "ChangeConfiguration": _forget_new_password,
    "InstallCertificate": _install_certificate,
}
_EFFECTS = {
    "CancelReservation": ["effect_of_cancel_reservation"],
    "ChangeAvailability": ["effect_of_change_availability"],
    "ChangeConfiguration": ["effect_of_change_configuration"],
    "ClearChargingProfile": ["effect_of_clear_charging_profile"],
    "DeleteCertificate": ["effect_of_delete_certificate"],
    "GetConfiguration": ["effect_of_get_configuration"],
    "GetInstalledCertificateIds": [
        "effect_of_get_installed_certificate_ids_gone",
        "effect_of_get_installed_certificate_ids",
    ],
    "GetLocalListVersion": ["effect_of_get_local_list_version"],
    "RemoteStartTransaction": ["effect_of_charging_profile_replaced", "effect_of_charging_profile"],
    "ReserveNow": ["effect_of_reserve_now"],
    "SendLocalList": [
        "effect_of_send_local_list",
        "effect_of_send_local_list_removals",
        "effect_of_send_local_list_entries",
    ],
    "SetChargingProfile": ["effect_of_charging_profile_replaced", "effect_of_charging_profile"],
}
