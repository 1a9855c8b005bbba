"""What a finding rests on, in words."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from dashboard import formats
from dashboard.i18n import Words

_NAMED = 5


def told(evidence: str, words: Words) -> str:
    """The evidence of a finding, which is JSON, as people read it; as it came where it is not."""
    try:
        facts = json.loads(evidence)
    except ValueError:
        return evidence
    if not isinstance(facts, dict):
        return evidence
    return "; ".join(_fact(name, value, words) for name, value in facts.items())


def _fact(name: str, value: Any, words: Words) -> str:
    write = _WRITERS.get(name, _plain)
    frame = words.known(f"evidence.{name}", f"{name}: {{value}}")
    return frame.replace("{value}", write(value, words))


def _plain(value: Any, _: Words) -> str:
    return str(value)


def _instant(value: Any, words: Words) -> str:
    try:
        return formats.instant(datetime.fromisoformat(value), words.language, seconds=True)
    except (TypeError, ValueError):
        return str(value)


def _length(value: Any, _: Words) -> str:
    if not isinstance(value, int | float):
        return str(value)
    return ("-" if value < 0 else "") + formats.duration(abs(value))


def _numbers(value: Any, words: Words) -> str:
    if not isinstance(value, list):
        return str(value)
    named = ", ".join(str(number) for number in value[:_NAMED])
    more = len(value) - _NAMED
    return named if more <= 0 else named + words("evidence.and_more", count=more)


_WRITERS: dict[str, Callable[[Any, Words], str]] = {
    "first_at": _instant,
    "last_at": _instant,
    "least_s": _length,
    "median_s": _length,
    "transaction_ids": _numbers,
}
