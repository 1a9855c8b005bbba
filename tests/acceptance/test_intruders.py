"""Silent connections, guessed passwords, storms of keyed charge points, secrets that are told back.

What the other tests of abuse do to the open port, on the ports and paths beside it.
"""

import asyncio
import contextlib
import json
import os
import secrets
import ssl
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from ingest.credentials import hash_password
from testbench.authority import TestAuthority
from testbench.embedded import host
from testbench.socket import CallError, connected
from tests.abusers import basic, handshake, raw_socket, was_ended
from tests.acceptance.conftest import CentralSystem, StartCentralSystem
from tests.acceptance.network import Network
from tests.acceptance.operator_desk import Desk
from tests.waiting import fetch, until, wait_until

KEY = "a1b2c3d4e5f60718293a4b5c6d7e8f9001122334"


async def silent(
    stack: contextlib.AsyncExitStack, central_system: CentralSystem, port: int, number: int
) -> int:
    """Open so many connections that say nothing; return how many were ended at once."""
    opened = [
        await stack.enter_async_context(raw_socket(central_system, port=port))
        for _ in range(number)
    ]
    await asyncio.sleep(0.5)
    return [await was_ended(reader) for reader, _, _ in opened].count(True)


# ---------------------------------------------------------------- ports


async def test_silent_connections_to_the_tls_port_are_counted_too(
    start_central_system: StartCentralSystem, tmp_path: Path
) -> None:
    authority = TestAuthority()
    certificate, key = authority.server(tmp_path)
    port = host.free_port()
    central_system = start_central_system(
        handshakes_per_address="20",
        ocpp_tls_port=str(port),
        tls_certificate=str(certificate),
        tls_key=str(key),
    )
    trust = ssl.create_default_context(cadata=authority.certificate_pem)
    async with contextlib.AsyncExitStack() as stack:
        assert await silent(stack, central_system, port, 60) == 40
        assert "127.0.0.1: too many unfinished handshakes" in central_system.log
    await asyncio.sleep(0.5)
    async with connected(
        f"wss://127.0.0.1:{port}/ocpp", "HONEST", ssl_context=trust
    ) as charge_point:
        await charge_point.call("Heartbeat")
    async with contextlib.AsyncExitStack() as stack:
        assert await silent(stack, central_system, port, 10) == 0
        began = time.monotonic()
        assert await asyncio.to_thread(central_system.stop) == 0
        assert time.monotonic() - began < 15, "it waited for those who say nothing"


async def test_the_health_port_is_bounded_and_for_this_machine_only(
    start_central_system: StartCentralSystem,
) -> None:
    central_system = start_central_system(ocpp_host="0.0.0.0")
    with pytest.raises(OSError, match=r"127\.0\.0\.2"):
        await asyncio.open_connection("127.0.0.2", central_system.health_port)
    async with contextlib.AsyncExitStack() as stack:
        assert await silent(stack, central_system, central_system.health_port, 100) >= 68
        async with connected(f"ws://127.0.0.2:{central_system.port}/x", "HONEST") as charge_point:
            await charge_point.call("Heartbeat")

        def answers() -> bool:
            with contextlib.suppress(httpx.TransportError):
                return fetch(f"{central_system.health_url}/healthz").status_code == 200
            return False

        await asyncio.to_thread(wait_until, answers, "/healthz answers again", 15)


# ---------------------------------------------------------------- passwords


def add_keyed(database_url: str, number: int) -> dict[str, str]:
    """Register so many charge points with keys of their own; return the keys."""
    keys = {f"KEYED-{n}": secrets.token_hex(20) for n in range(number)}
    with ThreadPoolExecutor(2) as pool:
        hashes = list(pool.map(hash_password, keys.values()))
    with psycopg.connect(database_url) as conn, conn.cursor() as cursor:
        insert = "INSERT INTO charge_point (identity, password_hash) VALUES (%s, %s)"
        cursor.executemany(insert, list(zip(keys, hashes, strict=True)))
    return keys


