"""The network as it charges now: a bus in mid-charge at once, the others as they come and go."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from testbench import frames
from testbench.account import Account
from testbench.bus import Bus, BusCharge, CarCharge, Charge
from testbench.charge_point import ChargePoint, Connector
from testbench.clock import Clock
from testbench.link import Address
from testbench.memory import Memory, OpenTransaction, Remembered
from testbench.network import SITES, Site
from testbench.session import Session, Visit
from testbench.transaction_queue import Message

# The live bus came so long ago; its first readings are told at once, so the curve has a beginning.
_ARRIVED_S = 75 * 60.0
_CATCH_UP = 3600.0


async def live(
    url: str,
    *,
    sites: Sequence[Site] = SITES,
    passwords: Mapping[str, str] | None = None,
    account: Account | None = None,
    memory: Memory | None = None,
    interval_s: int = 10,
) -> None:
    """Charge in real time until cancelled. ``memory`` is what ``history.replay`` left."""
    memory, account = memory or Memory(), account or Account()
    async with asyncio.TaskGroup() as group:
        for number, site in enumerate(sites):
            address = Address(url, (passwords or {}).get(site.charge_point_id))
            group.create_task(_live(site, number, address, account, memory, interval_s))


async def _live(
    site: Site, number: int, address: Address, account: Account, memory: Memory, interval_s: int
) -> None:
    """The first charge point of the network is busy at once, the last has a bad connection."""
    async with _switched_on(site, address, account, memory) as charge_point:
        charge_point.configuration.set("MeterValueSampleInterval", str(interval_s))
        await charge_point.link.online()
        async with asyncio.TaskGroup() as group:
            group.create_task(_visits(charge_point, site.id_tags, is_busy=number == 0))
            group.create_task(_remember(charge_point, memory))
            if site is SITES[-1]:
                group.create_task(_flap(charge_point))


@asynccontextmanager
async def _switched_on(
    site: Site, address: Address, account: Account, memory: Memory
) -> AsyncIterator[ChargePoint]:
    kept = memory.of(site.charge_point_id)
    arrived_at = datetime.now(UTC) - timedelta(seconds=_ARRIVED_S)
    charge_point = ChargePoint(
        site.charge_point_id,
        address,
        nameplate=site.nameplate,
        clock=Clock(_CATCH_UP, max(arrived_at, kept.until + timedelta(seconds=60))),
        account=account,
    )
    for connector in charge_point.connectors.values():
        connector.register_wh = memory.register_wh(site.charge_point_id, connector.connector_id)

    if kept.open is not None:
        charge_point.queue.put(_end(kept.open, kept))

    def started(session: Session) -> None:
        assert session.transaction is not None
        told = session.transaction.session
        if told.transaction_id is not None:
            kept.open = OpenTransaction(told.transaction_id, told.connector_id, told.id_tag)

    charge_point.on_transaction_started = started
    async with charge_point.running():
        yield charge_point


def _end(cut_off: OpenTransaction, kept: Remembered) -> Message:
    """Return the end of the transaction that ran when the power was cut."""
    register_wh = kept.registers_wh[str(cut_off.connector_id)]
    stop = frames.stop_transaction(round(register_wh), kept.until, "PowerLoss")
    return Message("StopTransaction", f'{{"transactionId":{cut_off.transaction_id},{stop[1:]}')


async def _remember(charge_point: ChargePoint, memory: Memory) -> None:
    """Keep registers and the open transaction, as a charge point does in lasting memory."""
    kept = memory.of(charge_point.charge_point_id)
    while True:
        for connector in charge_point.connectors.values():
            if connector.session is not None:
                memory.keep(
                    charge_point.charge_point_id,
                    connector.connector_id,
                    connector.register_wh,
                    charge_point.clock.now(),
                )
        idle = all(connector.session is None for connector in charge_point.connectors.values())
        if idle and not len(charge_point.queue):  # the end of the last one is confirmed too
            kept.open = None
        memory.save()
        await asyncio.sleep(5)


async def _visits(charge_point: ChargePoint, id_tags: Sequence[str], is_busy: bool) -> None:
    """One vehicle after another at the first connector; ``is_busy`` means one stands there."""
    draw, connector = charge_point.random, charge_point.connectors[1]
    if not is_busy:
        await charge_point.clock.sleep(draw.uniform(30, 100) * 60)
    while True:
        soc_percent = 28.0 if is_busy else draw.uniform(15, 35)
        visit = _visit(charge_point, connector, draw.choice(id_tags), soc_percent)
        if connector.is_free:
            await charge_point.charge(1, visit)
        is_busy = False
        await charge_point.clock.sleep(draw.uniform(10, 40) * 60)


def _visit(
    charge_point: ChargePoint, connector: Connector, id_tag: str, soc_percent: float
) -> Visit:
    draw, outlet = charge_point.random, connector.outlet
    charge: Charge
    if outlet.phases:
        charge = CarCharge(outlet, draw.uniform(8_000, 40_000), seed=draw.random().hex())
    else:
        charge = BusCharge(Bus.drawn(id_tag), outlet, soc_percent, seed=draw.random().hex())
    return Visit(charge, id_tag, idle_s=draw.uniform(10, 40) * 60)


async def _flap(charge_point: ChargePoint) -> None:
    """Lose the connection for some minutes now and then, as behind a bad mobile network."""
    while True:
        await asyncio.sleep(charge_point.random.uniform(10, 25) * 60)
        await charge_point.link.go_offline()
        await asyncio.sleep(charge_point.random.uniform(2, 5) * 60)
        charge_point.link.come_back()
