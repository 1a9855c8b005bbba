"""What certification checks of a central system: reservations, triggers and charging profiles."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.acceptance.network import (
    Answers,
    answered,
    boot,
    minutes_ago,
    show,
    start,
    stop,
)
from tests.waiting import until

case = pytest.mark.conformance


def in_minutes(minutes):
    at = datetime.now(UTC) + timedelta(minutes=minutes)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


# ---------------------------------------------------------------- reservations


def reservation(number, id_tag, connector_id=1, minutes=30):
    return {
        "connectorId": connector_id,
        "expiryDate": in_minutes(minutes),
        "idTag": id_tag,
        "reservationId": number,
    }


@pytest.mark.parametrize(
    "connector_id",
    [
        pytest.param(1, marks=case("046", "a reservation is used by its transaction")),
        pytest.param(0, marks=case("049", "a reservation of any connector is used")),
    ],
)
async def test_a_reservation_is_used(network, connector_id):
    id_tag, answers = network.add_id_tag(), Answers()
    async with network.charge_point(on_call=answers) as charge_point:
        await boot(charge_point)
        row = await network.command(
            charge_point, "ReserveNow", reservation(46, id_tag, connector_id)
        )
        active = network.row("reservation", charge_point)
        await show(charge_point, "Reserved")
        begun = await start(charge_point, id_tag, reservationId=46)

    assert answered(row, status="Accepted")
    assert (active["status"], active["connector_id"]) == ("active", connector_id)
    used = network.row("reservation", charge_point)
    assert (used["status"], used["transaction_id"]) == ("used", begun["transactionId"])
    assert network.row("transaction", charge_point)["reservation_id"] == 46


@case("047", "a reservation expires")
async def test_a_reservation_expires(network):
    async with network.charge_point(on_call=Answers()) as charge_point:
        await boot(charge_point)
        payload = reservation(47, network.add_id_tag(), minutes=0.03)
        await network.command(charge_point, "ReserveNow", payload)
        await until(
            lambda: network.row("reservation", charge_point)["status"] == "expired", "expired"
        )
        await show(charge_point, "Available")

    assert network.row("reservation", charge_point)["transaction_id"] is None


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param("Faulted", marks=case("048_1", "reservation answered Faulted: not active")),
        pytest.param("Occupied", marks=case("048_2", "reservation answered Occupied: not active")),
        pytest.param(
            "Unavailable", marks=case("048_3", "reservation answered Unavailable: not active")
        ),
        pytest.param("Rejected", marks=case("048_4", "reservation answered Rejected: not active")),
    ],
)
async def test_a_reservation_is_refused(network, answer):
    async with network.charge_point(on_call=Answers({"ReserveNow": {"status": answer}})) as (
        charge_point
    ):
        await boot(charge_point)
        payload = reservation(48, network.add_id_tag())
        row = await network.command(charge_point, "ReserveNow", payload)

    assert answered(row, status=answer)
    refused = network.row("reservation", charge_point)
    assert (refused["status"], refused["answer"]) == ("refused", answer)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        pytest.param("Accepted", "cancelled", marks=case("051", "reservation cancelled")),
        pytest.param("Rejected", "active", marks=case("052", "cancellation rejected")),
    ],
)
async def test_a_reservation_is_cancelled(network, answer, status):
    answers = Answers({"CancelReservation": {"status": answer}})
    async with network.charge_point(on_call=answers) as charge_point:
        await boot(charge_point)
        await network.command(charge_point, "ReserveNow", reservation(51, network.add_id_tag()))
        row = await network.command(charge_point, "CancelReservation", {"reservationId": 51})

    assert answered(row, status=answer)
    assert network.row("reservation", charge_point)["status"] == status


@case("053", "a reservation for a child carries its parent, which may use it")
async def test_a_reservation_for_a_family(network):
    parent, answers = network.add_id_tag(), Answers()
    child = network.add_id_tag(parent_id_tag=parent)
    async with network.charge_point(on_call=answers) as charge_point:
        await boot(charge_point)
        await network.command(charge_point, "ReserveNow", reservation(53, child))
        begun = await start(charge_point, parent, reservationId=53)

    assert answers.asked[0][1]["parentIdTag"] == parent
    assert begun["idTagInfo"]["status"] == "Accepted"
    assert network.row("reservation", charge_point)["transaction_id"] == begun["transactionId"]


# ---------------------------------------------------------------- triggers


@case("054", "all six messages can be triggered, with and without a connector")
async def test_messages_are_triggered(network):
    triggered = [
        {"requestedMessage": "MeterValues", "connectorId": 1},
        {"requestedMessage": "Heartbeat"},
        {"requestedMessage": "StatusNotification", "connectorId": 1},
        {"requestedMessage": "DiagnosticsStatusNotification"},
        {"requestedMessage": "FirmwareStatusNotification"},
        {"requestedMessage": "BootNotification"},
    ]
    answers = Answers()
    async with network.charge_point(on_call=answers) as charge_point:
        await boot(charge_point)
        for payload in triggered:
            row = await network.command(charge_point, "TriggerMessage", payload)
            assert answered(row, status="Accepted")
        sampled = {
            "timestamp": minutes_ago(0),
            "sampledValue": [{"value": 1, "context": "Trigger"}],
        }
        await charge_point.call("MeterValues", {"connectorId": 1, "meterValue": [sampled]})
        for report in ("DiagnosticsStatusNotification", "FirmwareStatusNotification"):
            assert await charge_point.call(report, {"status": "Idle"}) == {}

    assert [payload for _, payload in answers.asked] == triggered
    assert network.row("meter_value", charge_point)["context"] == "Trigger"


# ---------------------------------------------------------------- smart charging


def profile(number, purpose="TxDefaultProfile", **fields):
    return {
        "chargingProfileId": number,
        "stackLevel": 1,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Relative",
        "chargingSchedule": {
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 21.4}],
        },
        **fields,
    }


@case("056", "a default profile is set")
async def test_a_default_profile_is_set(network):
    answers = Answers()
    async with network.charge_point(on_call=answers) as charge_point:
        await boot(charge_point)
        payload = {"connectorId": 1, "csChargingProfiles": profile(56)}
        row = await network.command(charge_point, "SetChargingProfile", payload)

    assert answered(row, status="Accepted")
    assert answers.asked == [("SetChargingProfile", payload)]
    assigned = network.row("charging_profile", charge_point)
    assert (assigned["purpose"], assigned["cleared_at"]) == ("TxDefaultProfile", None)


@case("057", "a profile of a transaction names it")
async def test_a_transaction_profile_is_set(network):
    async with network.charge_point(on_call=Answers()) as charge_point:
        await boot(charge_point)
        transaction_id = (await start(charge_point, network.add_id_tag()))["transactionId"]
        mine = profile(57, "TxProfile", transactionId=transaction_id)
        payload = {"connectorId": 1, "csChargingProfiles": mine}
        await network.command(charge_point, "SetChargingProfile", payload)
        assigned = network.row("charging_profile", charge_point)
        await stop(charge_point, transaction_id)

    assert (assigned["transaction_id"], assigned["cleared_at"]) == (transaction_id, None)
    assert network.row("charging_profile", charge_point)["cleared_at"] is not None


@case("059", "a remote start brings a profile")
async def test_a_remote_start_with_a_profile(network):
    answers, id_tag = Answers(), network.add_id_tag()
    async with network.charge_point(on_call=answers) as charge_point:
        await boot(charge_point)
        payload = {"connectorId": 1, "idTag": id_tag, "chargingProfile": profile(59, "TxProfile")}
        row = await network.command(charge_point, "RemoteStartTransaction", payload)

    assert answered(row, status="Accepted")
    assert answers.asked[0][1]["chargingProfile"]["chargingProfileId"] == 59
    assert network.row("charging_profile", charge_point)["charging_profile_id"] == 59


@pytest.mark.parametrize(
    ("criteria", "left"),
    [
        pytest.param({"id": 1}, [2, 3], marks=case("067", "profile cleared by its id")),
        pytest.param(
            {"connectorId": 2, "stackLevel": 1},
            [1, 3],
            marks=case("067", "profiles cleared by criteria"),
        ),
        pytest.param({}, [], marks=case("067", "all profiles cleared: an empty request")),
    ],
)
async def test_profiles_are_cleared(network, criteria, left):
    answers = Answers()
    async with network.charge_point(on_call=answers) as charge_point:
        await boot(charge_point)
        for number, connector_id in ((1, 1), (2, 2), (3, 0)):
            payload = {"connectorId": connector_id, "csChargingProfiles": profile(number)}
            await network.command(charge_point, "SetChargingProfile", payload)
        row = await network.command(charge_point, "ClearChargingProfile", criteria)

    assert answered(row, status="Accepted")
    assert answers.asked[-1] == ("ClearChargingProfile", criteria)
    rows = network.rows("charging_profile", charge_point)
    assert sorted(r["charging_profile_id"] for r in rows if r["cleared_at"] is None) == left
