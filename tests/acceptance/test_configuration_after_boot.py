"""The configuration that follows a boot: what is asked, when, and of whom it is not."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from testbench.socket import CallError, RawChargePoint, connected
from tests.acceptance.conftest import HASTY, serving
from tests.acceptance.hasty_ingest import SILENCE_S
from tests.acceptance.network import BOOT, Network
from tests.acceptance.operator_desk import Desk, simulated
from tests.waiting import until

BENCH = (
    "Energy.Active.Import.Register,Power.Active.Import,Current.Import,Voltage,"
    "SoC,Temperature,Current.Offered,Power.Offered"
)
MEASURANDS = "MeterValuesSampledData"


@pytest.fixture(scope="module")
def asking(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """A central system that configures charge points after their boot."""
    url, folder = module_database_url, tmp_path_factory.mktemp("asking")
    with (
        serving(url, folder, HASTY, configure_on_boot="true") as central_system,
        psycopg.connect(url, autocommit=True) as database,
    ):
        yield Network(central_system.url, url, database)


@dataclass
class Keyed:
    """A charge point with some keys; notes the order of what it sends and gets.

    Attributes:
        refuses: Values of ChangeConfiguration answered Rejected.
        error: Of the CALLERROR that answers GetConfiguration.
    """

    keys: dict[str, str]
    refuses: set[str] = field(default_factory=set)
    error: str | None = None
    asked: list[tuple[str, Any]] = field(default_factory=list)

    def answer(self, action: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        match action:
            case "GetConfiguration":
                self.asked.append((action, payload.get("key")))
                if self.error is not None:
                    raise CallError(self.error)
                return self._told(payload.get("key"))
            case "ChangeConfiguration":
                key, value = payload["key"], payload["value"]
                self.asked.append((key, value))
                if key not in self.keys:
                    return {"status": "NotSupported"}
                if value in self.refuses:
                    return {"status": "Rejected"}
                self.keys[key] = value
                return {"status": "Accepted"}
        raise CallError("NotImplemented")

    def _told(self, names: list[str] | None) -> dict[str, Any]:
        told = [
            {"key": key, "readonly": False, "value": value}
            for key, value in self.keys.items()
            if names is None or key in names
        ]
        unknown = [name for name in names or () if name not in self.keys]
        return {"configurationKey": told, "unknownKey": unknown}

    @property
    def changes(self) -> dict[str, str]:
        return {name: value for name, value in self.asked if name != "GetConfiguration"}


@asynccontextmanager
async def booted(
    network: Network, keyed: Keyed, identity: str | None = None, last: str = "GetConfiguration"
) -> AsyncIterator[RawChargePoint]:
    """Connect and boot; leave once the configuration has come to an end."""
    async with network.charge_point(identity, on_call=keyed.answer) as charge_point:
        began = datetime.now(UTC)
        await charge_point.call("BootNotification", BOOT)
        yield charge_point
        await until(
            lambda: (
                is_configured(network, charge_point.charge_point_id, began)
                and keyed.asked[-1][0] == last
                and all(row["finished_at"] for row in network.rows("command", charge_point))
            ),
            "the configuration goes on",
        )


def is_configured(network: Network, identity: str, since: datetime) -> bool:
    query = "SELECT configured_at >= %s FROM boot_configuration AS conf"
    query += " INNER JOIN charge_point AS cp USING (charge_point_id) WHERE cp.identity = %s"
    return network.ask(query, [since, identity]) == [(True,)]


def plain_keys() -> dict[str, str]:
    return {
        "MeterValueSampleInterval": "60",
        "ClockAlignedDataInterval": "0",
        "HeartbeatInterval": "300",
        "WebSocketPingInterval": "30",
        MEASURANDS: "Energy.Active.Import.Register",
        "Vendor": "x",
    }


async def test_what_differs_is_changed_and_read_back(asking: Network) -> None:
    keyed = Keyed(plain_keys())
    async with booted(asking, keyed) as charge_point:
        identity = charge_point.charge_point_id
    assert keyed.asked[0] == ("GetConfiguration", None)
    assert keyed.changes == {
        "MeterValueSampleInterval": "10",
        "ClockAlignedDataInterval": "900",
        MEASURANDS: BENCH,
    }
    await until(
        lambda: all(row["is_as_asked"] for row in report(asking, identity) if row["asked_at"]),
        "it was not read back",
    )
    rows = {row["key"]: row for row in report(asking, identity)}
    assert rows[MEASURANDS]["value"] == BENCH
    assert rows["Vendor"]["value"] == "x"


def report(network: Network, identity: str) -> list[dict[str, Any]]:
    query = "SELECT * FROM report.configuration WHERE charge_point = %s"
    return Desk(network.database).rows(query, identity)


async def test_nothing_is_changed_where_all_is_well(asking: Network) -> None:
    well = {
        **plain_keys(),
        "MeterValueSampleInterval": "10",
        "ClockAlignedDataInterval": "900",
        MEASURANDS: ", ".join(reversed(BENCH.split(","))),
    }
    keyed = Keyed(well)
    async with booted(asking, keyed):
        pass
    assert keyed.asked == [("GetConfiguration", None)]


async def test_refused_lists_are_followed_by_shorter_ones(asking: Network) -> None:
    names = BENCH.split(",")
    keyed = Keyed(plain_keys(), refuses={BENCH, ",".join(names[:5])})
    async with booted(asking, keyed):
        pass
    assert keyed.changes[MEASURANDS] == ",".join(names[:4])
    assert [value for name, value in keyed.asked if name == MEASURANDS] == [
        BENCH,
        ",".join(names[:5]),
        ",".join(names[:4]),
    ]


async def test_missing_keys_and_a_refusal_to_tell_are_borne(asking: Network) -> None:
    lacking = Keyed({"MeterValueSampleInterval": "60"})
    async with booted(asking, lacking):
        pass
    assert lacking.changes == {"MeterValueSampleInterval": "10"}
    hiccup = Keyed(plain_keys(), error="InternalError")
    async with booted(asking, hiccup):
        pass
    assert hiccup.keys[MEASURANDS] == BENCH


@pytest.mark.parametrize("error", ["NotImplemented", "NotSupported"])
async def test_who_cannot_be_configured_is_asked_once(asking: Network, error: str) -> None:
    keyed = Keyed(plain_keys(), error=error)
    async with asking.charge_point(on_call=keyed.answer) as charge_point:
        await charge_point.call("BootNotification", BOOT)
        await asyncio.sleep(1)
    assert keyed.asked == [("GetConfiguration", None)]


async def test_the_answer_to_the_boot_comes_first(asking: Network) -> None:
    async with asking.charge_point() as charge_point:
        await charge_point.send([2, "b", "BootNotification", BOOT])
        first = await charge_point.receive()
        second = await charge_point.receive()
    assert first[:2] == [3, "b"]
    assert second[0] == 2 and second[2] == "GetConfiguration"


async def test_a_boot_loop_shortens_the_list_and_brings_peace(asking: Network) -> None:
    names = BENCH.split(",")
    identity = asking.new_identity()
    keyed = Keyed(plain_keys())
    for _ in range(4):
        async with booted(asking, keyed, identity):
            pass
    assert keyed.keys[MEASURANDS] == BENCH
    async with booted(asking, keyed, identity, last=MEASURANDS):
        pass
    assert keyed.keys[MEASURANDS] == ",".join(names[:5])
    keyed.asked.clear()
    async with asking.charge_point(identity, on_call=keyed.answer) as charge_point:
        await charge_point.call("BootNotification", BOOT)
        await asyncio.sleep(1)
    assert keyed.asked == [], "it is left alone for a while"
    note = "SELECT note, paused_until > now() FROM boot_configuration AS conf"
    note += " INNER JOIN charge_point AS cp USING (charge_point_id) WHERE cp.identity = %s"
    assert asking.ask(note, [identity]) == [
        ("4 boots within minutes of a new list of measurands", True)
    ]


async def test_a_loop_is_also_seen_where_each_boot_forgets(asking: Network) -> None:
    identity = asking.new_identity()
    for _ in range(8):
        async with booted(asking, Keyed(plain_keys()), identity):
            pass
    keyed = Keyed(plain_keys())
    async with booted(asking, keyed, identity, last=MEASURANDS):
        pass
    assert keyed.changes == {MEASURANDS: ",".join(BENCH.split(",")[:5])}


async def test_who_never_booted_is_asked_to_once(asking: Network) -> None:
    identity = asking.new_identity()
    received: list[Any] = []

    def answer(action: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        received.append((action, payload))
        raise CallError("NotImplemented")

    async with asking.charge_point(identity, on_call=answer):
        await until(lambda: received, "nobody asked")
    async with asking.charge_point(identity, on_call=answer):
        await asyncio.sleep(SILENCE_S + 1)  # as long as the first socket was waited for, and more
    assert received == [("TriggerMessage", {"requestedMessage": "BootNotification"})]


async def test_operators_changes_are_read_back(asking: Network) -> None:
    desk = Desk(asking.database)
    identity = asking.new_identity()
    async with simulated(asking.url, identity):
        change = {"key": "ConnectionTimeOut", "value": "33"}
        await desk.send(identity, "ChangeConfiguration", change)
        query = "SELECT value FROM report.configuration WHERE charge_point = %s AND key = %s"
        await until(
            lambda: desk.rows(query, identity, "ConnectionTimeOut") == [{"value": "33"}],
            "it was not read back",
        )


async def test_what_is_really_sent_is_reported(asking: Network) -> None:
    keyed = Keyed(plain_keys())
    async with booted(asking, keyed) as charge_point:
        identity = charge_point.charge_point_id
        samples = [
            {"value": "1000", "measurand": "Energy.Active.Import.Register"},
            {"value": "230", "measurand": "Voltage", "phase": "L1-N", "unit": "V"},
            {"value": "50", "measurand": "SoC", "unit": "Percent"},
        ]
        at = datetime.now(UTC).isoformat()
        meter_value = [{"timestamp": at, "sampledValue": samples}]
        await charge_point.call("MeterValues", {"connectorId": 1, "meterValue": meter_value})
    query = "SELECT * FROM report.measurand WHERE charge_point = %s"
    rows = Desk(asking.database).rows(query, identity)
    assert {row["measurand"] for row in rows} == set(BENCH.split(","))
    assert all(row["is_asked"] for row in rows)
    seen = {row["measurand"] for row in rows if row["readings"]}
    assert seen == {"Energy.Active.Import.Register", "Voltage", "SoC"}


async def test_nobody_is_asked_where_it_is_switched_off(network: Network) -> None:
    async with connected(network.url, network.new_identity()) as charge_point:
        await charge_point.call("BootNotification", BOOT)
        with pytest.raises(TimeoutError):
            await charge_point.receive(1)
