"""Single fields as charge points really send them, coerced to what the standard meant. Pure."""

import math
import re
from typing import Any

MOST_CONNECTORS = 99  # beyond it a connector id is noise, not a connector
_LARGEST = 2**63 - 1
_NOTHING = {"", "null", "none"}
_WHOLE = re.compile(r"[+-]?\d{1,19}(?:\.0+)?$")


def read_text(value: Any) -> str | None:
    """Return the trimmed text; None for absent, blank, and the literals ``null`` and ``None``."""
    if value is None:
        return None
    text = value if isinstance(value, str) else str(value)
    if "\x00" in text:
        text = text.replace("\x00", "")
    text = text.strip()
    return None if text.lower() in _NOTHING else text


def read_int(value: Any) -> int | None:
    """Return the whole number, also of a text; None when there is none in 64 bits."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        if not _WHOLE.match(value.strip()):
            return None
        value = int(value.strip().split(".")[0])
    if isinstance(value, float):
        if not value.is_integer():
            return None
        value = int(value)
    return value if isinstance(value, int) and -_LARGEST <= value <= _LARGEST else None


def read_float(value: Any) -> float | None:
    """Return the finite number, also of a text with blanks or a decimal comma; else None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        text = value.strip()
        if "," in text and "." not in text and text.count(",") == 1:
            text = text.replace(",", ".")
        # float() also reads "1_000" and "infinity"; no meter means those.
        value = text if text and "_" not in text else None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def read_connector_id(value: Any) -> int | None:
    """Return a connector id from 0 to ``MOST_CONNECTORS``; None when it is none."""
    number = read_int(value)
    return number if number is not None and 0 <= number <= MOST_CONNECTORS else None


def read_transaction_id(value: Any) -> int | None:
    """Return a transaction id that can name a transaction: from 1 up (1.6 errata v4, 3.18)."""
    number = read_int(value)
    return number if number is not None and number >= 1 else None


def as_list(value: Any) -> list[Any]:
    """Return the list; a lone object becomes a list of one, nothing an empty one."""
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


def choose(value: Any, known: dict[str, str]) -> str | None:
    """Return the standard's spelling of an enumeration value, whatever its case; else None."""
    text = read_text(value)
    return None if text is None else known.get(text.lower())
