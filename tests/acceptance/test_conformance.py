"""What certification checks of a central system: what charge points begin.

The numbers are those of the cases of the OCPP 1.6 compliance testing tool.
"""

import pytest
from websockets.exceptions import ConnectionClosedError, InvalidHandshake

from testbench.socket import connected
from tests.acceptance.network import (
    BOOT,
    boot,
    instant,
    minutes_ago,
    send_meter_values,
    show,
    start,
    stop,
)

case = pytest.mark.conformance


async def authorize(charge_point, id_tag):
    answer = await charge_point.call("Authorize", {"idTag": id_tag})
    return answer["idTagInfo"]["status"]


@case("001", "cold boot: Accepted, the time, an interval; statuses of 0, 1, 2; heartbeat")
async def test_a_cold_boot(network):
    async with network.charge_point() as charge_point:
        answer = await charge_point.call("BootNotification", BOOT)
        for connector_id in (0, 1, 2):
            await show(charge_point, "Available", connector_id)
        heartbeat = await charge_point.call("Heartbeat")

    assert answer["status"] == "Accepted" and answer["interval"] > 0
    assert instant(answer["currentTime"]) <= instant(heartbeat["currentTime"])
    assert [row["status"] for row in network.rows("connector", charge_point)] == ["Available"] * 3


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param(["Preparing", "Authorize"], marks=case("003", "session, cable first")),
        pytest.param(["Authorize", "Preparing"], marks=case("004_1", "session, id_tag first")),
        pytest.param(["Preparing"], marks=case("007", "session with a cached id_tag")),
    ],
)
async def test_a_session_begins(network, steps):
    """The steps before the start differ; the start is accepted and numbered."""
    id_tag = network.add_id_tag()
    async with network.charge_point() as charge_point:
        await boot(charge_point)
        for step in steps:
            if step == "Authorize":
                assert await authorize(charge_point, id_tag) == "Accepted"
            else:
                await show(charge_point, step)
        begun = await start(charge_point, id_tag)
        await show(charge_point, "Charging")

    assert begun["transactionId"] > 0
    assert begun["idTagInfo"]["status"] == "Accepted"
    row = network.row("transaction", charge_point)
    assert (row["id_tag"], row["stopped_at"]) == (id_tag, None)


@case("004_2", "authorised, no cable in time: no transaction is created")
async def test_a_session_that_never_begins(network):
    async with network.charge_point() as charge_point:
        await boot(charge_point)
        assert await authorize(charge_point, network.add_id_tag()) == "Accepted"
        await show(charge_point, "Preparing")
        await show(charge_point, "Available")

    assert network.rows("transaction", charge_point) == []


@case("005_1", "cable out at the vehicle: the stop is answered, the connector is free again")
async def test_the_vehicle_leaves(network):
    id_tag = network.add_id_tag()
    async with network.charge_point() as charge_point:
        await boot(charge_point)
        begun = await start(charge_point, id_tag)
        await show(charge_point, "SuspendedEV")
        answer = await stop(
            charge_point, begun["transactionId"], idTag=id_tag, reason="EVDisconnected"
        )
        await show(charge_point, "Finishing")
        await show(charge_point, "Available")

    assert answer == {"idTagInfo": {"status": "Accepted"}}
    row = network.row("transaction", charge_point)
    assert (row["reason"], row["meter_stop_wh"]) == ("EVDisconnected", 9000)
    assert network.rows("connector", charge_point)[1]["status"] == "Available"


@pytest.mark.parametrize(
    ("columns", "verdict"),
    [
        pytest.param(None, "Invalid", marks=case("023_1", "unknown id_tag: Invalid")),
        pytest.param({"status": "Expired"}, "Expired", marks=case("023_2", "expired id_tag")),
        pytest.param(
            {"expiry_at": "2024-01-01T00:00:00Z"},
            "Expired",
            marks=case("023_2", "id_tag past its date: Expired"),
        ),
        pytest.param({"status": "Blocked"}, "Blocked", marks=case("023_3", "blocked id_tag")),
    ],
)
async def test_an_id_tag_that_may_not_charge(network, columns, verdict):
    id_tag = "NOBODY" if columns is None else network.add_id_tag(**columns)
    async with network.charge_point() as charge_point:
        assert await authorize(charge_point, id_tag) == verdict


@case("024", "connector lock failure: stored, no transaction")
async def test_the_lock_of_a_connector_fails(network):
    async with network.charge_point() as charge_point:
        await boot(charge_point)
        await authorize(charge_point, network.add_id_tag())
        await show(charge_point, "Faulted", errorCode="ConnectorLockFailure")

    status = network.rows("connector", charge_point)[1]
    assert (status["status"], status["error_code"]) == ("Faulted", "ConnectorLockFailure")
    assert network.rows("transaction", charge_point) == []


