"""The stand-in behaves like DOJOT 0.7; each test names the section of docs/dojot-contract.md."""

import asyncio
import base64
import json
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import paho.mqtt.client as mqtt
import pytest
import pytest_asyncio
from paho.mqtt.enums import CallbackAPIVersion

from testbench.dojot import StandIn, running
from testbench.embedded import host

pytestmark = pytest.mark.asyncio(loop_scope="session")

DAY_MS = 24 * 3600 * 1000


@pytest_asyncio.fixture(loop_scope="session")
async def dojot(dojot: StandIn) -> StandIn:
    dojot.faults.limit_logins = True
    dojot.auth.forget_logins()
    return dojot


@pytest_asyncio.fixture(loop_scope="session")
async def api(dojot: StandIn) -> AsyncIterator[httpx.AsyncClient]:
    """A client that is logged in as admin."""
    async with httpx.AsyncClient(base_url=dojot.url, verify=False, timeout=10) as client:
        answer = await log_in(client)
        client.headers["Authorization"] = f"Bearer {answer.json()['jwt']}"
        yield client


async def log_in(
    client: httpx.AsyncClient, username: str = "admin", passwd: str = "admin"
) -> httpx.Response:
    return await client.post("/auth", json={"username": username, "passwd": passwd})


class Device:
    """An MQTT client in a thread, as a device would be."""

    def __init__(self, mqtt_address: str, user: str, version: int = mqtt.MQTTv311) -> None:
        self.user = user
        self.received: list[Any] = []
        self.codes: list[Any] = []
        self.refusals: list[str] = []
        self.disconnected = False
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=version)
        self.client.username_pw_set(user)
        self.client.on_connect = self._on_connect
        self.client.on_message = self._on_message
        self.client.on_subscribe = self._on_subscribe
        self.client.on_disconnect = self._on_disconnect
        self._address = mqtt_address.split(":")

    def open(self) -> None:
        self.client.connect(self._address[0], int(self._address[1]))
        self.client.loop_start()

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def publish(self, payload: Any, topic: str | None = None) -> mqtt.MQTTMessageInfo:
        text = payload if isinstance(payload, bytes) else json.dumps(payload)
        return self.client.publish(topic or f"{self.user}/attrs", text, qos=1)

    def _on_connect(self, *values: Any) -> None:
        self.refusals.append(str(values[3]))

    def _on_message(self, _: Any, __: Any, message: mqtt.MQTTMessage) -> None:
        self.received.append((message.topic, json.loads(message.payload)))

    def _on_subscribe(self, *values: Any) -> None:
        self.codes += [code.value for code in values[3]]

    def _on_disconnect(self, *_: Any) -> None:
        self.disconnected = True
        self.client._thread_terminate = True  # no reconnecting: the test looks at this one life


@asynccontextmanager
async def connected(
    dojot: StandIn, user: str, version: int = mqtt.MQTTv311
) -> AsyncIterator[Device]:
    device = Device(dojot.mqtt, user, version)
    await asyncio.to_thread(device.open)
    try:
        yield device
    finally:
        await asyncio.to_thread(device.close)


async def until(condition: Callable[[], bool], timeout_s: float = 10) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110  # looks from outside, there is nothing to await
            await asyncio.sleep(0.01)


async def send(dojot: StandIn, device_id: str, *payloads: Any) -> None:
    """Publish as ``admin:device_id`` and wait until history has all of it."""
    stored = dojot.counters["stored"] + len(payloads)
    async with connected(dojot, f"admin:{device_id}") as device:
        for payload in payloads:
            device.publish(payload)
        await until(lambda: dojot.counters["stored"] >= stored)


async def history(api: httpx.AsyncClient, device_id: str, query: str) -> httpx.Response:
    return await api.get(f"/history/device/{device_id}/history?{query}")


def now_ms() -> int:
    """The last whole second, in ms."""
    return int(time.time()) * 1000


