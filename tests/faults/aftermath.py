"""What the flows make of the data after a campaign: energy by session, DOJOT put right."""

import asyncio
import time
from contextlib import suppress
from datetime import UTC, datetime

from flows.catalogue import carry_out
from flows.runs import ThresholdBroken
from flows.scope import Scope
from flows.settings import Settings
from testbench.account import SessionAccount
from tests.faults.plant import Plant
from tests.faults.verdict import missing_in_dojot

_REPAIRED_WITHIN_S = 120
_EVER = datetime(2020, 1, 1, tzinfo=UTC)


def wrong_energies(plant: Plant, accounts: list[SessionAccount]) -> list[str]:
    """Sessions whose energy is not what the charge point delivered."""
    told = {it.transaction_id: it for it in accounts if it.stop_confirmed and it.transaction_id}
    list(carry_out(Settings(plant.database_url), "sessions", Scope()))
    with plant.connect() as conn:
        rows = conn.execute("SELECT transaction_id, energy_wh FROM report.session").fetchall()
    computed = dict(rows)
    return [
        f"session {number}: delivered {account.energy_wh} Wh, computed {computed.get(number)}"
        for number, account in told.items()
        if computed.get(number) is None or abs(computed[number] - (account.energy_wh or 0)) > 0.5
    ]


async def never_repaired(plant: Plant, identities: list[str]) -> list[str]:
    """Readings that DOJOT lacks although reconcile_dojot has run."""
    dojot = plant.dojot
    assert dojot is not None
    settings = Settings(
        plant.database_url, dojot.url, dojot_user="admin", dojot_password="admin", dojot_settle_s=0
    )

    def repair() -> None:
        with suppress(ThresholdBroken):  # that much was missing is why it runs
            list(carry_out(settings, "reconcile_dojot", Scope(force=True)))

    def look() -> list[str]:
        with plant.connect() as conn:
            return missing_in_dojot(conn, dojot.database, identities, _EVER)

    await asyncio.to_thread(repair)
    give_up = time.monotonic() + _REPAIRED_WITHIN_S
    while (missing := await asyncio.to_thread(look)) and time.monotonic() < give_up:  # noqa: ASYNC110
        await asyncio.sleep(0.5)
    return missing
