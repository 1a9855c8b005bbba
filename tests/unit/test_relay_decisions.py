"""What the relay decides without a database or a broker: shares, paces, orders, settings."""

import asyncio
import base64
import contextlib
import socket
from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from flows.settings import Settings, SettingsError
from ingest.database import Pool
from ingest.relay.backoff import Backoff
from ingest.relay.catalogue import Catalogue
from ingest.relay.clock import OLDEST
from ingest.relay.dialects import Device, Names, mosca, vernemq
from ingest.relay.dialling import dial
from ingest.relay.dojot_api import DojotApi, DojotError
from ingest.relay.lanes import Speeds
from ingest.relay.metrics import Metrics
from ingest.relay.mqtt import ConnectFailed, Connection
from ingest.relay.orders import NotAnOrder, UnusableOrder, read_orders
from ingest.relay.outbox import Outbox, Publication, Row
from ingest.relay.places import Places
from ingest.relay.sessions import Sessions
from ingest.relay.settings import RelaySettings
from ingest.relay.shares import divide

A_DATABASE: dict[str, Any] = {"database_url": "postgresql:///x"}


@given(relays=st.integers(1, 12), seed=st.randoms())
def test_relays_that_decide_in_turn_share_everything_evenly(relays: int, seed: Any) -> None:
    """Each claims, leaves and hands over as told; within two rounds nothing is idle or doubled."""
    names = [uuid4() for _ in range(relays)]
    holders: dict[int, UUID | None] = {shard: seed.choice([*names, None]) for shard in range(8)}
    for _ in range(2):
        for me in names:
            shares = divide(holders, me, relays)
            assert not shares.hold & shares.leave
            for shard in shares.leave:
                holders[shard] = None
            for shard in shares.hold:
                assert holders[shard] in (me, None)
                holders[shard] = me

    most = -(-8 // relays)
    assert None not in holders.values()
    assert all(list(holders.values()).count(name) <= most for name in names)


def test_a_lonely_relay_takes_over_what_ran_out() -> None:
    me, other = uuid4(), uuid4()
    holders = {0: me, 1: me, 2: None, 3: None, 4: other, 5: None, 6: me, 7: None}

    shares = divide(holders, me, 1)

    assert shares.hold == {0, 1, 2, 3, 5, 6, 7}
    assert not shares.leave


def test_outboxes_and_relays_share_one_pace() -> None:
    now = 100.0
    alone, one_of_four = (Speeds(100, clock=lambda: now) for _ in range(2))
    one_of_four.divide(4)
    sent = []
    for speeds in (alone, one_of_four):
        total = {"fresh": 0, "backlog": 0}
        for tick in range(1000):  # ten seconds, in which all is acknowledged at once
            now = 100.0 + tick / 100
            for _outbox in range(2):
                for lane in total:
                    room = speeds.room(lane)
                    speeds.spend(lane, room)
                    total[lane] += room
        now = 100.0
        sent.append(total)

    for total, relays in zip(sent, (1, 4), strict=True):
        assert total["backlog"] == pytest.approx(1000 / relays, rel=0.05)
        assert total["fresh"] == pytest.approx(5000 / relays, rel=0.05)


def test_what_is_in_flight_leaves_no_room() -> None:
    speeds = Speeds(1000)
    speeds.loads["backlog"] = 1000

    assert speeds.room("backlog") <= 0


def test_waiting_doubles_up_to_a_limit_and_starts_again() -> None:
    backoff = Backoff(first_s=1, longest_s=8)
    waits = [backoff.failed() for _ in range(6)]
    backoff.succeeded()

    for wait_s, longest in zip(waits, [1, 2, 4, 8, 8, 8], strict=True):
        assert longest / 2 <= wait_s <= longest
    assert backoff.failed(at_least_s=30) == 30
    assert backoff.failed() <= 2


@pytest.mark.parametrize(
    ("payload", "commands"),
    [
        (b'{"reset": "soft"}', [("Reset", {"type": "Soft"})]),
        (b'{"reset": " HARD "}', [("Reset", {"type": "Hard"})]),
        (b'{"remote_stop": "12"}', [("RemoteStopTransaction", {"transactionId": 12})]),
        (b'{"remote_start": "TAG"}', [("RemoteStartTransaction", {"idTag": "TAG"})]),
        (
            b'{"remote_start": {"idTag": "TAG", "connectorId": 2}}',
            [("RemoteStartTransaction", {"idTag": "TAG", "connectorId": 2})],
        ),
        (
            b'{"change_availability": "inoperative"}',
            [("ChangeAvailability", {"connectorId": 0, "type": "Inoperative"})],
        ),
        (
            b'{"unlock_connector": 1, "reset": "Soft"}',
            [("UnlockConnector", {"connectorId": 1}), ("Reset", {"type": "Soft"})],
        ),
    ],
)
def test_orders_become_commands(payload: bytes, commands: list[Any]) -> None:
    assert read_orders(payload) == commands


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"power_w_1": 3}',
        b'{"reset": "soft", "power_w_1": 3}',
        b'{"1": [{"id": 1, "label": "power", "type": "dynamic"}]}',
    ],
)
def test_other_events_of_a_device_are_no_orders(payload: bytes) -> None:
    with pytest.raises(NotAnOrder):
        read_orders(payload)


