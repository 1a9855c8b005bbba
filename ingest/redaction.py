"""Secrets in what charge points and we tell each other, taken out before anything is kept. Pure."""

import re
from typing import Any

from ocpp.v16.enums import ConfigurationKey

HIDDEN = "***"
_SECRET_NAME = re.compile(r"pin(?!g)|pass|auth|key|secret|token|credential", re.IGNORECASE)
_USER_OF_ADDRESS = re.compile(r"(?<=://)[^/@\s]*@")
_ADDRESSES = {"location", "remoteLocation"}
# Names of the standard that only sound like secrets: they switch things on and off.
_STANDARD = {str(key.value).lower() for key in ConfigurationKey} - {"authorizationkey"}


def is_secret(name: str) -> bool:
    """Return whether a configuration key of this name may hold a secret."""
    return name.strip().lower() not in _STANDARD and bool(_SECRET_NAME.search(name))


def without_secrets(payload: Any) -> Any:
    """Return the payload with values of secret keys and passwords in addresses replaced.

    The same object comes back where there was nothing to replace.
    """
    match payload:
        case {"key": str(name), "value": value} if is_secret(name) and value not in (None, ""):
            return {**payload, "value": HIDDEN}
        case dict():
            cleaned = {name: _field(name, value) for name, value in payload.items()}
            changed = any(cleaned[name] is not value for name, value in payload.items())
            return cleaned if changed else payload
        case list():
            items = [without_secrets(item) for item in payload]
            changed = any(one is not other for one, other in zip(items, payload, strict=True))
            return items if changed else payload
    return payload


def _field(name: str, value: Any) -> Any:
    if name in _ADDRESSES and isinstance(value, str):
        hidden = _USER_OF_ADDRESS.sub(f"{HIDDEN}@", value)
        return value if hidden == value else hidden
    return without_secrets(value)
