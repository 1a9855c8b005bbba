"""What certification checks of a central system: what operators ask of charge points.

A command is a row that any client may insert; what became of it is a row of report.command.
"""

import asyncio
import json
import sys

import pytest

from tests.acceptance.network import (
    BOOT,
    Answers,
    answered,
    boot,
    show,
    start,
    stop,
)

case = pytest.mark.conformance


# ---------------------------------------------------------------- start and stop from afar


@pytest.mark.parametrize(
    "cable_first",
    [
        pytest.param(True, marks=case("010", "remote start, cable first")),
        pytest.param(False, marks=case("011_1", "remote start, then the cable")),
    ],
)
async def test_a_remote_start(network, cable_first):
    id_tag, answers = network.add_id_tag(), Answers()
    async with network.charge_point(on_call=answers) as charge_point:
        await boot(charge_point)
        if cable_first:
            await show(charge_point, "Preparing")
        row = await network.command(
            charge_point, "RemoteStartTransaction", {"connectorId": 1, "idTag": id_tag}
        )
        if not cable_first:
            await show(charge_point, "Preparing")
        begun = await start(charge_point, id_tag)

    assert answered(row, status="Accepted")
    assert answers.asked == [("RemoteStartTransaction", {"connectorId": 1, "idTag": id_tag})]
    assert begun["idTagInfo"]["status"] == "Accepted" and begun["transactionId"] > 0


@case("011_2", "remote start accepted, no cable in time: no transaction")
async def test_a_remote_start_nobody_follows(network):
    async with network.charge_point(on_call=Answers()) as charge_point:
        await boot(charge_point)
        payload = {"connectorId": 1, "idTag": network.add_id_tag()}
        row = await network.command(charge_point, "RemoteStartTransaction", payload)
        await show(charge_point, "Preparing")
        await show(charge_point, "Available")

    assert answered(row, status="Accepted")
    assert network.rows("transaction", charge_point) == []


@case("012", "remote stop: the transaction ends with reason Remote")
async def test_a_remote_stop(network):
    answers = Answers()
    async with network.charge_point(on_call=answers) as charge_point:
        await boot(charge_point)
        transaction_id = (await start(charge_point, network.add_id_tag()))["transactionId"]
        payload = {"transactionId": transaction_id}
        row = await network.command(charge_point, "RemoteStopTransaction", payload)
        await stop(charge_point, transaction_id, reason="Remote")

    assert answered(row, status="Accepted")
    assert answers.asked == [("RemoteStopTransaction", payload)]
    assert network.row("transaction", charge_point)["reason"] == "Remote"


@pytest.mark.parametrize(
    ("action", "payload", "response"),
    [
        pytest.param(
            "RemoteStartTransaction",
            {"connectorId": 1, "idTag": "X"},
            {"status": "Rejected"},
            marks=case("026", "remote start rejected, shown"),
        ),
        pytest.param(
            "RemoteStopTransaction",
            {"transactionId": 17},
            {"status": "Rejected"},
            marks=case("028", "remote stop rejected, shown"),
        ),
        pytest.param(
            "UnlockConnector",
            {"connectorId": 1},
            {"status": "Unlocked"},
            marks=case("017_1", "unlock, no session: Unlocked"),
        ),
        pytest.param(
            "UnlockConnector",
            {"connectorId": 1},
            {"status": "NotSupported"},
            marks=case("017_2", "unlock, fixed cable: NotSupported"),
        ),
        pytest.param(
            "UnlockConnector",
            {"connectorId": 1},
            {"status": "UnlockFailed"},
            marks=case("030", "unlock failed, shown"),
        ),
        pytest.param(
            "UnlockConnector",
            {"connectorId": 9},
            {"status": "NotSupported"},
            marks=case("031", "unlock of an unknown connector, shown"),
        ),
        pytest.param(
            "ChangeConfiguration",
            {"key": "MeterValueSampleInterval", "value": "10"},
            {"status": "NotSupported"},
            marks=case("040_1", "unknown key: NotSupported, shown"),
        ),
        pytest.param(
            "ChangeConfiguration",
            {"key": "MeterValueSampleInterval", "value": "-1"},
            {"status": "Rejected"},
            marks=case("040_2", "bad value: Rejected, shown"),
        ),
        pytest.param(
            "TriggerMessage",
            {"requestedMessage": "MeterValues", "connectorId": 1},
            {"status": "Rejected"},
            marks=case("055", "trigger rejected, shown"),
        ),
        pytest.param("ClearCache", {}, {"status": "Accepted"}, marks=case("061", "cache cleared")),
        pytest.param(
            "GetCompositeSchedule",
            {"connectorId": 1, "duration": 300, "chargingRateUnit": "W"},
            {
                "status": "Accepted",
                "connectorId": 1,
                "scheduleStart": "2026-01-01T00:00:00Z",
                "chargingSchedule": {
                    "chargingRateUnit": "W",
                    "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 8000.5}],
                },
            },
            marks=case("066", "composite schedule, shown"),
        ),
    ],
)
async def test_the_answer_of_the_charge_point_is_shown(network, action, payload, response):
    answers = Answers({action: response})
    async with network.charge_point(on_call=answers) as charge_point:
        await boot(charge_point)
        row = await network.command(charge_point, action, payload)

    assert answered(row, **response)
    assert answers.asked == [(action, payload)]
    assert network.rows("transaction", charge_point) == []


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("Hard", marks=case("013", "hard reset, then a boot")),
        pytest.param("Soft", marks=case("014", "soft reset, then a boot")),
    ],
)
async def test_a_reset(network, kind):
    async with network.charge_point(on_call=Answers()) as charge_point:
        await boot(charge_point)
        begun = await start(charge_point, network.add_id_tag())
        row = await network.command(charge_point, "Reset", {"type": kind})
        await stop(charge_point, begun["transactionId"], reason=f"{kind}Reset")
    async with network.charge_point(charge_point.charge_point_id) as charge_point:
        assert (await charge_point.call("BootNotification", BOOT))["status"] == "Accepted"

    assert answered(row, status="Accepted")
    assert network.row("transaction", charge_point)["reason"] == f"{kind}Reset"


