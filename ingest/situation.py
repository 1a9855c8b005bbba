"""What one charge point's socket knows when a CALL arrives, and learns once it is stored. Pure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo

from ingest.facts import (
    Boot,
    Fact,
    Reading,
    StatusChange,
    TransactionStart,
    TransactionStop,
    Undated,
)

_NOT_CHARGING = {"Preparing", "Finishing"}  # a status in which a transaction is not yet, or over
_REPEATS_FIRST = timedelta(minutes=10)  # what was not confirmed on the last socket comes by then


@dataclass(slots=True)
class OpenTransaction:
    """A transaction whose stop has not come.

    Attributes:
        ended_at: Its connector was free then: the stop is lost, or still to come.
        has_booted: The charge point booted since the start.
    """

    connector_id: int
    started_at: datetime
    ended_at: datetime | None = None
    has_booted: bool = False

    def sees(self, change: StatusChange) -> None:
        """Take note of a status of its connector."""
        is_free = change.status == "Available"
        is_anew = self.has_booted and change.status in _NOT_CHARGING
        if (is_free or is_anew) and change.at > self.started_at:
            self.ended_at = min(change.at, self.ended_at or change.at)


@dataclass(slots=True)
class Situation:
    """What one charge point's socket knows when a CALL arrives.

    Attributes:
        zone: Of its timestamps without one.
        open_transactions: By transaction id; kept by the socket, loaded when it opened.
        heartbeat_interval: Seconds, told at boot.
        opened_at: Of the socket; None where there is none.
        signs: Whether a signing request (CSR in PEM) can be signed here.
    """

    zone: tzinfo = UTC
    heartbeat_interval: int = 300
    opened_at: datetime | None = None
    signs: Callable[[str], bool] = lambda csr: False
    open_transactions: dict[int, OpenTransaction] = field(default_factory=dict)

    def transaction_at(self, connector_id: int, at: datetime) -> int | None:
        """Return the open transaction of the connector that began last by then.

        None where the connector was free since, and where two began at once: a connector holds
        one, and we cannot tell which.
        """
        begun = [
            (transaction.started_at, transaction_id)
            for transaction_id, transaction in self.open_transactions.items()
            if transaction.connector_id == connector_id and transaction.started_at <= at
        ]
        latest = max(begun, default=(at, None))
        is_alone = sum(started_at == latest[0] for started_at, _ in begun) == 1
        if not is_alone or latest[1] is None:
            return None
        ended_at = self.open_transactions[latest[1]].ended_at
        return latest[1] if ended_at is None or at <= ended_at else None

    def undated(self, readings: list[Reading], received_at: datetime) -> list[Fact]:
        """Return a fact where some have no usable time and may be a repeat."""
        for reading in readings:  # a plain loop: every MeterValues comes here
            if reading.extra is not None and "clock" in reading.extra.get("flags", ()):
                break
        else:
            return []
        is_early = self.opened_at and received_at - self.opened_at <= _REPEATS_FIRST
        return [Undated(self.opened_at if is_early else None)]

    def learn(self, facts: Iterable[Fact]) -> None:
        """Follow the open transactions by what was stored: starts and stops have their numbers."""
        for fact in facts:
            if isinstance(fact, TransactionStart) and fact.transaction_id is not None:
                self._forget_superseded(fact)
                opened = OpenTransaction(fact.connector_id, fact.started_at)
                self.open_transactions[fact.transaction_id] = opened
            elif isinstance(fact, TransactionStop) and fact.matched_id is not None:
                self.open_transactions.pop(fact.matched_id, None)
            elif isinstance(fact, StatusChange):
                self._note_status(fact)
            elif isinstance(fact, Boot):
                self._note_boot()

    def _forget_superseded(self, start: TransactionStart) -> None:
        for transaction_id, earlier in list(self.open_transactions.items()):
            if (
                earlier.connector_id == start.connector_id
                and earlier.started_at <= start.started_at
            ):
                del self.open_transactions[transaction_id]

    def _note_status(self, change: StatusChange) -> None:
        """Learn from a status which open transactions have ended without a stop."""
        for transaction in self.open_transactions.values():
            if transaction.connector_id == change.connector_id:
                transaction.sees(change)

    def _note_boot(self) -> None:
        """What was charging before a boot may not be any more: the next status says so."""
        for transaction in self.open_transactions.values():
            transaction.has_booted = True
