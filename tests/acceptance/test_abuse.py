"""Charge points, and strangers, that ask for too much: others go on, memory stays bounded.

Each abuser speaks raw TCP where a library would be too well behaved.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator

import psycopg
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from ingest.credentials import hash_password
from testbench.socket import RawChargePoint, connected
from tests.abusers import (
    MEGABYTE,
    confirmations_s,
    forget_peak,
    frame,
    meter_values,
    p99,
    peak_mb,
    push,
    raw_socket,
    swallow,
    was_ended,
)
from tests.acceptance.conftest import CentralSystem, StartCentralSystem, serving
from tests.acceptance.network import minutes_ago
from tests.faults.abuse import Size, measure

HONEST = ("HONEST", "HONEST-2", "HONEST-3")


@pytest.fixture(scope="module")
def crowded(
    module_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CentralSystem]:
    """One central system for the abuse that needs no settings of its own."""
    with serving(module_database_url, tmp_path_factory.mktemp("crowded")) as central_system:
        yield central_system


async def p99_s(honest: list[RawChargePoint], seconds: float) -> float:
    """The time to a confirmation that 99 of 100 of the honest ones' readings stay below."""
    took = await asyncio.gather(*(confirmations_s(one, seconds) for one in honest))
    return p99([second for one in took for second in one])


async def assert_undisturbed(
    central_system: CentralSystem,
    abuse: Callable[[], Awaitable[object]],
    seconds: float = 1.0,
    most_s: float = 0.4,
) -> None:
    """Honest charge points are served during ``abuse`` nearly as they were before.

    ``most_s`` is what is near enough however calm it was: the machine may be busy.
    """
    async with contextlib.AsyncExitStack() as stack:
        honest = [
            await stack.enter_async_context(connected(central_system.url, identity))
            for identity in HONEST
        ]
        calm_s = await p99_s(honest, 0.5)
        task = asyncio.ensure_future(abuse())
        seen_s = await p99_s(honest, seconds)
        await task
    assert seen_s < max(most_s, 5 * calm_s), f"p99 {seen_s:.3f} s, before it {calm_s:.3f} s"


async def test_slow_handshakes_keep_nobody_out(start_central_system: StartCentralSystem) -> None:
    central_system = start_central_system(handshakes_per_address="60")
    async with contextlib.AsyncExitStack() as stack:
        slow = [await stack.enter_async_context(raw_socket(central_system)) for _ in range(50)]
        for _, writer, _ in slow:
            writer.write(b"GET /ocpp/SLOW HTTP/1.1\r\nX-")
        async with connected(central_system.url, "HONEST") as honest:
            await meter_values(honest)


async def test_more_handshakes_than_allowed_are_reset_and_named(
    start_central_system: StartCentralSystem,
) -> None:
    central_system = start_central_system(handshakes_per_address="20")
    async with contextlib.AsyncExitStack() as stack:
        slow = [await stack.enter_async_context(raw_socket(central_system)) for _ in range(60)]
        await asyncio.sleep(0.5)
        ended = [await was_ended(reader) for reader, _, _ in slow]
    assert ended.count(True) == 40
    assert "127.0.0.1: too many unfinished handshakes" in central_system.log
    await asyncio.sleep(0.2)
    async with connected(central_system.url, "HONEST") as honest:
        await meter_values(honest)


async def test_a_flood_of_strangers_is_refused_and_its_list_is_bounded(
    start_central_system: StartCentralSystem, database_url: str
) -> None:
    central_system = start_central_system(unknown_charge_points="refuse")
    with psycopg.connect(database_url, autocommit=True) as conn:
        for identity in HONEST:
            conn.execute("INSERT INTO charge_point (identity) VALUES (%s)", [identity])
        before = forget_peak(central_system)
        door = asyncio.Semaphore(50)

        async def knock(number: int) -> None:
            async with door, raw_socket(central_system, f"STRANGER-{number}") as (_, _, head):
                assert b" 404 " in head or b" 503 " in head

        async def flood() -> None:
            await asyncio.gather(*(knock(number) for number in range(1100)))

        await assert_undisturbed(central_system, flood)
        await late_stranger(central_system)
        pending = conn.execute(
            "SELECT count(*), bool_or(identity = 'LATE') FROM charge_point"
            " WHERE registration = 'pending'"
        ).fetchone()
    assert pending is not None and 900 <= pending[0] <= 1010
    assert pending[1], "who knocks after the flood is listed too"
    assert peak_mb(central_system) - before < 30


