"""OCPP-J frames: text in, a typed frame out, and answers back to text. Pure.

The reader is lenient: what can be understood is, and what cannot still names the message it
would answer, so that a charge point never waits for a frame we did not like (OCPP-J 1.6 4.2).
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import orjson

CALL, CALL_RESULT, CALL_ERROR = 2, 3, 4
# What is done to a frame beyond it is done in a thread, since others need the loop meanwhile.
LARGE = 64 * 1024

# What a frame that is not JSON may still tell: its type and its id.
_TYPE_AND_ID = re.compile(r'\s*\[\s*([234])\s*,\s*"([^"\\]{1,255})"')
_ESCAPED_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
# Deeper frames mean nothing in OCPP, and what we write (JSON within JSON) must end before the
# 254 levels that the encoder allows.
_DEEPEST = 64


@dataclass(frozen=True, slots=True)
class Call:
    message_id: str
    action: str
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class CallResult:
    message_id: str
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class CallError:
    message_id: str
    code: str
    description: str = ""
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A frame that carries no usable message.

    Attributes:
        message_id: The id to answer with FormationViolation; None when the frame is not
            recognisably a CALL, and so is owed no answer. A number stays a number.
        answers: The id of our CALL that this malformed answer belongs to, if any.
    """

    reason: str
    message_id: str | int | float | None = None
    answers: str | None = None


Frame: TypeAlias = Call | CallResult | CallError | Unreadable


def read_frame(raw: bytes) -> Frame:
    """Return the message in one websocket frame; never raises."""
    try:
        message = _parse(raw)
    except (ValueError, RecursionError) as exc:
        deep = isinstance(exc, RecursionError)
        return _unreadable("nested too deeply" if deep else f"not JSON: {exc}", raw)
    if not isinstance(message, list) or not message:
        return Unreadable("not a JSON array with a message type")
    if (message_type := message[0]) == CALL and len(message) >= 4:
        message_id, action, payload = message[1:4]
        if isinstance(message_id, str) and message_id and isinstance(action, str):
            if isinstance(payload, dict):
                return Call(message_id, action, payload)
            if payload is None:
                return Call(message_id, action, {})
    return _read_rest(message_type, message)


def clean(raw: bytes) -> str:
    """Return the text of a frame as the raw log can hold it.

    PostgreSQL stores no NUL character, and jsonb no escaped one. Bytes that are no UTF-8 become
    the replacement character.
    """
    text = raw.decode("utf-8", "replace")
    if "\x00" in text or "\\u0000" in text:
        text = _ESCAPED_NUL.sub(r"\1", text.replace("\x00", ""))
        if "\\u0000" in text:  # what stood around one made another: that could go on for ever
            text = _ESCAPED_NUL.sub(r"\1\\ufffd", text)
    return text


def result_text(message_id: str, payload: dict[str, Any]) -> str:
    """Return the CALLRESULT frame."""
    return orjson.dumps([CALL_RESULT, message_id, payload]).decode()


def error_text(message_id: str | int | float, code: str, description: str) -> str:
    """Return the CALLERROR frame; all five elements are mandatory (OCPP-J 1.6 4.2.3)."""
    return orjson.dumps([CALL_ERROR, message_id, code, description[:255], {}]).decode()


def call_text(message_id: str, action: str, payload: dict[str, Any]) -> str:
    """Return the CALL frame."""
    return orjson.dumps([CALL, message_id, action, payload]).decode()


def _parse(raw: bytes) -> Any:
    """Return the JSON value, or raise ValueError or RecursionError."""
    try:
        message = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return _parse_leniently(raw)
    # Few brackets cannot nest deeply: nearly every frame is spared the walk.
    if raw.count(b"[") + raw.count(b"{") > _DEEPEST:
        _check_depth(message, _DEEPEST)
    return message


def _parse_leniently(raw: bytes) -> Any:
    """Read what the strict parser refuses: control characters, NaN, lone surrogates, a BOM."""
    text = raw.decode("utf-8", "replace").replace("\x00", "").lstrip("\ufeff")
    message = json.loads(text, strict=False, parse_constant=str, parse_int=_read_whole)
    _check_depth(message, _DEEPEST)
    return _without_surrogates(message)


def _unreadable(reason: str, raw: bytes) -> Unreadable:
    """Return what a frame beyond parsing still tells: whom to answer, or which CALL it ends."""
    found = _TYPE_AND_ID.match(raw[:1024].decode("utf-8", "replace").lstrip("\ufeff"))
    if found is None:
        return Unreadable(reason)
    if found.group(1) == "2":
        return Unreadable(reason, message_id=found.group(2))
    return Unreadable(reason, answers=found.group(2))


def _read_whole(digits: str) -> int | float:
    """Read a whole number as the strict parser does: what 64 bits cannot hold becomes a float."""
    number = int(digits) if len(digits) <= 20 else 2**64
    return number if -(2**63) <= number < 2**64 else float(digits)


def _check_depth(value: Any, levels: int) -> None:
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list):
        return
    if levels == 0:
        raise RecursionError
    for item in value:
        _check_depth(item, levels - 1)


def _without_surrogates(value: Any) -> Any:
    """Return the value with half characters replaced: no UTF-8 text can hold them."""
    match value:
        case str():
            return value.encode("utf-8", "replace").decode()
        case list():
            return [_without_surrogates(item) for item in value]
        case dict():
            return {
                _without_surrogates(key): _without_surrogates(item) for key, item in value.items()
            }
    return value


def _read_rest(message_type: Any, message: list[Any]) -> Frame:
    """Read answers, and name what is wrong with a CALL."""
    match message_type:
        case 2:
            return _broken_call(message)
        case 3:
            return _read_result(message)
        case 4:
            return _read_error(message)
    return Unreadable(f"message type {message_type!r:.40} is not 2, 3 or 4")


def _broken_call(message: list[Any]) -> Unreadable:
    message_id = message[1] if len(message) > 1 else None
    if isinstance(message_id, int | float) and not isinstance(message_id, bool):
        return Unreadable(f"message id {message_id!r} is a number, not text", message_id)
    if not isinstance(message_id, str):
        # Nothing to echo, yet a CALL is owed an answer: later OCPP-J uses -1 for this.
        return Unreadable(f"message id {message_id!r:.40} is not text", "-1")
    if not message_id:
        return Unreadable("the message id is empty", message_id)
    if len(message) < 4:
        return Unreadable(f"a CALL has 4 elements, not {len(message)}", message_id)
    if not isinstance(message[2], str):
        return Unreadable(f"action {message[2]!r:.40} is not text", message_id)
    return Unreadable(f"payload is {type(message[3]).__name__}, not an object", message_id)


def _read_result(message: list[Any]) -> Frame:
    if len(message) < 2 or not isinstance(message[1], str):
        return Unreadable("a CALLRESULT without an id")
    if len(message) < 3:
        return Unreadable("a CALLRESULT without a payload", answers=message[1])
    if message[2] is None or isinstance(message[2], dict):
        return CallResult(message[1], message[2] or {})
    return Unreadable("the payload of a CALLRESULT is not an object", answers=message[1])


def _read_error(message: list[Any]) -> Frame:
    if len(message) < 2 or not isinstance(message[1], str):
        return Unreadable("a CALLERROR without an id")
    code, description, details = [*message[2:5], None, None, None][:3]
    return CallError(
        message[1],
        code if isinstance(code, str) and code else "GenericError",
        description if isinstance(description, str) else "",
        details if isinstance(details, dict) else {},
    )
