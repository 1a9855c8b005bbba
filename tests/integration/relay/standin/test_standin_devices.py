"""The stand-in logs in and keeps devices as DOJOT 0.7 does.

Each test names the section of docs/dojot-contract.md.
"""

import asyncio
import base64
import json
import re
from typing import Any

import httpx
import pytest

from testbench.dojot import StandIn
from tests.dojot_client import (
    connected,
    history,
    log_in,
    make_device,
    make_template,
)
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


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
