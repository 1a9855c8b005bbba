"""Two replicas on one database behind a balancer: charge points move between them at will."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from testbench.balancer import Balancer
from testbench.socket import RawChargePoint
from tests.acceptance.conftest import CentralSystem, StartCentralSystem, serving
from tests.acceptance.network import (
    Network,
    boot,
    instant,
    meter_value,
    minutes_ago,
    send_meter_values,
    start,
    stop,
)
from tests.acceptance.operator_desk import Desk
from tests.waiting import fetch, until

ACCEPTED = {"status": "Accepted"}


@dataclass
class Replicas:
    """Two central systems, and the database they share."""

    both: list[CentralSystem]
    database_url: str
    database: psycopg.Connection[Any]

    @property
    def ports(self) -> list[int]:
        return [replica.port for replica in self.both]

    def behind(self, balancer: Balancer) -> Network:
        """A network whose every connection goes to the next replica."""
        return Network(balancer.url, self.database_url, self.database)

    def at(self, number: int) -> Network:
        """A network of one of them."""
        return Network(self.both[number].url, self.database_url, self.database)

    def holders(self, identity: str) -> list[str]:
        """The replicas a charge point's sockets were at, oldest first."""
        rows = self.database.execute(
            "SELECT conn.replica_id FROM connection AS conn JOIN charge_point USING"
            " (charge_point_id) WHERE identity = %s ORDER BY opened_at",
            [identity],
        )
        return [str(row[0]) for row in rows]


def health(replica: CentralSystem) -> dict[str, Any]:
    return dict(fetch(f"{replica.health_url}/healthz").json())


@pytest.fixture(scope="module")
def replicas(
    module_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Replicas]:
    url = module_database_url
    folders = [tmp_path_factory.mktemp(name) for name in ("first", "second")]
    with (
        serving(url, folders[0]) as first,
        serving(url, folders[1]) as second,
        psycopg.connect(url, autocommit=True) as database,
    ):
        yield Replicas([first, second], url, database)


def open_connections(network: Network, identity: str) -> list[dict[str, Any]]:
    return [row for row in network.rows("connection", identity) if row["closed_at"] is None]


async def test_a_charge_point_that_comes_back_lands_on_the_other_replica(
    replicas: Replicas,
) -> None:
    known = [health(replica)["replica"] for replica in replicas.both]
    async with Balancer(replicas.ports) as balancer:
        network = replicas.behind(balancer)
        async with network.charge_point() as charge_point:
            identity = charge_point.charge_point_id
            await boot(charge_point)
            await charge_point.cut()
        async with network.charge_point(identity) as charge_point:
            await charge_point.call("Heartbeat")
            earlier, later = network.rows("connection", identity)
            assert network.row("charge_point", identity)["is_online"]
    assert (later["closed_at"], earlier["closed_at"] is None) == (None, False)
    assert replicas.holders(identity) == known, "one after the other"


async def test_the_newest_socket_wins_wherever_it_is(replicas: Replicas) -> None:
    here, there = replicas.at(0), replicas.at(1)
    async with here.charge_point() as older:
        identity = older.charge_point_id
        await boot(older)
        async with there.charge_point(identity, on_call=lambda *_: ACCEPTED) as newest:
            closed = await asyncio.wait_for(older.wait_closed(), 5)
            assert closed.rcvd is not None
            assert (closed.rcvd.code, closed.rcvd.reason) == (
                1008,
                "replaced by a newer connection",
            )
            assert "currentTime" in await newest.call("Heartbeat")
            assert await Desk(replicas.database).send(identity, "ClearCache", {}) == ACCEPTED
            earlier, later = there.rows("connection", identity)
    assert (earlier["reason"], later["closed_at"]) == ("a newer connection came", None)


async def test_of_two_sockets_at_one_instant_one_stays(replicas: Replicas) -> None:
    here, there = replicas.at(0), replicas.at(1)
    identities = [here.new_identity() for _ in range(10)]
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        for identity in identities:
            group.create_task(_one_stays(here, there, identity))


async def _one_stays(here: Network, there: Network, identity: str) -> None:
    async with _two_at_once(here, there, identity) as sockets:
        closing = [asyncio.ensure_future(socket.wait_closed()) for socket in sockets]
        closed, standing = await asyncio.wait(
            closing, return_when=asyncio.FIRST_COMPLETED, timeout=10
        )
        assert (len(closed), len(standing)) == (1, 1), f"{identity}: both sockets stay"
        survivor = sockets[closing.index(standing.pop())]
        await asyncio.sleep(0.5)
        assert "currentTime" in await survivor.call("Heartbeat")
        assert len(await asyncio.to_thread(open_connections, here, identity)) == 1


