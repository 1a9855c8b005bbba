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

# What a frame that is not JSON may still tell: that it is a CALL, and its id.
_CALL_ID = re.compile(r'^\s*\[\s*2\s*,\s*"((?:[^"\\]|\\.){1,255})"')
_ESCAPED_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
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
        message = orjson.loads(raw)
    except orjson.JSONDecodeError:
        message = _read_leniently(raw)
    if isinstance(message, Unreadable):
        return message
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


def _read_leniently(raw: bytes) -> Any:
    """Read what the strict parser refuses: control characters, NaN, lone surrogates."""
    text = raw.decode("utf-8", "replace").replace("\x00", "")
    try:
        return _without_surrogates(json.loads(text, strict=False, parse_constant=str), _DEEPEST)
    except (ValueError, RecursionError) as exc:
        found = _CALL_ID.match(text)
        reason = "nested too deeply" if isinstance(exc, RecursionError) else f"not JSON: {exc}"
        return Unreadable(reason, found.group(1) if found else None)


def _without_surrogates(value: Any, levels: int) -> Any:
    """Return the value with half characters replaced: no UTF-8 text can hold them."""
    if levels == 0:
        raise RecursionError
    match value:
        case str():
            return value.encode("utf-8", "replace").decode()
        case list():
            return [_without_surrogates(item, levels - 1) for item in value]
        case dict():
            return {
                _without_surrogates(key, levels - 1): _without_surrogates(item, levels - 1)
                for key, item in value.items()
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
    return Unreadable(f"message type {message_type!r} is not 2, 3 or 4")


def _broken_call(message: list[Any]) -> Unreadable:
    message_id = message[1] if len(message) > 1 else None
    if not isinstance(message_id, str | int | float) or isinstance(message_id, bool):
        # Nothing to echo, yet a CALL is owed an answer: -1 is the id of OCPP-J for this case.
        return Unreadable(f"message id {message_id!r} is not text", "-1")
    if not isinstance(message_id, str) or not message_id:
        return Unreadable(f"message id {message_id!r} is not text", message_id or "-1")
    if len(message) < 4:
        return Unreadable(f"a CALL has 4 elements, not {len(message)}", message_id)
    if not isinstance(message[2], str):
        return Unreadable(f"action {message[2]!r} is not text", message_id)
    return Unreadable(f"payload is {type(message[3]).__name__}, not an object", message_id)


def _read_result(message: list[Any]) -> Frame:
    if len(message) < 2 or not isinstance(message[1], str):
        return Unreadable("a CALLRESULT without an id")
    payload = message[2] if len(message) > 2 else None
    if payload is None or isinstance(payload, dict):
        return CallResult(message[1], payload or {})
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
