"""Which readings belong to which session."""

from datetime import timedelta

import psycopg
import pytest

from tests.flow_facts import NOON, Facts, minutes


def test_readings_without_a_transaction_go_to_the_session_of_their_time(facts: Facts):
    """EVerest/libocpp#495: an offline start has the transactionId -1, stored as none."""
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON, NOON + minutes(5), None, None)
    facts.readings(cp, None, NOON, minutes(1), energy_wh=[0, 100, 200, 300, 400, 500])
    facts.reading(cp, NOON + minutes(30), energy_wh=99_000)

    facts.run()

    session = facts.session(tx)
    assert (session["energy_wh"], session["energy_source"]) == (500, "register_series")
    assert "borrowed_readings" in session["flags"]


def test_connectors_that_charge_at_once_do_not_mix(facts: Facts):
    """citrineos/citrineos-core#860: everything per connector."""
    cp = facts.charge_point(connectors=(1, 2))
    one = facts.transaction(cp, NOON, None, 0, None)
    two = facts.transaction(cp, NOON + minutes(1), NOON + minutes(9), 0, 700, connector_id=2)
    for place, connector_id, tx in ((2, 1, one), (2, 2, two), (4, 1, one), (4, 2, two)):
        facts.reading(
            cp,
            NOON + minutes(place),
            connector_id=connector_id,
            transaction_id=tx,
            energy_wh=place * 100 * connector_id,
        )
    facts.status(cp, NOON + minutes(10), "Available", connector_id=2)

    facts.run()

    assert facts.session(one)["energy_wh"] == 400
    assert facts.session(one)["inferred_by"] == "silence"
    assert facts.session(two)["energy_series_wh"] == 800


def test_a_charge_point_that_measures_as_a_whole_tells_of_its_transaction(facts: Facts):
    """A stop is missing; 100 Wh a minute are told as of connector 0, beside its clock."""
    cp = facts.charge_point(connectors=(1, 2))
    tx = facts.transaction(cp, NOON, None, 1_000, None)
    other = facts.transaction(cp, NOON, NOON + minutes(60), 0, 700, connector_id=2)
    for minute in range(1, 60):
        at, energy_wh = NOON + minutes(minute), 1_000 + 100 * minute
        facts.reading(cp, at, connector_id=0, transaction_id=tx, energy_wh=energy_wh)
    facts.reading(cp, NOON + minutes(30), connector_id=0, context=1, energy_wh=990_000)

    facts.run()

    session = facts.session(tx)
    assert (session["energy_wh"], session["energy_source"]) == (5_900, "register_series")
    assert session["last_evidence_at"] == NOON + minutes(59)
    assert session["flags"] == ["inferred_end"]
    assert facts.session(other)["flags"] == ["no_readings"]


def test_the_connector_s_own_readings_go_before_those_of_the_whole(facts: Facts):
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON, NOON + minutes(5), None, None)
    facts.readings(cp, tx, NOON, minutes(1), energy_wh=[0, 100, 200, 300, 400, 500])
    facts.reading(cp, NOON + minutes(3), connector_id=0, transaction_id=tx, energy_wh=9_000)

    facts.run()

    assert facts.session(tx)["energy_wh"] == 500


def test_a_transaction_that_comes_after_its_readings_claims_those_past_midnight(facts: Facts):
    """Ten in the evening to two in the morning, local time; at first only its readings came."""
    cp = facts.charge_point()
    begun = NOON + timedelta(hours=13)
    facts.readings(cp, 7, begun, minutes(60), energy_wh=[0, 1_000, 2_000, 3_000])
    facts.run()
    kind = "SELECT DISTINCT day FROM quality_finding WHERE kind = 'readings_without_transaction'"
    assert len(facts.rows(kind)) == 2

    facts.transaction(cp, begun, begun + minutes(240), 0, 4_000, transaction_id=7)
    facts.run()

    assert facts.rows(kind) == []


def soc_of(facts: Facts, tx: int) -> tuple[float | None, float | None]:
    session = facts.session(tx)
    return session["soc_start_percent"], session["soc_end_percent"]


def test_the_next_vehicle_s_state_of_charge_is_not_this_one_s(facts: Facts):
    """One minute after the stop somebody else's sample comes, without a transaction."""
    cp = facts.charge_point()
    tx = facts.transaction(cp, NOON, NOON + minutes(30), 0, 9_000)
    facts.readings(cp, tx, NOON + minutes(5), minutes(20), soc_percent=[40, 80])
    facts.reading(cp, NOON + minutes(31), soc_percent=15)

    facts.run()

    assert soc_of(facts, tx) == (40, 80)
    assert facts.session(tx)["soc_is_extrapolated"] is True


def test_samples_without_a_transaction_are_shared_out_at_the_edges(facts: Facts):
    """Sessions to minute 30 and from minute 31 on; then it turns out that the first ended at 29."""
    cp = facts.charge_point()
    first = facts.transaction(cp, NOON, NOON + minutes(30), 0, 9_000)
    second = facts.transaction(cp, NOON + minutes(31), NOON + minutes(60), 9_000, 18_000)
    for minute, percent in ((-1, 20), (29.5, 70), (31, 30), (61, 55)):
        facts.reading(cp, NOON + minutes(minute), soc_percent=percent)

    facts.run()
    assert (soc_of(facts, first), soc_of(facts, second)) == ((20, 70), (30, 55))

    facts.conn.execute(
        "UPDATE transaction SET stopped_at = %s, changed_at = now() WHERE transaction_id = %s",
        [NOON + minutes(29), first],
    )
    facts.run()
    late = facts.computed()["session_soc"]
    facts.run(force=True)
    assert facts.computed()["session_soc"] == late


def test_two_vehicles_at_one_instant_keep_their_own_state_of_charge(facts: Facts):
    cp = facts.charge_point()
    ends = facts.transaction(cp, NOON, NOON + minutes(30), 0, 9_000)
    begins = facts.transaction(cp, NOON + minutes(30), NOON + minutes(60), 9_000, 18_000)
    facts.readings(cp, ends, NOON, minutes(30), soc_percent=[20, 80])
    facts.readings(cp, begins, NOON + minutes(30), minutes(30), soc_percent=[22, 60])

    facts.run()

    assert (soc_of(facts, ends), soc_of(facts, begins)) == ((20, 80), (22, 60))


def test_the_flows_may_not_change_facts(database_url: str):
    with (
        psycopg.connect(database_url, options="-c role=eletroposto_flows") as conn,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        conn.execute("UPDATE transaction SET meter_stop_wh = 0")
