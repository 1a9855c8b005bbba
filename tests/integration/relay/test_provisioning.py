"""Templates and devices: found, made, made again, whatever the API answers."""

import asyncio
import time

import psycopg
import pytest

from testbench.dojot import StandIn
from tests.relaying import (
    add_charge_point,
    add_charge_points,
    all_there,
    ask,
    expected,
    found,
    logged_in,
    relaying,
    samples,
    start_feed,
    store,
    until,
    waiting,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_devices_are_found_by_exact_label_before_any_is_made(
    database_url: str, dojot: StandIn
) -> None:
    """DOJOT's label filter is a LIKE, and labels are not unique: the oldest one counts."""
    labels = ["CP_1", "CP%1", "CP\\1", "cp-1", "CP 1"]
    numbers = [add_charge_point(database_url, label) for label in [*labels, "NEW"]]
    made: dict[str, str] = {}
    async with logged_in(dojot) as client:
        for label in ("CPX1", "CP_12", "CP1", "CP-1", *labels, *labels):
            answer = await client.post("/device", json={"label": label, "templates": []})
            made.setdefault(label, answer.json()["devices"][0]["id"])
    start_feed(database_url)
    store(database_url, samples(numbers, 1))
    async with relaying(database_url, dojot):
        await all_there(database_url, dojot, len(numbers))

    with psycopg.connect(database_url) as conn:
        known = dict(conn.execute("SELECT label, device_id FROM dojot_device").fetchall())
    assert known.pop("NEW") not in made.values()
    assert known == {label: made[label] for label in labels}
    assert dojot.store.count("SELECT count(*) FROM template") == 1


@pytest.mark.parametrize("label", ["CP_1", "CP%1", "CP\\1"])
async def test_what_a_500_created_is_found_whatever_its_label(
    database_url: str, dojot: StandIn, label: str
) -> None:
    number = add_charge_point(database_url, label)
    start_feed(database_url)
    async with relaying(database_url, dojot) as relay:
        await until(lambda: relay.registrar.problem is None and relay.state()["shards"])
        dojot.faults.change({"next_500_but_done": 1, "http_scope": "/device"})
        store(database_url, samples([number], 1))
        await all_there(database_url, dojot, 1)

    assert dojot.store.count("SELECT count(*) FROM device") == 1


async def test_a_500_that_created_makes_no_second_device(database_url: str, dojot: StandIn) -> None:
    stored = samples(add_charge_points(database_url, 3), 1)
    start_feed(database_url)
    store(database_url, stored)
    dojot.faults.change({"next_500_but_done": 2, "http_scope": "/device"})
    async with relaying(database_url, dojot):
        await all_there(database_url, dojot, 3)

    assert dojot.store.count("SELECT count(*) FROM device") == 3


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        ("next_html", "not_json"),
        ("next_half_json", "not_json"),
        ("next_wrong_types", "unexpected_shape"),
        ("next_500", "server_error"),
        ("next_403", "forbidden"),
        ("next_429", "rate_limited"),
    ],
)
async def test_what_the_api_does_wrong_has_a_name_and_is_tried_again(
    database_url: str, dojot: StandIn, fault: str, name: str
) -> None:
    stored = samples(add_charge_points(database_url, 2), 3)
    start_feed(database_url)
    store(database_url, stored)
    dojot.faults.change({fault: 1, "http_scope": "/template"})
    async with relaying(database_url, dojot) as relay:
        await all_there(database_url, dojot, len(stored))
        errors = relay.metrics.registry.get_sample_value(
            "eletroposto_relay_errors_total", {"error": name}
        )

    assert errors == 1
    assert set(found(database_url, dojot)) == expected(stored)
    assert dojot.store.count("SELECT count(*) FROM template") == 1


