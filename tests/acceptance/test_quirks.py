"""Frames, ids, texts and handshakes as real charge points send them, and what becomes of them.

Bad data is theirs: it is normalised or set aside, and confirmed, and the socket stays open.
"""

import asyncio
import re

import psycopg
import pytest
from websockets.exceptions import InvalidStatus

from testbench.socket import CallError
from tests.acceptance.network import (
    BOOT,
    Network,
    meter_value,
    minutes_ago,
    send_meter_values,
    settle,
    start,
)
from tests.waiting import until

case = pytest.mark.conformance


# ---------------------------------------------------------------- frames


@case("extra", "a broken CALL, also with a number as its id, is answered with that id and kept")
@pytest.mark.parametrize(
    ("frame", "message_id"),
    [
        ('[2,"broken-1","MeterValues",{"connectorId":', "broken-1"),
        ('[2,"broken-2","Heartbeat",{} ', "broken-2"),
        ('[2,"short","Heartbeat"]', "short"),
        ('[2,"list","Heartbeat",[]]', "list"),
        ('[2,"","Heartbeat",{}]', ""),
        ('[2,17,"Heartbeat",{}]', 17),
        ('[2,null,"Heartbeat",{}]', "-1"),
        ('[2,"deep","Heartbeat",{"a":' + "[" * 5000 + "]" * 5000 + "}]", "deep"),
        ('[2,"deep2","BootNotification",{"a":' + "[" * 300 + "]" * 300 + "}]", "deep2"),
    ],
)
async def test_a_broken_call_is_answered_with_its_id_and_kept(network, frame, message_id):
    async with network.charge_point() as charge_point:
        await charge_point.send_text(frame)
        answer = await charge_point.receive()

        assert answer[:3] == [4, message_id, "FormationViolation"]
        assert isinstance(answer[3], str) and answer[4:] == [{}]
        await settle(charge_point)
        assert network.row("set_aside", charge_point)["raw"] == frame


@case("extra", "garbage and unsolicited answers never close the socket")
@pytest.mark.parametrize(
    "frame",
    [
        "",
        "hello",
        "{}",
        "[]",
        "[9]",
        '[9,"x","Heartbeat",{}]',
        '["2","x","Heartbeat",{}]',
        '[3,"of-no-call",{}]',
        '[3,"of-no-call","?"]',
        '[4,"of-no-call","GenericError","",{}]',
        "[3]",
        "[4]",
        b"\x00\xff\xfe",
        b"[2,",
        "[" * 100_000,
    ],
)
async def test_garbage_and_answers_to_nothing_never_close_the_socket(network, frame):
    async with network.charge_point() as charge_point:
        await charge_point.send_text(frame)

        assert "currentTime" in await charge_point.call("Heartbeat")


async def test_a_binary_frame_is_read_like_text(network):
    async with network.charge_point() as charge_point:
        await charge_point.send_text(b'[2,"b","Heartbeat",{}]')

        assert (await charge_point.receive())[:2] == [3, "b"]


async def test_an_oversized_frame_closes_only_its_own_socket(network):
    async with network.charge_point() as other, network.charge_point() as charge_point:
        await charge_point.send_text("[" + " " * (4 * 2**20) + "]")
        closed = await charge_point.wait_closed()

        assert closed.rcvd.code == 1009
        assert "currentTime" in await other.call("Heartbeat")
        await until(
            lambda: network.row("connection", charge_point)["closed_at"], "the end is recorded"
        )


@pytest.mark.parametrize("message_id", ["36:352", "007", "9223372036854775807", "x" * 100, "é ü"])
async def test_a_message_id_is_opaque_and_echoed(network, message_id):
    async with network.charge_point() as charge_point:
        await charge_point.send([2, message_id, "Heartbeat", {}])

        assert (await charge_point.receive())[:2] == [3, message_id]


async def test_null_is_an_empty_payload_and_unknown_fields_do_not_matter(network):
    async with network.charge_point() as charge_point:
        assert "currentTime" in await charge_point.call("Heartbeat", "null")
        assert "currentTime" in await charge_point.call("Heartbeat", {"vendorExtra": {"a": [1]}})


