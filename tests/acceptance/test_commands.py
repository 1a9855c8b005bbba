"""Commands on their way: one at a time, once, through any replica, and every way to fail."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from eletroposto.cli import app
from testbench.socket import CallError, RawChargePoint, connected
from tests.acceptance.conftest import CentralSystem, StartCentralSystem
from tests.acceptance.network import BOOT, Network
from tests.acceptance.operator_desk import Desk, eletroposto, simulated
from tests.waiting import until

KEY = "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567"


@pytest.fixture
def desk(network: Network) -> Desk:
    return Desk(network.database)


def accepting(action: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    return {"status": "Accepted"}


async def received_call(charge_point: RawChargePoint, within: float = 10) -> tuple[str, str]:
    """Return id and action of the next CALL of the central system."""
    kind, message_id, action, _ = await charge_point.receive(within)
    assert kind == 2
    return message_id, action


# ---------------------------------------------------------------- success


async def test_a_command_of_another_process_is_answered(network: Network) -> None:
    url = network.database.info.dsn
    identity = network.new_identity()
    async with simulated(network.url, identity):
        said = await eletroposto(url, "send", identity, "reset", '{"type":"Soft"}')
        assert (said.code, said.out, said.err) == (0, '{"status": "Accepted"}\n', "")
        heard = await eletroposto(url, "send", identity, "GetLocalListVersion", "--timeout", "5")
        assert (heard.code, heard.out) == (0, '{"listVersion": 0}\n')
    asked_by = {row["requested_by"] for row in network.rows("command", identity)}
    assert all(who.endswith("(command line)") for who in asked_by)


async def test_a_payload_may_come_from_standard_input(network: Network) -> None:
    async with network.charge_point(on_call=accepting) as charge_point:
        words = ("send", charge_point.charge_point_id, "clearCACHE", "-")
        said = await eletroposto(network.database.info.dsn, *words, stdin="{}")
    assert said.code == 0


async def test_one_call_is_outstanding_and_answers_go_on(network: Network, desk: Desk) -> None:
    async with network.charge_point() as charge_point:
        identity = charge_point.charge_point_id
        first = desk.queue(identity, "ClearCache", {})
        second = desk.queue(identity, "GetLocalListVersion", {})
        message_id, action = await received_call(charge_point)
        assert action == "ClearCache"
        assert "currentTime" in await charge_point.call("Heartbeat")
        with pytest.raises(TimeoutError):
            await charge_point.receive(0.5)
        await charge_point.send([3, message_id, {"status": "Rejected"}])
        message_id, action = await received_call(charge_point)
        assert action == "GetLocalListVersion"
        await charge_point.send([3, message_id, {"listVersion": 5}])
        assert (await desk.finished(first))["response"] == {"status": "Rejected"}
        finished = await desk.finished(second)
    assert finished["response"] == {"listVersion": 5}
    assert finished["requested_at"] <= finished["sent_at"] <= finished["finished_at"]


async def test_a_command_waits_for_a_charge_point_to_connect(network: Network, desk: Desk) -> None:
    async with network.charge_point() as charge_point:
        identity = charge_point.charge_point_id
    command_id = desk.queue(identity, "ClearCache", {})
    async with network.charge_point(identity, on_call=accepting) as charge_point:
        await charge_point.call("BootNotification", BOOT)
        assert (await desk.finished(command_id))["status"] == "answered"


# ---------------------------------------------------------------- failures


async def test_a_callerror_is_a_failure_with_its_words(network: Network, desk: Desk) -> None:
    def refusing(action: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        raise CallError("NotSupported", "no such thing here")

    async with network.charge_point(on_call=refusing) as charge_point:
        identity = charge_point.charge_point_id
        command = await desk.finished(desk.queue(identity, "ClearCache", {}))
        said = await eletroposto(network.database.info.dsn, "send", identity, "ClearCache")
    assert (command["status"], command["error_code"]) == ("failed", "NotSupported")
    assert command["error_description"] == "no such thing here"
    assert (said.code, said.out) == (1, "")
    assert "NotSupported: no such thing here" in said.err


async def test_silence_fails_and_a_late_answer_is_kept(network: Network, desk: Desk) -> None:
    async with network.charge_point() as charge_point:
        identity = charge_point.charge_point_id
        payload = {"key": "ConnectionTimeOut", "value": "9"}
        command_id = desk.queue(identity, "ChangeConfiguration", payload, seconds=2)
        message_id, _ = await received_call(charge_point)
        failed = await desk.finished(command_id)
        assert (failed["status"], failed["error_code"]) == ("failed", "Timeout")
        assert "no answer within" in failed["error_description"]
        await charge_point.send([3, message_id, {"status": "Accepted"}])
        await until(lambda: desk.command(command_id)["response"], "the late answer is lost")
    late = desk.command(command_id)
    assert (late["status"], late["response"]) == ("failed", {"status": "Accepted"})
    assert "an answer came" in late["error_description"]
    key = desk.row("SELECT * FROM report.configuration WHERE charge_point = %s", identity)
    assert (key["asked_value"], key["asked_status"]) == ("9", "Accepted")


async def test_a_dead_socket_fails_the_call_at_once(network: Network, desk: Desk) -> None:
    async with network.charge_point() as charge_point:
        command_id = desk.queue(charge_point.charge_point_id, "ClearCache", {}, seconds=60)
        await received_call(charge_point)
        await charge_point.cut()
        command = await desk.finished(command_id, within_s=3)
    assert (command["status"], command["error_code"]) == ("failed", "ConnectionClosed")


async def test_a_newer_socket_fails_the_call_of_the_older(network: Network, desk: Desk) -> None:
    async with network.charge_point() as older:
        identity = older.charge_point_id
        command_id = desk.queue(identity, "ClearCache", {}, seconds=60)
        await received_call(older)
        async with network.charge_point(identity, on_call=accepting):
            command = await desk.finished(command_id, within_s=3)
            assert command["error_code"] == "ConnectionClosed"
            assert await desk.send(identity, "ClearCache", {}) == {"status": "Accepted"}


async def test_an_unreadable_answer_fails_the_call(network: Network, desk: Desk) -> None:
    async with network.charge_point() as charge_point:
        command_id = desk.queue(charge_point.charge_point_id, "ClearCache", {})
        message_id, _ = await received_call(charge_point)
        await charge_point.send([3, message_id, "Accepted"])
        command = await desk.finished(command_id)
        assert (command["status"], command["error_code"]) == ("failed", "FormationViolation")
        assert "currentTime" in await charge_point.call("Heartbeat")


async def test_answers_of_odd_shapes_do_no_harm(network: Network, desk: Desk) -> None:
    answers: dict[str, dict[str, Any]] = {
        "GetConfiguration": {"configurationKey": {"key": "A", "value": 3}, "unknownKey": "B"},
        "GetLocalListVersion": {"listVersion": "seven"},
        "GetInstalledCertificateIds": {"status": "Accepted", "certificateHashData": "none"},
        "ChangeAvailability": {"status": 7},
    }
    payloads: dict[str, dict[str, Any]] = {
        "GetInstalledCertificateIds": {"certificateType": "ManufacturerRootCertificate"},
        "ChangeAvailability": {"connectorId": 1, "type": "Operative"},
    }
    async with network.charge_point(on_call=lambda action, _: answers[action]) as charge_point:
        identity = charge_point.charge_point_id
        for action, answer in answers.items():
            assert await desk.send(identity, action, payloads.get(action, {})) == answer
    commands = network.rows("command", identity)
    notes = {row["action"]: row["error_description"] for row in commands}
    assert "its effect is not known" in notes["GetLocalListVersion"]


@pytest.mark.parametrize(
    ("action", "payload", "answer", "code"),
    [
        ("ClearCache", "{}", {"status": "Rejected"}, 1),
        ("UnlockConnector", '{"connectorId":1}', {"status": "UnlockFailed"}, 1),
        ("UnlockConnector", '{"connectorId":1}', {"status": "Unlocked"}, 0),
        ("ChangeAvailability", '{"connectorId":1,"type":"Operative"}', {"status": "Scheduled"}, 0),
        ("GetConfiguration", "{}", {"unknownKey": []}, 0),
    ],
)
async def test_a_script_can_tell_a_refusal(
    network: Network, action: str, payload: str, answer: dict[str, Any], code: int
) -> None:
    async with network.charge_point(on_call=lambda *_: answer) as charge_point:
        identity = charge_point.charge_point_id
        words = ("send", identity, action, payload)
        said = await eletroposto(network.database.info.dsn, *words)
    assert (said.code, json.loads(said.out)) == (code, answer), "the answer is shown either way"
    told = f"eletroposto: {action} to {identity}: refused: {answer['status']}\n" if code else ""
    assert said.err == told


async def test_a_command_nobody_could_send_expires(network: Network, desk: Desk) -> None:
    async with network.charge_point() as charge_point:
        identity = charge_point.charge_point_id
    await until(
        lambda: [row for row in network.rows("connection", identity) if row["closed_at"]],
        "its connection is not closed",
    )
    command = await desk.finished(desk.queue(identity, "ClearCache", {}, seconds=1))
    assert (command["status"], command["error_code"]) == ("expired", "NotConnected")
    assert command["error_description"] == "the charge point is not connected"
    said = await eletroposto(network.database.info.dsn, "send", identity, "ClearCache")
    assert (said.code, said.out) == (1, "")
    assert said.err == f"eletroposto: {identity} is offline\n"
    words = ("send", identity, "ClearCache", "--timeout", "1", "--wait")
    waited = await eletroposto(network.database.info.dsn, *words)
    assert waited.code == 1
    assert "expired: the charge point is not connected" in waited.err


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (("NOBODY", "Reset", '{"type":"Soft"}'), 1, "unknown charge point 'NOBODY'"),
        (("NOBODY", "Explode"), 2, "no action 'Explode'"),
        (("NOBODY", "Heartbeat"), 2, "no action 'Heartbeat'"),
        (("NOBODY", "Reset", "{type:Soft}"), 2, "not JSON"),
        (("NOBODY", "Reset", '["Soft"]'), 2, "is list, not an object"),
        (("NOBODY", "Reset", '{"type":"Warm"}'), 2, "Reset: type: 'Warm' is not one of Hard, Soft"),
        (("NOBODY", "Reset"), 2, "Reset: type: is missing"),
        (("NOBODY", "Reset", '{"type":"Soft","x":1}'), 2, "x: 1: there is no such field"),
        (("NOBODY", "ClearCache", "--timeout", "0"), 2, "--timeout 0"),
        (("NOBODY", "ClearCache", "--timeout", "121"), 2, "at most 120 seconds"),
        (("NOBODY", "ClearCache", "--timeout", "121", "--wait"), 1, "unknown charge point"),
        (("NOBODY", "ClearCache", "--timeout", "90000", "--wait"), 2, "at most 86400 seconds"),
        (("NOBODY",), 2, "ACTION"),
    ],
)
def test_what_cannot_be_sent_is_named(
    network: Network,
    words: tuple[str, ...],
    code: int,
    complaint: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ELETROPOSTO_DATABASE_URL", network.database.info.dsn)
    said = CliRunner().invoke(app, ["send", *words])
    assert (said.exit_code, said.stdout) == (code, "")
    assert complaint in said.stderr


async def test_nothing_invalid_leaves_us(network: Network, desk: Desk) -> None:
    async with network.charge_point() as charge_point:
        identity = charge_point.charge_point_id
        command = await desk.finished(desk.queue(identity, "Reset", {"type": "Warm"}))
        with pytest.raises(TimeoutError):
            await charge_point.receive(0.3)
    assert (command["status"], command["error_code"]) == ("failed", "InvalidCommand")
    assert command["error_description"] == "Reset: type: 'Warm' is not one of Hard, Soft"


# ---------------------------------------------------------------- secrets


async def test_secrets_are_kept_nowhere(
    start_central_system: StartCentralSystem, database_url: str
) -> None:
    told = {
        "configurationKey": [
            {"key": "AuthorizationKey", "readonly": False, "value": KEY},
            {"key": "WifiPassword", "readonly": False, "value": "hunter2hunter2"},
            {"key": "SimPIN", "readonly": False, "value": "98761234"},
            {"key": "WebSocketPingInterval", "readonly": False, "value": "30"},
        ]
    }
    secrets = (KEY, "hunter2hunter2", "98761234", "geheim")

    def answer(action: str, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        return told if action == "GetConfiguration" else {"status": "Accepted"}

    central_system = start_central_system(configure_on_boot="true", log_level="DEBUG")
    with psycopg.connect(database_url, autocommit=True) as database:
        desk = Desk(database)
        async with connected(central_system.url, "S-1", on_call=answer) as charge_point:
            await charge_point.call("BootNotification", BOOT)
            change = "ChangeConfiguration"
            await desk.send("S-1", change, {"key": "AuthorizationKey", "value": KEY})
            await desk.send("S-1", change, {"key": "WifiPassword", "value": "hunter2hunter2"})
            await desk.send("S-1", "GetDiagnostics", {"location": "ftp://x:geheim@h.example/y"})
            await desk.send("S-1", "GetConfiguration", {})
            await charge_point.send([3, "never asked", told])
            offline = desk.queue("S-1", change, {"key": "SimPIN", "value": "98761234"}, 1)
            await desk.finished(offline)
            await charge_point.call("Heartbeat")
        tables = desk.rows(
            "SELECT table_schema || '.' || table_name AS name FROM information_schema.tables"
            " WHERE table_schema IN ('public', 'report')"
        )
        for table in tables:
            stored = str(desk.rows(f"SELECT t::text FROM {table['name']} AS t"))
            for secret in secrets:
                assert secret not in stored, f"{secret} in {table['name']}"
        pings = desk.row("SELECT value FROM report.configuration WHERE key LIKE 'WebSocket%%'")
    assert pings["value"] == "30", "its name only sounds like a PIN"
    assert not [secret for secret in secrets if secret in central_system.log]


# ---------------------------------------------------------------- replicas


async def test_a_call_of_a_dead_replica_is_given_up(
    start_central_system: StartCentralSystem, database_url: str
) -> None:
    first, second = start_central_system(), start_central_system()
    with psycopg.connect(database_url, autocommit=True) as database:
        desk = Desk(database)
        async with connected(first.url, "R-3") as charge_point:
            command_id = desk.queue("R-3", "ClearCache", {}, seconds=300)
            await received_call(charge_point)
            first.kill()
            _let_time_pass(database, "replica", "seen_at", "started_at < now()")
            _let_time_pass(database, "command", "sent_at", f"command_id = {command_id}")
            command = await desk.finished(command_id)
        async with connected(second.url, "R-3", on_call=accepting):
            await asyncio.sleep(1)
    assert (command["status"], command["error_code"]) == ("failed", "Abandoned")
    assert desk_is_quiet(second)


def _let_time_pass(database: psycopg.Connection[Any], table: str, column: str, which: str) -> None:
    """Make it look a minute older; who lives says so again."""
    statement = f"UPDATE {table} SET {column} = {column} - INTERVAL '1 minute' WHERE {which}"
    database.execute(statement.encode())


def desk_is_quiet(central_system: CentralSystem) -> bool:
    return "Traceback" not in central_system.log


async def test_commands_under_way_are_written_down_at_the_end(
    start_central_system: StartCentralSystem, database_url: str
) -> None:
    central_system = start_central_system()
    with psycopg.connect(database_url, autocommit=True) as database:
        desk = Desk(database)
        async with connected(central_system.url, "E-1") as charge_point:
            command_id = desk.queue("E-1", "ClearCache", {}, seconds=300)
            await received_call(charge_point)
            assert await asyncio.to_thread(central_system.stop) == 0
        command = desk.command(command_id)
    assert (command["status"], command["error_code"]) == ("failed", "ConnectionClosed")
