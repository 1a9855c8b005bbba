"""What a finding rests on, in words."""

import json
import re
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


# What the flows say of a run, which is English, by its words.
_RUNS = {
    r"(\d+) connector days in (\d+) local days": "run.connector_days",
    r"(\d+) findings in (\d+) local days": "run.findings",
    r"(\d+) sessions computed": "run.sessions",
    r"state of charge in (\d+) of (\d+) sessions": "run.soc",
    r"(\d+) files written": "run.files",
    r"(\d+) windows: (\d+) readings in the database, (\d+) in DOJOT,"
    r" (\d+) missing there, (\d+) missing here": "run.windows",
}


def run_told(message: str | None, words: Words) -> str | None:
    """What a run of a flow did; as it came where it is not one of the usual sentences."""
    for pattern, key in _RUNS.items():
        if found := re.fullmatch(pattern, message or ""):
            return words(key).format(*found.groups())
    return message


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


def _length(value: Any, words: Words) -> str:
    if not isinstance(value, int | float):
        return str(value)
    return formats.measure(value, "s", words.language)


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