async def late_stranger(central_system: CentralSystem) -> None:
    async with raw_socket(central_system, "LATE") as (_, _, head):
        assert b" 404 " in head


async def test_guessing_passwords_costs_little_and_ends_soon(
    start_central_system: StartCentralSystem, database_url: str
) -> None:
    """A slow hash for each guess would keep both cores busy."""
    central_system = start_central_system(wrong_passwords_per_minute="20")
    with psycopg.connect(database_url) as conn:
        conn.execute(
            "INSERT INTO charge_point (identity, password_hash) VALUES ('LOCKED', %s)",
            [hash_password("the right password")],
        )
        conn.execute(
            "INSERT INTO charge_point (identity, password_hash) VALUES ('NEIGHBOUR', %s)",
            [hash_password("another password")],
        )
    statuses: Counter[int] = Counter()

    async def guess(number: int) -> None:
        try:
            async with connected(central_system.url, "LOCKED", password=f"guess {number}"):
                raise AssertionError("nobody may come in with a guess")
        except InvalidStatus as exc:
            statuses[exc.response.status_code] += 1

    async def guess_on() -> None:
        for start in range(0, 200, 40):
            await asyncio.gather(*(guess(start + number) for number in range(40)))

    async with connected(central_system.url, "LOCKED", password="the right password") as right:
        await right.call("Heartbeat")
    await assert_undisturbed(central_system, guess_on)
    assert 20 <= statuses[401] <= 24
    assert statuses[429] == 200 - statuses[401]
    async with connected(central_system.url, "NEIGHBOUR", password="another password") as honest:
        await honest.call("Heartbeat")  # the same address, and its first time
    async with connected(central_system.url, "LOCKED", password="the right password") as right:
        await right.call("Heartbeat")


async def test_compression_is_never_agreed_on(crowded: CentralSystem) -> None:
    """A bomb of a few kilobytes could unfold to gigabytes."""
    offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
    async with raw_socket(crowded, "ZIPPER", offer) as (reader, writer, head):
        assert b" 101 " in head
        assert b"extensions" not in head.lower()
        compressed = bytearray(frame(b"\x00" * 20))
        compressed[0] |= 0x40
        writer.write(bytes(compressed))
        closing = await asyncio.wait_for(reader.read(100), 10)
        assert int.from_bytes(closing[2:4], "big") == 1002


async def test_an_oversized_frame_is_not_even_read(crowded: CentralSystem) -> None:
    before = forget_peak(crowded)
    async with raw_socket(crowded, "BIG") as (reader, writer, _):
        writer.write(b"\x81\xff" + (2**40).to_bytes(8, "big") + bytes(4))
        await push(writer, bytes(MEGABYTE), 0.5)
        closing = await asyncio.wait_for(reader.read(100), 10)
        assert int.from_bytes(closing[2:4], "big") == 1009
    assert peak_mb(crowded) - before < 30


