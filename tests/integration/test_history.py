"""The replayed past, the live network and the fleet, against a central system that notes all."""

import asyncio
import itertools
import json
import sys
from collections import defaultdict
from datetime import UTC, datetime, timedelta

import pytest

from testbench.account import Account
from testbench.fleet import fleet
from testbench.history import Past, Sampling, days_until, events, replay
from testbench.link import Address
from testbench.live import live
from testbench.memory import Memory
from testbench.network import ID_TAGS, SITES, Fault, Planned
from tests.scripted_central_system import scripted_central_system
from tests.waiting import until

UNTIL = datetime(2026, 3, 20, 15, tzinfo=UTC)
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
BENCH, DEPOT, CAMPUS, LIBRARY = SITES


@pytest.fixture
async def central_system():
    async with scripted_central_system() as scripted:
        yield scripted


def at(payload):
    return datetime.fromisoformat(payload["timestamp"])


def planned(site, days, seed=7, until=UNTIL):
    return events(site, days_until(until, days), seed, LONG_AGO, until)


def test_the_same_seed_is_the_same_past_whenever_it_is_told():
    today = planned(BENCH, 30)
    tomorrow = planned(BENCH, 30, until=UNTIL + timedelta(days=1))

    assert set(today) & set(tomorrow) == set(tomorrow[:-1]) & set(today)
    assert len(set(today) & set(tomorrow)) >= len(today) - 2
    assert planned(BENCH, 30, seed=8) != today


def test_a_month_holds_what_makes_a_dashboard_worth_looking_at():
    bench = planned(BENCH, 30)
    by_day = defaultdict(list)
    for session in bench:
        by_day[(session.starts_at - timedelta(hours=3)).date()].append(session)

    assert len(by_day) >= 29
    assert any(len(sessions) == 2 for sessions in by_day.values())
    evenings = [it for it in bench if it.id_tag == "BUS-1"]
    assert all(3 <= it.duration_s / 3600 <= 7 for it in evenings)
    hours = [(it.starts_at - timedelta(hours=3)).hour for it in evenings]
    assert set(hours) <= {16, 17, 18}
    assert any(isinstance(it, Fault) for it in planned(DEPOT, 30))
    assert any(it.reason == "PowerLoss" for it in planned(DEPOT, 90) if isinstance(it, Planned))
    assert any(isinstance(it, Fault) for it in planned(LIBRARY, 30))
    assert len(planned(CAMPUS, 30)) > 25


@pytest.mark.parametrize("site", SITES, ids=lambda site: site.charge_point_id)
def test_nothing_overlaps_and_everything_is_over(site):
    found = planned(site, 60)

    assert all(later.starts_at > sooner.latest_end for sooner, later in itertools.pairwise(found))
    assert all(it.latest_end < UNTIL for it in found)
    tags = {it.id_tag for it in found if isinstance(it, Planned)}
    assert tags <= set(site.id_tags) <= set(ID_TAGS)


def test_the_past_is_told_in_order_and_registers_go_on():
    """The start register of a transaction is the stop register of the one before."""
    past = Past(BENCH, planned(BENCH, 10), Memory(), Account())
    messages = list(past.messages(Sampling(), UNTIL, lambda: None))

    bodies = [(message.action, json.loads(message.body)) for message in messages]
    starts = [body["meterStart"] for action, body in bodies if action == "StartTransaction"]
    stops = [body["meterStop"] for action, body in bodies if action == "StopTransaction"]
    assert len(starts) == len(stops) >= 9
    assert starts[1:] == stops[:-1]
    assert all(100_000 < stop - start < 340_000 for start, stop in zip(starts, stops, strict=True)
               if stop - start > 150_000)  # fmt: skip
    times = [at(body if "timestamp" in body else body["meterValue"][-1]) for _, body in bodies]
    assert all(
        later >= sooner - timedelta(minutes=1) for sooner, later in itertools.pairwise(times)
    )


