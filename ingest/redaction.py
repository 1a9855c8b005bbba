"""Frames as they are kept: byte for byte, but for secrets that may be in them. Pure.

``told`` are secrets that left us on this socket: a charge point may repeat them in an answer.
``hide_secrets`` of the database follows the same names for commands that still wait.
"""

import json
import operator
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from typing import Any

from ocpp.v16.enums import ConfigurationKey

from ingest.frames import Call, CallError, CallResult, call_text, result_text

HIDDEN = "***"
_SECRET = r"pin(?!g)|pass|pwd|psk|auth|key|secret|token|credential"
_SECRET_NAME = re.compile(_SECRET, re.IGNORECASE)
# What follows the ? of an address is a signature as often as not.
_QUERY_OF_ADDRESS = re.compile(r"(?<=\?)[^\s#]+")
_ADDRESSES = {"location", "remoteLocation"}
# Names of the standard that only sound like secrets: they switch things on and off.
_STANDARD = {str(key.value).lower() for key in ConfigurationKey} - {"authorizationkey"}
# And fields of its messages that only sound like it.
_FIELDS = {
    "configurationkey",
    "issuerkeyhash",
    "key",
    "localauthorizationlist",
    "publickey",
    "unknownkey",
}
# The same in a text that is no JSON, or only nearly: "FtpPwd": "..", "key":"ApiToken","value":"..",
# password=.. Whatever the text is, each of them looks at a character only so many times.
_STRING = r'"(?:[^"\\]|\\.)*"?'
_FIELD_IN_TEXT = re.compile(r'("(?P<name>[^"\\]{1,100})"\s*:\s*)(' + _STRING + r"|[\d.+-]+)")
_PAIR_IN_TEXT = re.compile(
    r'("(?:key|name)"\s*:\s*"(?P<name>[^"\\]{1,100})"[^{}]{0,200}?"value"\s*:\s*)' + _STRING,
    re.IGNORECASE,
)
_ASSIGNED_IN_TEXT = re.compile(
    r"((?:pass|pwd|psk|secret|token|credential)[\w-]{0,20}\s{0,3}[=:]\s{0,3})[^\s\"&;,]+",
    re.IGNORECASE,
)
_WORD = re.compile(r'[^\s"]+')
_SHORTEST_ECHO = 4  # what is shorter stands in too many texts by chance
_LONGEST_TEXT = 1000  # of an error; the standard allows 255 characters
# What they may hold is fixed by the standard, and no secrets: nearly all frames are of these.
_HARMLESS = {
    "Authorize",
    "BootNotification",
    "DiagnosticsStatusNotification",
    "FirmwareStatusNotification",
    "Heartbeat",
    "LogStatusNotification",
    "MeterValues",
    "SignCertificate",
    "SignedFirmwareStatusNotification",
    "StartTransaction",
    "StatusNotification",
    "StopTransaction",
}


def shown_call(call: Call, raw: str, told: Collection[str]) -> str:
    """Return the text of a charge point's CALL."""
    if call.action in _HARMLESS:
        return raw
    shown = without_secrets(call.payload)
    if shown is not call.payload:
        raw = call_text(call.message_id, call.action, shown)
    return without_echo(raw, told)


def shown_result(result: CallResult, raw: str, told: Collection[str]) -> str:
    """Return the text of an answer."""
    shown = without_secrets(result.payload)
    if shown is not result.payload:
        raw = result_text(result.message_id, shown)
    return without_echo(raw, told)


def shown_error(error: CallError, told: Collection[str]) -> CallError:
    """Return a CALLERROR, for the log and for whoever asked."""
    return replace(
        error,
        code=shown_text(error.code[:_LONGEST_TEXT], told),
        description=shown_text(error.description[:_LONGEST_TEXT], told),
        details=without_secrets(error.details),
    )


def shown_text(raw: str, told: Collection[str]) -> str:
    """Return a text of any form."""
    return without_echo(text_without_secrets(raw), told)


def is_secret(name: str) -> bool:
    """Return whether a configuration key of this name may hold a secret."""
    return bool(_SECRET_NAME.search(name)) and name.strip().lower() not in _STANDARD