@case("032_1", "power loss: after the boot the stop closes the old transaction")
async def test_the_power_fails(network):
    async with network.charge_point() as charge_point:
        await boot(charge_point)
        begun = await start(charge_point, network.add_id_tag())
        await charge_point.cut()
    async with network.charge_point(charge_point.charge_point_id) as charge_point:
        assert (await charge_point.call("BootNotification", BOOT))["status"] == "Accepted"
        await show(charge_point, "Finishing")
        assert await stop(charge_point, begun["transactionId"], reason="PowerLoss") == {}

    row = network.row("transaction", charge_point)
    assert (row["reason"], row["meter_stop_wh"]) == ("PowerLoss", 9000)


@case("037_1", "offline start four hours ago: Accepted, stored with its time")
async def test_a_start_from_the_offline_past(network):
    began = minutes_ago(240)
    async with network.charge_point() as charge_point:
        begun = await start(charge_point, network.add_id_tag(), at=began)

    assert begun["transactionId"] > 0 and begun["idTagInfo"]["status"] == "Accepted"
    assert network.row("transaction", charge_point)["started_at"] == instant(began)


@case("037_3", "offline start of an unknown id_tag: a number and Invalid; its stop is taken")
async def test_an_offline_start_that_was_not_allowed(network):
    async with network.charge_point() as charge_point:
        begun = await start(charge_point, "NOBODY", at=minutes_ago(60))
        answer = await stop(charge_point, begun["transactionId"], reason="DeAuthorized")

    assert begun["transactionId"] > 0
    assert begun["idTagInfo"]["status"] == "Invalid"
    assert answer == {}
    row = network.row("transaction", charge_point)
    assert (row["reason"], row["id_tag_status"]) == ("DeAuthorized", "Invalid")


@case("039", "a whole offline transaction, start, readings and stop in the past")
async def test_a_transaction_from_the_offline_past(network):
    async with network.charge_point() as charge_point:
        begun = await start(charge_point, network.add_id_tag(), at=minutes_ago(240))
        sampled = {"timestamp": minutes_ago(200), "sampledValue": [{"value": "5000"}]}
        await send_meter_values(charge_point, sampled, transactionId=begun["transactionId"])
        await stop(charge_point, begun["transactionId"], at=minutes_ago(180))

    row = network.row("transaction", charge_point)
    assert (row["stopped_at"] - row["started_at"]).total_seconds() == pytest.approx(3600, abs=1)
    reading = network.row("meter_value", charge_point)
    assert reading["transaction_id"] == begun["transactionId"]


@case("064", "DataTransfer of an unknown vendor: a CALLRESULT, not Accepted")
async def test_a_data_transfer_of_an_unknown_vendor(network):
    async with network.charge_point() as charge_point:
        answer = await charge_point.call(
            "DataTransfer", {"vendorId": "com.example", "messageId": "m", "data": "d"}
        )

    assert answer["status"] in {"UnknownVendorId", "UnknownMessageId", "Rejected"}


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(
            "InvalidChargePointCertificate", marks=case("077", "event stored and answered")
        ),
        pytest.param(
            "InvalidCentralSystemCertificate", marks=case("078", "event stored and answered")
        ),
    ],
)
async def test_a_security_event(network, event):
    at = minutes_ago(1)
    async with network.charge_point() as charge_point:
        answer = await charge_point.call(
            "SecurityEventNotification", {"type": event, "timestamp": at, "techInfo": "serial 17"}
        )

    assert answer == {}
    row = network.row("security_event", charge_point)
    assert (row["type"], row["at"], row["tech_info"]) == (event, instant(at), "serial 17")


@case("088", "only ocpp0.1 is offered: no subprotocol is chosen, the socket is closed")
async def test_a_subprotocol_we_do_not_speak(network):
    with pytest.raises((InvalidHandshake, ConnectionClosedError)):
        async with connected(
            network.url, network.new_identity(), subprotocols=["ocpp0.1"]
        ) as charge_point:
            assert charge_point.websocket.subprotocol is None
            raise await charge_point.wait_closed()


@case("088", "ocpp0.1 and ocpp1.6 are offered: ocpp1.6 is chosen")
async def test_a_subprotocol_among_others(network):
    async with network.charge_point(subprotocols=["ocpp0.1", "ocpp1.6"]) as charge_point:
        assert charge_point.websocket.subprotocol == "ocpp1.6"
        assert charge_point.websocket.response.headers.get_all("Sec-WebSocket-Protocol") == [
            "ocpp1.6"
        ]
        assert "currentTime" in await charge_point.call("Heartbeat")