async def test_unknown_actions_are_told_apart_from_our_own(network):
    async with network.charge_point() as charge_point:
        for action, code in (("OpenSesame", "NotImplemented"), ("Reset", "NotSupported")):
            with pytest.raises(CallError) as refused:
                await charge_point.call(action)
            assert refused.value.code == code


@case("extra", "a CALL repeated under its id is answered as the first time")
async def test_a_call_repeated_under_its_id_is_answered_as_the_first_time(network):
    id_tag = network.add_id_tag()
    async with network.charge_point() as charge_point:
        frame = [
            2,
            "again",
            "StartTransaction",
            {"connectorId": 1, "idTag": id_tag, "meterStart": 5},
        ]
        answers = []
        for _ in range(3):
            await charge_point.send(frame)
            answers.append(await charge_point.receive_text())

        assert len(set(answers)) == 1
        assert network.row("transaction", charge_point)["meter_start_wh"] == 5


async def test_an_id_used_again_for_something_else_is_something_else(network):
    """Legal after a reconnect; some number every message of a session alike."""
    async with network.charge_point() as charge_point:
        for value in (1, 2):
            await charge_point.call(
                "MeterValues",
                {"connectorId": 1, "meterValue": [meter_value(value, at=minutes_ago(value))]},
                message_id="1",
            )
    async with network.charge_point(charge_point.charge_point_id) as charge_point:
        await charge_point.call(
            "MeterValues",
            {"connectorId": 1, "meterValue": [meter_value(3, at=minutes_ago(3))]},
            message_id="1",
        )

    assert [row["energy_wh"] for row in network.rows("meter_value", charge_point)] == [3, 2, 1]


async def test_a_frame_repeated_on_the_next_socket_changes_nothing(network):
    """OCPP 1.6 3.7.1: what was not confirmed comes again, often under another id."""
    value = meter_value(17)
    async with network.charge_point() as charge_point:
        await send_meter_values(charge_point, value)
        await charge_point.cut()
    async with network.charge_point(charge_point.charge_point_id) as charge_point:
        await send_meter_values(charge_point, value)

    assert network.row("meter_value", charge_point)["energy_wh"] == 17


@case("extra", "pipelined CALLs are answered in order")
async def test_pipelined_calls_are_answered_in_order(network):
    async with network.charge_point() as charge_point:
        ids = [f"p{number}" for number in range(100)]
        for message_id in ids:
            await charge_point.send([2, message_id, "Heartbeat", {}])

        assert [(await charge_point.receive())[1] for _ in ids] == ids


async def test_our_times_have_milliseconds_and_a_z(network):
    async with network.charge_point() as charge_point:
        boot = await charge_point.call("BootNotification", BOOT)
        heartbeat = await charge_point.call("Heartbeat")

    assert boot["interval"] > 0
    for answer in (boot, heartbeat):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", answer["currentTime"])


# ---------------------------------------------------------------- texts


async def test_nul_characters_are_stripped(network):
    async with network.charge_point() as charge_point:
        await charge_point.call(
            "StatusNotification",
            '{"connectorId":1,"status":"Charging\\u0000","errorCode":"NoError","info":"a\\u0000b"}',
        )
        await charge_point.send_text(
            b'[2,"n","StatusNotification",{"connectorId":2,"status":"Faulted\x00"}]'
        )
        await charge_point.receive()

        rows = network.rows("status", charge_point)
        assert [(row["status"], row["info"]) for row in rows] == [
            ("Charging", "ab"),
            ("Faulted", None),
        ]


@pytest.mark.parametrize(
    ("info", "stored"),
    [
        (b'"\xff\xfe"', "\ufffd\ufffd"),
        (b'"\\ud800"', "?"),
        (b'"a\tb"', "a\tb"),
        ('"São Brás"'.encode(), "São Brás"),
        (b'"null"', None),
        (b'"None"', None),
        (b'""', None),
        (b'{"code":17}', '{"code":17}'),
        (b'"{\\"code\\":17}"', '{"code":17}'),
        (b"17", "17"),
        (b'"' + b"x" * 5000 + b'"', "x" * 5000),
    ],
)
async def test_texts_are_kept_whatever_they_hold(network, info, stored):
    async with network.charge_point() as charge_point:
        frame = b'[2,"t","StatusNotification",{"connectorId":1,"status":"Faulted","info":%s}]'
        # As a text frame: invalid UTF-8 in one ends the connection in strict implementations.
        await charge_point.websocket.send(frame % info, text=True)

        assert await charge_point.receive() == [3, "t", {}]
        assert network.row("status", charge_point)["info"] == stored