@case("018_1", "unlock during a session: it stops with reason UnlockCommand")
async def test_an_unlock_ends_the_session(network):
    answers = Answers({"UnlockConnector": {"status": "Unlocked"}})
    async with network.charge_point(on_call=answers) as charge_point:
        await boot(charge_point)
        begun = await start(charge_point, network.add_id_tag())
        row = await network.command(charge_point, "UnlockConnector", {"connectorId": 1})
        assert await stop(charge_point, begun["transactionId"], reason="UnlockCommand") == {}

    assert answered(row, status="Unlocked")
    assert network.row("transaction", charge_point)["reason"] == "UnlockCommand"


# ---------------------------------------------------------------- configuration


@pytest.mark.parametrize(
    "wanted",
    [
        pytest.param({}, marks=case("019_1", "all keys: the request has no key")),
        pytest.param({"key": ["HeartbeatInterval"]}, marks=case("019_2", "one key")),
    ],
)
async def test_keys_are_read(network, wanted):
    listed = [
        {"key": "HeartbeatInterval", "readonly": False, "value": "300"},
        {"key": "AuthorizeRemoteTxRequests", "readonly": "true", "value": "TRUE"},
        {"key": "AuthorizationKey", "readonly": False},
    ]
    answer = {"configurationKey": listed if not wanted else listed[:1], "unknownKey": []}
    answers = Answers({"GetConfiguration": answer})
    async with network.charge_point(on_call=answers) as charge_point:
        await boot(charge_point)
        row = await network.command(charge_point, "GetConfiguration", wanted)

    assert row["status"] == "answered"
    assert answers.asked == [("GetConfiguration", wanted)]
    keys = {key["key"]: key["value"] for key in network.rows("configuration", charge_point)}
    assert keys["HeartbeatInterval"] == "300"
    assert len(keys) == len(answer["configurationKey"])


@case("021", "a key is changed; the shell shows the answer; no CALL follows that nobody asked for")
async def test_a_key_is_changed_from_the_shell(network):
    answers = Answers()
    async with network.charge_point(on_call=answers) as charge_point:
        await boot(charge_point)
        change = {"key": "HeartbeatInterval", "value": "600"}
        code, shown = await eletroposto_send(
            network, charge_point.charge_point_id, "ChangeConfiguration", json.dumps(change)
        )

    assert (code, json.loads(shown)) == (0, {"status": "Accepted"})
    assert answers.asked == [("ChangeConfiguration", change)]
    key = network.row("configuration", charge_point)
    assert (key["asked_value"], key["asked_status"]) == ("600", "Accepted")


async def eletroposto_send(network, *arguments):
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "eletroposto", "send", *arguments),
        env={"ELETROPOSTO_DATABASE_URL": network.database_url, "PATH": ""},
        stdout=asyncio.subprocess.PIPE,
    )
    shown, _ = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode, shown.decode().strip()


# ---------------------------------------------------------------- local list


@pytest.mark.parametrize(
    "version",
    [
        pytest.param(-1, marks=case("042_1", "local list version -1: not supported")),
        pytest.param(0, marks=case("042_2", "local list version 0: empty")),
    ],
)
async def test_the_version_of_the_local_list(network, version):
    answers = Answers({"GetLocalListVersion": {"listVersion": version}})
    async with network.charge_point(on_call=answers) as charge_point:
        await boot(charge_point)
        row = await network.command(charge_point, "GetLocalListVersion")

    assert answered(row, listVersion=version)
    assert network.row("local_list", charge_point)["reported_version"] == version


def local_list(version, *id_tags, update="Full"):
    entries = [{"idTag": tag, "idTagInfo": {"status": "Accepted"}} for tag in id_tags]
    return {"listVersion": version, "updateType": update, "localAuthorizationList": entries}