@pytest.mark.parametrize(
    "payload",
    [
        b'{"reset": "now"}',
        b'{"reset": null}',
        b'{"remote_stop": true}',
        b'{"remote_stop": -1}',
        b'{"remote_stop": 99999999999}',
        b'{"remote_start": ""}',
        b'{"remote_start": {"connectorId": 1}}',
        b'{"remote_start": "a tag that is longer than twenty"}',
        b'{"change_availability": {"connectorId": "x", "type": "Operative"}}',
        b'{"remote_stop": "%s"}' % (b"9" * 5000),
        b'{"remote_stop": %s}' % (b"9" * 300),
        b'{"unlock_connector": {"connectorId": %s}}' % (b"[" * 500 + b"]" * 500),
        b'{"remote_start": "a\\u0000b"}',
    ],
)
def test_orders_without_sense_are_refused(payload: bytes) -> None:
    with pytest.raises(UnusableOrder):
        read_orders(payload)


@given(st.binary())
def test_no_bytes_break_the_reader_of_orders(payload: bytes) -> None:
    with contextlib.suppress(NotAnOrder, UnusableOrder):
        read_orders(payload)


@pytest.mark.parametrize(
    ("text", "retention"),
    [
        ("7", timedelta(days=7)),
        ("7d", timedelta(days=7)),
        ("7 days", timedelta(days=7)),
        ("0.5", timedelta(hours=12)),
        ("0", timedelta(0)),
    ],
)
def test_relay_and_flows_read_the_same_number_of_days(text: str, retention: timedelta) -> None:
    relay = RelaySettings(**A_DATABASE, dojot_retention=text)
    flows = Settings.from_env(
        {"ELETROPOSTO_DATABASE_URL": "postgresql:///x", "ELETROPOSTO_DOJOT_RETENTION": text}
    )

    assert relay.dojot_retention == flows.dojot_retention == retention


@pytest.mark.parametrize("text", ["a week", "-1", "P7D", "nan", "inf", "7h"])
def test_another_retention_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValidationError, match="dojot_retention"):
        RelaySettings(**A_DATABASE, dojot_retention=text)
    with pytest.raises(SettingsError, match="ELETROPOSTO_DOJOT_RETENTION="):
        Settings.from_env(
            {"ELETROPOSTO_DATABASE_URL": "postgresql:///x", "ELETROPOSTO_DOJOT_RETENTION": text}
        )


