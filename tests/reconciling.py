"""What the tests of the reconciliation share: readings, and DOJOT's history of them."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from flows.catalogue import carry_out
from flows.runs import Outcome
from flows.scope import Scope
from flows.settings import Settings
from testbench.dojot import StandIn
from testbench.dojot.payloads import DeviceData
from tests.flow_facts import Facts
from tests.waiting import wait_until

HOUR = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=3)
DEVICE = "a1b2c3"


def store(facts: Facts, count: int, first: datetime = HOUR) -> None:
    for place in range(count):
        # Microseconds that DOJOT does not keep.
        at = first + timedelta(seconds=10 * place, microseconds=1_999)
        facts.reading(1, at, energy_wh=1_000 + place * 125, power_w=45_000, soc_percent=20)


async def hand_over(facts: Facts, dojot: StandIn, where: str = "TRUE") -> None:
    """Put into the history what the relay would have sent."""
    for row in facts.rows(
        "SELECT dojot_timestamp_ms(mv.sampled_at) AS ms, dojot_attributes(mv) AS attrs"
        f" FROM meter_value AS mv WHERE {where} ORDER BY mv.sampled_at"
    ):
        dojot.persister.put(DeviceData("admin", DEVICE, row["ms"], row["attrs"]))
    await asyncio.to_thread(
        wait_until, lambda: dojot.persister.waiting == 0, "the history has not got everything"
    )


async def reconcile(facts: Facts, dojot: StandIn, settle_s: int = 0, **parameters: Any) -> Outcome:
    settings = Settings(
        facts.url, dojot.url, dojot.username, dojot.password, dojot_settle_s=settle_s
    )

    def run() -> Outcome:
        ((_, outcome),) = carry_out(settings, "reconcile_dojot", Scope(**parameters))
        return outcome

    return await asyncio.to_thread(run)


def verdicts(facts: Facts) -> list[tuple[Any, ...]]:
    rows = facts.rows("SELECT * FROM report.reconciliation ORDER BY window_start")
    columns = ("rows_database", "rows_dojot", "missing_in_dojot", "missing_in_database")
    return [(*(row[column] for column in columns), row["verdict"]) for row in rows]