def cpu_s(central_system: CentralSystem) -> float:
    """The time the process has had on a core."""
    fields = Path(f"/proc/{central_system.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def storm(central_system: CentralSystem, keys: dict[str, str]) -> float:
    """Have all of them come at once; return what it cost the central system."""
    before = cpu_s(central_system)

    async def come(identity: str) -> None:
        header = basic(identity, keys[identity])
        async with raw_socket(central_system, identity, header, patience_s=60) as (_, _, head):
            assert b" 101 " in head, head

    await asyncio.gather(*map(come, keys))
    return cpu_s(central_system) - before


async def test_a_restart_costs_keyed_charge_points_no_slow_hash_where_there_is_a_secret(
    start_central_system: StartCentralSystem, database_url: str, tmp_path: Path
) -> None:
    pepper = tmp_path / "pepper"
    pepper.write_text(secrets.token_hex(32))
    keys = await asyncio.to_thread(add_keyed, database_url, 40)
    central_system = start_central_system(
        unknown_charge_points="refuse", password_pepper_file=str(pepper)
    )
    slow_s = await storm(central_system, keys)
    with psycopg.connect(database_url, autocommit=True) as conn:

        def kept() -> bool:
            query = "SELECT count(password_digest) FROM charge_point"
            return conn.execute(query).fetchone() == (40,)

        await until(kept, "the digests are kept", 20)
    await asyncio.to_thread(central_system.restart)
    quick_s = await storm(central_system, keys)
    assert quick_s < slow_s / 3, f"{slow_s:.1f} s with slow hashes, {quick_s:.1f} s without"
    wrong = basic("KEYED-1", "not its key")
    async with raw_socket(central_system, "KEYED-1", wrong) as (_, _, head):
        assert b" 401 " in head


async def test_guesses_over_many_identities_keep_no_honest_one_out(
    start_central_system: StartCentralSystem, database_url: str
) -> None:
    keys = await asyncio.to_thread(add_keyed, database_url, 20)
    hashed = hash_password(KEY)
    with psycopg.connect(database_url) as conn, conn.cursor() as cursor:
        insert = "INSERT INTO charge_point (identity, password_hash) VALUES (%s, %s)"
        cursor.executemany(insert, [(f"TARGET-{n}", hashed) for n in range(400)])
    central_system = start_central_system(
        unknown_charge_points="refuse", wrong_passwords_per_minute="5"
    )
    statuses: Counter[str] = Counter()

    async def guess(number: int) -> None:
        identity = f"TARGET-{number}"
        header = basic(identity, f"guess {number}")
        async with raw_socket(central_system, identity, header, patience_s=60) as (_, _, head):
            statuses[head.split()[1].decode()] += 1

    guessing = asyncio.gather(*map(guess, range(400)))
    await asyncio.sleep(0.1)
    for identity, key in keys.items():
        header = basic(identity, key)
        began = time.monotonic()
        async with raw_socket(central_system, identity, header, source="127.0.0.2") as opened:
            assert b" 101 " in opened[2]
        assert time.monotonic() - began < 3
    await guessing
    assert 50 <= statuses["401"] < 100, "ten times what it may guess of one, and what came back"
    assert statuses["429"] == 400 - statuses["401"]
    assert "127.0.0.1: refused" in central_system.log
    assert central_system.log.count("too many wrong passwords") <= 2


# ---------------------------------------------------------------- strangers


async def test_strangers_from_one_address_are_one_line(
    start_central_system: StartCentralSystem,
) -> None:
    central_system = start_central_system(unknown_charge_points="refuse")
    door = asyncio.Semaphore(20)

    async def knock(number: int) -> None:
        async with door, raw_socket(central_system, f"STRANGER-{number}") as (_, _, head):
            assert b" 404 " in head

    await asyncio.gather(*map(knock, range(200)))
    assert central_system.log.count("unknown charge point") <= 2


# ---------------------------------------------------------------- secrets


def log_of(network: Network, identity: str) -> str:
    """Everything the database keeps of what a charge point and we told each other."""
    rows: list[Any] = network.rows("ocpp_message", identity)
    rows += network.rows("command", identity) + network.rows("set_aside", identity)
    return str(rows)


async def test_a_charge_point_that_tells_a_secret_back_does_not_put_it_into_the_log(
    network: Network,
) -> None:
    desk = Desk(network.database)
    identity = network.new_identity()

    def refuse(action: str, payload: dict[str, Any]) -> dict[str, Any]:
        raise CallError("PropertyConstraintViolation", f"{payload['value']} is too long", payload)

    async with connected(network.url, identity, on_call=refuse) as charge_point:
        change = {"key": "AuthorizationKey", "value": KEY}
        failed = await desk.finished(desk.queue(identity, "ChangeConfiguration", change))
        assert failed["error_description"] == "*** is too long"
        await charge_point.send_text(f'[4,"1","X","your {KEY} does not fit",{{}}]')
        await charge_point.send_text(f'[3,"2",{{"status":"{KEY}"}}]')
        await charge_point.send_text(f'[3,"3",{{"configurationKey":[{{"key":"X","value":"{KEY}')
        told = {"vendorId": "v", "data": json.dumps({"wifi": {"psk": "hunter2"}})}
        await charge_point.call("DataTransfer", told)
        await charge_point.send_text('[2,"4","DataTransfer",{"data":{"FtpPwd":"hunter2"')
        await charge_point.call("Heartbeat")
    kept = log_of(network, identity)
    assert "DataTransfer" in kept and "PropertyConstraintViolation" in kept
    assert KEY not in kept and "hunter2" not in kept


async def test_what_cannot_hold_a_secret_is_kept_byte_for_byte(network: Network) -> None:
    text = '[2, "odd",\t"Authorize" , {"idTag":"pass=1 key", "x":"wss://u:p@h"}  ]'
    async with network.charge_point() as charge_point:
        await charge_point.send_text(text)
        await charge_point.receive()
        rows = network.rows("ocpp_message", charge_point)
    assert [row["raw"] for row in rows if row["direction"] == "in"] == [text]


async def test_no_secret_reaches_the_log_of_a_refused_handshake(
    start_central_system: StartCentralSystem,
) -> None:
    central_system = start_central_system(unknown_charge_points="refuse")
    async with raw_socket(central_system) as (reader, writer, _):
        writer.write(handshake("NOBODY", basic("NOBODY", KEY)))
        await asyncio.wait_for(reader.read(1000), 10)
    assert KEY not in central_system.log
