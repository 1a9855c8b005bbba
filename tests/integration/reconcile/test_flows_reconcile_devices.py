"""Which device, of which DOJOT, the database is compared with."""

from datetime import timedelta

import pytest

from flows.runs import ThresholdBroken
from testbench.dojot import StandIn
from tests.flow_facts import Facts
from tests.reconciling import DEVICE, HOUR, hand_over, reconcile, store, verdicts

pytestmark = pytest.mark.asyncio(loop_scope="module")


def move_to(facts: Facts, device_id: str, **columns: str) -> None:
    """As the relay does when the charge point has another device."""
    facts.conn.execute("DELETE FROM dojot_device WHERE charge_point_id = 1")
    add_device(facts, device_id, **columns)


def add_device(facts: Facts, device_id: str, url: str = "", tenant: str = "admin") -> None:
    facts.conn.execute(
        "INSERT INTO dojot_device (charge_point_id, url, tenant, device_id, label, template_id)"
        " VALUES (1, %s, %s, %s, 'CP-1', '1')",
        [url, tenant, device_id],
    )


async def test_another_device_makes_all_windows_doubtful(facts: Facts, dojot: StandIn):
    """Of a DOJOT that was installed anew: what the old one held, this one does not."""
    early = HOUR - timedelta(hours=30)
    store(facts, 5, early)
    store(facts, 5)
    await hand_over(facts, dojot)
    await reconcile(facts, dojot)
    assert verdicts(facts) == [(5, 5, 0, 0, "ok")] * 2
    facts.conn.execute("TRUNCATE touched_work")
    move_to(facts, "b0b0b0")

    with pytest.raises(ThresholdBroken, match="10 of 10 readings were missing"):
        await reconcile(facts, dojot)

    assert verdicts(facts) == [(5, 0, 5, 0, "repaired")] * 2


async def test_what_another_device_was_sent_is_not_awaited_of_the_next(
    facts: Facts, dojot: StandIn
):
    store(facts, 200)
    await hand_over(facts, dojot, "mv.energy_wh <> 1125")
    await reconcile(facts, dojot)
    facts.conn.execute("DELETE FROM dojot_outbox")
    move_to(facts, "b0b0b0")

    with pytest.raises(ThresholdBroken, match="200 of 200 readings were missing"):
        await reconcile(facts, dojot)

    assert verdicts(facts) == [(200, 0, 200, 0, "repaired")]


async def test_what_the_relay_has_still_to_queue_is_not_sent_twice(facts: Facts, dojot: StandIn):
    """From before the first relay, or all of it since the charge point has another device."""
    store(facts, 5)
    later = HOUR + timedelta(minutes=30)
    facts.conn.execute(
        "INSERT INTO dojot_backfill (charge_point_id, reached) VALUES (1, %s)", [HOUR]
    )

    await reconcile(facts, dojot)

    assert verdicts(facts) == [(5, 0, 0, 0, "waiting")]
    assert facts.rows("SELECT * FROM dojot_outbox") == []
    facts.conn.execute("UPDATE dojot_backfill SET reached = %s", [later])
    with pytest.raises(ThresholdBroken, match="5 of 5 readings were missing"):
        await reconcile(facts, dojot)


async def test_the_device_is_that_of_the_login_s_own_dojot(facts: Facts, dojot: StandIn):
    """Devices of another tenant, or of a DOJOT elsewhere, are younger and yet not looked at."""
    store(facts, 5)
    await hand_over(facts, dojot)
    move_to(facts, DEVICE, url=dojot.url)
    add_device(facts, "b0b0b0", url=dojot.url, tenant="other")
    add_device(facts, "c0c0c0", url="http://127.0.0.1:1")

    await reconcile(facts, dojot)

    assert verdicts(facts) == [(5, 5, 0, 0, "ok")]


async def test_a_charge_point_without_a_device_is_different(facts: Facts, dojot: StandIn):
    store(facts, 5)
    move_to(facts, "c0c0c0", url="http://127.0.0.1:1")
    facts.charge_point("CP-2")  # has no readings: nothing to say of it

    with pytest.raises(ThresholdBroken, match=r"1 windows differ.*no device in DOJOT"):
        await reconcile(facts, dojot)

    assert verdicts(facts) == [(5, 0, 5, 0, "different")]
    move_to(facts, DEVICE, url=dojot.url)
    await hand_over(facts, dojot)
    await reconcile(facts, dojot)
    assert verdicts(facts) == [(5, 5, 0, 0, "ok")]
