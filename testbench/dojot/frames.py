"""The MQTT control packets the proxy must understand. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

CONNECT, PUBLISH, SUBSCRIBE = 1, 3, 8
MQTT_3_1, MQTT_3_1_1, MQTT_5 = 3, 4, 5

UNSUPPORTED_VERSION = bytes([0x20, 3, 0, 0x84, 0])  # an MQTT 5 CONNACK, readable to its sender
IDENTIFIER_REJECTED = bytes([0x20, 2, 0, 2])
NOT_AUTHORIZED = bytes([0x20, 2, 0, 5])


class Malformed(ValueError):
    """Not MQTT."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One control packet: ``start`` and ``end`` in the buffer, ``body`` after the fixed header."""

    kind: int
    flags: int
    start: int
    body: int
    end: int


@dataclass(frozen=True, slots=True)
class Connect:
    version: int
    client_id: bytes
    username: bytes | None


def packets(buffer: bytes | bytearray) -> Iterator[Packet]:
    """Yield the complete packets of ``buffer``.

    Raises:
        Malformed: If a length is impossible.
    """
    start, size = 0, len(buffer)
    while start + 2 <= size:
        length, at, shift = 0, start + 1, 0
        while at < size:
            byte = buffer[at]
            length |= (byte & 0x7F) << shift
            at += 1
            if byte < 0x80:
                break
            shift += 7
            if shift > 21:
                raise Malformed("remaining length")
        else:
            return
        if at + length > size:
            return
        yield Packet(buffer[start] >> 4, buffer[start] & 0x0F, start, at, at + length)
        start = at + length


def read_connect(body: bytes) -> Connect:
    """Read a CONNECT without its fixed header; raises Malformed."""
    try:
        name, at = _text(body, 0)
        version, flags = body[at] & 0x7F, body[at + 1]
        at += 4
        if version == MQTT_5:
            return Connect(version, b"", None)
        client_id, at = _text(body, at)
        if flags & 0x04:  # a last will
            _, at = _text(body, at)
            _, at = _text(body, at)
        username = _text(body, at)[0] if flags & 0x80 else None
    except IndexError:
        raise Malformed("CONNECT") from None
    if name not in (b"MQTT", b"MQIsdp"):
        raise Malformed(f"protocol {name!r}")
    return Connect(version, client_id, username)


def publish_topic(buffer: bytes | bytearray, packet: Packet) -> bytes:
    at = packet.body
    length = (buffer[at] << 8) | buffer[at + 1] if packet.end - at >= 2 else 0
    return bytes(buffer[at + 2 : at + 2 + length])


def read_subscribe(body: bytes) -> tuple[bytes, list[bytes]]:
    """(packet id, topic filters) of a SUBSCRIBE; raises Malformed."""
    filters, at = [], 2
    try:
        while at < len(body):
            topic, at = _text(body, at)
            filters.append(topic)
            at += 1
    except IndexError:
        raise Malformed("SUBSCRIBE") from None
    return body[:2], filters


def suback_refused(packet_id: bytes, count: int) -> bytes:
    return bytes([0x90, 2 + count]) + packet_id + b"\x80" * count


def _text(body: bytes, at: int) -> tuple[bytes, int]:
    length = (body[at] << 8) | body[at + 1]
    end = at + 2 + length
    if end > len(body):
        raise IndexError(end)
    return body[at + 2 : end], end
