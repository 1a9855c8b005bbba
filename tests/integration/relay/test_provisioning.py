"""Templates and devices: found, made, made again, whatever the API answers."""

import asyncio
import json
import time

import psycopg
import pytest

from testbench.dojot import StandIn
from tests.relaying import (
    add_charge_point,
    add_charge_points,
    all_there,
    ask,
    begin_all,
    expected,
    found,
    logged_in,
    relaying,
    samples,
    start_feed,
    store,
    waiting,
)
from tests.waiting import until

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
        store(database_url, stored)
        await until(lambda: dojot.counters["stored"] == 11)
        await until(lambda: waiting(database_url) == 1 or not waiting(database_url))
        left = ask(database_url, "SELECT sum(cardinality(charge_point_ids)) FROM dojot_outbox")
        dojot.faults.next_500 = 0
        await all_there(database_url, dojot, 21)

    assert left == 10
    assert expected(stored) <= set(found(database_url, dojot))
    assert set(found(database_url, dojot).values()) == {1}


async def test_nothing_is_sent_to_a_remembered_device_before_it_was_looked_for(
    database_url: str, dojot: StandIn
) -> None:
    """DOJOT's broker takes messages for any id: those to one that is gone are lost."""
    (charge_point,) = add_charge_points(database_url, 1)
    start_feed(database_url)
    async with relaying(database_url, dojot):
        store(database_url, samples([charge_point], 1))
        await all_there(database_url, dojot, 1)
    dojot.faults.next_500 = -1
    async with relaying(database_url, dojot) as relay:
        store(database_url, samples([charge_point], 5))
        await until(lambda: relay.registrar.problem == "server_error")
        await asyncio.sleep(0.5)
        before = dojot.counters["publishes"]
        dojot.faults.next_500 = 0
        await all_there(database_url, dojot, 6)

    assert before == 1


def install_anew(dojot: StandIn) -> None:
    """The same address, user and tenant, and nothing in it."""
    for table in ("template", "attribute", "device", "device_template", "override", "message"):
        dojot.store.run(f"DELETE FROM {table}")


async def test_a_dojot_installed_anew_is_given_everything_it_would_keep(
    database_url: str, dojot: StandIn
) -> None:
    """And another charge point that is silent now, too; nothing goes to the old ids."""
    charge_points = add_charge_points(database_url, 3)
    before = samples(charge_points, 20)
    start_feed(database_url)
    async with relaying(database_url, dojot):
        store(database_url, before)
        with psycopg.connect(database_url) as conn:
            begin_all(conn, charge_points[0])
        await all_there(database_url, dojot, len(before) + 4)
    install_anew(dojot)
    known = devices(database_url)
    after = samples(charge_points[:1], 5)
    store(database_url, after)
    async with relaying(database_url, dojot) as relay:
        await until(lambda: expected([*before, *after]) <= set(found(database_url, dojot)))
        await until(lambda: {"boot", "connected"} <= attributes(dojot))
        await until(lambda: not waiting(database_url))
        gone = relay.metrics.registry.get_sample_value(
            "eletroposto_relay_errors_total", {"error": "device_gone"}
        )

    assert gone == 1
    assert set(found(database_url, dojot)) == expected([*before, *after])
    assert not known & devices(database_url)


async def test_a_dojot_that_changes_while_the_relay_runs_is_noticed(
    database_url: str, dojot: StandIn
) -> None:
    """Its broker was away meanwhile."""
    charge_points = add_charge_points(database_url, 2)
    before = samples(charge_points, 10)
    start_feed(database_url)
    async with relaying(database_url, dojot) as relay:
        store(database_url, before)
        await all_there(database_url, dojot, len(before))
        await dojot.stop_broker()
        await until(lambda: relay.sessions.broker_is_away)
        install_anew(dojot)
        during = samples(charge_points, 5)
        store(database_url, during)
        await dojot.start_broker()
        await until(lambda: expected([*before, *during]) <= set(found(database_url, dojot)))


async def test_the_same_dojot_under_another_address_is_recognised(
    database_url: str, dojot: StandIn
) -> None:
    charge_points = add_charge_points(database_url, 2)
    start_feed(database_url)
    async with relaying(database_url, dojot):
        store(database_url, samples(charge_points, 5))
        await all_there(database_url, dojot, 10)
    known = devices(database_url)
    with psycopg.connect(database_url) as conn:
        conn.execute("UPDATE dojot_device SET url = 'http://former:8000'")
    async with relaying(database_url, dojot):
        store(database_url, samples(charge_points, 5))
        await all_there(database_url, dojot, 20)

    assert devices(database_url) == known
    assert ask(database_url, "SELECT DISTINCT url FROM dojot_device") == dojot.url
    assert ask(database_url, "SELECT count(*) FROM dojot_backfill") == 0
    assert set(found(database_url, dojot).values()) == {1}


def devices(url: str) -> set[str]:
    with psycopg.connect(url) as conn:
        return {row[0] for row in conn.execute("SELECT device_id FROM dojot_device").fetchall()}


def attributes(dojot: StandIn) -> set[str]:
    rows = dojot.store.rows("SELECT attrs FROM message")
    return {name for row in rows for name in json.loads(row["attrs"])}


