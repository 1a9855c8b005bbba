"""Secrets in what charge points and we tell each other, taken out before anything is kept. Pure."""

import operator
import re
from collections.abc import Callable
from typing import Any

from ocpp.v16.enums import ConfigurationKey

HIDDEN = "***"
_SECRET_NAME = re.compile(r"pin(?!g)|pass|auth|key|secret|token|credential", re.IGNORECASE)
# To the last @: a password may hold an @, a slash, a question mark. What follows the ? is a
# signature as often as not.
_USER_OF_ADDRESS = re.compile(r"(?<=://)\S*@")
_QUERY_OF_ADDRESS = re.compile(r"(?<=\?)[^\s#]+")
_ADDRESSES = {"location", "remoteLocation"}
# Names of the standard that only sound like secrets: they switch things on and off.
_STANDARD = {str(key.value).lower() for key in ConfigurationKey} - {"authorizationkey"}


def is_secret(name: str) -> bool:
    """Return whether a configuration key of this name may hold a secret."""
    return name.strip().lower() not in _STANDARD and bool(_SECRET_NAME.search(name))


def without_secrets(payload: Any) -> Any:
    """Return the payload with values of secret keys, and secrets in addresses, replaced.

    The same object comes back where there was nothing to replace.
    """
    match payload:
        case {"key": str(name)} if is_secret(name):
            return _replaced(payload, _hide_value)
        case dict():
            return _replaced(payload, _field)
    return _in_list(payload, without_secrets)


def _replaced(payload: dict[str, Any], show: Callable[[str, Any], Any]) -> dict[str, Any]:
    cleaned = {name: show(name, value) for name, value in payload.items()}
    changed = any(cleaned[name] is not value for name, value in payload.items())
    return cleaned if changed else payload


def _in_list(value: Any, show: Callable[[Any], Any]) -> Any:
    if not isinstance(value, list):
        return value
    items = [show(item) for item in value]
    return items if any(map(operator.is_not, items, value)) else value


def _hide_value(name: str, value: Any) -> Any:
    is_told = name.strip().lower() == "value" and value not in (None, "")
    return HIDDEN if is_told else value


def _field(name: str, value: Any) -> Any:
    return _address(value) if name in _ADDRESSES else without_secrets(value)


def _address(value: Any) -> Any:
    if not isinstance(value, str):
        return _in_list(value, _address)
    hidden = _QUERY_OF_ADDRESS.sub(HIDDEN, _USER_OF_ADDRESS.sub(f"{HIDDEN}@", value))
    return value if hidden == value else hidden
