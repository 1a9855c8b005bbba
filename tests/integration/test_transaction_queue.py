"""Nothing is lost and the order is kept, whatever the connection and the other side do.

Source: OCPP 1.6 edition 2, 3.7 and 3.7.1.
"""

import itertools
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from testbench.account import Account
from testbench.bus import Bus, BusCharge, Outlet
from testbench.charge_point import ChargePoint
from testbench.clock import Clock
from testbench.link import Address, Backoff
from testbench.session import Visit
from testbench.transaction_queue import Message, TransactionQueue
from tests.scripted_central_system import (
    CUT,
    ERROR,
    SILENCE,
    ScriptedCentralSystem,
    scripted_central_system,
)

IN_TRANSACTION = ("StartTransaction", "MeterValues", "StopTransaction")


@pytest.fixture
async def central_system() -> AsyncIterator[ScriptedCentralSystem]:
    async with scripted_central_system() as scripted:
        yield scripted


@asynccontextmanager
async def bench(central_system, *, factor=7200.0, account=None, **keys):
    """A charge point two days back in time, with configuration ``keys``."""
    charge_point = ChargePoint(
        "BENCH-1",
        Address(central_system.url),
        clock=Clock(factor, datetime.now(UTC) - timedelta(days=2)),
        account=account,
        backoff=Backoff(first_s=0.02, most_s=0.05),
        within=0.15,
    )
    for name, value in {"TransactionMessageRetryInterval": "1", **keys}.items():
        charge_point.configuration.set(name, str(value))
    async with charge_point.running():
        yield charge_point


def half_an_hour(**visit):
    return Visit(BusCharge(Bus(), Outlet(), 40), "BUS-1", duration_s=1800, leave_s=1, **visit)


def said(frames):
    """Return what belongs to the transaction, each by its action and time."""
    return [
        (action, payload.get("timestamp") or payload["meterValue"][0]["timestamp"])
        for action, payload in frames
        if action in IN_TRANSACTION
    ]


def without_repetitions(frames):
    return list(dict.fromkeys(said(frames)))


def assert_whole(frames, account):
    """One start, 179 readings (each 10 s, the last second is the stop's), one stop, in order."""
    assert [action for action, _ in frames] == [
        "StartTransaction", *["MeterValues"] * 179, "StopTransaction",
    ]  # fmt: skip
    times = [datetime.fromisoformat(at) for _, at in frames]
    gaps = {(later - sooner).total_seconds() for sooner, later in itertools.pairwise(times)}
    assert gaps == {10.0}
    assert (account.readings_sent, account.readings_confirmed) == (179, 179)
    assert (account.stop_confirmed, account.discarded) == (True, 0)


async def test_an_untroubled_session_is_said_once(central_system):
    async with bench(central_system) as charge_point:
        account = await charge_point.charge(1, half_an_hour())
        await charge_point.queue.drained()

    assert_whole(said(central_system.received), account)
    start, stop = (
        central_system.payloads(name)[0] for name in (IN_TRANSACTION[0], IN_TRANSACTION[2])
    )
    assert stop["meterStop"] - start["meterStart"] == account.energy_wh
    assert {it["transactionId"] for it in central_system.payloads("MeterValues")} == {71}


async def test_lost_answers_repeat_the_message_before_those_behind_it(central_system):
    """Every ninth CALL gets no answer."""
    central_system.trouble = lambda action, _, number: (
        SILENCE if action in IN_TRANSACTION and number % 9 == 0 else None
    )

    async with bench(central_system) as charge_point:
        account = await charge_point.charge(1, half_an_hour())
        await charge_point.queue.drained()

    assert_whole(without_repetitions(central_system.received), account)
    assert_whole(said(central_system.processed), account)
    assert len(said(central_system.received)) > 181
    times = [at for _, at in said(central_system.received)]
    assert times == sorted(times), "a repetition came out of turn"


