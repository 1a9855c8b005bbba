"""The two bridges between broker and Kafka: attributes in, device events out."""

import asyncio
import logging
import time
from collections import Counter, deque
from typing import Any

import orjson
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from testbench.dojot.broker import BRIDGE_USER
from testbench.dojot.payloads import DeviceData, Lost, bridge
from testbench.dojot.persister import Persister

logger = logging.getLogger(__name__)

_PAUSE_S = 0.01


class Bridge:
    """An MQTT client in a thread of its own; what it receives is read on the event loop."""

    def __init__(self, persister: Persister, counters: Counter[str]) -> None:
        self._persister = persister
        self._counters = counters
        self._arrived: deque[tuple[str, bytes, int]] = deque()
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=BRIDGE_USER, clean_session=False
        )
        self._client.username_pw_set(BRIDGE_USER)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._subscribed = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def connect(self, port: int) -> None:
        self._client.connect_async("127.0.0.1", port, keepalive=30)
        self._client.loop_start()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    async def wait_subscribed(self, timeout_s: float = 10) -> None:
        """Messages published before would be accepted and lost."""
        async with asyncio.timeout(timeout_s):
            await self._subscribed.wait()

    def forget_broker(self) -> None:
        """Called when the broker is stopped, so that waiting for it means its next life."""
        self._subscribed.clear()

    def send_config(self, tenant: str, device_id: str, data: dict[str, Any]) -> None:
        """Publish any device event that has data, without looking at its kind."""
        self._client.publish(f"{tenant}:{device_id}/config", orjson.dumps(data), qos=1)

    def actuate(self, tenant: str, device_id: str, attrs: dict[str, Any]) -> None:
        """An actuation is also stored, as if the device had sent it."""
        self.send_config(tenant, device_id, attrs)
        self._persister.put(DeviceData(tenant, device_id, time.time() * 1000, attrs))

    async def run(self) -> None:
        while True:
            await asyncio.sleep(_PAUSE_S)
            self._read_arrived()

    def _read_arrived(self) -> None:
        for _ in range(len(self._arrived)):
            topic, payload, arrived_ms = self._arrived.popleft()
            self._counters["bridged"] += 1
            try:
                self._persister.put(bridge(topic, payload, arrived_ms))
            except Lost as lost:
                self._counters["unreadable"] += 1
                logger.warning("%s: dropped by the bridge: %s", topic, lost)

    def _on_connect(self, client: mqtt.Client, *_: Any) -> None:
        client.subscribe("+/attrs", qos=1)

    def _on_subscribe(self, *_: Any) -> None:
        self._loop.call_soon_threadsafe(self._subscribed.set)

    def _on_message(self, _: mqtt.Client, __: Any, message: mqtt.MQTTMessage) -> None:
        if message.dup:  # DOJOT's bridge takes a repetition for a duplicate, which it need not be
            self._counters["dup_dropped"] += 1
            return
        self._arrived.append((message.topic, bytes(message.payload), time.time_ns() // 1_000_000))