def text_of(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat().replace("+00:00", "Z")


async def make_template(api: httpx.AsyncClient, **changes: Any) -> dict[str, Any]:
    attrs = [
        {"label": "power", "type": "dynamic", "value_type": "float"},
        {"label": "vendor", "type": "static", "value_type": "string", "static_value": "acme"},
        {"label": "reset", "type": "actuator", "value_type": "string"},
        {"label": "key", "type": "meta", "value_type": "string"},
    ]
    body = {"label": "charge-station", "attrs": attrs, **changes}
    template: dict[str, Any] = (await api.post("/template", json=body)).json()["template"]
    return template


async def make_device(api: httpx.AsyncClient, label: str = "CS-001") -> dict[str, Any]:
    template = await make_template(api)
    body = {"label": label, "templates": [template["id"]]}
    device: dict[str, Any] = (await api.post("/device?verbose=true", json=body)).json()["devices"][
        0
    ]
    return device


# Login and gateway: section 1


async def test_the_login_table(dojot: StandIn) -> None:
    """Contract section 1: statuses and bodies of POST /auth, 403 for a wrong password."""
    dojot.faults.limit_logins = False
    async with httpx.AsyncClient(base_url=dojot.url) as client:
        wrong = await log_in(client, passwd="x")
        unknown = await log_in(client, username="nobody")
        inactive = await log_in(client, username="idle")
        no_name = await client.post("/auth", json={"passwd": "admin"})
        no_key = await client.post("/auth", json={"username": "admin", "password": "admin"})
        form = await client.post("/auth", data={"username": "admin", "passwd": "admin"})
        json_type = {"content-type": "application/json"}
        half = await client.post("/auth", content=b'{"username"', headers=json_type)

    assert (wrong.status_code, wrong.json()) == (
        403,
        {"message": "AuthorizationError", "status": 403},
    )
    assert (unknown.status_code, unknown.json()["message"]) == (401, "AuthenticationError")
    assert (inactive.status_code, inactive.json()["message"]) == (401, "This user is inactive")
    assert [(a.status_code, a.text) for a in (no_name, no_key, form)] == [
        (400, "missing username"),
        (400, "missing password"),
        (400, "invalid mimetype"),
    ]
    assert (half.status_code, half.headers["content-type"].split(";")[0]) == (400, "text/html")


async def test_a_token_names_tenant_and_lives_420_s(dojot: StandIn) -> None:
    """Contract section 1: claims; user names are lower-cased."""
    async with httpx.AsyncClient(base_url=dojot.url) as client:
        token = (await log_in(client, username="ADMIN")).json()["jwt"]
    payload = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))

    assert claims["exp"] - claims["iat"] == 420
    assert (claims["service"], claims["username"]) == ("admin", "admin")


async def test_the_sixth_login_of_a_minute_is_too_many(dojot: StandIn) -> None:
    """Contract section 1: 5 per minute and IP, 429 with Retry-After."""
    async with httpx.AsyncClient(base_url=dojot.url) as client:
        answers = [await log_in(client) for _ in range(11)]

    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(refused) >= 1  # eleven: the minute may turn once in between
    assert refused[0].json() == {"message": "API rate limit exceeded"}
    assert 1 <= int(refused[0].headers["retry-after"]) <= 60
    assert refused[0].headers["x-ratelimit-limit-hour"] == "40"


async def test_protected_routes_want_a_good_token(dojot: StandIn, api: httpx.AsyncClient) -> None:
    """Contract section 1: failures on protected routes; exp is checked only if switched on."""
    good = api.headers["Authorization"]
    statuses = {}
    for name, value in {
        "none": "",
        "no word": good[7:],
        "bad": "Bearer x",
        "cut": good[:-3],
    }.items():
        answer = await api.get("/device", headers={"Authorization": value})
        statuses[name] = (answer.status_code, answer.json()["message"])
    dojot.faults.token_lifetime_s = 0
    old = {"Authorization": f"Bearer {(await log_in(api)).json()['jwt']}"}
    await asyncio.sleep(1.1)
    unchecked = await api.get("/device", headers=old)
    dojot.faults.enforce_exp = True
    checked = await api.get("/device", headers=old)

    assert statuses == {
        "none": (401, "Unauthorized"),
        "no word": (401, "Unauthorized"),
        "bad": (401, "Bad token; invalid JSON"),
        "cut": (401, "Invalid signature"),
    }
    assert (unchecked.status_code, checked.status_code) == (200, 401)