async def test_a_cut_socket_loses_nothing_and_costs_no_attempt(central_system):
    """With one attempt only, a message that was cut off must still come again."""
    central_system.trouble = lambda action, _, number: CUT if number % 23 == 0 else None

    async with bench(central_system, TransactionMessageAttempts=1) as charge_point:
        account = await charge_point.charge(1, half_an_hour())
        await charge_point.queue.drained()

    assert_whole(said(central_system.processed), account)
    assert len(central_system.handshakes) > 5
    boots = [action for action, _ in central_system.processed if action == "BootNotification"]
    assert len(boots) == 1, "a mere reconnect is no boot"


async def test_a_session_without_any_connection_is_told_afterwards(central_system):
    async with bench(central_system) as charge_point:
        await charge_point.link.online()
        await charge_point.authorise("BUS-1")
        await charge_point.link.go_offline()
        account = await charge_point.charge(1, half_an_hour())
        assert said(central_system.received) == []

        charge_point.link.come_back()
        await charge_point.queue.drained()

    assert_whole(said(central_system.processed), account)
    # The readings were put in the queue long before the central system gave the id.
    assert {it["transactionId"] for it in central_system.payloads("MeterValues")} == {71}
    statuses = [it["status"] for it in central_system.payloads("StatusNotification")[3:]]
    assert statuses == ["Available"], "only the present state is told after an outage"


async def test_a_refused_message_is_tried_as_often_as_configured_then_discarded(central_system):
    """The wait is the interval times the number of tries before; the fourth refusal is the last."""
    bad = ""
    central_system.trouble = lambda action, payload, _: (
        ERROR if action == "MeterValues" and payload["meterValue"][0]["timestamp"] == bad else None
    )
    keys = {"TransactionMessageAttempts": 4, "TransactionMessageRetryInterval": 40}
    async with bench(central_system, factor=100.0, **keys) as charge_point:
        await charge_point.link.online()
        tries: list[float] = []
        readings = charge_point.later(charge_point.charge(1, half_an_hour()))
        await central_system.until_processed("StartTransaction")
        started_at = datetime.fromisoformat(
            central_system.payloads("StartTransaction")[0]["timestamp"]
        )
        bad = (started_at + timedelta(seconds=60)).isoformat(timespec="milliseconds")
        bad = bad.replace("+00:00", "Z")
        while len(tries) < 4:
            before = len(central_system.received)
            await central_system.until(lambda seen=before: len(central_system.received) > seen)
            if said(central_system.received[-1:]) == [("MeterValues", bad)]:
                tries.append(time.monotonic())
        charge_point.connectors[1].session.stop("Local")
        account = await readings
        await charge_point.queue.drained()

    waits = [(later - sooner) * 100 for sooner, later in itertools.pairwise(tries)]
    assert waits == [pytest.approx(wanted, abs=19) for wanted in (40, 80, 120)]
    assert said(central_system.received).count(("MeterValues", bad)) == 4
    assert account.discarded == 1
    assert account.readings_confirmed == account.readings_sent - 1
    assert ("MeterValues", bad) not in said(central_system.processed)


async def test_a_start_that_never_was_confirmed_gives_its_readings_minus_one(central_system):
    """Errata to 1.6, 3.18."""
    central_system.trouble = lambda action, *_: ERROR if action == "StartTransaction" else None

    async with bench(central_system, TransactionMessageAttempts=2) as charge_point:
        account = await charge_point.charge(1, half_an_hour())
        await charge_point.queue.drained()

    assert {it["transactionId"] for it in central_system.payloads("MeterValues")} == {-1}
    assert central_system.payloads("StopTransaction")[0]["transactionId"] == -1
    assert (account.transaction_id, account.discarded) == (None, 1)


async def test_a_refused_tag_ends_the_transaction(central_system):
    central_system.answers["StartTransaction"] = {
        "transactionId": 5,
        "idTagInfo": {"status": "Invalid"},
    }

    async with bench(central_system) as charge_point:
        account = await charge_point.charge(1, half_an_hour())
        await charge_point.queue.drained()

    stop = central_system.payloads("StopTransaction")[0]
    assert (stop["transactionId"], stop["reason"]) == (5, "DeAuthorized")
    assert "idTag" not in stop
    assert account.stopped_at - account.started_at < timedelta(minutes=5)


