"""What becomes of a published payload between broker and history (contract section 4b). Pure."""

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

_LARGEST_SECONDS = 2147483647
_EXACT_IN_JAVASCRIPT = 2**53
_INT64 = 2**63
_EXACT_DIGITS = 17  # more are certainly beyond 2**53
_DEEPEST = 100  # levels that MongoDB nests


class Lost(ValueError):
    """The message vanishes, with nothing but a log line."""


class Poison(ValueError):
    """The persister's thread ends on this message."""


@dataclass(frozen=True, slots=True)
class DeviceData:
    """A message as the bridge hands it on.

    Attributes:
        timestamp: Epoch number as sent, not yet judged; the arrival in ms if none was usable.
    """

    tenant: str
    device_id: str
    timestamp: float
    attrs: Any


def bridge(topic: str, payload: bytes, arrived_ms: int) -> DeviceData:
    """Read a publication as the MQTT bridge does.

    Raises:
        Lost: If it is not JSON, is null, or the topic names no tenant and device.
    """
    tenant, colon, device_id = topic.removesuffix("/attrs").partition(":")
    if not colon:
        raise Lost(f"topic {topic!r} names no device")
    attrs = _parsed(payload)
    if attrs is None:
        raise Lost("null")
    timestamp: float = arrived_ms
    if isinstance(attrs, dict) and "timestamp" in attrs:
        usable = _timestamp(attrs["timestamp"])
        timestamp = arrived_ms if usable is None else usable
        attrs.pop("payload", None)  # meant to delete "timestamp": a bug others depend on
    return DeviceData(tenant, device_id, timestamp, attrs)


def _parsed(payload: bytes) -> Any:
    """What JSON.parse and JSON.stringify leave of a payload."""
    try:
        return _through_javascript(
            json.loads(payload, parse_constant=_no_constant, parse_int=_integer)
        )
    except ValueError:
        raise Lost("not JSON") from None
    except RecursionError:
        raise Lost("nested too deeply") from None


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _integer(digits: str) -> float:
    """JavaScript has one kind of number: a large integer is rounded, a huge one infinite."""
    return int(digits) if len(digits) <= _EXACT_DIGITS else float(digits)


def _timestamp(value: object) -> float | None:
    """Milliseconds (or what the sender took for them); None when it is ignored."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return value
    return _parsed_date(value) if isinstance(value, str) else None


def _parsed_date(text: str) -> float | None:
    """JavaScript's Date.parse, for the forms it documents; no zone means the image's, UTC."""
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            instant = parse(text)
            zoned = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
            return math.floor(zoned.timestamp() * 1000)
        except (ValueError, OverflowError):
            continue
    return None


def _through_javascript(value: Any) -> Any:
    """7.0 becomes 7, and what is too large for a number null."""
    if isinstance(value, float):
        if math.isinf(value):
            return None
        return int(value) if value.is_integer() and abs(value) < 1e21 else value
    if isinstance(value, int) and not isinstance(value, bool):
        return value if abs(value) <= _EXACT_IN_JAVASCRIPT else _through_javascript(float(value))
    if isinstance(value, dict):
        return {name: _through_javascript(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_through_javascript(item) for item in value]
    return value


def stored_ms(timestamp: float) -> int:
    """The instant the persister stores, in ms.

    Raises:
        Poison: If the number is no date at all.
    """
    seconds = timestamp if timestamp <= _LARGEST_SECONDS else timestamp / 1000
    try:
        datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        raise Poison(f"timestamp {timestamp!r} is out of range") from None
    if timestamp > _LARGEST_SECONDS:
        return math.floor(timestamp)
    return math.floor(round(timestamp * 1000, 3))


def check_storable(attrs: Any) -> None:
    """Raises Lost if MongoDB or the persister refuses the message."""
    if not isinstance(attrs, dict):
        raise Lost("the payload is no object")
    for name, value in attrs.items():
        _check_text(name)
        _check_value(value, 1)


def _check_value(value: Any, depth: int) -> None:
    if depth > _DEEPEST:
        raise Lost("nested too deeply")
    if isinstance(value, dict):
        for name, item in value.items():
            if "." in name or name.startswith("$"):
                raise Lost(f"nested key {name!r}")
            _check_text(name)
            _check_value(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check_value(item, depth + 1)
    elif isinstance(value, str):
        _check_text(value)
    elif isinstance(value, int) and not -_INT64 <= value < _INT64:
        raise Lost(f"{value} needs more than 64 bits")


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can spell
        raise Lost("text that is no Unicode") from None