# Templates and devices: sections 2 and 3


async def test_a_template_is_described_in_three_lists(api: httpx.AsyncClient) -> None:
    """Contract section 2: 200 on create, template_id as text, nulls left out."""
    template = await make_template(api)

    assert template["id"] == 1
    by_label = {attr["label"]: attr for attr in template["attrs"]}
    assert by_label["power"]["template_id"] == "1"
    assert "static_value" not in by_label["power"]
    assert {attr["label"] for attr in template["data_attrs"]} == {"power", "vendor", "reset"}
    assert [attr["label"] for attr in template["config_attrs"]] == ["key"]


async def test_the_content_type_must_be_exact(api: httpx.AsyncClient) -> None:
    """Contract section 2: a charset makes it a 400."""
    answer = await api.post(
        "/template",
        content=b'{"label": "t", "attrs": []}',
        headers={"content-type": "application/json; charset=utf-8"},
    )

    message = "Payload must be valid JSON, and Content-Type set accordingly"
    assert (answer.status_code, answer.json()) == (400, {"message": message, "status": 400})


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"attrs": []}, 400),
        ({"label": "t"}, 500),
        ({"label": "t" * 129, "attrs": []}, 500),
        ({"label": "t", "attrs": [{"label": "a.b", "type": "dynamic", "value_type": "f"}]}, 400),
        ({"label": "t", "attrs": [{"label": "a", "type": "dynamic"}]}, 400),
        ({"label": "t", "attrs": [{"label": "a", "type": "x", "value_type": "f"}] * 2}, 400),
        ({"label": "t", "attrs": [{"label": "a", "type": "x", "value_type": "odd"}]}, 200),
    ],
)
async def test_odd_templates(api: httpx.AsyncClient, body: dict[str, Any], status: int) -> None:
    """Contract section 2: table of cases."""
    assert (await api.post("/template", json=body)).status_code == status


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/template/999", 404),
        ("/template/x", 500),
        ("/template?page_num=x", 500),
        ("/template?page_num=0", 400),
        ("/device/zzzz", 404),
        ("/device?attr=malformed", 500),
        ("/nothing", 404),
    ],
)
async def test_odd_questions(api: httpx.AsyncClient, path: str, status: int) -> None:
    """Contract sections 2 and 3."""
    assert (await api.get(path)).status_code == status


async def test_labels_are_not_unique(api: httpx.AsyncClient) -> None:
    """Contract sections 2 and 3: the same POST twice makes two."""
    first, second = await make_template(api), await make_template(api)
    body = {"label": "CS-001", "templates": [str(first["id"])]}
    ids = {(await api.post("/device", json=body)).json()["devices"][0]["id"] for _ in range(2)}

    assert second["id"] == first["id"] + 1
    assert len(ids) == 2
    assert all(re.fullmatch("[0-9a-f]{5,6}", device_id) for device_id in ids)


async def test_a_template_in_use_stays_and_put_replaces_attributes(api: httpx.AsyncClient) -> None:
    """Contract section 2: PUT matches by (label, type), absent attributes are deleted."""
    device = await make_device(api)
    template_id = device["templates"][0]
    attrs = [
        {"label": "power", "type": "dynamic", "value_type": "float"},
        {"label": "soc", "type": "dynamic", "value_type": "float"},
    ]
    removed = await api.delete(f"/template/{template_id}")
    updated = await api.put(f"/template/{template_id}", json={"label": "new", "attrs": attrs})

    assert removed.status_code == 400
    assert {attr["label"] for attr in updated.json()["updated"]["attrs"]} == {"power", "soc"}
    assert "updated" in updated.json()["updated"]


