"""What certification does not check and real networks do: crowds, outages, bad and late answers."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import psycopg
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from testbench.embedded import EmbeddedPostgres, host
from testbench.socket import CallError
from tests.acceptance.conftest import CentralSystem
from tests.acceptance.network import (
    BOOT,
    Answers,
    Network,
    answered,
    boot,
    meter_value,
    minutes_ago,
    send_meter_values,
    start,
)
from tests.waiting import until

case = pytest.mark.conformance


@case("extra", "a CALLERROR is shown with its code; the next command goes out")
async def test_a_command_answered_by_an_error(network):
    answers = Answers({"Reset": CallError("InternalError", "flash is worn out")})
    async with network.charge_point(on_call=answers) as charge_point:
        await boot(charge_point)
        row = await network.command(charge_point, "Reset", {"type": "Soft"})
        again = await network.command(charge_point, "ClearCache")

    assert (row["status"], row["error_code"]) == ("failed", "InternalError")
    assert row["error_description"] == "flash is worn out"
    assert answered(again, status="Accepted")


@case("extra", "a malformed CALLRESULT fails only its CALL")
@pytest.mark.parametrize("tail", ['"Accepted"]', '{"status":"Acc', "[]]", "]"])
async def test_a_malformed_result_fails_only_its_call(network, tail):
    async with network.charge_point() as charge_point:
        await boot(charge_point)
        waiting = asyncio.create_task(network.command(charge_point, "ClearCache"))
        _, message_id, _, _ = await charge_point.receive()
        await charge_point.send_text(f'[3,"{message_id}",{tail}')
        row = await waiting

        assert (row["status"], row["error_code"]) == ("failed", "FormationViolation")
        assert "currentTime" in await charge_point.call("Heartbeat")


@case("extra", "an answer after the time-out is written down and harms nothing")
async def test_a_result_that_comes_too_late(network):
    async with network.charge_point() as charge_point:
        await boot(charge_point)
        waiting = asyncio.create_task(network.command(charge_point, "ClearCache", lasts_s=1))
        _, message_id, _, _ = await charge_point.receive()
        row = await waiting
        await charge_point.send([3, message_id, {"status": "Accepted"}])

        assert (row["status"], row["error_code"]) == ("failed", "Timeout")
        await until(
            lambda: network.row("command", charge_point)["response"] == {"status": "Accepted"},
            "the late answer is kept",
        )
        next_one = asyncio.create_task(network.command(charge_point, "ClearCache"))
        _, message_id, _, _ = await charge_point.receive()
        await charge_point.send([3, message_id, {"status": "Rejected"}])
        assert answered(await next_one, status="Rejected")


@case("extra", "a socket that dies ends its CALL at once")
async def test_a_command_whose_socket_dies(network):
    async with network.charge_point() as charge_point:
        await boot(charge_point)
        waiting = asyncio.create_task(network.command(charge_point, "ClearCache", lasts_s=60))
        await charge_point.receive()
        await charge_point.cut()
        row = await asyncio.wait_for(waiting, 5)

    assert (row["status"], row["error_code"]) == ("failed", "ConnectionClosed")


@case("extra", "a command reaches its charge point while our database stalls a start")
async def test_a_command_passes_a_stalled_handler(network):
    async with network.charge_point(on_call=Answers()) as charge_point:
        await boot(charge_point)
        with psycopg.connect(network.database_url) as other:
            other.execute("LOCK TABLE transaction IN ACCESS EXCLUSIVE MODE")
            starting = asyncio.create_task(start(charge_point, "X"))
            await asyncio.sleep(0.1)
            row = await network.command(charge_point, "ClearCache")
            assert not starting.done()
        assert (await starting)["transactionId"] > 0

    assert answered(row, status="Accepted")


# ---------------------------------------------------------------- crowds

CROWD = 500


async def connect(network, identity, stack, tries):
    """Connect one; a stranger costs us look-ups, and may have to try again (503)."""
    for _ in range(tries - 1):
        try:
            return await stack.enter_async_context(network.charge_point(identity))
        except InvalidStatus:
            await asyncio.sleep(0.5)
    return await stack.enter_async_context(network.charge_point(identity))


@case("extra", "500 start at once, are cut off, reconnect and start again at once")
async def test_a_crowd_starts_and_comes_back_at_once(network):
    id_tag, at = network.add_id_tag(), minutes_ago(5)
    identities = [network.new_identity() for _ in range(CROWD)]
    answers = []
    for tries in (20, 1):
        async with AsyncExitStack() as stack:
            crowd = await asyncio.gather(
                *[connect(network, identity, stack, tries) for identity in identities]
            )
            await asyncio.gather(*[one.call("BootNotification", BOOT) for one in crowd])
            begun = await asyncio.gather(*[start(one, id_tag, at=at) for one in crowd])
            answers.append([answer["transactionId"] for answer in begun])
            for one in crowd:
                one.websocket.transport.abort()

    assert len(set(answers[0])) == CROWD, "every charge point has a transaction of its own"
    assert answers[0] == answers[1], "a start that comes again has the number it had"
    ((stored,),) = network.ask("SELECT count(*) FROM transaction WHERE id_tag = %s", [id_tag])
    assert stored == CROWD


# ---------------------------------------------------------------- the database goes away


async def send_for_ever(network, identity, confirmed):
    """Send a reading after the other, through outages; note each register that was confirmed."""
    register = 0
    while True:
        try:
            async with network.charge_point(identity) as charge_point:
                while True:
                    register += 1
                    await send_meter_values(
                        charge_point, meter_value(register, at=minutes_ago(0)), within=5
                    )
                    confirmed.append(register)
        except (ConnectionClosed, InvalidStatus, CallError, TimeoutError, OSError):
            await asyncio.sleep(0.1)


async def handshake_status(network):
    try:
        async with network.charge_point():
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


@case("extra", "the database is killed for some seconds: nothing confirmed is lost")
async def test_nothing_confirmed_is_lost_while_the_database_is_away(tmp_path):
    with (
        host.temporary_folder() as folder,
        EmbeddedPostgres(folder / "postgres", ephemeral=True, durable=True) as server,
    ):
        settings = {"unknown_charge_points": "accept", "configure_on_boot": "false"}
        url = server.create_database("outage")
        unasked: Any = None  # a connection to it would break with it
        central_system = CentralSystem(url, tmp_path / "ingest.log", settings)
        central_system.start()
        try:
            await check_an_outage(Network(central_system.url, url, unasked), server)
        finally:
            central_system.stop()


async def check_an_outage(network, server):
    identities = [network.new_identity() for _ in range(5)]
    confirmed = {identity: [] for identity in identities}
    senders = [
        asyncio.create_task(send_for_ever(network, one, confirmed[one])) for one in identities
    ]
    await asyncio.sleep(1)
    await asyncio.to_thread(server.kill)
    before = sum(map(len, confirmed.values()))
    await asyncio.sleep(2)

    assert before > 0
    assert await handshake_status(network) == 503
    away = sum(map(len, confirmed.values()))
    await asyncio.to_thread(server.start)
    await until(
        lambda: (
            all(len(registers) > 3 for registers in confirmed.values())
            and sum(map(len, confirmed.values())) > away + 20
        ),
        "the charge points are confirmed again",
        20,
    )
    for sender in senders:
        sender.cancel()
    await asyncio.wait(senders)
    with psycopg.connect(network.database_url) as network.database:
        for identity, registers in confirmed.items():
            stored = [row["energy_wh"] for row in network.rows("meter_value", identity)]
            assert set(registers) <= set(stored)
            assert len(stored) == len(set(stored)), "nothing is stored twice"
