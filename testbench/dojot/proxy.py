"""What VerneMQ with DOJOT's plugins does and Mosquitto does not (contract section 4a).

A TCP proxy in front of the broker reads what clients send: it refuses MQTT 5 and long client ids,
closes a connection at a forbidden publish, refuses forbidden subscriptions, and cuts connections
that have become too old. Answers of the broker pass unread.
"""

import asyncio
import logging
import time
from collections import Counter
from typing import cast

from testbench.dojot import frames
from testbench.dojot.faults import Faults

logger = logging.getLogger(__name__)

_CLIENT_ID_LIMIT = 100
_SWEEP_S = 0.1


class Proxy:
    def __init__(self, faults: Faults, counters: Counter[str]) -> None:
        self.faults = faults
        self.counters = counters
        self.broker_port = 0
        self.refusing = False
        self.connections: set[Connection] = set()
        self._server: asyncio.Server | None = None

    async def listen(self, host: str, port: int) -> int:
        """Return the port, which the kernel chose if ``port`` is 0."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), host, port, backlog=4096)
        chosen: int = self._server.sockets[0].getsockname()[1]
        return chosen

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self.cut_all()

    def cut_all(self) -> int:
        """End every connection without a DISCONNECT."""
        open_now = list(self.connections)
        for connection in open_now:
            connection.cut("cut")
        return len(open_now)

    async def cut_old(self) -> None:
        """Cut ``tenant:device`` connections at their age limit, as the disconnect plugin does."""
        while True:
            await asyncio.sleep(_SWEEP_S)
            if (limit_s := self.faults.cut_after_s) is None:
                continue
            oldest = time.monotonic() - limit_s
            for connection in list(self.connections):
                if connection.opened < oldest and b":" in (connection.username or b""):
                    connection.cut("cut_by_age")


class _BrokerSide(asyncio.Protocol):
    """The connection to Mosquitto that belongs to one client."""

    def __init__(self, client: "Connection") -> None:
        self._client = client

    def data_received(self, data: bytes) -> None:
        self._client.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._client.transport.close()

    def pause_writing(self) -> None:
        self._client.transport.pause_reading()

    def resume_writing(self) -> None:
        self._client.transport.resume_reading()


class Connection(asyncio.Protocol):
    """One client of the broker."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._buffer = bytearray()
        self._broker: asyncio.Transport | None = None
        self._dialling: asyncio.Task[None] | None = None
        self._version = frames.MQTT_3_1_1
        self.username: bytes | None = None
        self.opened = time.monotonic()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        if self._proxy.refusing:
            self.transport.abort()
            return
        self._proxy.connections.add(self)
        self._dialling = asyncio.create_task(self._dial())

    async def _dial(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            broker, _ = await loop.create_connection(
                lambda: _BrokerSide(self), "127.0.0.1", self._proxy.broker_port
            )
        except OSError:
            self.transport.abort()
            return
        if self.transport.is_closing():
            broker.abort()
            return
        self._broker = broker
        self._forward()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._broker is not None:
            self._forward()

    def connection_lost(self, exc: Exception | None) -> None:
        self._proxy.connections.discard(self)
        if self._broker is not None:
            self._broker.close()

    def pause_writing(self) -> None:
        if self._broker is not None:
            self._broker.pause_reading()

    def resume_writing(self) -> None:
        if self._broker is not None:
            self._broker.resume_reading()

    def cut(self, counter: str) -> None:
        self._proxy.counters[counter] += 1
        self.transport.abort()

    def _forward(self) -> None:
        """Hand on what is whole and allowed; a violation ends the connection there."""
        assert self._broker is not None
        done = sent = 0
        try:
            for packet in frames.packets(self._buffer):
                done = packet.end
                if not self._allows(packet):
                    self._broker.write(bytes(self._buffer[sent : packet.start]))
                    sent = packet.end
        except frames.Malformed as malformed:
            logger.warning("%s: malformed: %s", self.username, malformed)
            self.cut("malformed")
        if self.transport.is_closing():
            return
        if done > sent:
            self._broker.write(bytes(self._buffer[sent:done]))
        del self._buffer[:done]

    def _allows(self, packet: frames.Packet) -> bool:
        """Whether the broker may see a packet; what it may not see is dealt with here."""
        if self.transport.is_closing():
            return False
        if packet.kind == frames.PUBLISH:
            return self._allows_publish(packet)
        if packet.kind == frames.SUBSCRIBE:
            return self._allows_subscribe(bytes(self._buffer[packet.body : packet.end]))
        if packet.kind == frames.CONNECT:
            return self._allows_connect(bytes(self._buffer[packet.body : packet.end]))
        return True

    def _allows_connect(self, body: bytes) -> bool:
        connect = frames.read_connect(body)
        if connect.version == frames.MQTT_5:
            self._refuse(frames.UNSUPPORTED_VERSION, "mqtt5_refused")
            return False
        if len(connect.client_id) > _CLIENT_ID_LIMIT:
            self._refuse(frames.IDENTIFIER_REJECTED, "client_id_refused")
            return False
        self._version, self.username = connect.version, connect.username
        if self._is_meant(self._proxy.faults.refuse_connect_of):
            self._refuse(frames.NOT_AUTHORIZED, "connects_refused")
            return False
        self._proxy.counters["connects"] += 1
        return True

    def _refuse(self, answer: bytes, counter: str) -> None:
        self._proxy.counters[counter] += 1
        self.transport.write(answer)
        self.transport.close()

    def _is_meant(self, user: str) -> bool:
        """Whether a fault is for this device."""
        return user == "*" or (bool(user) and user.encode() == self.username)

    def _allows_publish(self, packet: frames.Packet) -> bool:
        if self._is_meant(self._proxy.faults.silent_for):
            self._proxy.counters["unanswered"] += 1
            return False
        # Under 3.1 the publish is acknowledged and dropped, which Mosquitto does by itself.
        topic = frames.publish_topic(self._buffer, packet)
        own = b"%s/attrs" % self.username if self.username else None
        is_own = own is not None and (topic == own or topic.startswith(own + b"/"))
        if self._version == frames.MQTT_3_1 or (is_own and not self._proxy.faults.refuse_publishes):
            self._proxy.counters["publishes"] += 1
            return True
        logger.warning("%s: forbidden publish to %s", self.username, topic)
        self.cut("forbidden_publishes")
        return False

    def _allows_subscribe(self, body: bytes) -> bool:
        packet_id, filters = frames.read_subscribe(body)
        own = b"%s/config" % self.username if self.username else None
        if all(topic == own for topic in filters):
            return True
        self._proxy.counters["forbidden_subscribes"] += 1
        self.transport.write(frames.suback_refused(packet_id, len(filters)))
        return False
