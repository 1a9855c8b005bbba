"""Charge points and id_tags from a shell: registered, approved, refused, listed."""

import asyncio
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from typer.testing import CliRunner
from websockets.exceptions import InvalidStatus

from eletroposto.cli import app
from testbench.socket import connected
from tests.acceptance.conftest import StartCentralSystem
from tests.acceptance.network import Network, meter_value, send_meter_values
from tests.acceptance.operator_desk import Desk
from tests.waiting import until

Run = Callable[..., tuple[int, str, str]]
KEY = "a1b2c3d4e5f60718293a4b5c6d7e8f9001122334"


@pytest.fixture
def run(network: Network, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command line here, against the database of the network."""
    monkeypatch.setenv("ELETROPOSTO_DATABASE_URL", network.database.info.dsn)

    def invoke(*words: str) -> tuple[int, str, str]:
        said = CliRunner().invoke(app, list(words), env={"COLUMNS": "200"})
        return said.exit_code, said.stdout, said.stderr

    return invoke


async def test_a_charge_point_is_added_and_changed(network: Network, run: Run) -> None:
    identity = network.new_identity()
    first = ("--name", "Depot 1", "--site", "Belém", "--latitude", "-1.47", "--longitude", "-48.45")
    more = ("--time-zone", "America/Belem", "--rated-power-w", "50000", "--password", KEY)
    assert run("charge-point", "add", identity, *first, *more) == (
        0,
        f"{identity}: registered\n",
        "",
    )
    assert run("charge-point", "add", identity, "--name", "Depot 2")[0] == 0
    row = network.row("charge_point", identity)
    assert (row["name"], row["site"], row["latitude"]) == ("Depot 2", "Belém", -1.47)
    assert network.row("connector", identity)["rated_power_w"] == 50000
    async with connected(network.url, identity, password=bytes.fromhex(KEY)) as charge_point:
        await charge_point.call("Heartbeat")
    _, listed, _ = run("charge-point", "list")
    (line,) = [line for line in listed.splitlines() if line.startswith(identity)]
    assert "Depot 2" in line and "registered" in line
    log = "SELECT details FROM report.operation_log WHERE subject = %s ORDER BY at"
    entries = Desk(network.database).rows(log, identity)
    assert len(entries) == 2 and KEY not in str(entries)


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (("charge-point", "add", "A/B"), 2, "can be no identity"),
        (("charge-point", "add", ""), 2, "can be no identity"),
        (("charge-point", "add", "T54-01 "), 2, "'T54-01 ' can be no identity"),
        (("charge-point", "add", "T54\t01"), 2, "'T54\\t01' can be no identity"),
        (("charge-point", "add", "A", "--latitude", "91"), 2, "--latitude"),
        (("charge-point", "add", "A", "--time-zone", "Mars/Base"), 2, "no such zone"),
        (("charge-point", "add", "A", "--password", ""), 2, "--password is empty"),
        (("charge-point", "add", "A", "--security-profile", "4"), 2, "--security-profile"),
        (("charge-point", "approve", "NOBODY"), 1, "no charge point 'NOBODY'"),
        (("charge-point", "refuse", "NOBODY"), 1, "no charge point 'NOBODY'"),
        (("id-tag", "add", " "), 2, "the tag is empty"),
        (("id-tag", "add", "A", "--status", "Perhaps"), 2, "--status"),
        (("id-tag", "add", "A", "--expiry", "soon"), 2, "--expiry 'soon'"),
        (("id-tag", "add", "A", "--max-active", "-1"), 2, "--max-active"),
    ],
)
def test_what_is_wrong_is_named(
    run: Run, words: tuple[str, ...], code: int, complaint: str
) -> None:
    exit_code, out, err = run(*words)
    assert (exit_code, out) == (code, "")
    assert complaint in err


def test_a_short_password_is_taken_with_a_note(network: Network, run: Run) -> None:
    code, _, err = run("charge-point", "add", network.new_identity(), "--password", "short")
    assert code == 0
    assert "16 to 20 bytes" in err


def test_a_database_that_is_away_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELETROPOSTO_DATABASE_URL", "postgresql://x@/x?host=/nowhere")
    code, out, err = run("charge-point", "list")
    assert (code, out) == (1, "")
    assert "/nowhere" in err


async def test_strangers_are_approved_and_refused(
    start_central_system: StartCentralSystem,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    run: Run,
) -> None:
    central_system = start_central_system(unknown_charge_points="refuse")
    monkeypatch.setenv("ELETROPOSTO_DATABASE_URL", database_url)

    async def status() -> int:
        try:
            async with connected(central_system.url, "NEW-1"):
                return 101
        except InvalidStatus as refused:
            return int(refused.response.status_code)

    assert await status() == 404
    assert run("charge-point", "list")[1].splitlines()[1].split()[:2] == ["NEW-1", "pending"]
    assert run("charge-point", "approve", "NEW-1") == (0, "NEW-1: registered\n", "")
    async with connected(central_system.url, "NEW-1") as charge_point:
        await charge_point.call("Heartbeat")
        assert run("charge-point", "refuse", "NEW-1") == (0, "NEW-1: refused\n", "")
        closed = await charge_point.wait_closed()
        assert closed.rcvd is not None and closed.rcvd.code == 1008
    assert await status() == 404
    assert run("send", "NEW-1", "ClearCache")[0] == 1
    assert run("charge-point", "add", "NEW-1")[1] == "NEW-1: refused\n"
    assert run("charge-point", "add", "NEW-1", "--approve")[1] == "NEW-1: registered\n"
    assert await status() == 101


async def test_a_time_zone_counts_at_once_for_who_is_connected(network: Network, run: Run) -> None:
    async with network.charge_point() as charge_point:
        seconds = itertools.count()

        async def read_at() -> timedelta:
            """Send a reading by the clock of Belém, and return how far off it is understood."""
            at = datetime.now(UTC) - timedelta(minutes=5, seconds=next(seconds))
            local = (at - timedelta(hours=3)).replace(tzinfo=None, microsecond=0)
            await send_meter_values(charge_point, meter_value(1, at=local.isoformat()))
            rows = network.rows("meter_value", charge_point)
            offs = [abs(row["sampled_at"] - at) for row in rows]
            return min(offs)

        assert await read_at() > timedelta(hours=2), "until it is told otherwise, UTC"
        identity = charge_point.charge_point_id
        assert run("charge-point", "add", identity, "--time-zone", "America/Belem")[0] == 0
        async with asyncio.timeout(10):
            while await read_at() > timedelta(seconds=2):  # noqa: ASYNC110  # seen from outside
                await asyncio.sleep(0.05)
        assert network.row("connection", charge_point)["closed_at"] is None, "on the same socket"


@pytest.mark.parametrize(
    ("before", "change", "refused_with"),
    [
        ((), ("--password", KEY), 401),
        (("--password", KEY), ("--password", KEY[::-1]), 401),
        (("--password", KEY), ("--security-profile", "2"), 403),
    ],
)
async def test_who_is_connected_has_to_prove_itself_anew(
    network: Network, run: Run, before: tuple[str, ...], change: tuple[str, ...], refused_with: int
) -> None:
    identity = network.new_identity()
    assert run("charge-point", "add", identity, *before)[0] == 0
    how: dict[str, Any] = {"password": bytes.fromhex(KEY)} if before else {}
    async with connected(network.url, identity, **how) as charge_point:
        await charge_point.call("Heartbeat")
        assert run("charge-point", "add", identity, *change)[0] == 0
        closed = await asyncio.wait_for(charge_point.wait_closed(), 10)
    assert closed.rcvd is not None and closed.rcvd.code == 1012
    with pytest.raises(InvalidStatus) as refused:
        async with connected(network.url, identity, **how):
            pass
    assert refused.value.response.status_code == refused_with


async def test_who_proved_what_is_asked_for_may_stay(network: Network, run: Run) -> None:
    identity = network.new_identity()
    assert run("charge-point", "add", identity, "--password", KEY)[0] == 0
    async with connected(network.url, identity, password=bytes.fromhex(KEY)) as charge_point:
        await charge_point.call("Heartbeat")
        assert network.row("charge_point", identity)["security_profile"] == 1, "of this very socket"
        for change in (("--security-profile", "1"), ("--name", "Depot"), ("--time-zone", "UTC")):
            assert run("charge-point", "add", identity, *change)[0] == 0
        await asyncio.sleep(0.5)  # longer than notices take
        await charge_point.call("Heartbeat")


async def test_id_tags_are_added_and_judged(network: Network, run: Run) -> None:
    async def verdict(tag: str) -> dict[str, Any]:
        async with network.charge_point() as charge_point:
            return dict((await charge_point.call("Authorize", {"idTag": tag}))["idTagInfo"])

    tag = f"{network.new_identity()}-T"
    assert run("id-tag", "add", tag, "--parent", "FLEET", "--alias", "Bus 7") == (
        0,
        f"{tag}: Accepted\n",
        "",
    )
    assert await verdict(tag.lower()) == {"status": "Accepted", "parentIdTag": "FLEET"}
    assert run("id-tag", "add", tag, "--status", "blocked")[0] == 0
    assert (await verdict(tag))["status"] == "Blocked"
    assert run("id-tag", "add", tag, "--expiry", "2024-05-01")[0] == 0
    expired = await verdict(tag)
    assert expired == {"status": "Expired", "expiryDate": "2024-05-01T00:00:00.000Z"}
    _, _, warning = run("id-tag", "add", tag, "--parent", "P" * 21)
    assert warning == "a parent longer than 20 characters is not told to charge points\n"
    assert await verdict(tag) == {"status": "Accepted"}
    _, _, warning = run("id-tag", "add", f"{tag}{'-' * 20}")
    assert warning == "longer than 20 characters: no charge point can be sent this tag\n"
    _, listed, _ = run("id-tag", "list")
    assert [line for line in listed.splitlines() if line.startswith(tag)]


async def test_security_profiles_are_lowered_by_people_only(network: Network, run: Run) -> None:
    identity = network.new_identity()
    assert run("charge-point", "add", identity, "--security-profile", "2")[0] == 0
    with pytest.raises(InvalidStatus):
        async with connected(network.url, identity):
            pass
    assert run("charge-point", "add", identity, "--security-profile", "0")[0] == 0

    async def knocks() -> bool:
        try:
            async with connected(network.url, identity):
                return True
        except InvalidStatus:
            return False

    await until(lambda: network.row("charge_point", identity)["security_profile"] == 0, "stays")
    for _ in range(50):
        if await knocks():
            return
    raise AssertionError("it is still refused")
