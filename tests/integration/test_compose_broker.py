"""The broker of docker-compose's demo profile, with its own configuration, behind the stand-in."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from testbench.embedded import EmbeddedMosquitto, host
from tests.waiting import fetch, wait_until

DOCKER = Path(__file__).parents[2] / "docker"


@pytest.fixture
def broker() -> Iterator[EmbeddedMosquitto]:
    """Mosquitto as docker/mosquitto.conf configures it, but for port and paths."""
    with host.temporary_folder() as folder:
        shutil.copy(DOCKER / "mosquitto.acl", folder / "acl")
        lines = [
            line.replace("/mosquitto/config/acl", str(folder / "acl"))
            for line in (DOCKER / "mosquitto.conf").read_text().splitlines()
            if line and not line.startswith(("#", "listener", "log_dest"))
        ]
        with EmbeddedMosquitto(folder / "mosquitto").start(config_lines=lines) as running:
            yield running


@contextmanager
def stand_in(broker: EmbeddedMosquitto, data: Path) -> Iterator[tuple[str, int]]:
    """The stand-in as compose calls it; its address and the port of its MQTT side."""
    arguments = f"--broker-port {broker.port} --http-port 0 --mqtt-port 0 --data {data}"
    process = subprocess.Popen(
        [sys.executable, "-m", "testbench.dojot", "--host", "127.0.0.1", *arguments.split()],
        env=os.environ | {"ELETROPOSTO_STANDIN_BRIDGE": "bridge"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        said = process.stdout.readline().replace(",", " ").split()
        url = next(word for word in said if word.startswith("http"))
        yield url, int(said[-1].rpartition(":")[2])
    finally:
        process.terminate()
        assert process.wait(10) == 0
        process.stdout.close()


def test_what_a_device_publishes_is_stored(broker: EmbeddedMosquitto, tmp_path: Path) -> None:
    with stand_in(broker, tmp_path) as (url, mqtt_port):
        device = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
        device.username_pw_set("admin:abc123")
        device.connect("127.0.0.1", mqtt_port)
        device.loop_start()
        device.publish("admin:abc123/attrs", '{"power": 47000}', qos=1).wait_for_publish(5)
        counters = f"{url}/_standin/counters"
        wait_until(lambda: fetch(counters).json().get("stored") == 1, "nothing was stored")
        device.disconnect()
        device.loop_stop()