async def test_the_label_filter_is_a_bare_like(api: httpx.AsyncClient) -> None:
    """Contract section 3: _ matches anything, case matters, parts match."""
    for label in ("CS_01", "CSX01", "cs_01", "xCS_01x"):
        await api.post("/device", json={"label": label, "templates": []})

    found = (await api.get("/device?label=CS_01")).json()["devices"]

    assert {device["label"] for device in found} == {"CS_01", "CSX01", "xCS_01x"}


async def test_pages_count_pages(api: httpx.AsyncClient) -> None:
    """Contract section 3: total is the number of pages, 20 by default, empty past the end."""
    await api.post("/device?count=45", json={"label": "CS", "templates": []})

    third = (await api.get("/device?page_num=3&sortBy=label")).json()
    beyond = (await api.get("/device?page_num=9")).json()
    ids = (await api.get("/device?idsOnly=true")).json()

    assert third["pagination"] == {"page": 3, "total": 3, "has_next": False, "next_page": None}
    assert [device["label"] for device in third["devices"]] == [f"CS_{n}" for n in range(40, 45)]
    assert beyond["devices"] == []
    assert len(ids) == 20


async def test_a_500_can_mean_created(dojot: StandIn, api: httpx.AsyncClient) -> None:
    """Contract section 3: the row is committed first."""
    dojot.faults.next_500_but_done = 1
    answer = await api.post("/device", json={"label": "CS-1", "templates": []})
    found = (await api.get("/device?label=CS-1")).json()["devices"]

    assert answer.status_code == 500
    assert [device["label"] for device in found] == ["CS-1"]


async def test_actuation_reaches_the_device_and_history(
    dojot: StandIn, api: httpx.AsyncClient
) -> None:
    """Contract sections 3 and 4c: the odd key, the config topic, noise after an update."""
    device_id = (await make_device(api))["id"]
    async with connected(dojot, f"admin:{device_id}") as device:
        device.client.subscribe(f"admin:{device_id}/config", qos=1)
        await until(lambda: bool(device.codes))
        sent = await api.put(f"/device/{device_id}/actuate", json={"attrs": {"reset": "soft"}})
        await until(lambda: len(device.received) == 1)
        await api.put(f"/device/{device_id}", json={"label": "CS-2", "templates": [1]})
        await until(lambda: len(device.received) == 2)
        refused = await api.put(f"/device/{device_id}/actuate", json={"attrs": {"power": 1}})
        odd = await api.put(f"/device/{device_id}/actuate", json={})
    await until(lambda: dojot.counters["stored"] == 1)
    stored = await history(api, device_id, "attr=reset")

    assert sent.json() == {" status": "configuration sent to device"}
    assert device.received[0] == (f"admin:{device_id}/config", {"reset": "soft"})
    assert {attr["label"] for attr in device.received[1][1]["1"]} >= {"power", "reset"}
    assert (refused.status_code, refused.json()["attrs"]) == (403, ["power"])
    assert odd.status_code == 500
    assert [entry["value"] for entry in stored.json()] == ["soft"]


# MQTT: section 4


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
        await until(lambda: device.disconnected, timeout_s=3)

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


# History: section 5


async def test_one_name_is_a_list_and_several_are_an_object(
    dojot: StandIn, api: httpx.AsyncClient
) -> None:
    """Contract section 5: list versus object, both forms of ts, JSON types kept."""
    now = now_ms()
    await send(dojot, "d1", {"power": 7.25, "timestamp": now}, {"on": True, "timestamp": now + 271})
    one = (await history(api, "d1", "attr=power")).json()
    both = (await history(api, "d1", "attr=power,on")).json()
    repeated = (await history(api, "d1", "attr=power&attr=on")).json()

    second = text_of(now)
    expected = {"attr": "power", "value": 7.25, "device_id": "d1", "ts": second, "metadata": {}}
    assert one == [expected]
    assert both == repeated
    assert both["power"] == one
    assert both["on"][0]["value"] is True
    assert both["on"][0]["ts"] == second.replace("Z", ".271000Z")


