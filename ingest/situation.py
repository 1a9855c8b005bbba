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
class KnownTransaction:
    """A transaction that is open, or the last one of its connector that is not.

    Attributes:
        ended_at: It was closed then; or its connector was free: the stop is lost, or still to come.
        has_booted: The charge point booted since the start.
        is_closed: It was stopped, another one began, or an operator ended it.
    """

    connector_id: int
    started_at: datetime
    ended_at: datetime | None = None
    has_booted: bool = False
    is_closed: bool = False

    def may_hold(self, at: datetime) -> bool:
        """Return whether it may still have readings of that instant."""
        is_over = self.is_closed and self.ended_at is not None and self.ended_at < at
        return self.started_at <= at and not is_over

    def close(self, at: datetime) -> None:
        self.is_closed, self.ended_at = True, at

    def sees(self, change: StatusChange) -> None:
        """Take note of a status of its connector."""
        if self.is_closed:
            return
        is_free = change.status == "Available"
        is_anew = self.has_booted and change.status in _NOT_CHARGING
        if (is_free or is_anew) and change.at > self.started_at:
            self.ended_at = min(change.at, self.ended_at or change.at)


@dataclass(slots=True)
class Situation:
    """What one charge point's socket knows when a CALL arrives.

    Attributes:
        zone: Of its timestamps without one.
        transactions: By transaction id; kept by the socket, loaded when it opened.
        heartbeat_interval: Seconds, told at boot.
        opened_at: Of the socket; None where there is none.
        signs: Whether a signing request (CSR in PEM) can be signed here.
    """

    zone: tzinfo = UTC
    heartbeat_interval: int = 300
    opened_at: datetime | None = None
    signs: Callable[[str], bool] = lambda csr: False
    transactions: dict[int, KnownTransaction] = field(default_factory=dict)

    def transaction_at(self, connector_id: int, at: datetime) -> int | None:
        """Return the transaction of the connector that began last by then and was not closed yet.

        None where the connector was free since, and where two began at once: a connector holds
        one, and we cannot tell which.
        """
        begun = [
            (transaction.started_at, transaction_id)
            for transaction_id, transaction in self.transactions.items()
            if transaction.connector_id == connector_id and transaction.may_hold(at)
        ]
        latest = max(begun, default=(at, None))
        is_alone = sum(started_at == latest[0] for started_at, _ in begun) == 1
        if not is_alone or latest[1] is None:
            return None
        ended_at = self.transactions[latest[1]].ended_at
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
        """Follow the transactions by what was stored: starts and stops have their numbers."""
        for fact in facts:
            if isinstance(fact, TransactionStart) and fact.transaction_id is not None:
                self._begin(fact.transaction_id, fact)
            elif isinstance(fact, TransactionStop):
                self.close(fact.matched_id, fact.stopped_at)
            elif isinstance(fact, StatusChange):
                self._note_status(fact)
            elif isinstance(fact, Boot):
                self._note_boot()

    def close(self, transaction_id: int | None, at: datetime) -> None:
        """Take note that a transaction was stopped, or ended by an operator."""
        if transaction_id is not None and transaction_id in self.transactions:
            transaction = self.transactions[transaction_id]
            transaction.close(at)
            self._forget_older(transaction.connector_id)

    def _begin(self, transaction_id: int, start: TransactionStart) -> None:
        if transaction_id in self.transactions:
            return  # our answer was lost and the start came again
        for earlier in self._on(start.connector_id):
            if earlier.started_at <= start.started_at and not earlier.is_closed:
                earlier.close(min(start.started_at, earlier.ended_at or start.started_at))
        self._forget_older(start.connector_id)
        opened = KnownTransaction(start.connector_id, start.started_at)
        self.transactions[transaction_id] = opened

    def _forget_older(self, connector_id: int) -> None:
        """Keep the last one that is closed: its readings may come after its stop."""
        closed = [one.started_at for one in self._on(connector_id) if one.is_closed]
        for transaction_id, one in list(self.transactions.items()):
            is_here = one.connector_id == connector_id
            if is_here and one.is_closed and one.started_at < max(closed):
                del self.transactions[transaction_id]

    def _on(self, connector_id: int) -> list[KnownTransaction]:
        return [one for one in self.transactions.values() if one.connector_id == connector_id]

    def _note_status(self, change: StatusChange) -> None:
        """Learn from a status which transactions have ended without a stop."""
        for transaction in self._on(change.connector_id):
            transaction.sees(change)

    def _note_boot(self) -> None:
        """What was charging before a boot may not be any more: the next status says so."""
        for transaction in self.transactions.values():
            transaction.has_booted = True
