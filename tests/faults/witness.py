"""What charge points said and were told, written down on their side of the wire."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from testbench.charge_point import ChargePoint
from testbench.link import Address, Backoff, Link
from testbench.socket import to_json

# A quirk of testbench.quirks, for statuses only.
Habit = Callable[[list[Any]], list[Any]]


@dataclass(slots=True)
class Exchange:
    """One CALL; ``answer`` is None until, and unless, it was confirmed."""

    charge_point: str
    action: str
    body: str
    answer: dict[str, Any] | None = None


@dataclass
class Book:
    """Every CALL since the last ``turn_over``."""

    exchanges: list[Exchange] = field(default_factory=list)

    @property
    def confirmed(self) -> list[Exchange]:
        return [exchange for exchange in self.exchanges if exchange.answer is not None]

    def turn_over(self) -> None:
        self.exchanges.clear()


class WitnessedLink(Link):
    """A link that writes down what passes it, bent by a habit of the charge point's."""

    book: Book
    habit: Habit | None = None

    async def call(self, action: str, payload: Mapping[str, Any] | str) -> dict[str, Any]:
        if self.habit is not None and action == "StatusNotification":
            told = json.loads(payload) if isinstance(payload, str) else payload
            payload = self.habit([2, "", action, told])[3]
        body = payload if isinstance(payload, str) else to_json(payload)
        exchange = Exchange(self.charge_point_id, action, body)
        self.book.exchanges.append(exchange)
        exchange.answer = await super().call(action, body)
        return exchange.answer


def bear_witness(
    charge_point: ChargePoint,
    address: Address,
    book: Book,
    within_s: float,
    habit: Habit | None = None,
) -> None:
    """Give a charge point a link that is witnessed and reconnects quickly; before it runs."""
    link = WitnessedLink(
        charge_point.charge_point_id,
        address,
        charge_point.station.answer,
        backoff=Backoff(first_s=0.2, most_s=1.0, jitter=charge_point.random),
        within=within_s,
    )
    link.book, link.habit = book, habit
    charge_point.link = link