async def test_an_escaped_comma_is_part_of_a_name(dojot: StandIn, api: httpx.AsyncClient) -> None:
    """Contract section 5: only bare commas separate, and only where a name is first mentioned."""
    await send(dojot, "d1", {"a": 1, "b": 2, "a,b": 3})

    async def names(query: str) -> list[str]:
        found = (await history(api, "d1", query)).json()
        return list(found) if isinstance(found, dict) else [entry["attr"] for entry in found]

    assert await names("attr=a,b") == await names("attr=a&attr=b") == ["a", "b"]
    assert await names("attr=a%2Cb") == ["a,b"]
    assert await names("attr=a&attr=a,b") == ["a", "a,b"]
    assert await names("attr=a,b&attr=a%2Cb") == ["a", "b", "a,b"]
    missing = await history(api, "d1", "attr=b%2Ca")
    assert (missing.status_code, missing.json()["title"]) == (404, "Attr not found")
    assert (await history(api, "d1", "attr=a&firstN=1&firstN=2")).status_code == 500


async def test_a_request_line_has_4094_bytes(dojot: StandIn, api: httpx.AsyncClient) -> None:
    """Contract section 5: gunicorn refuses a longer one; the gateway's /history is not in it."""
    await send(dojot, "d1", {"a": 1})
    room = 4094 - len("GET /device/d1/history?attr=a& HTTP/1.1")

    fits = await history(api, "d1", "attr=a&" + "x" * room)
    too_long = await history(api, "d1", "attr=a&" + "x" * (room + 1))

    assert fits.status_code == 200
    assert too_long.status_code == 400
    assert not too_long.headers["content-type"].startswith("application/json")


async def test_404_is_for_one_name_only(dojot: StandIn, api: httpx.AsyncClient) -> None:
    """Contract section 5: 404 for a single attribute without rows, 200 with empty lists else."""
    await send(dojot, "d1", {"power": 1})
    unknown_device = await history(api, "d2", "attr=power,on")
    one = await history(api, "d1", "attr=other")
    several = await history(api, "d1", "attr=other,more")

    assert (unknown_device.status_code, unknown_device.json()["title"]) == (404, "Device not found")
    assert (one.status_code, one.json()["title"]) == (404, "Attr not found")
    assert (several.status_code, several.json()) == (200, {"other": [], "more": []})


async def test_limits_count_per_attribute(dojot: StandIn, api: httpx.AsyncClient) -> None:
    """Contract section 5: firstN ascends, lastN and hLimit descend, 0 and none mean all."""
    now = now_ms()
    await send(dojot, "d1", *({"a": n, "b": -n, "timestamp": now + n} for n in range(5)), {"c": 1})

    async def values(query: str) -> list[int]:
        found = (await history(api, "d1", f"attr=a,b&{query}")).json()
        assert [entry["value"] for entry in found["b"]] == [-e["value"] for e in found["a"]]
        return [entry["value"] for entry in found["a"]]

    assert await values("firstN=2&lastN=1") == [0, 1]
    assert await values("lastN=2&hLimit=1") == [4, 3]
    assert await values("hLimit=-2") == [4, 3]
    assert await values("") == await values("lastN=0") == [4, 3, 2, 1, 0]
    wrong = await history(api, "d1", "attr=a&lastN=x")
    assert (wrong.status_code, wrong.json()["description"]) == (
        400,
        'The "lastN" parameter is invalid. Must be integer.',
    )