async def test_a_device_that_dojot_refuses_keeps_none_from_the_others(
    database_url: str, dojot: StandIn
) -> None:
    charge_points = add_charge_points(database_url, 6)  # CP-1 to CP-6
    stored = samples(charge_points, 2)
    refused = charge_points[2]
    start_feed(database_url)
    store(database_url, stored)
    dojot.faults.change({"refuse_label": "CP-3"})
    async with relaying(database_url, dojot) as relay:
        await until(lambda: dojot.counters["stored"] == 10)
        others = dict(found(database_url, dojot))
        await until(lambda: relay.registrar.problem == "server_error")
        left = "SELECT sum(cardinality(charge_point_ids)) FROM dojot_outbox"
        await until(lambda: ask(database_url, left) == 2)
        dojot.faults.change({"refuse_label": None})
        await all_there(database_url, dojot, len(stored))
        await until(lambda: relay.registrar.problem is None)

    assert set(others) == expected([it for it in stored if it.charge_point_id != refused])
    assert set(found(database_url, dojot)) == expected(stored)


async def test_an_expired_token_is_renewed_once(database_url: str, dojot: StandIn) -> None:
    """401: log in once and try again."""
    dojot.faults.change({"enforce_exp": True, "token_lifetime_s": 1})
    stored = samples(add_charge_points(database_url, 20), 1)
    start_feed(database_url)
    async with relaying(database_url, dojot):
        for number in range(2):
            store(database_url, stored[number * 10 : number * 10 + 10])
            await all_there(database_url, dojot, number * 10 + 10)
            await asyncio.sleep(1.1)

    assert set(found(database_url, dojot)) == expected(stored)


async def test_known_devices_are_served_while_the_api_is_away(
    database_url: str, dojot: StandIn
) -> None:
    old, new = add_charge_points(database_url, 2)
    start_feed(database_url)
    async with relaying(database_url, dojot):
        store(database_url, samples([old], 1))
        await all_there(database_url, dojot, 1)
    dojot.faults.next_500 = -1
    stored = samples([old, new], 10)
    async with relaying(database_url, dojot):
        store(database_url, stored)
        await until(lambda: dojot.counters["stored"] == 11)
        await until(lambda: waiting(database_url) == 1 or not waiting(database_url))
        left = ask(database_url, "SELECT sum(cardinality(charge_point_ids)) FROM dojot_outbox")
        dojot.faults.next_500 = 0
        await all_there(database_url, dojot, 21)

    assert left == 10
    assert expected(stored) <= set(found(database_url, dojot))
    assert set(found(database_url, dojot).values()) == {1}


async def test_a_template_is_extended_and_nothing_of_it_is_lost(
    database_url: str, dojot: StandIn
) -> None:
    """An update deletes what it does not name; ids and dates may not be sent back."""
    (number,) = add_charge_points(database_url, 1)
    with psycopg.connect(database_url) as conn:
        conn.execute("INSERT INTO connector VALUES (%s, 4)", [number])
    about = {"label": "unit", "type": "static", "value_type": "string", "static_value": "bar"}
    own = [
        {"label": "owner", "type": "static", "value_type": "string", "static_value": "city"},
        {"label": "pressure", "type": "dynamic", "value_type": "float", "metadata": [about]},
        {"label": "power_w_1", "type": "dynamic", "value_type": "integer"},
    ]
    async with logged_in(dojot) as client:
        body = {"label": "eletroposto-charge-point", "attrs": own}
        created = (await client.post("/template", json=body)).json()["template"]
        await client.post("/template", json={**body, "label": "eletroposto-charge-point-2"})
        start_feed(database_url)
        store(database_url, samples([number], 1))
        async with relaying(database_url, dojot):
            await all_there(database_url, dojot, 1)
        after = (await client.get(f"/template/{created['id']}")).json()

    attrs = {(attr["label"], attr["type"]): attr for attr in after["attrs"]}
    for attr in created["attrs"]:
        assert attrs[attr["label"], attr["type"]] == attr  # its id, too
    assert attrs["pressure", "dynamic"]["metadata"] == [about]
    assert {("power_w_4", "dynamic"), ("reset", "actuator"), ("ocpp_frame_in", "dynamic")} <= set(
        attrs
    )
    assert dojot.store.count("SELECT count(*) FROM template") == 2


