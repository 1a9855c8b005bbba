"""The embedded broker, asked by a real MQTT client."""

import queue
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from testbench.embedded import EmbeddedMosquitto, EmbeddedUnavailable, host, runtime


@contextmanager
def client(
    broker: EmbeddedMosquitto, user: str | None = None
) -> Iterator[tuple[mqtt.Client, queue.Queue[tuple[str, bytes]]]]:
    """A connected client and the queue of what it receives."""
    received: queue.Queue[tuple[str, bytes]] = queue.Queue()
    connected: queue.Queue[bool] = queue.Queue()
    it = mqtt.Client(CallbackAPIVersion.VERSION2)
    it.on_message = lambda _client, _data, message: received.put(
        (message.topic, bytes(message.payload))
    )
    it.on_subscribe = lambda *_: connected.put(True)
    if user is not None:
        it.username_pw_set(user, f"secret of {user}")
    it.connect("127.0.0.1", broker.port)
    it.loop_start()
    try:
        it.subscribe("#", qos=1)
        connected.get(timeout=5)
        yield it, received
    finally:
        it.disconnect()
        it.loop_stop()


def connect_code(broker: EmbeddedMosquitto, user: str, password: str) -> str:
    codes: queue.Queue[str] = queue.Queue()
    it = mqtt.Client(CallbackAPIVersion.VERSION2)
    it.on_connect = lambda _client, _data, _flags, code, _properties: codes.put(str(code))
    it.username_pw_set(user, password)
    it.connect("127.0.0.1", broker.port)
    it.loop_start()
    try:
        return codes.get(timeout=5)
    finally:
        it.disconnect()
        it.loop_stop()


def publish(publisher: mqtt.Client, topic: str, payload: str, retain: bool = False) -> None:
    publisher.publish(topic, payload, qos=1, retain=retain).wait_for_publish(timeout=5)


def is_listening(broker: EmbeddedMosquitto) -> bool:
    try:
        with client(broker):
            return True
    except ConnectionRefusedError:
        return False


def test_messages_pass(mosquitto_broker: EmbeddedMosquitto) -> None:
    with client(mosquitto_broker) as (sender, received):
        publish(sender, "bench/attrs", "42")
        assert received.get(timeout=5) == ("bench/attrs", b"42")


def test_a_killed_broker_comes_back_on_its_port(mosquitto_broker: EmbeddedMosquitto) -> None:
    port = mosquitto_broker.port
    mosquitto_broker.kill()
    assert mosquitto_broker.pid is None
    assert not is_listening(mosquitto_broker)
    mosquitto_broker.start()
    assert mosquitto_broker.port == port
    assert is_listening(mosquitto_broker)


def test_a_port_is_used_on_request(mosquitto_broker: EmbeddedMosquitto) -> None:
    mosquitto_broker.stop()
    with (
        host.temporary_folder() as folder,
        EmbeddedMosquitto(folder).start(port=mosquitto_broker.port) as other,
    ):
        assert other.port == mosquitto_broker.port
        assert is_listening(other)


def test_a_port_of_somebody_else_is_an_error(
    mosquitto_broker: EmbeddedMosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("testbench.embedded.mosquitto.PORT_SECONDS", 0.1)
    with host.temporary_folder() as folder:
        other = EmbeddedMosquitto(folder)
        with pytest.raises(EmbeddedUnavailable, match="another program listens"):
            other.start(port=mosquitto_broker.port)
        assert other.pid is None
    assert mosquitto_broker.pid is not None


def test_config_lines_survive_a_restart(mosquitto_broker: EmbeddedMosquitto) -> None:
    lines = ["persistence true", "max_queued_messages 7"]
    with host.temporary_folder() as folder:
        broker = EmbeddedMosquitto(folder / "broker")
        with broker.start(config_lines=lines):
            with client(broker) as (sender, _):
                publish(sender, "kept", "42", retain=True)
            broker.stop()
            broker.start()
            with client(broker) as (_, received):
                assert received.get(timeout=5) == ("kept", b"42")


def test_users_are_held_to_their_own_topic() -> None:
    """The rule of the DOJOT stand-in: a device writes and reads its own attributes only."""
    with host.temporary_folder() as folder:
        broker = EmbeddedMosquitto(folder / "broker")
        (folder / "acl").write_text("pattern readwrite %u/attrs\n")
        lines = [f"acl_file {folder / 'acl'}"]
        with broker.start(config_lines=lines), client(broker, "admin:1") as (sender, received):
            publish(sender, "admin:2/attrs", "stray")
            publish(sender, "admin:1/attrs", "own")
            assert received.get(timeout=5) == ("admin:1/attrs", b"own")
            assert received.empty()


def test_only_known_users_are_let_in_on_request() -> None:
    with host.temporary_folder() as folder:
        passwords = folder / "passwords"
        command = [str(runtime.program("mosquitto_passwd")), "-c", "-b", str(passwords)]
        subprocess.run([*command, "known", "secret"], check=True)
        host.give_to_server(passwords)
        lines = ["allow_anonymous false", f"password_file {passwords}"]
        with EmbeddedMosquitto(folder / "broker").start(config_lines=lines) as broker:
            assert connect_code(broker, "known", "secret") == "Success"
            assert connect_code(broker, "known", "guess") == "Not authorized"


def test_a_mistake_in_the_configuration_is_said_in_one_line() -> None:
    with (
        host.temporary_folder() as folder,
        pytest.raises(EmbeddedUnavailable, match="nonsense") as raised,
    ):
        EmbeddedMosquitto(folder).start(config_lines=["nonsense 1"])
    assert "\n" not in str(raised.value)
