"""The database against DOJOT's history, with the stand-in behind a real HTTP server."""

import asyncio
from datetime import timedelta

import orjson
import pytest

from flows.catalogue import carry_out
from flows.runs import ThresholdBroken
from flows.scope import Scope
from flows.settings import Settings
from testbench.dojot import StandIn
from testbench.dojot.payloads import DeviceData
from tests.flow_facts import Facts
from tests.reconciling import DEVICE, HOUR, hand_over, reconcile, store, verdicts

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_what_both_hold_is_ok(facts: Facts, dojot: StandIn):
    store(facts, 30)
    await hand_over(facts, dojot)

    outcome = await reconcile(facts, dojot)

    assert verdicts(facts) == [(30, 30, 0, 0, "ok")]
    assert outcome.counts["rows_dojot"] == 30
    (row,) = facts.rows("SELECT * FROM report.reconciliation")
    assert row["energy_database_wh"] == row["energy_dojot_wh"] == 29 * 125


async def test_what_dojot_lacks_is_sent_again_and_then_found(facts: Facts, dojot: StandIn):
    store(facts, 30)
    lost = "mv.energy_wh BETWEEN 1625 AND 2000"
    await hand_over(facts, dojot, f"NOT {lost}")

    with pytest.raises(ThresholdBroken, match="4 of 30 readings were missing"):
        await reconcile(facts, dojot)

    assert verdicts(facts) == [(30, 26, 4, 0, "repaired")]
    (queued,) = facts.rows("SELECT count(*) AS n FROM dojot_outbox, unnest(sampled_ats)")
    assert queued["n"] == 4
    await reconcile(facts, dojot)
    assert verdicts(facts) == [(30, 26, 0, 0, "waiting")]
    facts.conn.execute("DELETE FROM dojot_outbox")
    await hand_over(facts, dojot, lost)
    await reconcile(facts, dojot)
    assert verdicts(facts) == [(30, 30, 0, 0, "ok")]


async def test_a_message_that_lost_its_energy_is_sent_again(facts: Facts, dojot: StandIn):
    """Contract section 7.10: of one insertion a part may be left."""
    store(facts, 200)
    await hand_over(facts, dojot, "mv.energy_wh <> 1125")
    ms = int(HOUR.timestamp() * 1000) + 10_001
    dojot.persister.put(DeviceData("admin", DEVICE, ms, {"power_w_1": 45_000}))
    await hand_over(facts, dojot, "FALSE")

    await reconcile(facts, dojot)

    assert verdicts(facts) == [(200, 200, 1, 0, "repaired")]


async def test_what_stays_missing_after_being_sent_again_is_different(facts: Facts, dojot: StandIn):
    store(facts, 200)
    await hand_over(facts, dojot, "mv.energy_wh <> 1125")
    await reconcile(facts, dojot)  # one of 200 is tolerated
    facts.conn.execute("DELETE FROM dojot_outbox")

    with pytest.raises(ThresholdBroken, match="still missing in DOJOT"):
        await reconcile(facts, dojot)

    assert verdicts(facts) == [(200, 199, 1, 0, "different")]


async def test_what_was_repaired_once_and_lacks_something_new_is_sent_again(
    facts: Facts, dojot: StandIn
):
    """Late readings get their chance, whatever was lacking in their hour before."""
    store(facts, 200)
    await hand_over(facts, dojot, "mv.energy_wh <> 1125")
    await reconcile(facts, dojot)
    facts.conn.execute("DELETE FROM dojot_outbox")
    await hand_over(facts, dojot, "mv.energy_wh = 1125")
    await reconcile(facts, dojot)
    assert verdicts(facts) == [(200, 200, 0, 0, "ok")]
    facts.reading(1, HOUR + timedelta(minutes=59), energy_wh=99_999)

    await reconcile(facts, dojot)

    assert verdicts(facts) == [(201, 200, 1, 0, "repaired")]


async def test_what_was_lost_again_after_waiting_is_different(facts: Facts, dojot: StandIn):
    store(facts, 200)
    await hand_over(facts, dojot, "mv.energy_wh <> 1125")
    await reconcile(facts, dojot)
    await reconcile(facts, dojot)
    assert verdicts(facts) == [(200, 199, 0, 0, "waiting")]
    facts.conn.execute("DELETE FROM dojot_outbox")

    for _ in range(2):
        with pytest.raises(ThresholdBroken, match="still missing in DOJOT"):
            await reconcile(facts, dojot)
        facts.conn.execute("DELETE FROM dojot_outbox")