async def test_a_boot_needs_no_vendor_and_may_say_too_much(network):
    async with network.charge_point() as charge_point:
        for boot in (
            {},
            {"chargePointVendor": "", "chargePointModel": None},
            {"chargePointVendor": "V" * 200, "chargePointSerialNumber": "null", "x": [{"y": 1}]},
        ):
            assert (await charge_point.call("BootNotification", boot))["status"] == "Accepted"

        known = network.row("charge_point", charge_point)
        assert (known["vendor"], known["serial_number"]) == ("V" * 200, None)


async def test_a_boot_may_hold_any_json(network):
    """It is kept whole; what cannot be written would stop the writer for everybody."""
    odd = '{"chargePointModel":"x","a":%s}'
    async with network.charge_point() as charge_point:
        for value in ("1e308", "-0.0", "18446744073709551615", "NaN", '"\\ud800"', "[[[[[[]]]]]]"):
            answer = await charge_point.call("BootNotification", odd % value)
            assert answer["status"] == "Accepted"


async def test_messages_need_no_boot_before_them(network):
    """A reconnect brings none, and some never send one."""
    async with network.charge_point() as charge_point:
        await charge_point.call("Heartbeat")
        await charge_point.call("StatusNotification", {"connectorId": 1, "status": "Available"})
        await send_meter_values(charge_point, meter_value(1))

        assert network.row("connector", charge_point)["status"] == "Available"


async def test_every_boot_of_a_boot_loop_is_answered(network):
    async with network.charge_point() as charge_point:
        pass
    for _ in range(10):
        async with network.charge_point(charge_point.charge_point_id) as again:
            assert (await again.call("BootNotification", BOOT))["status"] == "Accepted"


@pytest.mark.parametrize(
    "data",
    [{"data": "x"}, {"data": {"a": 1}}, {"data": '{"a":"{\\"b\\":1}"}'}, {"messageId": 7}, {}],
)
async def test_a_data_transfer_is_refused_by_a_result(network, data):
    async with network.charge_point() as charge_point:
        answer = await charge_point.call("DataTransfer", {"vendorId": "com.example"} | data)

    assert answer["status"] in {"UnknownVendorId", "UnknownMessageId", "Rejected"}


# ---------------------------------------------------------------- id_tags


async def verdict_on(charge_point, id_tag):
    return (await charge_point.call("Authorize", {"idTag": id_tag}))["idTagInfo"]["status"]


async def test_id_tags_are_compared_without_case_and_blanks(network):
    id_tag = network.add_id_tag()
    async with network.charge_point() as charge_point:
        for presented in (id_tag, id_tag.lower(), f"  {id_tag} "):
            assert await verdict_on(charge_point, presented) == "Accepted"
        for stranger in (id_tag + "X", "", None, "VID:001122334455", "a" * 3000, {"a": 1}):
            assert await verdict_on(charge_point, stranger) == "Invalid"


@pytest.mark.parametrize("kind", ["VID:{}", "{}-{}/{}", "~!#$%&'()*+,./:;<=>?@[]^`|"])
async def test_id_tags_may_have_any_printable_character(network, kind):
    id_tag = network.add_id_tag()
    written = kind.format(*[id_tag] * 3)[:100]
    network.database.execute("INSERT INTO id_tag (id_tag) VALUES (%s)", [written])
    async with network.charge_point() as charge_point:
        assert await verdict_on(charge_point, written) == "Accepted"


async def test_a_serial_number_hung_on_an_id_tag_is_not_part_of_it(network):
    id_tag = network.add_id_tag(max_active=1)
    async with network.charge_point() as charge_point:
        serial = f"SN{charge_point.charge_point_id}"
        await charge_point.call("BootNotification", BOOT | {"chargePointSerialNumber": serial})
        begun = await start(charge_point, f"{id_tag}_{serial}")
        second = await start(charge_point, id_tag, connectorId=2)

        assert await verdict_on(charge_point, f"{id_tag}_OTHER") == "Invalid"
    assert begun["idTagInfo"]["status"] == "Accepted"
    assert second["idTagInfo"]["status"] == "ConcurrentTx"
    assert network.rows("transaction", charge_point)[0]["id_tag"] == id_tag


