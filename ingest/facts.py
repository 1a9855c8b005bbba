"""What a frame means, as facts the database can hold.

No word of OCPP 1.6's JSON passes this edge: another version of OCPP would end here too.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

from ingest.readings import Reading, SetAside


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


Fact: TypeAlias = (
    Boot
    | StatusChange
    | Authorization
    | TransactionStart
    | TransactionStop
    | Report
    | Undated
    | Reading
    | SetAside
)
Answer: TypeAlias = dict[str, Any] | Callable[[], dict[str, Any]]


@dataclass(slots=True)
class Meaning:
    """What a CALL of a charge point comes to.

    Attributes:
        answer: Payload of the CALLRESULT; a function where it depends on verdicts of the store.
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
