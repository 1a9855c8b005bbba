"""MQTT over TLS against Mosquitto, whose certificate an authority of the test has signed."""

import asyncio
import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from ingest.relay.dialects import Device, Names, vernemq
from ingest.relay.mqtt import ConnectFailed, Connection
from ingest.relay.settings import RelaySettings
from testbench.authority import TestAuthority
from testbench.embedded import EmbeddedMosquitto, host
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


class Told:
    """What the connection tells."""

    def __init__(self) -> None:
        self.acknowledged_ids: list[int] = []
        self.payloads: list[bytes] = []
        self.was_closed = False

    def acknowledged(self, message_id: int) -> None:
        self.acknowledged_ids.append(message_id)

    def received(self, payload: bytes) -> None:
        self.payloads.append(payload)

    def closed(self) -> None:
        self.was_closed = True


@pytest.fixture(scope="module")
def secured() -> Iterator[tuple[EmbeddedMosquitto, Path]]:
    """A broker that speaks TLS only, and the file of its authority."""
    with host.temporary_folder() as folder:
        host.make_folder(folder / "broker")
        authority = TestAuthority()
        signer, _ = authority.write(folder / "broker")
        certificate, key = authority.server(folder / "broker")
        for path in (certificate, key):
            host.give_to_server(path)
        lines = [f"certfile {certificate}", f"keyfile {key}"]
        broker = EmbeddedMosquitto(folder / "broker")
        with broker.start(config_lines=lines):
            yield broker, signer


def names(relay: str) -> Names:
    return vernemq(relay, Device(1, "admin", "d1"))


def settings(port: int, **changes: str) -> RelaySettings:
    values = {"dojot_mqtt": f"localhost:{port}", "dojot_mqtt_tls": "true", **changes}
    return RelaySettings(database_url="postgresql:///x", **values)  # type: ignore[arg-type]


async def test_messages_and_acknowledgements_pass(
    secured: tuple[EmbeddedMosquitto, Path],
) -> None:
    broker, signer = secured
    chosen = settings(broker.port, dojot_mqtt_ca=str(signer))
    told = Told()
    connection = Connection(names("one"), told)
    await connection.open(*chosen.mqtt_address, chosen.mqtt_tls())
    back = replace(names("two"), attrs=names("one").config)  # what the first one listens to
    echo = Connection(back, Told())
    await echo.open(*chosen.mqtt_address, chosen.mqtt_tls())
    ids = [connection.publish(b"x" * 20_000) for _ in range(20)]
    await until(lambda: sorted(told.acknowledged_ids) == sorted(ids))
    for number in range(50):  # many in one record: what is decrypted ahead is read, too
        echo.publish(b"%d" % number)
    await until(lambda: len(told.payloads) == 50)
    echo.close()
    connection.close()

    assert told.payloads == [b"%d" % number for number in range(50)]
    assert not told.was_closed


async def test_a_broker_with_another_authority_is_not_trusted(
    secured: tuple[EmbeddedMosquitto, Path], tmp_path: Path
) -> None:
    other, _ = TestAuthority("Somebody else").write(tmp_path)
    chosen = settings(secured[0].port, dojot_mqtt_ca=str(other))
    with pytest.raises(ConnectFailed, match="certificate"):
        await Connection(names("one"), Told()).open(*chosen.mqtt_address, chosen.mqtt_tls())


async def test_a_broker_without_tls_does_not_hold_us_up() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 not TLS\r\n")
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        with pytest.raises(ConnectFailed):
            await Connection(names("one"), Told()).open(
                "127.0.0.1", port, ssl.create_default_context()
            )
    finally:
        server.close()
        await server.wait_closed()


async def test_a_file_that_is_no_certificate_is_refused_by_name(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing")
    for path in (str(empty), str(tmp_path / "absent.pem")):
        with pytest.raises(ValidationError, match="dojot_mqtt_ca"):
            settings(1, dojot_mqtt_ca=path)