@pytest.mark.parametrize(
    "status",
    [
        pytest.param("NotSupported", marks=case("043_1", "local list not supported")),
        pytest.param("Failed", marks=case("043_3", "local list update failed")),
    ],
)
async def test_a_local_list_that_was_not_taken(network, status):
    async with network.charge_point(on_call=Answers({"SendLocalList": {"status": status}})) as (
        charge_point
    ):
        await boot(charge_point)
        row = await network.command(charge_point, "SendLocalList", local_list(1, "A"))

    assert answered(row, status=status)
    assert network.rows("local_list_entry", charge_point) == []


@case("043_4", "full local list: its entries and version are known")
@case("043_5", "differential update: only the chosen entry, the version grows")
async def test_a_local_list_and_its_update(network):
    answers = Answers()
    async with network.charge_point(on_call=answers) as charge_point:
        await boot(charge_point)
        await network.command(charge_point, "SendLocalList", local_list(1, "A", "B"))
        await network.command(
            charge_point, "SendLocalList", local_list(2, "C", update="Differential")
        )

    update = answers.asked[1][1]
    assert [entry["idTag"] for entry in update["localAuthorizationList"]] == ["C"]
    assert network.row("local_list", charge_point)["list_version"] == 2
    rows = network.rows("local_list_entry", charge_point)
    assert [(row["id_tag"], row["list_version"]) for row in rows] == [("A", 1), ("B", 1), ("C", 2)]


# ---------------------------------------------------------------- firmware, diagnostics, logs


FIRMWARE = {"location": "https://files.example/fw-2.bin", "retrieveDate": "2026-01-01T00:00:00Z"}
SIGNED = {
    "requestId": 80,
    "firmware": {
        "location": FIRMWARE["location"],
        "retrieveDateTime": "2026-01-01T00:00:00Z",
        "signingCertificate": "PEM",
        "signature": "x",
    },
}
DIAGNOSTICS = {
    "location": "https://files.example/up",
    "startTime": "2026-01-01T00:00:00Z",
    "stopTime": "2026-01-02T00:00:00Z",
    "retries": 1,
}
LOG = {"logType": "SecurityLog", "requestId": 79, "log": {"remoteLocation": "https://f.example"}}


@pytest.mark.parametrize(
    ("action", "payload", "answer", "report", "statuses"),
    [
        pytest.param(
            "UpdateFirmware",
            FIRMWARE,
            {},
            "FirmwareStatusNotification",
            ["Downloading", "Downloaded", "Installing", "boot", "Installed"],
            marks=case("044_1", "firmware update to Installed"),
        ),
        pytest.param(
            "UpdateFirmware",
            FIRMWARE,
            {},
            "FirmwareStatusNotification",
            ["Downloading", "DownloadFailed"],
            marks=case("044_2", "firmware download fails"),
        ),
        pytest.param(
            "UpdateFirmware",
            FIRMWARE,
            {},
            "FirmwareStatusNotification",
            ["Downloading", "Downloaded", "Installing", "InstallationFailed"],
            marks=case("044_3", "firmware installation fails"),
        ),
        pytest.param(
            "GetDiagnostics",
            DIAGNOSTICS,
            {"fileName": "diag.zip"},
            "DiagnosticsStatusNotification",
            ["Uploading", "Uploaded"],
            marks=case("045_1", "diagnostics uploaded"),
        ),
        pytest.param(
            "GetDiagnostics",
            DIAGNOSTICS,
            {"fileName": "diag.zip"},
            "DiagnosticsStatusNotification",
            ["Uploading", "UploadFailed"],
            marks=case("045_2", "diagnostics upload fails"),
        ),
        pytest.param(
            "GetLog",
            LOG,
            {"status": "Accepted", "filename": "security.log"},
            "LogStatusNotification",
            ["Uploading", "Uploaded"],
            marks=case("079", "security log uploaded, by request id"),
        ),
        pytest.param(
            "SignedUpdateFirmware",
            SIGNED,
            {"status": "Accepted"},
            "SignedFirmwareStatusNotification",
            [
                "Downloading",
                "Downloaded",
                "SignatureVerified",
                "Installing",
                "InstallRebooting",
                "boot",
                "Installed",
            ],
            marks=case("080", "signed firmware to Installed, by request id"),
        ),
        pytest.param(
            "SignedUpdateFirmware",
            SIGNED,
            {"status": "Accepted"},
            "SignedFirmwareStatusNotification",
            ["Downloading", "Downloaded", "InvalidSignature"],
            marks=case("081", "signed firmware with an invalid signature"),
        ),
    ],
)
async def test_every_step_is_answered_and_belongs_to_its_request(
    network, action, payload, answer, report, statuses
):
    answers = Answers({action: answer})
    async with network.charge_point(on_call=answers) as charge_point:
        await boot(charge_point)
        row = await network.command(charge_point, action, payload)
        for status in statuses:
            if status == "boot":
                await charge_point.call("BootNotification", BOOT)
                continue
            number = {"requestId": payload["requestId"]} if "requestId" in payload else {}
            assert await charge_point.call(report, {"status": status} | number) == {}

    assert answered(row, **answer)
    assert answers.asked == [(action, payload)]
    steps = [row["status"] for row in network.rows("request_progress", charge_point)]
    assert steps == [status for status in statuses if status != "boot"]