# ---------------------------------------------------------------- handshakes


@pytest.mark.parametrize("identity", ["PÁTIO 1", "a/b", "100%", "~x.y_z-1"])
async def test_an_identity_is_percent_decoded(network, identity):
    name = f"{network.new_identity()} {identity}"
    async with network.charge_point(name) as charge_point:
        await charge_point.call("BootNotification", BOOT)

    assert network.row("charge_point", name)["model"] == "Terra 54"


@pytest.mark.parametrize("further", ["ocpp0.1", "ocpp1.6"])
async def test_subprotocols_on_two_lines_are_one_list(network, further):
    headers = {"Sec-WebSocket-Protocol": further}
    async with network.charge_point(headers=headers) as charge_point:
        assert charge_point.websocket.subprotocol == "ocpp1.6"
        assert "currentTime" in await charge_point.call("Heartbeat")


async def test_no_subprotocol_is_taken_for_ours(network):
    async with network.charge_point(subprotocols=()) as charge_point:
        assert charge_point.websocket.subprotocol is None
        assert "currentTime" in await charge_point.call("Heartbeat")


@case("extra", "two sockets of one identity: the newest wins")
async def test_the_newest_socket_of_an_identity_wins(network):
    async with network.charge_point() as older:
        await settle(older)
        async with network.charge_point(older.charge_point_id) as newer:
            closed = await older.wait_closed()

            assert closed.rcvd.code == 1012
            assert "currentTime" in await newer.call("Heartbeat")
            await until(
                lambda: (
                    [bool(row["closed_at"]) for row in network.rows("connection", older)]
                    == [True, False]
                ),
                "the older connection has ended, the newer has not",
            )
            assert network.row("charge_point", older)["is_online"]


@pytest.fixture
def strict(start_central_system):
    """A central system that lets only registered charge points in."""
    return start_central_system(unknown_charge_points="refuse")


async def knock(network, identity):
    """Return the status of the handshake."""
    try:
        async with network.charge_point(identity) as charge_point:
            await charge_point.call("BootNotification", BOOT)
    except InvalidStatus as refused:
        return refused.response.status_code
    return 101


@case("extra", "an unknown identity gets 404, is listed, and comes in once registered")
async def test_a_stranger_is_refused_listed_and_let_in_once_registered(strict, database_url):
    with psycopg.connect(database_url, autocommit=True) as database:
        network = Network(strict.url, database_url, database)
        stranger = network.new_identity()
        assert [await knock(network, stranger) for _ in range(2)] == [404, 404]
        assert network.row("charge_point", stranger)["registration"] == "pending"

        network.ask(
            "UPDATE charge_point SET registration = 'registered' WHERE identity = %s", [stranger]
        )
        answers = []
        while 101 not in answers and len(answers) < 100:
            await asyncio.sleep(0.05)
            answers.append(await knock(network, stranger))
        assert answers[-1] == 101


async def test_reports_that_tell_different_things_at_one_time_are_all_kept(network):
    at = minutes_ago(1)
    async with network.charge_point() as charge_point:
        for tech_info in ("disk full", "door open", "disk full", None, None):
            event = {"type": "MemoryExhaustion", "timestamp": at}
            event |= {"techInfo": tech_info} if tech_info else {}
            assert await charge_point.call("SecurityEventNotification", event) == {}

    details = [row["detail"] for row in network.rows("charge_point_report", charge_point)]
    assert details == ["disk full", "door open", None]


@pytest.mark.parametrize(
    "action",
    [
        "DiagnosticsStatusNotification",
        "FirmwareStatusNotification",
        "LogStatusNotification",
        "SignedFirmwareStatusNotification",
    ],
)
async def test_a_report_repeated_because_its_answer_was_lost_is_one(network, action):
    report = {"status": "Uploading", "requestId": 1}
    async with network.charge_point() as charge_point:
        for _ in range(2):
            assert await charge_point.call(action, report, message_id="again") == {}
        await charge_point.call(action, report, message_id="anew")

    assert len(network.rows("charge_point_report", charge_point)) == 2