def test_an_empty_variable_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DOJOT_USER", "DOJOT_RETENTION", "RELAY_HEALTH_PORT"):
        monkeypatch.setenv(f"ELETROPOSTO_{name}", "")
    relay, flows = (
        RelaySettings(**A_DATABASE),
        Settings.from_env(
            {"ELETROPOSTO_DATABASE_URL": "postgresql:///x", "ELETROPOSTO_DOJOT_RETENTION": ""}
        ),
    )

    assert (relay.dojot_user, relay.relay_health_port) == (flows.dojot_user, 9465)
    assert relay.dojot_retention == flows.dojot_retention == timedelta(days=7)


def test_the_broker_needs_a_port() -> None:
    settings = RelaySettings(**A_DATABASE, dojot_mqtt="[::1]:1884")

    assert settings.mqtt_address == ("::1", 1884)


@pytest.mark.parametrize(
    "address",
    ["broker", "broker:", "[]:1883", "broker:0", "broker:99999", "broker:²", "a..b:1883"],
)
def test_an_address_that_cannot_be_dialled_is_refused_at_the_start(address: str) -> None:
    with pytest.raises(ValidationError, match="dojot_mqtt"):
        RelaySettings(**A_DATABASE, dojot_mqtt=address)


class NobodyListens:
    """Of a connection that is never opened."""

    def acknowledged(self, message_id: int) -> None: ...
    def received(self, payload: bytes) -> None: ...
    def closed(self) -> None: ...


async def test_a_name_that_no_resolver_takes_is_a_broker_that_is_away() -> None:
    connection = Connection(vernemq("one", Device(1, "admin", "d1")), NobodyListens())

    with pytest.raises(ConnectFailed, match="broker"):
        await connection.open("broker..example.org", 1883)