async def test_what_was_replayed_is_what_the_account_says(central_system, tmp_path):
    path, told = tmp_path / "account.jsonl", []
    memory = Memory(tmp_path / "memory.json")
    total = await replay(
        central_system.url,
        days=3,
        until=UNTIL,
        sites=[BENCH],
        sampling=Sampling(single_days=1),
        account=Account(path),
        memory=memory,
        progress=lambda done, of: told.append((done, of)),
    )

    accounts = [json.loads(line) for line in path.read_text().splitlines()]
    starts, stops = (central_system.payloads(f"{it}Transaction") for it in ("Start", "Stop"))
    assert told == [(number, total) for number in range(1, total + 1)]
    assert len(accounts) == len(starts) == len(stops) == total
    for account, start, stop in zip(accounts, starts, stops, strict=True):
        frames = [
            it
            for it in central_system.payloads("MeterValues")
            if it["transactionId"] == stop["transactionId"]
        ]
        elements = [element for it in frames for element in it["meterValue"]]
        assert account["transaction_id"] == stop["transactionId"]
        assert account["readings_confirmed"] == account["readings_sent"] == len(elements)
        assert account["energy_wh"] == stop["meterStop"] - start["meterStart"]
        registers = [float(it["sampledValue"][0]["value"]) for it in elements]
        assert registers == sorted(registers)
        assert registers[-1] == stop["meterStop"]
        times = [at(it) for it in elements]
        recent = UNTIL - at(start) < timedelta(days=1)
        assert times[1] - times[0] == timedelta(seconds=10 if recent else 30)
        assert max(len(it["meterValue"]) for it in frames) == (1 if recent else 10)
    assert {it["status"] for it in central_system.payloads("StatusNotification")} >= {
        "Preparing", "Charging", "Finishing", "Available",
    }  # fmt: skip


async def test_the_past_is_not_told_twice(central_system, tmp_path):
    path = tmp_path / "memory.json"
    first = await replay(
        central_system.url, days=4, until=UNTIL, sites=[CAMPUS], memory=Memory(path)
    )
    again = await replay(
        central_system.url, days=4, until=UNTIL, sites=[CAMPUS], memory=Memory(path)
    )
    later = await replay(
        central_system.url,
        days=4,
        until=UNTIL + timedelta(days=3),
        sites=[CAMPUS],
        memory=Memory(path),
    )

    assert first > 0
    assert again == 0
    starts = central_system.payloads("StartTransaction")
    stops = central_system.payloads("StopTransaction")
    assert len(starts) == first + later
    assert [it["meterStart"] for it in starts[1:]] == [it["meterStop"] for it in stops[:-1]]


async def test_a_bus_is_in_mid_charge_at_once_and_a_power_cut_ends_it(central_system, tmp_path):
    path = tmp_path / "memory.json"
    task = asyncio.create_task(live(central_system.url, sites=[BENCH], memory=Memory(path)))
    await central_system.until(
        lambda: any(
            datetime.now(UTC) - at(it["meterValue"][-1]) < timedelta(seconds=20)
            for it in central_system.payloads("MeterValues")
        ),
        seconds=30,
    )
    readings = [it["meterValue"][0] for it in central_system.payloads("MeterValues")]
    await until(lambda: Memory(path).of("BENCH-1").open is not None, "it remembers nothing")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    kept = Memory(path).of("BENCH-1")

    values = {it["measurand"]: float(it["value"]) for it in readings[-1]["sampledValue"]}
    assert values["Power.Active.Import"] > 40_000
    assert 40 < values["SoC"] < 60
    assert timedelta(minutes=60) < at(readings[-1]) - at(readings[0]) < timedelta(minutes=80)
    assert kept.open is not None

    task = asyncio.create_task(live(central_system.url, sites=[BENCH], memory=Memory(path)))
    (stop,) = await central_system.until_processed("StopTransaction")
    second = (await central_system.until_processed("StartTransaction", 2))[1]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert stop["reason"] == "PowerLoss"
    assert stop["transactionId"] == kept.open.transaction_id
    assert stop["meterStop"] == second["meterStart"] == round(kept.registers_wh["1"])
    assert at(second) > at(stop)


async def test_a_fleet_charges_side_by_side(central_system):
    account = Account()
    report = await fleet(
        Address(central_system.url), 6, interval_s=1, duration_s=3.5, account=account
    )

    assert (report.charge_points, report.sessions) == (6, 6)
    assert report.readings_sent == report.readings_confirmed == 18
    paths = {handshake.path for handshake in central_system.handshakes}
    assert paths == {f"/ocpp/FLEET-{number}" for number in range(1, 7)}


async def run_command(*arguments):
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from testbench.commands import app; app()",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, out.decode(), err.decode()


async def test_the_command_prints_the_account_of_its_session(central_system):
    code, out, err = await run_command(
        "charge", "--url", central_system.url, "--speed", "3600", "--hours", "3", "--soc", "50"
    )

    assert (code, err) == (0, "")
    printed = json.loads(out)
    (stop,) = central_system.payloads("StopTransaction")
    assert printed["meter_stop_wh"] == stop["meterStop"]
    assert printed["readings_confirmed"] == 1079
    assert printed["energy_wh"] > 100_000


async def test_the_command_refuses_unknown_quirks_and_unknown_tags(central_system):
    central_system.answers["Authorize"] = {"idTagInfo": {"status": "Blocked"}}

    quirk, _, complaint = await run_command("charge", "--quirk", "dancing")
    tag, _, refusal = await run_command("charge", "--url", central_system.url)

    assert (quirk, tag) == (2, 1)
    assert "dancing" in complaint
    assert "not accepted" in refusal