async def test_windows_are_inclusive_and_a_bare_plus_is_a_trap(
    dojot: StandIn, api: httpx.AsyncClient
) -> None:
    """Contract section 5: both ends count; + becomes a space and the time is misread."""
    now = now_ms()
    await send(dojot, "d1", *({"a": n, "timestamp": now + 1000 * n} for n in range(4)))
    window = f"dateFrom={text_of(now + 1000)}&dateTo={text_of(now + 2000)}"
    with_plus = window.replace("Z", "+23:59")  # 23:59 o'clock, as the space lets it be read
    inside = await history(api, "d1", f"attr=a&{window}")
    misread = await history(api, "d1", f"attr=a&{with_plus}")
    epoch = await history(api, "d1", f"attr=a&dateFrom={now}")

    assert [entry["value"] for entry in inside.json()] == [2, 1]
    assert misread.status_code == 404
    assert epoch.status_code == 500
    assert not epoch.headers["content-type"].startswith("application/json")


async def test_all_attributes_are_those_of_the_templates(
    dojot: StandIn, api: httpx.AsyncClient
) -> None:
    """Contract sections 4b and 5: others are stored, yet missing; a deleted device is a 500."""
    device_id = (await make_device(api))["id"]
    await send(dojot, device_id, {"power": 1, "extra": 2, "reset": " "})
    everything = (await history(api, device_id, "")).json()
    by_name = (await history(api, device_id, "attr=extra")).json()
    await api.delete(f"/device/{device_id}")
    deleted = await history(api, device_id, "")
    still_there = await history(api, device_id, "attr=extra")

    assert set(everything) == {"power", "vendor", "reset", "key"}
    assert (len(everything["power"]), everything["vendor"], everything["reset"]) == (1, [], [])
    assert [entry["value"] for entry in by_name] == [2]
    assert deleted.status_code == 500
    assert still_there.status_code == 200


async def test_csv_by_accept(dojot: StandIn, api: httpx.AsyncClient) -> None:
    """Contract section 5: CSV that calls itself JSON; other kinds are 406."""
    now = now_ms()
    await send(dojot, "d1", {"a": 1, "timestamp": now})
    path = "/history/device/d1/history?attr=a"
    as_csv = await api.get(path, headers={"accept": "text/csv"})
    as_xml = await api.get(path, headers={"accept": "text/xml"})

    assert as_csv.text.splitlines() == ["attr,value,device_id,ts", f"a,1,d1,{text_of(now)}"]
    assert as_csv.headers["content-type"] == "application/json"
    assert as_xml.status_code == 406


# The stand-in itself


async def test_faults_are_changed_from_outside(dojot: StandIn, api: httpx.AsyncClient) -> None:
    wrong = await api.patch("/_standin/faults", json={"drop_rate": 2})
    unknown = await api.patch("/_standin/faults", json={"no_such": 1})
    await api.patch("/_standin/faults", json={"next_html": 1, "http_scope": "/history"})
    spared = await api.get("/device")
    spoiled = await history(api, "d1", "attr=a")
    await api.patch("/_standin/faults", json={"next_half_json": 1, "http_scope": "/"})
    half = await api.get("/device")
    await api.patch("/_standin/faults", json={"next_429": 1})
    limited = await api.get("/device")
    after = await api.get("/device")

    assert (wrong.status_code, unknown.status_code) == (422, 422)
    assert spared.status_code == 200
    assert spoiled.text.startswith("<html>")
    with pytest.raises(json.JSONDecodeError):
        half.json()
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "1")
    assert after.status_code == 200
    assert after.headers["x-stand-in"] == "eletroposto"


async def test_history_survives_a_restart_of_the_stand_in() -> None:
    with host.temporary_folder() as folder:
        database = str(folder / "dojot.sqlite")
        async with running(folder / "broker", database=database) as first:
            await send(first, "d1", {"a": 1})
        async with (
            running(folder / "broker", database=database) as second,
            httpx.AsyncClient(base_url=second.url) as client,
        ):
            token = (await log_in(client)).json()["jwt"]
            client.headers["Authorization"] = f"Bearer {token}"
            found = await history(client, "d1", "attr=a")

    assert [entry["value"] for entry in found.json()] == [1]


async def test_a_broker_comes_back_on_the_same_address(dojot: StandIn) -> None:
    await dojot.stop_broker()
    await dojot.start_broker()

    await send(dojot, "d1", {"a": 1})
