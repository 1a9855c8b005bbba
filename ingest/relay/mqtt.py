"""One MQTT 3.1.1 connection on the asyncio loop: paho without a thread."""

import asyncio
import socket
import ssl
from typing import Any, Literal, Protocol

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from ingest.relay.dialects import Names
from ingest.relay.dialling import dial, read_ahead

_TIMEOUT_S = 10
_KEEPALIVE_S = 60
_SERVER_UNAVAILABLE = 136  # CONNACK 3, as paho numbers it: the only refusal that is not about us


class ConnectFailed(OSError):
    """The broker cannot be reached."""


class ConnectRefused(ConnectFailed):
    """The broker answered, and does not want this device."""


class Listener(Protocol):
    """Who is told what happens on a connection; called on the loop, never from a thread."""

    def acknowledged(self, message_id: int) -> None: ...
    def received(self, payload: bytes) -> None: ...
    def closed(self) -> None: ...


class _Client(paho.Client):
    """paho with two of its inner steps replaced; were they renamed, it would go on, but slower.

    It would connect blocking while the loop serves thousands of others, so it gets a socket. And
    it makes the reason codes and properties of MQTT 5 for every acknowledgement of MQTT 3.1.1,
    which is a quarter of all the time the relay needs.
    """

    connected_socket: socket.socket

    def _create_socket_connection(self) -> socket.socket:
        return self.connected_socket

    def _handle_pubackcomp(self, cmd: Literal["PUBACK", "PUBCOMP"]) -> MQTTErrorCode:
        message_id = int.from_bytes(self._in_packet["packet"][:2], "big")
        if self._out_messages.pop(message_id, None) is not None:
            self._inflight_messages -= 1
            self._userdata.acknowledged(message_id)
        return MQTTErrorCode.MQTT_ERR_SUCCESS


class Connection:
    """An open connection of one device, which listens to its config topic.

    paho tells by callbacks when it opened or closed its socket and when it has something to
    write; reading and writing are left to the loop.
    """

    def __init__(self, names: Names, listener: Listener) -> None:
        self._loop = asyncio.get_running_loop()
        self._listener = listener
        self._names = names
        self._answered: asyncio.Future[Any] = self._loop.create_future()
        self._writer_waits = False
        self._open = False
        client = _Client(
            CallbackAPIVersion.VERSION2, names.client_id, userdata=listener, protocol=paho.MQTTv311
        )
        client.username_pw_set(names.user)
        client.max_inflight_messages_set(0)  # the session counts for itself
        client.on_socket_open = self._on_socket_open
        client.on_socket_close = self._on_socket_close
        client.on_socket_register_write = self._on_wants_to_write
        client.on_socket_unregister_write = self._on_written
        client.on_connect = self._on_connect
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        self._client = client

    async def open(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        """Raises ConnectFailed, or ConnectRefused if it is this device that is not wanted."""
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                self._client.connected_socket = await dial(host, port, tls)
                self._client.connect_async(host, port, keepalive=_KEEPALIVE_S)
                self._client.reconnect()
                code = await self._answered
        except (OSError, ValueError) as error:  # no answer in time; a name no resolver takes
            self.close()
            raise ConnectFailed(f"{host}:{port}: {error or 'no answer'}") from error
        except asyncio.CancelledError:
            self.close()
            raise
        if code.is_failure:
            self.close()
            kind = ConnectFailed if code.value == _SERVER_UNAVAILABLE else ConnectRefused
            raise kind(f"{host}:{port}: {code}")
        self._open = True
        self._client.subscribe(self._names.config, qos=1)

    def publish(self, payload: bytes) -> int:
        """Send with QoS 1 and return the message id that will be acknowledged."""
        return self._client.publish(self._names.attrs, payload, qos=1).mid

    def keep_alive(self) -> None:
        """Ping if it is time; to be called every few seconds."""
        self._client.loop_misc()

    def close(self) -> None:
        """End without telling the listener."""
        self._open = False
        self._client.disconnect()
        self._client.loop_write()
        self._client._sock_close()

    def _on_socket_open(self, _: Any, __: Any, opened: Any) -> None:
        is_plain = not isinstance(opened, ssl.SSLSocket)
        self._loop.add_reader(opened, self._client.loop_read if is_plain else self._read)

    def _read(self) -> None:
        self._client.loop_read()
        while (current := self._client.socket()) is not None and read_ahead(current):
            self._client.loop_read()

    def _on_socket_close(self, _: Any, __: Any, closing: Any) -> None:
        self._loop.remove_reader(closing)
        self._loop.remove_writer(closing)

    def _on_wants_to_write(self, *_: Any) -> None:
        """Write at the end of this turn of the loop: usually the socket takes it all at once."""
        self._loop.call_soon(self._write)

    def _write(self) -> None:
        self._client.loop_write()
        current = self._client.socket()
        if current is not None and self._client.want_write() and not self._writer_waits:
            self._writer_waits = True
            self._loop.add_writer(current, self._client.loop_write)

    def _on_written(self, _: Any, __: Any, written: Any) -> None:
        if self._writer_waits:
            self._writer_waits = False
            self._loop.remove_writer(written)

    def _on_connect(self, _: Any, __: Any, ___: Any, code: Any, ____: Any) -> None:
        if not self._answered.done():
            self._answered.set_result(code)

    def _on_publish(self, _: Any, __: Any, message_id: int, *___: Any) -> None:
        self._listener.acknowledged(message_id)

    def _on_message(self, _: Any, __: Any, message: paho.MQTTMessage) -> None:
        if not message.retain:  # nobody retains an order, and an old one must not be done again
            self._listener.received(bytes(message.payload))

    def _on_disconnect(self, *_: Any) -> None:
        if not self._answered.done():
            self._answered.set_exception(ConnectFailed("closed while connecting"))
        if self._open:
            self._open = False
            self._loop.call_soon(self._listener.closed)