async def test_what_only_dojot_has_is_imported_with_its_origin(facts: Facts, dojot: StandIn):
    store(facts, 200)
    await hand_over(facts, dojot)
    facts.conn.execute("DELETE FROM meter_value WHERE energy_wh = 1250")

    await reconcile(facts, dojot)

    assert verdicts(facts) == [(199, 200, 0, 1, "repaired")]
    (row,) = facts.rows("SELECT * FROM report.meter_value WHERE origin = 'DOJOT'")
    assert row["sampled_at"] == HOUR + timedelta(seconds=20, milliseconds=1)
    assert (row["energy_wh"], row["power_w"], row["soc_percent"]) == (1_250, 45_000, 20)
    await reconcile(facts, dojot)
    assert verdicts(facts) == [(200, 200, 0, 0, "ok")]


async def test_copies_are_counted_and_harmless(facts: Facts, dojot: StandIn):
    store(facts, 30)
    await hand_over(facts, dojot)
    await hand_over(facts, dojot, "mv.energy_wh < 1500")

    await reconcile(facts, dojot)

    assert verdicts(facts) == [(30, 34, 0, 0, "ok")]
    (row,) = facts.rows("SELECT duplicates FROM report.reconciliation")
    assert row["duplicates"] == 4


async def test_two_contexts_of_one_instant_are_two_readings(facts: Facts, dojot: StandIn):
    facts.reading(1, HOUR, energy_wh=5, context=0)
    facts.reading(1, HOUR, energy_wh=5, context=2)
    await hand_over(facts, dojot)

    await reconcile(facts, dojot)

    assert verdicts(facts) == [(2, 2, 0, 0, "ok")]


async def test_of_two_transactions_at_an_instant_the_one_that_waits_is_not_sent_again(
    facts: Facts, dojot: StandIn
):
    begun = [facts.transaction(1, HOUR - timedelta(minutes=number)) for number in (1, 0)]
    for number in begun:
        facts.reading(1, HOUR, energy_wh=5, transaction_id=number)
    facts.conn.execute(
        "SELECT dojot_enqueue('{1}', ARRAY[%s], '{1}'::smallint[], '{0}'::smallint[], ARRAY[%s])",
        [HOUR, begun[1]],
    )

    with pytest.raises(ThresholdBroken, match="1 of 2 readings were missing"):
        await reconcile(facts, dojot)

    rows = facts.rows("SELECT transaction_ids FROM dojot_outbox ORDER BY outbox_id")
    assert [row["transaction_ids"] for row in rows] == [[begun[1]], [begun[0]]]


async def test_another_energy_at_the_same_instant_is_different(facts: Facts, dojot: StandIn):
    store(facts, 5)
    await hand_over(facts, dojot)
    facts.conn.execute("UPDATE meter_value SET energy_wh = 7 WHERE energy_wh = 1250")

    with pytest.raises(ThresholdBroken, match="another energy"):
        await reconcile(facts, dojot)


async def test_another_power_at_the_same_instant_is_different(facts: Facts, dojot: StandIn):
    """Of a charge point without a register the power is all that its energy is made of."""
    for place in range(5):
        facts.reading(1, HOUR + timedelta(seconds=10 * place), power_w=7_200.1)
    await hand_over(facts, dojot)
    await reconcile(facts, dojot, force=True)
    assert verdicts(facts) == [(5, 5, 0, 0, "ok")]
    facts.conn.execute("UPDATE meter_value SET power_w = 7300 WHERE sampled_at = %s", [HOUR])

    with pytest.raises(ThresholdBroken, match="1 readings with another energy or power"):
        await reconcile(facts, dojot, force=True)


async def test_a_message_that_lost_its_power_is_sent_again(facts: Facts, dojot: StandIn):
    store(facts, 200)
    await hand_over(facts, dojot, "mv.energy_wh <> 1125")
    ms = int(HOUR.timestamp() * 1000) + 10_001
    dojot.persister.put(DeviceData("admin", DEVICE, ms, {"energy_wh_1": 1_125}))
    await hand_over(facts, dojot, "FALSE")

    await reconcile(facts, dojot)

    assert verdicts(facts) == [(200, 200, 1, 0, "repaired")]