async def test_a_deleted_device_is_made_again_when_the_relay_comes(
    database_url: str, dojot: StandIn
) -> None:
    """DOJOT goes on taking the data of a device that is gone."""
    (number,) = add_charge_points(database_url, 1)
    start_feed(database_url)
    async with relaying(database_url, dojot):
        store(database_url, samples([number], 1))
        await all_there(database_url, dojot, 1)
    gone = ask(database_url, "SELECT device_id FROM dojot_device")
    async with logged_in(dojot) as client:
        await client.delete(f"/device/{gone}")
    dojot.faults.next_500 = 1  # while the API is away the old one is all we know
    async with relaying(database_url, dojot) as relay:
        await until(lambda: ask(database_url, "SELECT device_id FROM dojot_device") is None)
        after = samples([number], 1)
        store(database_url, after)
        await all_there(database_url, dojot, 2)
        errors = relay.metrics.registry.get_sample_value(
            "eletroposto_relay_errors_total", {"error": "device_gone"}
        )

    assert errors == 1
    device = ask(database_url, "SELECT device_id FROM dojot_device")
    rows = dojot.store.rows("SELECT device_id FROM message WHERE ts_ms = ?", after[0].ms)
    assert [row["device_id"] for row in rows] == [device]


async def test_a_device_that_was_given_anothers_label_changes_hands(
    database_url: str, dojot: StandIn
) -> None:
    """The label is what counts; one device never serves two charge points."""
    first = add_charge_point(database_url, "CP-A")
    start_feed(database_url)
    async with relaying(database_url, dojot):
        store(database_url, samples([first], 1))
        await all_there(database_url, dojot, 1)
    device = ask(database_url, "SELECT device_id FROM dojot_device")
    second = add_charge_point(database_url, "CP-B")
    async with logged_in(dojot) as client:
        await client.put(f"/device/{device}", json={"label": "CP-B", "templates": []})
    async with relaying(database_url, dojot):
        store(database_url, samples([second], 1))
        await all_there(database_url, dojot, 2)
        store(database_url, samples([first], 1))
        await all_there(database_url, dojot, 3)

    with psycopg.connect(database_url) as conn:
        known = dict(conn.execute("SELECT charge_point_id, device_id FROM dojot_device").fetchall())
    assert known.keys() == {first, second}
    assert known[second] == device != known[first]


async def test_a_new_tenant_is_given_time_to_be_listened_to(
    database_url: str, dojot: StandIn
) -> None:
    """DOJOT subscribes to a tenant after its first event, and only to what comes next."""
    numbers = add_charge_points(database_url, 3)
    start_feed(database_url)
    store(database_url, samples(numbers, 1))
    async with relaying(database_url, dojot, dojot_new_tenant_s=1.5):
        await until(lambda: dojot.store.count("SELECT count(*) FROM device"))
        began = time.monotonic()
        await until(lambda: dojot.counters["publishes"])
        first_s = time.monotonic() - began
        await all_there(database_url, dojot, 3)

    assert first_s > 1.2


async def test_a_wrong_password_is_not_tried_again_and_again(
    database_url: str, dojot: StandIn
) -> None:
    """403 is a wrong password; five logins a minute are all that an address has."""
    (number,) = add_charge_points(database_url, 1)
    start_feed(database_url)
    store(database_url, samples([number], 1))
    dojot.faults.limit_logins = True
    dojot.auth.forget_logins()
    async with relaying(database_url, dojot, dojot_password="wrong") as relay:
        await until(lambda: relay.registrar.problem == "login_refused")
        store(database_url, samples([number], 5))
        await asyncio.sleep(1.5)
    tried = dojot.auth.forget_logins()

    assert tried == 1
    readings = ask(database_url, "SELECT sum(cardinality(sampled_ats)) FROM dojot_outbox")
    assert readings == 6
