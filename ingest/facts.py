"""What a frame means, as facts the database can hold, and the answer that will be due. Pure.

OCPP 1.6's JSON ends here, and another version of OCPP would too, but for what is handed through:
the payload of a boot, which is kept whole, and that of the answer, which goes back.

Some facts are questions as well: the store fills in what the database decided (a verdict, the
number of a transaction), and the answer is made of it.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

from ingest.measurands import COLUMNS


@dataclass(frozen=True, slots=True)
class Boot:
    """A charge point introduced itself; ``payload`` is kept whole."""

    vendor: str | None
    model: str | None
    serial_number: str | None
    firmware_version: str | None
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class StatusChange:
    """A connector's status from ``at`` on; connector 0 is the whole charge point."""

    at: datetime
    connector_id: int
    status: str
    error_code: str | None
    info: str | None
    vendor_id: str | None
    vendor_error_code: str | None
    flags: list[str]


@dataclass(slots=True)
class Authorization:
    """A question about an id_tag; the store fills in the verdict."""

    id_tag: str | None
    verdict: "Verdict | None" = None


@dataclass(slots=True)
class TransactionStart:
    """A transaction began. The store fills in its number, the same for a repeated start."""

    connector_id: int
    id_tag: str | None
    started_at: datetime
    meter_start_wh: float | None
    reservation_id: int | None
    flags: list[str]
    transaction_id: int | None = None
    verdict: "Verdict | None" = None


@dataclass(slots=True)
class TransactionStop:
    """A transaction ended. ``transaction_id`` is None where the charge point knew none."""

    transaction_id: int | None
    id_tag: str | None
    stopped_at: datetime
    meter_stop_wh: float | None
    reason: str
    flags: list[str]
    matched_id: int | None = None
    verdict: "Verdict | None" = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What we answer about an id_tag (OCPP 1.6 7.2).

    Attributes:
        expiry_at: None: does not expire.
    """

    status: str
    expiry_at: datetime | None = None
    parent_id_tag: str | None = None


@dataclass(frozen=True, slots=True)
class Undated:
    """Readings without a usable time, which may have come before.

    Our time stands in for theirs, another one each time, so their key does not tell.

    Attributes:
        opened_at: Of the socket, early on it: the one before may have had them too. None: later.
    """

    opened_at: datetime | None


@dataclass(frozen=True, slots=True)
class Report:
    """News about something the central system asked for: firmware, diagnostics, logs, security.

    Attributes:
        kind: The table's word for it: firmware, signed_firmware, diagnostics, log, security.
        request_id: Of the request it answers; None where the message has none.
    """

    kind: str
    status: str
    at: datetime
    request_id: int | None = None
    detail: str | None = None


@dataclass(slots=True)
class Reading:
    """What a charge point measured at one connector, instant and context.

    Attributes:
        transaction_id: None outside a transaction.
        context: Index into ``CONTEXTS``.
        values: In the order of ``COLUMNS``, in base units; None where not sent.
        extra: What has no column, by ``measurand[.phase][@location]`` in base units or with its
            ``[unit]``; ``signed``: texts by the same names; ``flags``: what had to be assumed or
            looked wrong; ``timestamp``, ``context``: as sent where not usable.
    """

    sampled_at: datetime
    connector_id: int
    transaction_id: int | None
    context: int
    values: list[float | None] = field(default_factory=lambda: [None] * len(COLUMNS))
    extra: dict[str, Any] | None = None

    def keep(self, name: str, value: Any) -> bool:
        """Put a value beside the columns; False if the name has another value already."""
        if self.extra is None:
            self.extra = {}
        return bool(self.extra.setdefault(name, value) == value)

    def keep_signed(self, name: str, text: str) -> bool:
        """Keep meter data that only its maker can verify, as it came."""
        self.keep("signed", {})
        assert self.extra is not None
        return bool(self.extra["signed"].setdefault(name, text) == text)

    def flag(self, *flags: str) -> None:
        """Say what had to be assumed or looked wrong."""
        self.keep("flags", [])
        assert self.extra is not None
        self.extra["flags"] += [flag for flag in flags if flag not in self.extra["flags"]]

    def merge(self, other: "Reading") -> None:
        """Take what the other part of the same instant adds; where it says otherwise, flag it."""
        is_same = not any(
            None not in pair and pair[0] != pair[1]
            for pair in zip(self.values, other.values, strict=True)
        )
        self.values = [
            mine if mine is not None else theirs
            for mine, theirs in zip(self.values, other.values, strict=True)
        ]
        self.transaction_id = self.transaction_id or other.transaction_id
        for name, value in (other.extra or {}).items():
            if name == "flags":
                self.flag(*value)
            elif name == "signed":
                is_same &= all([self.keep_signed(of, text) for of, text in value.items()])
            elif name in ("context", "timestamp"):
                self.keep(name, value)
            else:
                is_same &= self.keep(name, value)
        if not is_same:
            self.flag("conflict")


@dataclass(frozen=True, slots=True)
class SetAside:
    """A frame, or a piece of one, that was confirmed though it could not be read or stored.

    Attributes:
        reason: The kind of reason; behind a colon what was seen.
        count: How many pieces it stands for.
    """

    reason: str
    raw: str
    count: int = 1

    @property
    def kind(self) -> str:
        return self.reason.partition(":")[0]


def summary_of(pieces: Iterable[SetAside]) -> str:
    """Name each kind of reason once: how many pieces, and what was seen in the first."""
    firsts: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for piece in pieces:
        firsts.setdefault(piece.kind, piece.reason)
        counts[piece.kind] += piece.count
    return "; ".join(f"{counts[kind]} x {reason}" for kind, reason in firsts.items())


Fact: TypeAlias = (
    Boot | StatusChange | Authorization | TransactionStart | TransactionStop | Report | Undated
)
Answer: TypeAlias = dict[str, Any] | Callable[[], dict[str, Any]]


@dataclass(slots=True)
class Meaning:
    """What a CALL of a charge point comes to.

    Attributes:
        answer: Payload of the CALLRESULT. Where it depends on what the database decides, a function
            that reads it from a fact: the store fills the fact in, then calls, and what it returns
            is sent once that is committed.
        error: Code and description of a CALLERROR instead, for a CALL with no usable meaning.
    """

    answer: Answer = field(default_factory=dict)
    facts: list[Fact] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    aside: list[SetAside] = field(default_factory=list)
    error: tuple[str, str] | None = None

    def place_readings(self, connector_id: int, transaction_id: int | None) -> None:
        """Say where the readings of a stop were taken, once its transaction is known."""
        for reading in self.readings:
            reading.connector_id = connector_id
            reading.transaction_id = transaction_id or reading.transaction_id