@pytest.mark.parametrize("piece", [b"", b"x", b"x" * 100_000], ids=["empty", "byte", "large"])
async def test_a_message_without_end_is_closed(crowded: CentralSystem, piece: bytes) -> None:
    before = forget_peak(crowded)
    async with raw_socket(crowded, "ENDLESS") as (reader, writer, _):
        writer.write(frame(b"[2,", fin=False))
        more = frame(piece, 0, fin=False)
        pushing = asyncio.create_task(push(writer, more * max(1, 5000 // len(more)), 10))
        closing = await asyncio.wait_for(reader.read(100), 10)
        pushing.cancel()
        assert int.from_bytes(closing[2:4], "big") == 1009
    assert peak_mb(crowded) - before < 30


async def test_who_never_reads_the_answers_is_closed(
    start_central_system: StartCentralSystem,
) -> None:
    """The answers fill the buffers of TCP, then ours; then the socket goes, and is named."""
    central_system = start_central_system(unread_seconds="1", frames_per_second="20000")
    before = forget_peak(central_system)
    nonsense = frame(b'[2,"' + b"i" * 250 + b'","Nonsense",{}]') * 100
    async with raw_socket(central_system, "DEAF") as (reader, writer, _):
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        await push(writer, nonsense, 30)
        assert writer.transport.is_closing(), "nobody ended it"
    assert peak_mb(central_system) - before < 30
    assert "DEAF: does not read our answers: closed" in central_system.log


async def test_a_flood_of_pings_that_nobody_reads_the_pongs_of(
    crowded: CentralSystem,
) -> None:
    """The library answers each ping at once, also when its answers pile up unread."""
    before = forget_peak(crowded)
    pings = frame(b"p" * 125, 9) * 500
    async with raw_socket(crowded, "PINGER") as (reader, writer, _):
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        await assert_undisturbed(crowded, lambda: push(writer, pings, 1))
    assert peak_mb(crowded) - before < 30
    assert "PINGER: slowed to 2000 frames a second" in crowded.log


async def test_one_that_sends_as_fast_as_it_can_disturbs_nobody(crowded: CentralSystem) -> None:
    """It waits for the commits of its own frames: that is less than it may send."""
    before = forget_peak(crowded)
    beats = frame(b'[2,"1","Heartbeat",{}]') * 200
    async with raw_socket(crowded, "FAST") as (reader, writer, _):
        swallowing = asyncio.create_task(swallow(reader))
        await assert_undisturbed(crowded, lambda: push(writer, beats, 1))
        swallowing.cancel()
    assert peak_mb(crowded) - before < 40


async def test_a_flood_of_answers_to_calls_never_made_is_bounded(
    crowded: CentralSystem,
) -> None:
    """Nothing is due for them, so nothing but the log would slow their sender."""
    before = forget_peak(crowded)
    answers = frame(b'[3,"nothing",{"x":"' + b"y" * 2000 + b'"}]') * 50
    async with raw_socket(crowded, "ANSWERER") as (_, writer, _):
        await assert_undisturbed(crowded, lambda: push(writer, answers, 1))
    assert peak_mb(crowded) - before < 40


async def test_large_frames_of_one_do_not_hold_up_others(crowded: CentralSystem) -> None:
    """Thirty thousand readings in each frame, as fast as they are taken."""
    element = '{"timestamp":"%s","sampledValue":[{"value":"%d"}]}'
    elements = ",".join(element % (minutes_ago(n / 1000), n) for n in range(30_000))
    body = f'[2,"%d","MeterValues",{{"connectorId":1,"meterValue":[{elements}]}}]'
    async with raw_socket(crowded, "HUGE") as (reader, writer, _):
        swallowing = asyncio.create_task(swallow(reader))
        huge = frame((body % 1).encode()) + frame((body % 2).encode())

        async def send() -> None:
            writer.write(huge)
            await writer.drain()

        # The others wait for the one commit of thirty thousand readings, and not for the next.
        await assert_undisturbed(crowded, send, 4, most_s=3.0)
        swallowing.cancel()


async def test_a_frame_of_nothing_but_bad_samples_does_not_hold_up_others(
    crowded: CentralSystem,
) -> None:
    """It is one line of the log and some rows, however many of them there are."""
    samples = [{"value": "b"}] * 60_000
    junk = {
        "connectorId": 1,
        "meterValue": [{"timestamp": minutes_ago(1), "sampledValue": samples}],
    }
    async with connected(crowded.url, "JUNK") as charge_point:
        await assert_undisturbed(crowded, lambda: charge_point.call("MeterValues", junk), 2)
    said = [line for line in crowded.log.splitlines() if "JUNK: set aside" in line]
    assert len(said) == 1 and said[0].endswith("60000 x not a number: 'b'")


async def test_the_campaign_measures_what_an_abuse_does(crowded: CentralSystem) -> None:
    """``python -m tests.faults.abuse`` in small; at full size it takes minutes."""
    size = Size(identities=20, seconds=1, handshakes=5)
    for name in ("messages without end", "slow handshakes"):
        seen = await measure(crowded, name, size, honest=3)
        assert seen.confirmations > 3
        assert seen.calm_s > 0 and seen.under_s > 0
        assert 20 < seen.memory_mb < 400


async def test_deep_json_is_answered_and_harms_nobody(crowded: CentralSystem) -> None:
    deep = "[" * 500_000 + "]" * 500_000
    async with connected(crowded.url, "DEEP") as charge_point:
        for text in (deep, f'[2,"d1","MeterValues",{{"meterValue":{deep}}}]', "[" * 1_000_000):
            await charge_point.send_text(text)
        answer = await charge_point.receive()
        assert answer[:3] == [4, "d1", "FormationViolation"]
        await charge_point.call("Heartbeat")


async def test_two_sockets_of_one_identity_do_not_chase_each_other_for_ever(
    start_central_system: StartCentralSystem, database_url: str
) -> None:
    central_system = start_central_system(sockets_per_minute="30")
    before = forget_peak(central_system)
    opened = refused = 0

    async def insist() -> None:
        nonlocal opened, refused
        end = time.monotonic() + 3
        while time.monotonic() < end:
            try:
                async with connected(central_system.url, "TWIN") as twin:
                    opened += 1
                    await asyncio.wait_for(twin.wait_closed(), 1)
            except InvalidStatus as exc:
                assert exc.response.status_code == 429
                refused += 1
                await asyncio.sleep(0.05)
            except (TimeoutError, ConnectionClosed):
                continue

    async def two() -> None:
        await asyncio.gather(insist(), insist())

    await assert_undisturbed(central_system, two, 3)
    assert 30 <= opened <= 35
    assert refused > 0
    assert peak_mb(central_system) - before < 30
    assert "'TWIN' comes too often" in central_system.log
    with psycopg.connect(database_url) as conn:
        rows = conn.execute("SELECT count(*) FROM connection WHERE reason LIKE 'replaced%'")
        assert rows.fetchone() != (0,)


async def test_it_stops_in_order_while_a_socket_neither_reads_nor_speaks(
    central_system: CentralSystem,
) -> None:
    nonsense = frame(b'[2,"' + b"i" * 250 + b'","Nonsense",{}]') * 100
    async with raw_socket(central_system, "FROZEN") as (reader, writer, _):
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        await push(writer, nonsense, 2)
        assert await asyncio.to_thread(central_system.stop) == 0


async def test_a_pipelining_charge_point_that_vanishes_leaves_nothing_behind(
    central_system: CentralSystem, database_url: str
) -> None:
    """Its reader must not wait for room that its worker, gone with the socket, never makes."""
    with psycopg.connect(database_url) as conn:
        for number in range(5):
            async with raw_socket(central_system, f"PIPE-{number}") as (_, writer, _):
                conn.execute("LOCK TABLE ocpp_message")
                writer.write(frame(b'[2,"1","Heartbeat",{}]') * 200)
                await asyncio.sleep(0.3)
            conn.rollback()
        await asyncio.sleep(1)
        open_rows = conn.execute(
            "SELECT count(*) FROM connection WHERE closed_at IS NULL"
        ).fetchone()
    assert open_rows == (0,)
    assert await asyncio.to_thread(central_system.stop) == 0
