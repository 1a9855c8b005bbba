"""Honest inputs, and what becomes of them when a bit of chance is added."""

import base64
import json
import random
from typing import Any

_AT = "2026-03-01T11:59:00.000Z"


def _sample(value: object, **more: object) -> dict[str, object]:
    return {"value": value, **more}


_METER_VALUES = {
    "connectorId": 1,
    "transactionId": 7,
    "meterValue": [
        {
            "timestamp": _AT,
            "sampledValue": [
                _sample("31400000", measurand="Energy.Active.Import.Register", unit="Wh"),
                _sample("47.1", measurand="Power.Active.Import", unit="kW", location="Outlet"),
                _sample("16.1", measurand="Current.Import", phase="L1", unit="A"),
                _sample("230.4", measurand="Voltage", phase="L1-N", unit="V"),
                _sample("57", measurand="SoC", unit="Percent", location="EV"),
                _sample("304.2", measurand="Temperature", unit="K", context="Sample.Clock"),
                _sample("4f434d46", format="SignedData"),
            ],
        }
    ],
}
_CALLS: list[tuple[str, dict[str, Any]]] = [
    ("MeterValues", _METER_VALUES),
    ("BootNotification", {"chargePointVendor": "ABB", "chargePointModel": "Terra 54"}),
    ("Heartbeat", {}),
    (
        "StatusNotification",
        {"connectorId": 1, "errorCode": "NoError", "status": "Charging", "timestamp": _AT},
    ),
    ("Authorize", {"idTag": "BUS-1"}),
    (
        "StartTransaction",
        {"connectorId": 1, "idTag": "BUS-1", "meterStart": 31400000, "timestamp": _AT},
    ),
    (
        "StopTransaction",
        {
            "transactionId": 7,
            "meterStop": 31500000,
            "timestamp": _AT,
            "reason": "Local",
            "transactionData": _METER_VALUES["meterValue"],
        },
    ),
    ("DataTransfer", {"vendorId": "ABB", "messageId": "x", "data": '{"key":"AuthorizationKey"}'}),
    ("FirmwareStatusNotification", {"status": "Installed"}),
    ("DiagnosticsStatusNotification", {"status": "Uploaded"}),
    ("SecurityEventNotification", {"type": "SettingSystemTime", "timestamp": _AT}),
    ("LogStatusNotification", {"status": "Uploading", "requestId": 3}),
    ("SignCertificate", {"csr": "-----BEGIN CERTIFICATE REQUEST-----"}),
]
FRAMES = [json.dumps([2, f"m{n}", *call]).encode() for n, call in enumerate(_CALLS)] + [
    b'[3,"our-1",{"status":"Accepted"}]',
    b'[3,"our-1",{"configurationKey":[{"key":"AuthorizationKey","value":"secret"}]}]',
    b'[4,"our-1","InternalError","",{}]',
]
_HISTORY = {
    "power_w_1": [
        {"device_id": "a1b2", "ts": "2026-03-01T12:00:00.123000Z", "value": 48210.5, "attr": "p"},
        {"device_id": "a1b2", "ts": "2026-03-01T12:00:10Z", "value": None, "attr": "p"},
    ],
    "soc_percent_1": [],
}
_ENDLESS = b"e30." + base64.urlsafe_b64encode(b'{"iat":1,"exp":%d}' % 10**320) + b".x"
SEEDS = {
    "orders": [
        b'{"reset":"Soft"}',
        b'{"remote_start":{"idTag":"BUS-1","connectorId":1}}',
        b'{"remote_stop":17,"unlock_connector":"2"}',
        b'{"change_availability":{"type":"Inoperative","connectorId":0}}',
        b'{"event":"configure","data":{"attrs":{"reset":"Soft"}}}',
    ],
    "histories": [
        json.dumps(_HISTORY).encode(),
        b'{"title":"Device not found"}',
        b"<html>502 Bad Gateway</html>",
    ],
    "tokens": [
        b"e30.eyJpYXQiOjE3MDAwMDAwMDAsImV4cCI6MTcwMDAwMDQyMH0.c2ln",
        b"..",
        b"a.e30.b",
        _ENDLESS,
    ],
    "links": [b"/sessoes?periodo=7d", b"https://host:8501/a//b", b"//other/", b"/\\other", b""],
    "pages": [
        b"de=2026-03-01&ate=2026-03-07&estacao=CP-1&estacao=Garagem+%C3%A9+2&lang=en",
        b"de=2026-12-31&ate=2020-01-01&tipo=open&estacao=CP-9",
        b"de=9999-12-31&ate=0001-01-01&lang=pt",
        b"de=&ate=x&estacao=&tipo=&lang=",
    ],
    "numbers": [b"1", b"0017", b"9223372036854775807", b"-1", b"1e3", "١٢".encode()],
    "frames": FRAMES,
    "identities": [b"/ocpp/BENCH-1", b"/a/b/%C3%A9?x=1", b"/", b"//..//%00"],
    "credentials": [b"QkVOQ0gtMTpzZWNyZXQ=", b"Basic QTpC", b"Bearer x"],
    "settings": [
        bytes([number]) + text
        for number in range(40)
        for text in (b"9000", b"true", b"30.5", b"refuse", b"/etc/x.pem", b"127.0.0.1")
    ],
}

