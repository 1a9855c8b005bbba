"""What the writer commits: frames with what they mean, and sockets that open and end."""

from dataclasses import dataclass, field
from datetime import datetime

from ingest.facts import Meaning
from ingest.situation import KnownTransaction


@dataclass(slots=True)
class Message:
    """A frame on its way into the raw log, with what it means.

    Attributes:
        meaning: None for frames that are only logged.
        answer: The frame that leaves once this is committed; the store writes it for a meaning.
            Empty: none is due.
    """

    charge_point_id: int
    received_at: datetime
    raw: str
    message_type: int | None = None
    direction: str = "i"
    action: str | None = None
    message_id: str | None = None
    meaning: Meaning | None = None
    answer: str | None = None


@dataclass(slots=True)
class Opening:
    """A socket opened; the store fills in the transactions its readings may be of."""

    charge_point_id: int
    opened_at: datetime
    remote_address: str
    transactions: dict[int, KnownTransaction] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Closing:
    """A socket ended."""

    charge_point_id: int
    opened_at: datetime
    closed_at: datetime
    reason: str


Item = Message | Opening | Closing
