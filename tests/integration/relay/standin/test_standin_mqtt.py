"""The stand-in takes messages as DOJOT 0.7 does.

Each test names the section of docs/dojot-contract.md.
"""

import time
from typing import Any

import httpx
import paho.mqtt.client as mqtt
import pytest

from testbench.dojot import StandIn
from tests.dojot_client import DAY_MS, connected, history, now_ms, send
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_mqtt_5_is_refused(dojot: StandIn) -> None:
    """Contract section 4a: protocol."""
    async with connected(dojot, "admin:d1", mqtt.MQTTv5) as device:
        await until(lambda: bool(device.refusals))

    assert device.refusals == ["Unsupported protocol version"]


async def test_a_forbidden_publish_closes_the_connection(dojot: StandIn) -> None:
    """Contract section 4a: no PUBACK under 3.1.1; what was allowed before is kept."""
    async with connected(dojot, "admin:d1") as device:
        await until(lambda: bool(device.refusals))
        allowed = device.publish({"power": 1})
        await until(allowed.is_published)
        forbidden = device.publish({"power": 2}, topic="admin:d2/attrs")
        await until(lambda: device.disconnected)
    await until(lambda: dojot.counters["stored"] == 1)

    assert not forbidden.is_published()
    assert dojot.counters["forbidden_publishes"] == 1


async def test_mqtt_3_1_acknowledges_and_drops_a_forbidden_publish(dojot: StandIn) -> None:
    """Contract section 4a."""
    async with connected(dojot, "admin:d1", mqtt.MQTTv31) as device:
        forbidden = device.publish({"power": 1}, topic="admin:d2/attrs")
        allowed = device.publish({"power": 2})
        await until(lambda: forbidden.is_published() and allowed.is_published())
    await until(lambda: dojot.counters["stored"] == 1)

    assert dojot.store.count("SELECT count(*) FROM message WHERE device_id = 'd2'") == 0


async def test_a_forbidden_subscription_gets_128(dojot: StandIn) -> None:
    """Contract section 4a."""
    async with connected(dojot, "admin:d1") as device:
        device.client.subscribe("admin:d2/config", qos=1)
        await until(lambda: bool(device.codes))
        device.client.subscribe("admin:d1/config", qos=1)
        await until(lambda: len(device.codes) == 2)

    assert device.codes == [128, 1]


async def test_connections_are_cut_at_an_age(dojot: StandIn) -> None:
    """Contract section 4a: 30 minutes, shortened here, and no DISCONNECT."""
    dojot.faults.cut_after_s = 0.3
    async with connected(dojot, "admin:d1") as device:
        await until(lambda: device.disconnected, seconds=3)

    assert dojot.counters["cut_by_age"] == 1


async def test_any_device_id_is_accepted_and_a_deeper_topic_is_lost(
    dojot: StandIn, api: httpx.AsyncClient
) -> None:
    """Contract section 4a: the broker knows no devices; attrs/more is acknowledged in silence."""
    async with connected(dojot, "admin:fffff") as device:
        lost = device.publish({"power": 1}, topic="admin:fffff/attrs/more")
        await until(lost.is_published)
    await send(dojot, "fffff", {"power": 2})
    found = await history(api, "fffff", "attr=power")

    assert [entry["value"] for entry in found.json()] == [2]


async def test_poison_stops_all_storage_until_the_persister_is_restarted(
    dojot: StandIn, api: httpx.AsyncClient
) -> None:
    """Contract section 7.5: what was not committed comes again after a restart, poison included."""
    async with connected(dojot, "admin:d1") as device:
        device.publish({"power": 1})
        await until(lambda: dojot.counters["stored"] == 1)
        device.publish({"power": 2, "timestamp": time.time_ns() // 1000})
        await until(lambda: not dojot.persister.alive)
        device.publish({"power": 3})
        await until(lambda: dojot.persister.waiting == 3)
        await api.post("/_standin/restart-persister")
        await until(lambda: not dojot.persister.alive and dojot.counters["stored"] == 2)
        await api.post("/_standin/restart-persister?skip_poison=true")
        await until(lambda: dojot.counters["stored"] == 4)
    found = (await history(api, "d1", "attr=power")).json()

    assert sorted(entry["value"] for entry in found) == [1, 1, 1, 3]


@pytest.mark.parametrize(
    "payload",
    [
        b'{"a": %s}' % (b"[" * 90_000 + b"]" * 90_000),
        b'{"a": %s}' % (b"[" * 150 + b"]" * 150),
        b'{"a": "\\ud800"}',
        b'{"a": {"\\udfff": 1}}',
        b'{"a": %s}' % (b"9" * 20),
    ],
)
async def test_no_payload_ends_the_stand_in(
    dojot: StandIn, api: httpx.AsyncClient, payload: bytes
) -> None:
    """Contract section 4b: what cannot be stored is lost, with a line in a log."""
    async with connected(dojot, "admin:d1") as device:
        device.client.publish("admin:d1/attrs", payload, qos=1)
        device.client.publish("admin:d1/attrs", b'{"b": %s, "c": 1e400}' % (b"9" * 5000), qos=1)
        await until(lambda: dojot.counters["stored"] == 1)
    found = (await history(api, "d1", "attr=a,b,c")).json()

    assert dojot.counters["unreadable"] + dojot.counters["unstorable"] == 1
    assert [entry["value"] for name in "abc" for entry in found[name]] == [None, None]


@pytest.mark.parametrize(
    ("faults", "stored"),
    [({"forget": True}, 0), ({"drop_rate": 0.5}, None), ({"duplicate_rate": 1}, 40), ({}, 20)],
)
async def test_acknowledged_is_not_stored(
    dojot: StandIn, faults: dict[str, Any], stored: int | None
) -> None:
    """Contract section 7.1 and 7.7: PUBACK means the broker has it, nothing more."""
    dojot.faults.change(faults)
    async with connected(dojot, "admin:d1") as device:
        infos = [device.publish({"power": n}) for n in range(20)]
        await until(lambda: all(info.is_published() for info in infos))
        await until(lambda: dojot.counters["bridged"] == 20)
        await until(lambda: dojot.persister.waiting == 0)

    if stored is None:
        assert 0 < dojot.counters["stored"] < 20
    else:
        assert dojot.counters["stored"] == stored


async def test_delayed_messages_come_later(dojot: StandIn) -> None:
    """Contract section 7.12: history is asynchronous."""
    dojot.faults.delay_s = 0.5
    began = time.monotonic()
    await send(dojot, "d1", {"power": 1})

    assert time.monotonic() - began >= 0.5


async def test_rows_expire_by_their_own_time(dojot: StandIn, api: httpx.AsyncClient) -> None:
    """Contract section 7.6: 7 days after ts, not after arrival."""
    dojot.faults.retention_s = None
    dojot.faults.sweep_every_s = 0
    now = now_ms()
    ages = [8 * DAY_MS, 6 * DAY_MS]
    await send(dojot, "d1", *({"power": age, "timestamp": now - age} for age in ages))
    kept = (await history(api, "d1", "attr=power")).json()
    dojot.faults.retention_s = 7 * 24 * 3600
    await until(lambda: dojot.counters["expired"] == 1)
    left = (await history(api, "d1", "attr=power")).json()

    assert [entry["value"] for entry in kept] == [6 * DAY_MS, 8 * DAY_MS]
    assert [entry["value"] for entry in left] == [6 * DAY_MS]


async def test_a_broker_comes_back_on_the_same_address(dojot: StandIn) -> None:
    await dojot.stop_broker()
    await dojot.start_broker()

    await send(dojot, "d1", {"a": 1})
