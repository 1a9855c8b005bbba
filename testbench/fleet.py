"""Many charge points in one process, each with one session."""

import asyncio
import dataclasses
import random
from dataclasses import dataclass

from testbench.account import Account
from testbench.bus import Bus, BusCharge
from testbench.charge_point import ChargePoint
from testbench.link import Address
from testbench.session import Visit


@dataclass(frozen=True, slots=True)
class FleetReport:
    """What a fleet did; a session that was not authorised is none."""

    charge_points: int
    sessions: int
    readings_sent: int
    readings_confirmed: int
    energy_wh: int

    def as_dict(self) -> dict[str, int]:
        return dataclasses.asdict(self)


async def fleet(
    address: Address,
    count: int,
    *,
    interval_s: int = 10,
    duration_s: float = 60.0,
    prefix: str = "FLEET-",
    id_tag: str = "BUS-1",
    account: Account | None = None,
) -> FleetReport:
    """Let ``count`` charge points charge in real time, and return once all is confirmed.

    They come one after another over one ``interval_s``, so that readings do not fall together.
    """
    account = account or Account()
    async with asyncio.TaskGroup() as group:
        for number in range(1, count + 1):
            charge_point = ChargePoint(f"{prefix}{number}", address, account=account, seed=number)
            charge_point.configuration.set("MeterValueSampleInterval", str(interval_s))
            delay_s = interval_s * number / count
            group.create_task(_charge(charge_point, id_tag, duration_s, delay_s))
    return FleetReport(
        charge_points=count,
        sessions=len(account.closed),
        readings_sent=sum(it.readings_sent for it in account.closed),
        readings_confirmed=sum(it.readings_confirmed for it in account.closed),
        energy_wh=sum(it.energy_wh or 0 for it in account.closed),
    )


async def _charge(
    charge_point: ChargePoint, id_tag: str, duration_s: float, delay_s: float
) -> None:
    await asyncio.sleep(delay_s)
    seed, outlet = charge_point.charge_point_id, charge_point.connectors[1].outlet
    soc_percent = random.Random(seed).uniform(15, 60)
    vehicle = BusCharge(Bus.drawn(seed), outlet, soc_percent, seed=seed)
    async with charge_point.running():
        await charge_point.link.online()
        await charge_point.charge(1, Visit(vehicle, id_tag, duration_s=duration_s, leave_s=1.0))
        await charge_point.queue.drained()
