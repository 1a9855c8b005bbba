"""What the database says of a replica's sockets, brought back to what is."""

import asyncio
from collections import Counter
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import psycopg
from psycopg_pool import AsyncConnectionPool

from ingest.central_system import CentralSystem
from ingest.commands import Commands
from ingest.metrics import Metrics
from ingest.operations import Operations
from ingest.presence import Presence
from ingest.registry import Registry
from ingest.settings import Settings
from ingest.signing import Signing
from ingest.store import Store
from ingest.writer import Writer
from testbench.socket import connected
from tests.acceptance.conftest import HASTY, serving
from tests.acceptance.conftest import CentralSystem as Process
from tests.acceptance.network import BOOT, Network
from tests.waiting import until, wait_until

DEAF = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'eletroposto listen'
"""


def deafen(network: Network) -> None:
    """End the connection on which a replica is told what others do; it will be back."""
    wait_until(lambda: bool(network.ask(DEAF)), "nobody listens")


def close_record(network: Network, identity: str, reason: str) -> None:
    network.ask(
        "UPDATE connection SET closed_at = now(), reason = %s FROM charge_point AS cp"
        " WHERE cp.identity = %s AND connection.charge_point_id = cp.charge_point_id",
        [reason, identity],
    )


async def test_a_replica_taken_for_dead_has_its_connections_back(network: Network) -> None:
    async with network.charge_point() as charge_point:
        await charge_point.call("Heartbeat")
        close_record(network, charge_point.charge_point_id, "the central system stopped")
        assert not network.row("charge_point", charge_point)["is_online"]
        deafen(network)
        await until(lambda: network.row("charge_point", charge_point)["is_online"], "it is back")
        assert "currentTime" in await charge_point.call("Heartbeat")
        row = network.row("connection", charge_point)
        assert (row["closed_at"], row["reason"]) == (None, None)


async def test_a_socket_whose_record_was_closed_while_nobody_listened_is_closed(
    network: Network,
) -> None:
    async with network.charge_point() as charge_point, network.charge_point() as other:
        await charge_point.call("Heartbeat")
        close_record(network, charge_point.charge_point_id, "closed by somebody")
        deafen(network)
        closed = await charge_point.wait_closed()
        assert closed.rcvd is not None
        assert closed.rcvd.code == 1012
        assert "currentTime" in await other.call("Heartbeat")
    assert network.row("connection", charge_point)["reason"] == "closed by somebody"


async def test_who_was_refused_while_nobody_listened_has_to_leave(network: Network) -> None:
    async with network.charge_point() as charge_point:
        await charge_point.call("Heartbeat")
        network.ask("ALTER TABLE charge_point DISABLE TRIGGER announce")  # the notice is lost
        network.ask(
            "UPDATE charge_point SET registration = 'refused' WHERE identity = %s",
            [charge_point.charge_point_id],
        )
        network.ask("ALTER TABLE charge_point ENABLE TRIGGER announce")
        deafen(network)
        closed = await charge_point.wait_closed()
        assert closed.rcvd is not None
        assert (closed.rcvd.code, closed.rcvd.reason) == (1008, "not registered")


async def test_a_record_that_no_socket_stands_behind_is_closed(database_url: str) -> None:
    """As when the end of a socket was lost in contention."""
    replica_id = uuid4()
    settings = Settings(database_url=database_url)
    store = Store(replica_id, "Invalid")
    writer = Writer(database_url, store, replica_id, "test", on_away=lambda: None)
    with psycopg.connect(database_url, autocommit=True) as database:
        database.execute("INSERT INTO charge_point (identity) VALUES ('CP-1'), ('CP-2')")
        database.execute(
            "INSERT INTO connection (opened_at, charge_point_id, replica_id)"
            " VALUES (now() - INTERVAL '1 hour', 1, %s), (now() - INTERVAL '1 hour', 2, %s)",
            [replica_id, uuid4()],
        )
        async with AsyncConnectionPool(database_url, open=False) as pool:
            commands = Commands(pool, {}, replica_id, Counter())
            operations = Operations(commands, Signing(pool, None), configuring=None)
            central_system = CentralSystem(
                settings, writer, Registry(pool, True), Metrics(), operations, {}
            )
            presence = Presence(pool, replica_id, central_system, ending=timedelta(hours=1))
            await presence.compare()
            open_ones = "SELECT charge_point_id FROM connection WHERE closed_at IS NULL ORDER BY 1"
            assert database.execute(open_ones).fetchall() == [(1,), (2,)], "it may be ending"
            presence.ending = timedelta(0)
            await presence.compare()
        assert database.execute(open_ones).fetchall() == [(2,)], "another replica's stays"
        rows = database.execute("SELECT reason FROM connection WHERE charge_point_id = 1")
    assert rows.fetchall() == [("its end was not recorded in time",)]


async def test_a_charge_point_whose_heartbeats_stop_is_left(
    database_url: str, tmp_path: Path
) -> None:
    """It answers pings all the time. The neighbour was told another interval by somebody."""
    settings = {"heartbeat_interval": "1", "ping_interval": "2"}
    with serving(database_url, tmp_path, HASTY, **settings) as central_system:
        await check_silence(central_system, database_url)


async def check_silence(central_system: Process, database_url: str) -> None:
    async with (
        connected(central_system.url, "CP-1") as silent,
        connected(central_system.url, "CP-2") as slower,
        connected(central_system.url, "CP-3") as never,
    ):
        with psycopg.connect(database_url, autocommit=True) as database:
            database.execute(
                "INSERT INTO configuration_key (charge_point_id, name, value)"
                " SELECT charge_point_id, 'heartbeatInterval', '3600' FROM charge_point"
                " WHERE identity = 'CP-2'"
            )
        await never.call("BootNotification", BOOT)
        for _ in range(5):
            await silent.call("Heartbeat")
            await slower.call("Heartbeat")
            await asyncio.sleep(0.8)
        closed = await asyncio.wait_for(silent.wait_closed(), 15)
        assert closed.rcvd is not None
        assert (closed.rcvd.code, closed.rcvd.reason) == (1012, "silent")
        assert "currentTime" in await slower.call("Heartbeat")
        assert "currentTime" in await never.call("Heartbeat")