async def test_a_defect_while_a_session_opens_is_counted_and_gives_the_messages_back() -> None:
    def defective(relay: str, device: Device) -> Names:
        raise RuntimeError("a defect")

    metrics, refused = Metrics(), []
    sessions = Sessions(
        ("127.0.0.1", 1),
        None,
        defective,
        limit=1,
        longest_s=60,
        relay_id=uuid4(),
        metrics=metrics,
        on_config=lambda device, payload: None,
        on_refused=lambda number, seconds: refused.append((number, seconds)),
        on_back=lambda: None,
    )
    unopened = Pool("postgresql:///x", 1, options="", most=1)
    outbox = Outbox("readings", unopened, metrics, lambda: OLDEST, Counter())
    row = Row(1, shard=0, readings=2, since=0, until=0, lane="fresh", outbox=outbox, left=1)
    sessions.send(Device(7, "admin", "d1"), Publication(row, 2, 7, b"{}"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert row.back == [2]
    assert refused == [(7, 10)]
    errors = metrics.registry.get_sample_value(
        "eletroposto_relay_errors_total", {"error": "defect"}
    )
    assert errors == 1


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [("7", 7), ("0", 0), ("-3", 0), ("1e300", 3600), ("inf", 3600), ("Wed, 21 Oct", 60), ("", 60)],
)
async def test_nobody_makes_us_wait_for_ever(header: str, wait_s: float) -> None:
    """Some proxies say Retry-After in days, or as a date."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 429 No\r\nretry-after: %s\r\n" % header.encode())
        writer.write(b"connection: close\r\ncontent-length: 0\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    api = DojotApi(f"http://127.0.0.1:{port}", "admin", "admin")
    try:
        with pytest.raises(DojotError) as raised:
            await api.tenant()
    finally:
        await api.close()
        server.close()
        await server.wait_closed()

    assert (raised.value.name, raised.value.retry_after_s) == ("rate_limited", wait_s)


def visits(limit: int, devices: int, rounds: int) -> tuple[int, int]:
    """Devices that send in turn: how often a place was taken anew, in all and in the last round."""
    places: Places[int] = Places(limit, lambda _: True, lambda: 0.0)
    taken = last = 0
    for _ in range(rounds):
        last = 0
        for device in range(devices):
            if device in places:
                places.used(device)
                continue
            last += 1
            if not places.take(device):
                places.share()
                places.free(resting := places.resting() or 0)
                assert resting not in places
                assert places.take(device)
            assert len(places) <= limit
        taken += last
    return taken, last


def test_with_a_place_for_each_nobody_loses_it() -> None:
    assert visits(100, 100, 5) == (100, 0)


def test_with_more_devices_than_places_most_keep_theirs() -> None:
    """Closing the least used one would make each open anew every time: 1,000 of 1,000."""
    _, last = visits(800, 1000, 5)

    assert last == 300  # 700 of the 800 keep theirs


def test_a_place_that_is_not_used_is_given_away() -> None:
    now = 0.0
    places: Places[str] = Places(8, lambda _: True, lambda: now)
    for name in "abcdefgh":
        assert places.take(name)
    assert not places.take("i")
    places.share()
    now = 599
    places.used("b")
    now = 700
    unused = places.unused()
    places.free(unused or "")

    assert unused == "c"
    assert places.take("i")
    assert not places.is_shared("i")
    assert places.is_shared("a")  # the least used one


async def test_every_address_of_a_host_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """localhost may be ::1 first where the broker listens on 127.0.0.1 only."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    def found(*_: Any, **__: Any) -> list[Any]:
        kind = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        return [(*kind, (address, port)) for address in ("127.0.0.2", "127.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", found)
    connected = await dial("broker", port, None)
    peer = connected.getpeername()
    connected.close()
    server.close()
    await server.wait_closed()
    with pytest.raises(ConnectionRefusedError):
        await dial("broker", port, None)

    assert peer == ("127.0.0.1", port)


async def test_a_template_that_vanishes_while_it_is_extended_has_a_name() -> None:
    """Listed once, taken by PUT, and then somebody deletes it."""
    template = b'{"id": 7, "label": "eletroposto-charge-point", "attrs": []}'
    pages = [b"[%s]" % template, b"[]"]
    claims = base64.urlsafe_b64encode(b'{"service": "admin", "iat": 0, "exp": 420}')

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        method, path, _ = (await reader.readline()).split(b" ")
        if path == b"/auth":
            body = b'{"jwt": "x.%s.x"}' % claims
        elif method == b"GET":
            body = b'{"templates": %s, "pagination": {"next_page": null}}' % pages.pop(0)
        else:
            body = b'{"result": "ok"}'
        head = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
        writer.write(head % len(body) + body)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    api = DojotApi(f"http://127.0.0.1:{port}", "admin", "admin")
    try:
        with pytest.raises(DojotError, match="gone after its update") as raised:
            await Catalogue(api, Metrics(), 0).template({"power_w_1": "float"})
    finally:
        await api.close()
        server.close()
        await server.wait_closed()

    assert raised.value.name == "unexpected_shape"


def test_client_ids_are_short_and_tell_devices_apart() -> None:
    """Section 4 of the contract: at most 100 bytes, and the older of two equal ones ends."""
    tenants = ["admin", "\u00e9" * 100, "t" * 200]
    names = {
        vernemq("0123456789ab", Device(1, tenant, device_id)).client_id
        for tenant in tenants
        for device_id in ("a1b2c", "a1b2c3")
    }

    assert len(names) == 6
    assert all(0 < len(name.encode()) <= 100 for name in names)


def test_the_agents_know_devices_by_different_names() -> None:
    """Contract 4a and 4d: with one it is the user name that counts, with the other the client."""
    device = Device(1, "admin", "a1b2c3")

    assert vernemq("r", device) == Names(
        "admin:a1b2c3", "r-a1b2c3-admin", "admin:a1b2c3/attrs", "admin:a1b2c3/config"
    )
    assert mosca("r", device) == Names(
        "admin:a1b2c3", "admin:a1b2c3", "/admin/a1b2c3/attrs", "/admin/a1b2c3/config"
    )
