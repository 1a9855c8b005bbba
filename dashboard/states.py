"""How states look: a colour that colour-blind people can tell apart, an icon, and words."""

from dataclasses import dataclass
from typing import Literal

Badge = Literal["green", "yellow", "red", "gray", "blue", "orange", "violet"]


@dataclass(frozen=True, slots=True)
class Look:
    color: str
    icon: str
    badge: Badge
    symbol: str


_UNKNOWN = Look("#a3abb5", ":material/help:", "gray", "?")
_LOOKS = {
    "Available": Look("#2a8f6d", ":material/check_circle:", "green", "○"),
    "Preparing": Look("#7fb2dd", ":material/cable:", "blue", "◔"),
    "Charging": Look("#2b6cb0", ":material/bolt:", "blue", "●"),
    "SuspendedEV": Look("#c9a227", ":material/pause_circle:", "yellow", "Ⅱ"),
    "SuspendedEVSE": Look("#d9822b", ":material/pause_circle:", "orange", "Ⅱ"),
    "Finishing": Look("#6e7fb8", ":material/hourglass_bottom:", "blue", "◕"),
    "Reserved": Look("#8e5ea2", ":material/event_available:", "violet", "◇"),
    "Unavailable": Look("#8b96a3", ":material/block:", "gray", "⊘"),
    "Faulted": Look("#b8433a", ":material/error:", "red", "✕"),
    "offline": Look("#5d6976", ":material/cloud_off:", "gray", "⌀"),
    "unknown": _UNKNOWN,
}
STATES = tuple(_LOOKS)


def look(state: str | None) -> Look:
    """The look of an OCPP status, of ``offline`` or of anything we do not know."""
    return _LOOKS.get(state or "unknown", _UNKNOWN)


def freshness(seconds: float, stale: float, old: float) -> tuple[Badge, str]:
    if seconds < stale:
        return "green", ":material/check_circle:"
    if seconds < old:
        return "orange", ":material/schedule:"
    return "red", ":material/warning:"
