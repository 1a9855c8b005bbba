"""Keys of charge points: hashed slowly at rest, checked quickly on the second time. Pure.

OCPP security whitepaper, profile 1: user ``<identity>``, password the AuthorizationKey of 16 to 20
bytes. It is set as up to 40 hex digits but may travel as the raw bytes: both are understood.
"""

import base64
import binascii
import hashlib
import hmac
import os
import re
from dataclasses import dataclass, field

_SCRYPT = {"n": 2**13, "r": 8, "p": 1}
_HEX_KEY = re.compile(rb"(?:[0-9a-fA-F]{2}){16,20}$")


def hash_password(password: str) -> str:
    """Return the hash to store for a password or a key in hex digits."""
    salt = os.urandom(16)
    digest = hashlib.scrypt(key_of(password.encode()), salt=salt, dklen=32, **_SCRYPT)
    return f"scrypt${salt.hex()}${digest.hex()}"


def check_password(given: bytes, stored: str) -> bool:
    """Compare in constant time; takes some milliseconds on purpose."""
    _, salt, digest = stored.split("$")
    candidate = hashlib.scrypt(key_of(given), salt=bytes.fromhex(salt), dklen=32, **_SCRYPT)
    return hmac.compare_digest(candidate, bytes.fromhex(digest))


def read_basic(header: str | None) -> tuple[bytes, bytes] | None:
    """Return user and password of a Basic ``Authorization`` header, as bytes; None: not one."""
    scheme, _, value = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    text = value.strip().rstrip("=")  # some leave out what only fills it up
    try:
        decoded = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    user, colon, password = decoded.partition(b":")
    return (user, password) if colon else None


@dataclass(slots=True)
class Checked:
    """Remembers which passwords were right, so that a reconnect storm costs no slow hash each.

    What it keeps is useless outside this process: a keyed digest, with a key made at start.
    """

    _key: bytes = field(default_factory=lambda: os.urandom(32))
    _right: dict[str, bytes] = field(default_factory=dict)

    def knows(self, given: bytes, stored: str) -> bool:
        seen = self._right.get(stored)
        return seen is not None and hmac.compare_digest(seen, self._digest(given))

    def learn(self, given: bytes, stored: str) -> None:
        self._right[stored] = self._digest(given)

    def _digest(self, given: bytes) -> bytes:
        return hashlib.blake2b(given, key=self._key, digest_size=32).digest()


def quick_digest(pepper: bytes, identity: str, stored: str, given: bytes) -> str:
    """Return what proves ``given`` to whoever holds the pepper, once the slow hash has.

    It is bound to the slow hash: another one, or another pepper, and it proves nothing.
    """
    parts = (identity.encode(), stored.encode(), key_of(given))
    told = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return f"hmac-sha256${hmac.digest(pepper, told, 'sha256').hex()}"


def key_of(password: bytes) -> bytes:
    """Return the key's bytes, also when it is written in hex digits."""
    return bytes.fromhex(password.decode()) if _HEX_KEY.match(password) else password