async def test_a_refused_tag_gets_no_energy_where_it_may_stay(central_system):
    central_system.answers["StartTransaction"] = {
        "transactionId": 5,
        "idTagInfo": {"status": "Blocked"},
    }

    async with bench(central_system, StopTransactionOnInvalidId="false") as charge_point:
        account = await charge_point.charge(1, half_an_hour())
        await charge_point.queue.drained()

    assert account.reason == "Local"
    assert account.energy_wh < 2_000
    statuses = [it["status"] for it in central_system.payloads("StatusNotification")]
    assert "SuspendedEVSE" in statuses


async def test_an_unauthorised_tag_starts_nothing(central_system):
    central_system.answers["Authorize"] = {"idTagInfo": {"status": "Invalid"}}

    async with bench(central_system) as charge_point:
        await charge_point.link.online()
        assert await charge_point.charge(1, half_an_hour()) is None
        await central_system.until_processed("StatusNotification", 5)

    assert said(central_system.received) == []
    statuses = [it["status"] for it in central_system.payloads("StatusNotification")[3:]]
    assert statuses == ["Preparing", "Available"]


async def test_the_boot_is_repeated_until_it_is_accepted(central_system):
    central_system.answers["BootNotification"] = {
        "status": "Pending",
        "currentTime": "2026-01-01T00:00:00Z",
        "interval": 600,
    }

    async with bench(central_system) as charge_point:
        await central_system.until_processed("BootNotification", 3)
        assert {action for action, _ in central_system.processed} == {"BootNotification"}
        del central_system.answers["BootNotification"]
        await charge_point.link.online()
        await central_system.until_processed("StatusNotification", 3)


async def test_the_account_is_written_as_json_lines(central_system, tmp_path):
    account = Account(tmp_path / "account.jsonl")

    async with bench(central_system, account=account) as charge_point:
        await charge_point.charge(1, half_an_hour())
        await charge_point.queue.drained()

    (line,) = (tmp_path / "account.jsonl").read_text().splitlines()
    written = json.loads(line)
    start, stop = (
        central_system.payloads(name)[0] for name in (IN_TRANSACTION[0], IN_TRANSACTION[2])
    )
    assert written["charge_point"] == "BENCH-1"
    assert written["transaction_id"] == 71
    assert written["meter_start_wh"] == start["meterStart"]
    assert written["meter_stop_wh"] == stop["meterStop"]
    assert written["energy_wh"] == stop["meterStop"] - start["meterStart"]
    assert written["readings_confirmed"] == 179
    assert datetime.fromisoformat(written["started_at"]).timestamp() == pytest.approx(
        datetime.fromisoformat(start["timestamp"]).timestamp(), abs=0.001
    )


async def test_the_password_goes_with_the_handshake(central_system):
    charge_point = ChargePoint("BENCH-1", Address(central_system.url, password=b"\x00\xff key"))
    async with charge_point.running():
        await central_system.until(lambda: bool(central_system.received))

    header = central_system.handshakes[0].headers["Authorization"]
    assert header == "Basic QkVOQ0gtMToA/yBrZXk="


async def test_what_was_remembered_goes_before_what_is_put_meanwhile():
    remembered = (Message("MeterValues", f'{{"n":{number}}}') for number in range(3))
    queue = TransactionQueue(remembered)
    assert (await queue.first()).body == '{"n":0}'
    queue.put(Message("MeterValues", '{"n":"now"}'))
    assert (await queue.first()).body == '{"n":0}', "not confirmed yet"
    told: list[Any] = []
    while len(told) < 4:
        told.append((await queue.first()).body)
        queue.confirm({})
    assert told == ['{"n":0}', '{"n":1}', '{"n":2}', '{"n":"now"}']
