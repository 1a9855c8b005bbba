"""Clients of the stand-in: of its API, and of its broker as a device is one."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from testbench.dojot import StandIn
from tests.waiting import until

DAY_MS = 24 * 3600 * 1000


async def log_in(
    client: httpx.AsyncClient, username: str = "admin", passwd: str = "admin"
) -> httpx.Response:
    return await client.post("/auth", json={"username": username, "passwd": passwd})


class Device:
    """An MQTT client in a thread, as a device would be."""

    def __init__(
        self, mqtt_address: str, user: str, version: MQTTProtocolVersion = mqtt.MQTTv311
    ) -> None:
        self.user = user
        self.received: list[Any] = []
        self.codes: list[Any] = []
        self.refusals: list[str] = []
        self.disconnected = False
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=version)
        self.client.username_pw_set(user)
        self.client.on_connect = self._on_connect
        self.client.on_message = self._on_message
        self.client.on_subscribe = self._on_subscribe
        self.client.on_disconnect = self._on_disconnect
        self._address = mqtt_address.split(":")

    def open(self) -> None:
        self.client.connect(self._address[0], int(self._address[1]))
        self.client.loop_start()

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def publish(self, payload: Any, topic: str | None = None) -> mqtt.MQTTMessageInfo:
        text = payload if isinstance(payload, bytes) else json.dumps(payload)
        return self.client.publish(topic or f"{self.user}/attrs", text, qos=1)

    def _on_connect(self, *values: Any) -> None:
        self.refusals.append(str(values[3]))

    def _on_message(self, _: Any, __: Any, message: mqtt.MQTTMessage) -> None:
        self.received.append((message.topic, json.loads(message.payload)))

    def _on_subscribe(self, *values: Any) -> None:
        self.codes += [code.value for code in values[3]]

    def _on_disconnect(self, *_: Any) -> None:
        self.disconnected = True
        self.client._thread_terminate = True  # no reconnecting: the test looks at this one life


@asynccontextmanager
async def connected(
    dojot: StandIn, user: str, version: MQTTProtocolVersion = mqtt.MQTTv311
) -> AsyncIterator[Device]:
    device = Device(dojot.mqtt, user, version)
    await asyncio.to_thread(device.open)
    try:
        yield device
    finally:
        await asyncio.to_thread(device.close)


async def send(dojot: StandIn, device_id: str, *payloads: Any) -> None:
    """Publish as ``admin:device_id`` and wait until history has all of it."""
    stored = dojot.counters["stored"] + len(payloads)
    async with connected(dojot, f"admin:{device_id}") as device:
        for payload in payloads:
            device.publish(payload)
        await until(lambda: dojot.counters["stored"] >= stored)


async def history(api: httpx.AsyncClient, device_id: str, query: str) -> httpx.Response:
    return await api.get(f"/history/device/{device_id}/history?{query}")


def now_ms() -> int:
    """The last whole second, in ms."""
    return int(time.time()) * 1000


def text_of(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat().replace("+00:00", "Z")


async def make_template(api: httpx.AsyncClient, **changes: Any) -> dict[str, Any]:
    attrs = [
        {"label": "power", "type": "dynamic", "value_type": "float"},
        {"label": "vendor", "type": "static", "value_type": "string", "static_value": "acme"},
        {"label": "reset", "type": "actuator", "value_type": "string"},
        {"label": "key", "type": "meta", "value_type": "string"},
    ]
    body = {"label": "charge-station", "attrs": attrs, **changes}
    template: dict[str, Any] = (await api.post("/template", json=body)).json()["template"]
    return template


async def make_device(api: httpx.AsyncClient, label: str = "CS-001") -> dict[str, Any]:
    template = await make_template(api)
    body = {"label": label, "templates": [template["id"]]}
    device: dict[str, Any] = (await api.post("/device?verbose=true", json=body)).json()["devices"][
        0
    ]
    return device
