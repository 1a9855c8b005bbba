"""Single fields as charge points really send them, coerced to what the standard meant. Pure."""

import json
import re
from typing import Any

# What the column holds. Connectors are numbered from 1, yet some send the keys of their database;
# beyond it a connector id is noise, not a connector.
LARGEST_CONNECTOR_ID = 2**15 - 1
LONGEST_ID_TAG = 20  # OCPP 1.6 7.28; a charge point may well present a longer one
LONGEST_KEY = 255  # what is indexed must fit an index; the raw log has the whole
_LARGEST_INT = 2**63 - 1
# Beyond it a number is noise too, and products of two would overflow the database's arithmetic.
_LARGEST_FLOAT = 1e19
_SMALLEST_FLOAT = 1e-19
LARGEST_REGISTER = 2.0**53  # beyond it a double has no single Wh: differences are noise
_NOTHING = {"", "null", "none"}
_WHOLE = re.compile(r"[+-]?\d{1,19}(?:\.0+)?")


def read_text(value: Any) -> str | None:
    """Return the trimmed text; None for absent, blank, and the literals ``null`` and ``None``.

    What is no text becomes JSON.
    """
    if value is None:
        return None
    text = (value if isinstance(value, str) else to_json(value)).strip()
    return None if text.lower() in _NOTHING else text


def read_key(value: Any) -> str | None:
    """Return the text as ``read_text`` does, cut to what an index can hold."""
    text = read_text(value)
    return text[:LONGEST_KEY] if text else None


def read_int(value: Any) -> int | None:
    """Return the whole number, also of a text; None when there is none in 64 bits."""
    if isinstance(value, str):
        text = value.strip()
        value = int(text.partition(".")[0]) if _WHOLE.fullmatch(text) else None
    elif isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if -_LARGEST_INT <= value <= _LARGEST_INT else None


def read_float(value: Any) -> float | None:
    """Return the number, also of a text with blanks or a decimal comma.

    None for what is no number, not finite, or beyond 1e19; next to nothing becomes 0.
    """
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return _read_decimal_comma(value)
    if _SMALLEST_FLOAT < (size := abs(number)) <= _LARGEST_FLOAT:
        return number
    return 0.0 if size <= _SMALLEST_FLOAT else None  # NaN is not either


def read_register(value: Any) -> float | None:
    """Return an energy register; None beyond what can be counted in single Wh."""
    number = read_float(value)
    return number if number is not None and abs(number) <= LARGEST_REGISTER else None


def _read_decimal_comma(value: Any) -> float | None:
    if isinstance(value, str) and value.count(",") == 1 and "." not in value:
        return read_float(value.replace(",", "."))
    return None


def read_connector_id(value: Any) -> int | None:
    """Return a connector id from 0 to ``LARGEST_CONNECTOR_ID``; None when it is none."""
    number = read_int(value)
    return number if number is not None and 0 <= number <= LARGEST_CONNECTOR_ID else None


def read_transaction_id(value: Any) -> int | None:
    """Return a transaction id that can name a transaction: from 1 up (1.6 errata v4, 3.18)."""
    number = read_int(value)
    return number if number is not None and number >= 1 else None


def read_small_int(value: Any) -> int | None:
    """Return the number if it is one of the standard's 32-bit integers."""
    number = read_int(value)
    return number if number is not None and -(2**31) <= number < 2**31 else None


def as_list(value: Any) -> list[Any]:
    """Return the list; a lone object becomes a list of one, nothing an empty one."""
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


def choose(text: str | None, choices: dict[str, str]) -> str | None:
    """Return the standard's spelling of an enumeration value, whatever its case; else None."""
    return None if text is None else choices.get(text.lower())


def choose_or_keep(text: str | None, choices: dict[str, str]) -> str | None:
    """Return the standard's spelling, or the text itself where it is none of the standard's."""
    return None if text is None else choices.get(text.lower(), text)


def to_json(value: Any) -> str:
    """Return the JSON text of anything that came as JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