_NASTY: list[Any] = [
    None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63), 10**30, 0.5, -0.0, 1e308, -1e-308,
    "", " ", "null", "None", "NaN", "Infinity", "-1", "1,5", "1e400", "0x10", "١٢", "²",
    "\x00", "a\x00b", "\ud800", "\U0001f697" * 40, "x" * 300, "x" * 20_000, "\\", '"', "%s", "{}",
    "1970-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z", "2026-02-30T00:00:00Z",
    "2026-03-01T12:00:00+99:99", "2026-03-01 12:00", "0001-01-01T00:00:00+14:00",
    [], {}, [[]], [{}], {"": {}}, [None] * 50,
]  # fmt: skip
_PIECES = [
    b"\x00", b"\xff", b"\xc3\x28", b"\xef\xbb\xbf", b"\\u0000", b"\\u00", b"00", b"\\ud800",
    b"NaN", b"-Infinity",
    b"1e999", b"0" * 400, b"[" * 300, b"{\"a\":" * 300, b"]", b"}", b"\"", b",", b"\\", b"\n",
    b"2,", b"[2,\"", b"null", b"\xe2\x80\xa8", b"/*", b"'",
]  # fmt: skip


class Mutator:
    """Makes inputs out of seeds; the same seed number makes the same ones."""

    def __init__(self, seed: int, seeds: list[bytes]) -> None:
        self._chance = random.Random(seed)
        self._seeds = seeds

    def next(self) -> bytes:
        data = self._chance.choice(self._seeds)
        if self._chance.random() < 0.6 and data[:1] in (b"[", b"{"):
            data = self._replace_values(data)
        for _ in range(self._chance.choice((0, 0, 1, 1, 2, 4))):
            data = self._change_bytes(data)
        return data

    def _replace_values(self, data: bytes) -> bytes:
        frame = json.loads(data)
        for _ in range(self._chance.choice((1, 1, 2, 5))):
            frame = self._replaced(frame)
        return json.dumps(frame, ensure_ascii=self._chance.random() < 0.5).encode(
            "utf-8", "surrogatepass"
        )

    def _replaced(self, value: Any) -> Any:
        """Replace something within ``value``, or all of it."""
        chance = self._chance
        if not isinstance(value, list | dict) or not value or chance.random() < 0.1:
            return chance.choice(_NASTY)
        if isinstance(value, list):
            position = chance.randrange(len(value))
            return [*value[:position], *self._instead(value[position]), *value[position + 1 :]]
        name = chance.choice(list(value))
        if chance.random() < 0.1:
            return {key: it for key, it in value.items() if key != name}
        return {**value, name: self._replaced(value[name])}

    def _instead(self, item: Any) -> list[Any]:
        """Nothing, two of it, or one that has changed."""
        draw = self._chance.random()
        if draw < 0.1:
            return []
        return [item, item] if draw < 0.2 else [self._replaced(item)]

    def _change_bytes(self, data: bytes) -> bytes:
        chance = self._chance
        at = chance.randrange(len(data) + 1)
        to = min(len(data), at + chance.choice((1, 2, 8, 64)))
        match chance.randrange(6):
            case 0:
                return data[:at] + data[to:]
            case 1:
                return data[:at] + chance.choice(_PIECES) + data[at:]
            case 2:
                return data[:at] + chance.choice(_PIECES) + data[to:]
            case 3:
                return data[:at] + data[at:to] * 3 + data[to:]
            case 4:
                return data[:at] + chance.choice(self._seeds)[at:]
        return data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]
