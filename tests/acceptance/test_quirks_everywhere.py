"""Every field of every message, once with every odd value: confirmed, and nothing breaks."""

import json

import pytest

from flows.catalogue import carry_out
from flows.scope import Scope
from flows.settings import Settings
from tests.acceptance.network import (
    boot,
    meter_value,
    minutes_ago,
    send_meter_values,
    settle,
    show,
    start,
    stop,
)

SAMPLE = {
    "value": "17",
    "context": "Sample.Periodic",
    "format": "Raw",
    "measurand": "Voltage",
    "phase": "L1-N",
    "location": "Outlet",
    "unit": "V",
}
METER_VALUE = {"timestamp": minutes_ago(1), "sampledValue": [SAMPLE]}
MESSAGES = {
    "Authorize": {"idTag": "X"},
    "BootNotification": {
        "chargePointVendor": "V",
        "chargePointModel": "M",
        "chargePointSerialNumber": "S",
        "firmwareVersion": "1",
    },
    "DataTransfer": {"vendorId": "V", "messageId": "M", "data": "D"},
    "DiagnosticsStatusNotification": {"status": "Idle"},
    "FirmwareStatusNotification": {"status": "Idle"},
    "Heartbeat": {"x": 1},
    "LogStatusNotification": {"status": "Idle", "requestId": 1},
    "MeterValues": {"connectorId": 1, "transactionId": 1, "meterValue": [METER_VALUE]},
    "SecurityEventNotification": {"type": "T", "timestamp": minutes_ago(1), "techInfo": "I"},
    "SignCertificate": {"csr": "C"},
    "SignedFirmwareStatusNotification": {"status": "Idle", "requestId": 1},
    "StartTransaction": {
        "connectorId": 1,
        "idTag": "X",
        "meterStart": 1,
        "timestamp": minutes_ago(1),
        "reservationId": 1,
    },
    "StatusNotification": {
        "connectorId": 1,
        "status": "Charging",
        "errorCode": "NoError",
        "timestamp": minutes_ago(1),
        "info": "I",
        "vendorId": "V",
        "vendorErrorCode": "E",
    },
    "StopTransaction": {
        "transactionId": 1,
        "idTag": "X",
        "meterStop": 1,
        "timestamp": minutes_ago(1),
        "reason": "Local",
        "transactionData": [METER_VALUE],
    },
}
ODD = [
    "null",
    "true",
    "0",
    "-1",
    "-0.0",
    "1e-320",
    "1e39",
    "1e308",
    "1e400",
    "NaN",
    "-Infinity",
    "2147483648",
    "9223372036854775807",
    "18446744073709551615",
    "9" * 5000,
    '""',
    '" "',
    '"null"',
    '"\\u0000"',
    '"\\ud800x"',
    '"\x01\x1f"',
    '"\ufeff\u202e１２"',
    '"1e-320"',
    '"1e39"',
    '"9999-12-31T23:59:59-14:00"',
    '"0001-01-01T00:00:00+14:00"',
    '"2026-02-30T25:61:61Z"',
    '"' + "x" * 20_000 + '"',
    "[]",
    "{}",
    "[[]]",
    "[null]",
    '["x"]',
    '{"a":{"b":[1,"\\u0000"]}}',
    "[" * 40 + "]" * 40,
]
MARK = "@@"


def with_each_field_marked(value):
    """Yield copies of the value in which one part, however deep, is the mark."""
    yield MARK
    keys = value if isinstance(value, dict) else range(len(value) if isinstance(value, list) else 0)
    for key in keys:
        for marked in with_each_field_marked(value[key]):
            copy = value.copy()
            copy[key] = marked
            yield copy


@pytest.mark.parametrize("action", MESSAGES)
async def test_every_odd_value_in_every_field_is_confirmed(network, action):
    # The payload itself being odd is another matter: without an object there is no message.
    fields = [json.dumps(marked) for marked in with_each_field_marked(MESSAGES[action])][1:]
    payloads = [field.replace(f'"{MARK}"', odd) for field in fields for odd in ODD]
    async with network.charge_point() as charge_point:
        for number, payload in enumerate(payloads):
            await charge_point.send_text(f'[2,"{number}","{action}",{payload}]')
        for number, payload in enumerate(payloads):
            answer = await charge_point.receive(30)
            assert answer[:2] == [3, str(number)], payload[:200]
        await settle(charge_point)


async def test_no_flow_or_public_view_breaks_on_the_largest_numbers_we_keep(network):
    """A sum or a product that overflows there would take the numbers of everybody with it."""
    measurands = ("Voltage", "Current.Import", "Power.Active.Import", "Power.Offered", "SoC")
    most = [{"value": "1e12", "measurand": name} for name in measurands]
    async with network.charge_point() as charge_point:
        await boot(charge_point)
        for least, register in ((40, 2**53), (20, -(2**53))):
            begun = await start(
                charge_point, network.add_id_tag(), at=minutes_ago(least), meterStart=register
            )
            for ago in (2, 1):
                values = meter_value(-register, *most, at=minutes_ago(least - ago))
                await send_meter_values(charge_point, values)
            await show(charge_point, "Charging")
        await stop(charge_point, begun["transactionId"], meterStop=-register, at=minutes_ago(1))
        await start(charge_point, network.add_id_tag(), meterStart=2**53, at=minutes_ago(0.5))
        await send_meter_values(charge_point, meter_value(2**53, *most, at=minutes_ago(0.1)))

    for _, outcome in carry_out(Settings(database_url=network.database_url), "update", Scope()):
        assert outcome is not None
    views = network.ask(
        "SELECT table_name FROM information_schema.views WHERE table_schema = %s", ["report"]
    )
    for (view,) in views:
        network.ask(f"SELECT seen::text FROM report.{view} AS seen")
    assert len(views) > 10
