"""What the relay decides without a database or a broker: shares, paces, orders, settings."""

import asyncio
import contextlib
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from flows.settings import Settings, SettingsError
from ingest.relay.dojot_api import DojotApi, DojotError
from ingest.relay.lanes import Speeds
from ingest.relay.orders import NotAnOrder, UnusableOrder, read_orders
from ingest.relay.pacing import Backoff, Pace
from ingest.relay.sessions import Device, client_id_of
from ingest.relay.settings import RelaySettings
from ingest.relay.shares import divide

A_DATABASE = {"database_url": "postgresql:///x"}


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


def test_a_pace_fills_up_to_a_second_and_pays_debts() -> None:
    now = 0.0
    pace = Pace(100, clock=lambda: now)
    budgets = []
    for now, spent in ((0.0, 0), (0.5, 30), (0.6, 0), (9.0, 250), (10.0, 0), (11.0, 0)):  # noqa: B007
        budgets.append(pace.budget)
        pace.spend(spent)

    assert budgets == [0, 50, 30, 100, -50, 50]


def test_outboxes_and_relays_share_one_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(Pace.__init__, "__defaults__", (lambda: now,))
    alone, one_of_four = Speeds(100), Speeds(100)
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
    relay = RelaySettings(**A_DATABASE, dojot_retention=text)  # type: ignore[arg-type]
    flows = Settings.from_env(
        {"ELETROPOSTO_DATABASE_URL": "postgresql:///x", "ELETROPOSTO_DOJOT_RETENTION": text}
    )

    assert relay.dojot_retention == flows.dojot_retention == retention


@pytest.mark.parametrize("text", ["a week", "-1", "P7D", "nan", "inf", "7h"])
def test_another_retention_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValidationError, match="dojot_retention"):
        RelaySettings(**A_DATABASE, dojot_retention=text)  # type: ignore[arg-type]
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
    settings = RelaySettings(**A_DATABASE, dojot_mqtt="[::1]:1884")  # type: ignore[arg-type]

    assert settings.mqtt_address == ("::1", 1884)
    with pytest.raises(ValidationError):
        RelaySettings(**A_DATABASE, dojot_mqtt="broker")  # type: ignore[arg-type]


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


def test_client_ids_are_short_and_tell_devices_apart() -> None:
    """Section 4 of the contract: at most 100 bytes, and the older of two equal ones ends."""
    tenants = ["admin", "\u00e9" * 100, "t" * 200]
    names = {
        client_id_of("0123456789ab", Device(1, tenant, device_id))
        for tenant in tenants
        for device_id in ("a1b2c", "a1b2c3")
    }

    assert len(names) == 6
    assert all(0 < len(name.encode()) <= 100 for name in names)