@asynccontextmanager
async def _two_at_once(
    here: Network, there: Network, identity: str
) -> AsyncIterator[list[RawChargePoint]]:
    """Two sockets of one charge point, opened together at two replicas."""
    doors = [network.charge_point(identity) for network in (here, there)]
    sockets = await asyncio.gather(*(door.__aenter__() for door in doors))
    try:
        yield list(sockets)
    finally:
        await asyncio.gather(*(door.__aexit__(None, None, None) for door in doors))


async def test_quick_moves_end_with_a_socket_that_stays(replicas: Replicas) -> None:
    async with Balancer(replicas.ports) as balancer:
        network = replicas.behind(balancer)
        identity = network.new_identity()
        for _ in range(12):
            async with network.charge_point(identity) as charge_point:
                await charge_point.call("Heartbeat")
                await charge_point.cut()
        async with network.charge_point(identity) as charge_point:
            for _ in range(5):
                assert "currentTime" in await charge_point.call("Heartbeat")
                await asyncio.sleep(0.2)
            assert len(open_connections(network, identity)) == 1
    assert len(network.rows("connection", identity)) == 13


async def test_commands_find_the_socket_wherever_it_went(replicas: Replicas) -> None:
    received: list[str] = []

    def answer(action: str, payload: dict[str, Any]) -> dict[str, str]:
        received.append(payload["data"])
        return ACCEPTED

    desk = Desk(replicas.database)
    async with Balancer(replicas.ports) as balancer:
        network = replicas.behind(balancer)
        async with network.charge_point() as charge_point:
            await boot(charge_point)
        identity = charge_point.charge_point_id
        asleep = desk.queue(identity, "DataTransfer", {"vendorId": "v", "data": "asleep"})
        for place in ("first", "second", "third"):
            async with network.charge_point(identity, on_call=answer) as charge_point:
                await charge_point.call("Heartbeat")
                wanted = {"vendorId": "v", "data": place}
                assert await desk.send(identity, "DataTransfer", wanted) == ACCEPTED
                await charge_point.cut()
    assert received == ["asleep", "first", "second", "third"], "each once, in their order"
    assert (await desk.finished(asleep))["status"] == "answered"
    assert len(set(replicas.holders(identity)[-2:])) == 2


async def test_commands_at_once_reach_the_one_that_holds_the_socket(replicas: Replicas) -> None:
    received: list[str] = []

    def answer(action: str, payload: dict[str, Any]) -> dict[str, str]:
        received.append(payload["data"])
        return ACCEPTED

    desk, wanted = Desk(replicas.database), [str(number) for number in range(40)]
    async with replicas.at(1).charge_point(on_call=answer) as charge_point:
        await boot(charge_point)
        numbers = [
            desk.queue(
                charge_point.charge_point_id, "DataTransfer", {"vendorId": "v", "data": text}
            )
            for text in wanted
        ]
        for number in numbers:
            assert (await desk.finished(number))["status"] == "answered"
    assert received == wanted, "each once, in their order"


async def test_a_transaction_is_whole_though_its_parts_came_through_both(
    replicas: Replicas,
) -> None:
    ats = [minutes_ago(minutes) for minutes in (9, 8, 7)]
    async with Balancer(replicas.ports) as balancer:
        network = replicas.behind(balancer)
        id_tag = network.add_id_tag()
        began = minutes_ago(10)
        async with network.charge_point() as charge_point:
            identity = charge_point.charge_point_id
            await boot(charge_point)
            transaction_id = (await start(charge_point, id_tag, at=began))["transactionId"]
            reading = meter_value(1500, at=ats[0])
            await send_meter_values(charge_point, reading, transactionId=transaction_id)
        async with network.charge_point(identity) as charge_point:
            again = await start(charge_point, id_tag, at=began)
            await send_meter_values(charge_point, reading, transactionId=transaction_id)
            await send_meter_values(charge_point, meter_value(3000, at=ats[1]))
        async with network.charge_point(identity) as charge_point:
            await send_meter_values(charge_point, meter_value(6000, at=ats[2]))
            ended = minutes_ago(5)
            await stop(charge_point, transaction_id, at=ended)
        async with network.charge_point(identity) as charge_point:
            await stop(charge_point, transaction_id, at=ended)
        transaction = network.row("transaction", identity)
        readings = network.rows("meter_value", identity)
        orphans = network.rows("orphan_stop", identity)
    assert again["transactionId"] == transaction_id == transaction["transaction_id"]
    assert (transaction["meter_start_wh"], transaction["meter_stop_wh"]) == (1000, 9000)
    assert (transaction["started_at"], transaction["stopped_at"]) == (
        instant(began),
        instant(ended),
    )
    assert [(row["sampled_at"], row["energy_wh"]) for row in readings] == list(
        zip(map(instant, ats), (1500, 3000, 6000), strict=True)
    )
    assert {row["transaction_id"] for row in readings} == {transaction_id}
    assert orphans == []