async def test_readings_without_energy_are_found_by_what_they_have(facts: Facts, dojot: StandIn):
    facts.reading(1, HOUR, soc_percent=55)
    facts.reading(1, HOUR + timedelta(seconds=10), extra='{"Frequency": 60, "flags": ["unit"]}')
    await hand_over(facts, dojot)

    await reconcile(facts, dojot)

    assert verdicts(facts) == [(2, 2, 0, 0, "ok")]


async def test_a_dry_run_writes_nothing(facts: Facts, dojot: StandIn):
    store(facts, 30)

    with pytest.raises(ThresholdBroken):
        await reconcile(facts, dojot, dry_run=True)

    assert facts.rows("SELECT * FROM reconciliation") == []
    assert facts.rows("SELECT * FROM dojot_outbox") == []


async def test_late_readings_have_their_hour_looked_at_again(facts: Facts, dojot: StandIn):
    early = HOUR - timedelta(hours=30)
    store(facts, 30)
    await hand_over(facts, dojot)
    await reconcile(facts, dojot)
    store(facts, 5, early)
    await hand_over(facts, dojot, f"mv.sampled_at < '{HOUR}'")

    await reconcile(facts, dojot)

    assert verdicts(facts) == [(5, 5, 0, 0, "ok"), (30, 30, 0, 0, "ok")]


async def test_what_came_late_just_now_is_not_sent_twice(facts: Facts, dojot: StandIn):
    """It is on its way: in the relay, or between the broker and the history."""
    early = HOUR - timedelta(hours=30)
    store(facts, 30)
    await hand_over(facts, dojot)
    await reconcile(facts, dojot)
    store(facts, 5, early)
    store(facts, 5, HOUR + timedelta(minutes=30))  # an hour of the usual round

    await reconcile(facts, dojot, settle_s=300)
    on_its_way = (verdicts(facts), facts.rows("SELECT * FROM dojot_outbox"))
    facts.conn.execute("UPDATE touched_work SET claimed_at = now() - INTERVAL '6 minutes'")
    with pytest.raises(ThresholdBroken, match="10 of 40 readings were missing"):
        await reconcile(facts, dojot, settle_s=300)

    assert on_its_way == ([(30, 30, 0, 0, "ok")], [])
    assert verdicts(facts) == [(5, 0, 5, 0, "repaired"), (35, 30, 5, 0, "repaired")]


@pytest.mark.parametrize("fault", ["next_500", "next_html", "next_half_json", "next_403"])
async def test_hiccups_of_dojot_are_asked_again(facts: Facts, dojot: StandIn, fault: str):
    store(facts, 5)
    await hand_over(facts, dojot)
    dojot.faults.change({fault: 1, "http_scope": "/history"})

    await reconcile(facts, dojot)

    assert verdicts(facts) == [(5, 5, 0, 0, "ok")]


async def test_a_dojot_that_cannot_be_asked_is_named_and_asked_next_time(
    facts: Facts, dojot: StandIn
):
    store(facts, 5)
    await hand_over(facts, dojot)
    settings = Settings(facts.url, dojot.url, dojot.username, "wrong", dojot_settle_s=0)
    scope = Scope(start=HOUR, end=HOUR + timedelta(hours=1))

    with pytest.raises(ThresholdBroken, match="login refused: 403"):
        await asyncio.to_thread(lambda: list(carry_out(settings, "reconcile_dojot", scope)))

    assert verdicts(facts) == [(None, None, None, None, "unreachable")]
    await reconcile(facts, dojot)
    assert verdicts(facts) == [(5, 5, 0, 0, "ok")]


async def test_an_expired_token_is_renewed_once(facts: Facts, dojot: StandIn):
    store(facts, 5)
    await hand_over(facts, dojot)
    dojot.faults.change({"enforce_exp": True, "token_lifetime_s": 1})

    await reconcile(facts, dojot)
    await asyncio.sleep(1.1)
    await reconcile(facts, dojot, force=True)

    assert verdicts(facts) == [(5, 5, 0, 0, "ok")]


