"""Local users: a file of names, roles and slow hashes; and the token of a signed-in browser.

A line of the file: ``name:role:hash``. Make one with ``python -m dashboard.users NAME ROLE``.
"""

import base64
import getpass
import hashlib
import hmac
import os
import secrets
import sys
from functools import cache, lru_cache
from pathlib import Path

from dashboard.visitor import ROLES, Role

_N, _R, _P = 2**14, 8, 1
# Checked where the name is unknown, so that both take equally long.
_NOBODY = "scrypt:AAAAAAAAAAAAAAAAAAAAAA==:" + base64.b64encode(bytes(32)).decode()


class UsersFileError(RuntimeError):
    """The file of users cannot be read; the message names the line."""


def check(path: str, name: str, password: str) -> Role | None:
    """The role of a user whose password this is; None otherwise."""
    role, known = read(path).get(name, (None, _NOBODY))
    matches = _matches(password[:1000], known)
    return role if matches else None


def read(path: str) -> dict[str, tuple[Role, str]]:
    """Users by name, as the file has them now.

    Raises:
        UsersFileError: If the file is missing or a line is not name:role:hash.
    """
    try:
        changed = os.stat(path)
        return _read(path, changed.st_mtime_ns, changed.st_size, changed.st_ino)
    except OSError as exc:
        raise UsersFileError(f"cannot read the users of the dashboard: {exc}") from exc


@lru_cache(maxsize=4)
def _read(path: str, *state: int) -> dict[str, tuple[Role, str]]:
    """Every run of a page asks; the numbers tell one state of the file from another."""
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    users: dict[str, tuple[Role, str]] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, rest = line.strip().partition(":")
        role, _, hashed = rest.partition(":")
        if not name or role not in ROLES or not hashed.startswith("scrypt:"):
            raise UsersFileError(f"{path}, line {number}: expected name:role:hash")
        users[name] = (role, hashed)
    return users


def line(name: str, role: Role, password: str) -> str:
    """A line for the file of users."""
    if ":" in name or not name.strip():
        raise ValueError(f"not a name for a user: {name!r}")
    salt = secrets.token_bytes(16)
    parts = (base64.b64encode(part).decode() for part in (salt, _scrypt(password, salt)))
    return ":".join([name, role, "scrypt", *parts])


def make_token(path: str, name: str, until: float) -> str:
    """What a signed-in browser keeps: who, until when, and our seal on both."""
    text = base64.urlsafe_b64encode(f"{int(until)}:{name}".encode()).decode()
    return f"{text}.{_seal(text, read(path)[name][1])}"


def read_token(path: str, token: str, now: float) -> tuple[str, Role] | None:
    """Name and present role; None if not ours, too old, or the user or password is gone."""
    text, _, seal = token.partition(".")
    try:
        until, _, name = base64.urlsafe_b64decode(text).decode().partition(":")
    except ValueError:
        return None
    role, hashed = read(path).get(name, (None, ""))
    if role is None or not hmac.compare_digest(seal.encode(), _seal(text, hashed).encode()):
        return None
    return (name, role) if float(until) > now else None


@cache
def secret() -> bytes:
    """The key of the seals: shared by setting it, or else new with every start."""
    given = os.environ.get("ELETROPOSTO_DASHBOARD_SECRET", "")
    return given.encode() if given else secrets.token_bytes(32)


def _seal(text: str, hashed: str) -> str:
    """A new password breaks the seals made under the old one."""
    return hmac.new(secret(), f"{text}.{hashed}".encode(), hashlib.sha256).hexdigest()


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=_N, r=_R, p=_P, dklen=32)


def _matches(password: str, hashed: str) -> bool:
    _, salt, digest = hashed.split(":")
    found = _scrypt(password, base64.b64decode(salt))
    return hmac.compare_digest(found, base64.b64decode(digest))


def _main() -> None:
    if len(sys.argv) != 3 or sys.argv[2] not in ROLES:
        sys.exit(f"usage: python -m dashboard.users NAME {'|'.join(ROLES)}")
    print(line(sys.argv[1], sys.argv[2], getpass.getpass("password: ")))


if __name__ == "__main__":
    _main()
