"""Transaction-related messages: kept in order, repeated, and never dropped while offline.

Source: OCPP 1.6 edition 2, 3.7 (offline) and 3.7.1 (the central system fails to process one).
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from testbench.account import SessionAccount

NEVER_CONFIRMED = -1  # errata to 1.6, 3.18: the start was never answered


@dataclass(slots=True, eq=False)
class Transaction:
    """One transaction of the charge point; its id comes with the answer to its start."""

    session: SessionAccount
    transaction_id: int | None = None
    id_tag_status: str | None = None


@dataclass(slots=True, eq=False)
class Message:
    """One CALL in the queue. ``body`` is a JSON object without the id of its transaction.

    Attributes:
        readings: How many elements of meterValue it carries.
        attempts: How often the central system failed to process it.
        confirmed: Called with the answer.
    """

    action: str
    body: str
    transaction: Transaction | None = None
    readings: int = 0
    attempts: int = 0
    confirmed: Callable[[dict[str, Any]], None] | None = None

    def payload(self) -> str:
        """Return the payload; the transaction's id is put in only now, when it is known."""
        if self.transaction is None or self.action == "StartTransaction":
            return self.body
        transaction_id = self.transaction.transaction_id
        named = NEVER_CONFIRMED if transaction_id is None else transaction_id
        return f'{{"transactionId":{named},{self.body[1:]}'


class TransactionQueue:
    """First in, first out; the first message blocks those behind it until it is through.

    ``source`` gives the oldest messages, those before all that are put: the memory of a charge
    point that was offline for weeks need not be built at once.
    """

    def __init__(self, source: Iterator[Message] | None = None) -> None:
        self._messages: deque[Message] = deque()
        self._source = source or iter(())
        self._is_front_remembered = False
        self._filled = asyncio.Event()
        self._empty = asyncio.Event()

    def __len__(self) -> int:
        return len(self._messages)

    def put(self, message: Message) -> None:
        self._messages.append(message)
        self._empty.clear()
        self._filled.set()

    async def first(self) -> Message:
        """Return the message whose turn it is, and leave it there."""
        if not self._is_front_remembered and (oldest := next(self._source, None)) is not None:
            self._messages.appendleft(oldest)
            self._is_front_remembered = True
        while not self._messages:
            self._empty.set()
            self._filled.clear()
            await self._filled.wait()
        return self._messages[0]

    async def drained(self) -> None:
        """Return once everything, the source included, has been confirmed or discarded."""
        if self._messages:
            self._empty.clear()
        await self._empty.wait()

    def _take(self) -> Message:
        self._is_front_remembered = False
        return self._messages.popleft()

    def confirm(self, answer: dict[str, Any]) -> None:
        message = self._take()
        transaction = message.transaction
        if transaction is not None:
            _note(transaction, message, answer)
        if message.confirmed is not None:
            message.confirmed(answer)

    def fail(self, attempts: int, interval_s: float) -> float | None:
        """Note that the central system failed to process the first message.

        Args:
            attempts: TransactionMessageAttempts.
            interval_s: TransactionMessageRetryInterval.

        Returns:
            Seconds to wait before it is sent again, or None if it was discarded.
        """
        message = self._messages[0]
        message.attempts += 1
        if message.attempts < attempts:
            return interval_s * message.attempts
        self._take()
        if message.transaction is not None:
            message.transaction.session.discarded += 1
        return None


def _note(transaction: Transaction, message: Message, answer: dict[str, Any]) -> None:
    session = transaction.session
    session.readings_confirmed += message.readings
    if message.action == "StartTransaction":
        transaction.transaction_id = session.transaction_id = answer.get("transactionId")
        transaction.id_tag_status = (answer.get("idTagInfo") or {}).get("status")
    elif message.action == "StopTransaction":
        session.stop_confirmed = True