async def test_a_device_made_by_hand_gets_our_template(database_url: str, dojot: StandIn) -> None:
    """Without it DOJOT refuses our actuators, and leaves our attributes out of "all"."""
    numbers = add_charge_points(database_url, 2)
    async with logged_in(dojot) as client:
        body = {"label": "own", "attrs": [{"label": "a", "type": "dynamic", "value_type": "float"}]}
        own = (await client.post("/template", json=body)).json()["template"]["id"]
        answer = await client.post("/device", json={"label": "CP-1", "templates": [own]})
        device = answer.json()["devices"][0]["id"]
        start_feed(database_url)
        store(database_url, samples(numbers, 1))
        async with relaying(database_url, dojot):
            await all_there(database_url, dojot, 2)
            await client.delete(f"/device/{device}/template/{own + 1}")
            without = (await client.get(f"/device/{device}")).json()["templates"]
        async with relaying(database_url, dojot) as relay:  # one that is known, too
            await until(lambda: relay.registrar.checked)
            templates = f"SELECT count(*) FROM device_template WHERE device_id = '{device}'"
            await until(lambda: dojot.store.count(templates) == 2)
        actuated = await client.put(f"/device/{device}/actuate", json={"attrs": {"reset": "Soft"}})

    assert without == [own]
    assert actuated.status_code == 200
    assert dojot.store.count("SELECT count(*) FROM device") == 2


async def test_relays_provide_devices_in_turn(database_url: str, dojot: StandIn) -> None:
    """One that waits for another says so, and blames nobody else; the devices it knows go on."""
    known, new = add_charge_points(database_url, 2)
    start_feed(database_url)
    async with relaying(database_url, dojot) as relay:
        store(database_url, samples([known], 1))
        await all_there(database_url, dojot, 1)
        with psycopg.connect(database_url) as other:
            other.execute("SELECT pg_advisory_lock(hashtext('dojot provisioning'))")
            store(database_url, [*samples([new], 1), *samples([known], 3)])
            await until(lambda: relay.registrar.problem == "waits_for_other_relay")
            await until(lambda: dojot.counters["stored"] == 4)
            made = dojot.store.count("SELECT count(*) FROM device")
        await all_there(database_url, dojot, 5)
        await until(lambda: relay.registrar.problem is None)
        errors = relay.metrics.registry.get_sample_value(
            "eletroposto_relay_errors_total", {"error": "database"}
        )

    assert made == 1
    assert not errors


async def test_readings_that_wait_for_their_devices_are_in_nobodys_way(
    database_url: str, dojot: StandIn
) -> None:
    """Many times more of them than may be in flight."""
    known, *new = add_charge_points(database_url, 16)
    start_feed(database_url)
    async with relaying(database_url, dojot, dojot_rate=50) as relay:  # 250 fresh ones at a time
        store(database_url, samples([known], 1))
        await all_there(database_url, dojot, 1)
        dojot.faults.http_delay_s = 10
        strangers = samples(new, 20)
        store(database_url, strangers)
        await until(lambda: relay.registrar.problem is None and len(relay.registrar.unavailable()))
        store(database_url, fresh := samples([known], 5))
        await until(lambda: expected(fresh) <= set(found(database_url, dojot)), seconds=30)
        made = dojot.store.count("SELECT count(*) FROM device")
        dojot.faults.http_delay_s = 0
        await all_there(database_url, dojot, 1 + len(strangers) + len(fresh))

    assert made == 1
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
    """DOJOT goes on taking the data of a device that is gone; the new one gets all of it."""
    (number,) = add_charge_points(database_url, 1)
    before = samples([number], 1)
    start_feed(database_url)
    async with relaying(database_url, dojot):
        store(database_url, before)
        await all_there(database_url, dojot, 1)
    gone = ask(database_url, "SELECT device_id FROM dojot_device")
    async with logged_in(dojot) as client:
        await client.delete(f"/device/{gone}")
    after = samples([number], 1)
    store(database_url, after)
    async with relaying(database_url, dojot) as relay:
        await until(lambda: devices(database_url) not in ({gone}, set()))
        device = ask(database_url, "SELECT device_id FROM dojot_device")
        ours = "SELECT ts_ms FROM message WHERE device_id = ?"
        await until(
            lambda: (
                {row["ts_ms"] for row in dojot.store.rows(ours, device)}
                == {sample.ms for sample in [*before, *after]}
            )
        )
        errors = relay.metrics.registry.get_sample_value(
            "eletroposto_relay_errors_total", {"error": "device_gone"}
        )

    assert errors == 1
    assert [row["ts_ms"] for row in dojot.store.rows(ours, gone)] == [before[0].ms]


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


async def test_a_template_that_vanished_makes_the_relay_look_for_its_devices(
    database_url: str, dojot: StandIn
) -> None:
    """DOJOT was installed anew while we looked away; it says so when a new device is asked for."""
    old, new = add_charge_points(database_url, 2)
    before = samples([old], 5)
    start_feed(database_url)
    async with relaying(database_url, dojot):
        store(database_url, before)
        await all_there(database_url, dojot, len(before))
        install_anew(dojot)
        after = samples([new], 5)
        store(database_url, after)
        await until(lambda: expected([*before, *after]) <= set(found(database_url, dojot)))

    assert dojot.store.count("SELECT count(*) FROM template") == 1