def without_secrets(payload: Any) -> Any:
    """Return the payload with what may be a secret replaced, by name or as part of an address.

    The same object comes back where there was nothing to replace.
    """
    match payload:
        case {"key": str(name)} | {"name": str(name)} if is_secret(name):
            return _replaced(payload, _hide_value)
        case dict():
            return _replaced(payload, _field)
        case str():
            return _text(payload)
    return _in_list(payload, without_secrets)


def text_without_secrets(text: str) -> str:
    """Return a text of any form, a frame that could not be read for one, without its secrets."""
    text = _PAIR_IN_TEXT.sub(_shown_if_harmless, text)
    text = _FIELD_IN_TEXT.sub(_shown_if_harmless_field, text)
    text = _ASSIGNED_IN_TEXT.sub(rf"\g<1>{HIDDEN}", text)
    return _without_users(text)


def secrets_in(payload: Any) -> set[str]:
    """Return the texts that ``without_secrets`` takes out, for answers that repeat them."""
    return set(_differences(payload, without_secrets(payload)))


def without_echo(text: str, secrets: Iterable[str]) -> str:
    """Return the text without secrets that were told before."""
    for secret in secrets:
        if secret in text:
            text = text.replace(secret, HIDDEN)
    return text


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
    if name in _ADDRESSES:
        return _address(value)
    if _is_secret_field(name):
        return _beneath(value)
    return without_secrets(value)


def _is_secret_field(name: str) -> bool:
    return is_secret(name) and name.strip().lower() not in _FIELDS


def _beneath(value: Any) -> Any:
    """Hide everything that a field with the name of a secret has, but for what says nothing."""
    if isinstance(value, dict):
        return _replaced(value, lambda _, inner: _beneath(inner))
    if isinstance(value, list):
        return _in_list(value, _beneath)
    return value if value in (None, "", HIDDEN) or isinstance(value, bool) else HIDDEN


def _text(value: str) -> str:
    """Take secrets out of a text: JSON within JSON, users of addresses, ``password=...``."""
    if value[:1] in ("{", "[") and ("://" in value or _SECRET_NAME.search(value)):
        try:
            told = json.loads(value)
        except (ValueError, RecursionError):
            return text_without_secrets(value)
        shown = without_secrets(told)
        return value if shown is told else json.dumps(shown, ensure_ascii=False)
    value = _without_users(value)
    if "=" in value or ":" in value:
        value = _same(value, _ASSIGNED_IN_TEXT.sub(rf"\g<1>{HIDDEN}", value))
    return value


def _without_users(text: str) -> str:
    """Hide user and password of the addresses in a text."""
    if "://" not in text or "@" not in text:
        return text
    return _same(text, _WORD.sub(lambda word: _without_user(word[0]), text))


def _without_user(word: str) -> str:
    """Hide what stands before the last @: a password may hold an @, a slash, a question mark."""
    scheme, mark, rest = word.partition("://")
    _, at, host = rest.rpartition("@")
    return f"{scheme}{mark}{HIDDEN}@{host}" if at else word


def _same(value: str, shown: str) -> str:
    return value if shown == value else shown


def _address(value: Any) -> Any:
    if not isinstance(value, str):
        return _in_list(value, _address)
    return _same(value, _QUERY_OF_ADDRESS.sub(HIDDEN, _without_users(value)))


def _shown_if_harmless(found: re.Match[str]) -> str:
    return f'{found[1]}"{HIDDEN}"' if is_secret(found["name"]) else found[0]


def _shown_if_harmless_field(found: re.Match[str]) -> str:
    return f'{found[1]}"{HIDDEN}"' if _is_secret_field(found["name"]) else found[0]


def _differences(told: Any, shown: Any) -> Iterable[str]:
    if told is shown:
        return
    if isinstance(told, dict) and isinstance(shown, dict):
        for name, value in told.items():
            yield from _differences(value, shown[name])
    elif isinstance(told, list) and isinstance(shown, list):
        for one, other in zip(told, shown, strict=True):
            yield from _differences(one, other)
    elif isinstance(told, str) and len(told) >= _SHORTEST_ECHO:
        yield told