async def test_a_start_on_its_way_when_the_socket_moves_is_one_transaction(
    replicas: Replicas,
) -> None:
    here, there = replicas.at(0), replicas.at(1)
    id_tag = here.add_id_tag()
    identities = [here.new_identity() for _ in range(10)]

    async def move(identity: str) -> int:
        began = minutes_ago(10)
        async with here.charge_point(identity) as charge_point:
            await charge_point.call("Heartbeat")
            unanswered = asyncio.ensure_future(start(charge_point, id_tag, at=began))
            await asyncio.sleep(0)  # it leaves; its answer finds nobody
            await charge_point.cut()
            await asyncio.gather(unanswered, return_exceptions=True)
        async with there.charge_point(identity) as charge_point:
            answer = await start(charge_point, id_tag, at=began)
            await send_meter_values(charge_point, meter_value(2000, at=minutes_ago(9)))
            return int(answer["transactionId"])

    numbers = await asyncio.gather(*map(move, identities))
    for identity, number in zip(identities, numbers, strict=True):
        assert here.row("transaction", identity)["transaction_id"] == number
        assert here.row("meter_value", identity)["transaction_id"] == number


async def test_nothing_is_stored_twice_where_both_get_the_same_frame(replicas: Replicas) -> None:
    here, there = replicas.at(0), replicas.at(1)
    at = [minutes_ago(minutes) for minutes in range(40, 20, -1)]
    async with here.charge_point() as one:
        identity = one.charge_point_id
        await boot(one)
        async with there.charge_point(identity) as other:
            frames = [meter_value(100 + number, at=each) for number, each in enumerate(at)]
            # The older socket is about to be closed: what it still gets in must do no harm.
            sent = await asyncio.gather(
                *(send_meter_values(one, frame) for frame in frames),
                *(send_meter_values(other, frame) for frame in frames),
                return_exceptions=True,
            )
    assert sent[len(frames) :] == [{}] * len(frames)
    stored = [row["energy_wh"] for row in here.rows("meter_value", identity)]
    assert stored == [100 + number for number in range(len(at))]


# ---------------------------------------------------------------- a replica dies


async def test_what_a_killed_replica_held_is_closed(
    start_central_system: StartCentralSystem, database_url: str
) -> None:
    both = [start_central_system() for _ in range(2)]
    with psycopg.connect(database_url, autocommit=True) as database:
        await _kill_one(Replicas(both, database_url, database), both[0])


async def _kill_one(replicas: Replicas, doomed: CentralSystem) -> None:
    direct = replicas.at(0)
    async with (
        direct.charge_point() as lost,
        direct.charge_point() as returning,
        Balancer(replicas.ports) as balancer,
    ):
        for charge_point in (lost, returning):
            await boot(charge_point)
        doomed.kill()
        await asyncio.gather(lost.wait_closed(), returning.wait_closed())
        network = replicas.behind(balancer)
        async with network.charge_point(returning.charge_point_id) as back:
            await back.call("Heartbeat")
            earlier, later = network.rows("connection", returning.charge_point_id)
            assert earlier["closed_at"] is not None, "at once, since it came back"
            assert earlier["closed_at"] <= later["opened_at"]
            assert later["closed_at"] is None
            await _shown_closed(network, lost.charge_point_id)
            assert open_connections(network, returning.charge_point_id) == [later]


async def _shown_closed(network: Network, identity: str) -> None:
    """Within 35 s of the death. The wait for 25 of them is spared: they are made to have passed."""
    assert network.row("charge_point", identity)["is_online"], "nobody can know so soon"
    network.database.execute("UPDATE replica SET seen_at = seen_at - INTERVAL '25 seconds'")
    await until(lambda: not network.row("charge_point", identity)["is_online"], "still online", 10)
    await until(lambda: not open_connections(network, identity), "still open", 10)
    closed = network.row("connection", identity)
    assert closed["reason"] == "the central system stopped"