async def test_the_table_for_people_has_a_row_per_window(facts: Facts, dojot: StandIn):
    store(facts, 5)
    await hand_over(facts, dojot)

    outcome = await reconcile(facts, dojot)

    (row,) = outcome.table
    assert (row["charge_point"], row["verdict"]) == ("CP-1", "ok")
    assert orjson.loads(orjson.dumps(outcome.counts))["windows"] == 1


async def test_a_run_for_some_charge_points_does_not_pass_over_the_others(
    facts: Facts, dojot: StandIn
):
    early = HOUR - timedelta(hours=30)
    other = facts.charge_point("CP-2")
    facts.conn.execute(
        "INSERT INTO dojot_device (charge_point_id, tenant, device_id, label, template_id)"
        " VALUES (%s, 'admin', 'c0ffee', 'other', '1')",
        [other],
    )
    for place in range(3):
        facts.reading(other, early + timedelta(seconds=place), energy_wh=place, power_w=1)
    store(facts, 5)
    await hand_over(facts, dojot, "mv.charge_point_id = 1")
    await reconcile(facts, dojot, charge_points=("CP-1",))

    with pytest.raises(ThresholdBroken, match="3 of 8 readings were missing"):
        await reconcile(facts, dojot)

    assert verdicts(facts) == [(3, 0, 3, 0, "repaired"), (5, 5, 0, 0, "ok")]


async def test_values_of_any_type_do_not_stop_the_reconciliation(facts: Facts, dojot: StandIn):
    """DOJOT checks no types: whoever may publish may publish anything."""
    store(facts, 200)
    await hand_over(facts, dojot)
    ms = int(HOUR.timestamp() * 1000) + 1_500_000
    for place, energy in enumerate(("n/a", None, True, {"a": 1}, [1])):
        attrs = {"energy_wh_1": energy, "power_w_1": 5 if place == 0 else "x"}
        dojot.persister.put(DeviceData("admin", DEVICE, ms + place, attrs))
    await hand_over(facts, dojot, "FALSE")

    with pytest.raises(ThresholdBroken):
        await reconcile(facts, dojot)

    (row,) = facts.rows("SELECT * FROM report.meter_value WHERE origin = 'DOJOT'")
    assert (row["energy_wh"], row["power_w"]) == (None, 5)


# ---------------------------------------------------------------- what only DOJOT has


@pytest.mark.parametrize(
    ("attribute", "column"),
    [("temperature_c_1", "temperature_c"), ("voltage_v_2", "voltage_v"), ("power_w_0", "power_w")],
)
async def test_what_only_dojot_has_is_found_by_any_measurand(
    facts: Facts, dojot: StandIn, attribute: str, column: str
):
    """Also of a connector that nobody told of, among readings that have none of it."""
    store(facts, 200)
    await hand_over(facts, dojot)
    ms = int(HOUR.timestamp() * 1000) + 2_500_000
    dojot.persister.put(DeviceData("admin", DEVICE, ms, {attribute: 35}))
    await hand_over(facts, dojot, "FALSE")

    await reconcile(facts, dojot)

    assert verdicts(facts) == [(200, 201, 0, 1, "repaired")]
    (row,) = facts.rows("SELECT * FROM meter_value WHERE origin = 2")
    assert (row[column], row["connector_id"]) == (35, int(attribute[-1]))


async def test_what_comes_with_our_readings_is_asked_for_where_something_differs(
    facts: Facts, dojot: StandIn
):
    """Else it would be the most of all that is stored, to find what hardly ever is there."""
    store(facts, 200)
    await hand_over(facts, dojot)
    ms = int(HOUR.timestamp() * 1000) + 2_500_000
    dojot.persister.put(DeviceData("admin", DEVICE, ms, {"soc_percent_1": 35}))
    await hand_over(facts, dojot, "FALSE")
    await reconcile(facts, dojot)
    assert verdicts(facts) == [(200, 200, 0, 0, "ok")]
    facts.conn.execute("DELETE FROM meter_value WHERE energy_wh = 1250")
    facts.touch(1, HOUR)

    await reconcile(facts, dojot)

    assert verdicts(facts) == [(199, 201, 0, 2, "repaired")]
    rows = facts.rows("SELECT * FROM meter_value WHERE origin = 2 ORDER BY sampled_at")
    assert [(row["energy_wh"], row["soc_percent"]) for row in rows] == [(1250, 20), (None, 35)]
