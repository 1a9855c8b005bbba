"""Commands of every profile, sent to a simulated charge point, and what they leave behind."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from testbench.authority import TestAuthority
from testbench.session import Visit
from tests.acceptance.network import Network
from tests.acceptance.operator_desk import Desk, Row, simulated
from tests.waiting import until

ACCEPTED = {"status": "Accepted"}


@pytest.fixture
def desk(network: Network) -> Desk:
    return Desk(network.database)


def in_time(seconds: float) -> str:
    at = datetime.now(UTC) + timedelta(seconds=seconds)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def profile(number: int, purpose: str = "TxDefaultProfile", level: int = 0, **more: Any) -> Row:
    return {
        "chargingProfileId": number,
        "stackLevel": level,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Relative" if purpose == "TxProfile" else "Absolute",
        "chargingSchedule": {
            "chargingRateUnit": "W",
            "startSchedule": in_time(-60),
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 11000.5}],
        },
        **more,
    }


# ---------------------------------------------------------------- core


async def test_keys_are_read(network: Network, desk: Desk) -> None:
    identity = network.new_identity()
    async with simulated(network.url, identity):
        told = await desk.send(identity, "GetConfiguration", {})
        await desk.send(identity, "GetConfiguration", {"key": ["heartbeatinterval", "Nonsense"]})
    known = desk.rows("SELECT * FROM report.configuration WHERE charge_point = %s", identity)
    by_name = {row["key"]: row for row in known}
    assert len(told["configurationKey"]) > 40
    for entry in told["configurationKey"]:
        row = by_name[entry["key"]]
        assert row["value"] == entry.get("value"), entry
        assert row["is_readonly"] == entry["readonly"]
        assert row["is_known"]
    assert by_name["Nonsense"]["is_known"] is False


async def test_changes_of_keys_are_remembered(network: Network, desk: Desk) -> None:
    identity = network.new_identity()
    wanted = {"ConnectionTimeOut": "77", "NumberOfConnectors": "9", "Nonsense": "1"}
    answers = {}
    async with simulated(network.url, identity):
        for name, value in wanted.items():
            payload = {"key": name, "value": value}
            answers[name] = (await desk.send(identity, "ChangeConfiguration", payload))["status"]
    assert answers == {
        "ConnectionTimeOut": "Accepted",
        "NumberOfConnectors": "Rejected",
        "Nonsense": "NotSupported",
    }
    known = desk.rows("SELECT * FROM report.configuration WHERE charge_point = %s", identity)
    asked = {row["key"]: (row["asked_value"], row["asked_status"]) for row in known}
    assert asked == {name: (wanted[name], answers[name]) for name in wanted}


async def test_resets_bring_the_charge_point_back(network: Network, desk: Desk) -> None:
    identity = network.new_identity()
    async with simulated(network.url, identity):
        for kind in ("Hard", "Soft"):
            assert await desk.send(identity, "Reset", {"type": kind}) == ACCEPTED
    boots = "SELECT * FROM report.ocpp_message WHERE charge_point = %s AND action = %s"
    frames = desk.rows(f"{boots} AND direction = 'in'", identity, "BootNotification")
    assert len(frames) >= 2


async def test_remote_start_unlock_and_remote_stop(network: Network, desk: Desk) -> None:
    identity = network.new_identity()
    tag = f"{identity}-R"
    desk.rows("INSERT INTO id_tag (id_tag) VALUES (%s) RETURNING 1", tag)
    open_ones = "SELECT * FROM report.transaction WHERE charge_point = %s AND stopped_at IS NULL"
    async with simulated(network.url, identity):
        start = {"idTag": tag, "connectorId": 1, "chargingProfile": profile(7, "TxProfile")}
        assert await desk.send(identity, "RemoteStartTransaction", start) == ACCEPTED
        await until(lambda: desk.rows(open_ones, identity), "no transaction began")
        assigned = desk.row("SELECT * FROM report.charging_profile WHERE charge_point=%s", identity)
        assert (assigned["charging_profile_id"], assigned["cleared_at"]) == (7, None)

        busy = await desk.send(identity, "RemoteStartTransaction", start)
        assert busy == {"status": "Rejected"}
        unknown = await desk.send(identity, "RemoteStopTransaction", {"transactionId": 2**31 - 1})
        assert unknown == {"status": "Rejected"}
        running = desk.row(open_ones, identity)
        stop = {"transactionId": running["transaction_id"]}
        assert await desk.send(identity, "RemoteStopTransaction", stop) == ACCEPTED
        await until(lambda: not desk.rows(open_ones, identity), "the transaction goes on")

        assert await desk.send(identity, "UnlockConnector", {"connectorId": 2}) == {
            "status": "Unlocked"
        }
        assert await desk.send(identity, "UnlockConnector", {"connectorId": 9}) == {
            "status": "NotSupported"
        }
    ended = desk.row("SELECT * FROM report.transaction WHERE charge_point = %s", identity)
    assert ended["reason"] == "Remote"
    cleared = desk.row("SELECT * FROM report.charging_profile WHERE charge_point = %s", identity)
    assert cleared["cleared_because"] == "its transaction ended"


async def test_availability_is_remembered(network: Network, desk: Desk) -> None:
    identity = network.new_identity()
    async with simulated(network.url, identity) as charge_point:
        out = {"connectorId": 2, "type": "Inoperative"}
        assert await desk.send(identity, "ChangeAvailability", out) == ACCEPTED
        charge_point.station.outcomes["ChangeAvailability"] = "Scheduled"
        await desk.send(identity, "ChangeAvailability", {"connectorId": 1, "type": "Inoperative"})
        charge_point.station.outcomes["ChangeAvailability"] = "Rejected"
        await desk.send(identity, "ChangeAvailability", {"connectorId": 2, "type": "Operative"})
    found = desk.rows(
        "SELECT connector_id, is_operative, is_scheduled FROM report.connector_availability"
        " WHERE charge_point = %s ORDER BY connector_id",
        identity,
    )
    assert [tuple(row.values()) for row in found] == [(1, False, True), (2, False, False)]


async def test_cache_data_transfer_and_triggers(network: Network, desk: Desk) -> None:
    identity = network.new_identity()
    async with simulated(network.url, identity) as charge_point:
        assert await desk.send(identity, "ClearCache", {}) == ACCEPTED
        echo = {"vendorId": charge_point.nameplate.vendor, "messageId": "Echo", "data": "x"}
        assert await desk.send(identity, "DataTransfer", echo) == {**ACCEPTED, "data": "x"}
        for message in (
            "BootNotification",
            "DiagnosticsStatusNotification",
            "FirmwareStatusNotification",
            "Heartbeat",
            "MeterValues",
            "StatusNotification",
        ):
            await _triggered(desk, identity, message)
        extended = {"requestedMessage": "LogStatusNotification"}
        assert await desk.send(identity, "ExtendedTriggerMessage", extended) == ACCEPTED


async def _triggered(desk: Desk, identity: str, message: str) -> None:
    before = _count(desk, identity, message)
    trigger = {"requestedMessage": message, "connectorId": 1}
    assert await desk.send(identity, "TriggerMessage", trigger) == ACCEPTED, message
    await until(lambda: _count(desk, identity, message) > before, message)


def _count(desk: Desk, identity: str, action: str) -> int:
    query = (
        "SELECT count(*) AS frames FROM report.ocpp_message"
        " WHERE charge_point = %s AND action = %s AND direction = 'in'"
    )
    return int(desk.row(query, identity, action)["frames"])


# ---------------------------------------------------------------- local list


async def test_local_lists_keep_their_versions(network: Network, desk: Desk) -> None:
    identity = network.new_identity()
    accepted = {"status": "Accepted"}

    def entries() -> dict[str, str]:
        found = desk.rows("SELECT * FROM report.local_list_entry WHERE charge_point=%s", identity)
        return {row["id_tag"]: row["status"] for row in found}

    def send(version: int, kind: str, *tags: Row) -> Any:
        body = {"listVersion": version, "updateType": kind, "localAuthorizationList": list(tags)}
        return desk.send(identity, "SendLocalList", body)

    async with simulated(network.url, identity) as charge_point:
        assert await desk.send(identity, "GetLocalListVersion", {}) == {"listVersion": 0}
        both = [{"idTag": tag, "idTagInfo": accepted} for tag in ("A1", "B2")]
        assert await send(3, "Full", *both) == ACCEPTED
        assert entries() == {"A1": "Accepted", "B2": "Accepted"}
        blocked = {"idTag": "C3", "idTagInfo": {"status": "Blocked", "expiryDate": in_time(60)}}
        assert await send(4, "Differential", {"idTag": "a1"}, blocked) == ACCEPTED
        assert entries() == {"B2": "Accepted", "C3": "Blocked"}
        assert await send(4, "Differential", both[0]) == {"status": "VersionMismatch"}
        assert entries() == {"B2": "Accepted", "C3": "Blocked"}
        assert await desk.send(identity, "GetLocalListVersion", {}) == {"listVersion": 4}
        charge_point.station.outcomes["SendLocalList"] = "Failed"
        await send(5, "Full", both[0])
    known = desk.row("SELECT * FROM report.local_list WHERE charge_point = %s", identity)
    assert (known["list_version"], known["reported_version"], known["entries"]) == (4, 4, 2)


# ---------------------------------------------------------------- reservations


async def test_a_reservation_is_used_by_the_parents_other_tag(network: Network, desk: Desk) -> None:
    identity = network.new_identity()
    parent, child, sibling = (f"{identity}-{name}" for name in "PCS")
    for tag in (child, sibling):
        desk.rows(
            "INSERT INTO id_tag (id_tag, parent_id_tag) VALUES (%s, %s) RETURNING 1", tag, parent
        )
    held = "SELECT * FROM report.reservation WHERE charge_point = %s"
    async with simulated(network.url, identity) as charge_point:
        reservation = {
            "connectorId": 1,
            "expiryDate": in_time(300),
            "idTag": child,
            "reservationId": 11,
        }
        assert await desk.send(identity, "ReserveNow", reservation) == ACCEPTED
        assert charge_point.reservations[11].parent_id_tag == parent
        assert desk.row(held, identity)["status"] == "active"
        await charge_point.authorise(sibling)
        start = {"idTag": sibling, "connectorId": 2}
        await desk.send(identity, "RemoteStartTransaction", start)
        await asyncio.sleep(0.5)
        assert desk.row(held, identity)["status"] == "active", "it is another connector"
        bus = charge_point.vehicle(charge_point.connectors[1])
        charge_point.later(charge_point.charge(1, Visit(bus, sibling, reservation_id=11)))
        await until(lambda: desk.row(held, identity)["status"] == "used", "it is not used")
    used = desk.row(held, identity)
    transaction = desk.row(
        "SELECT * FROM report.transaction WHERE charge_point = %s AND connector_id = 1", identity
    )
    assert used["transaction_id"] == transaction["transaction_id"]
    assert transaction["reservation_id"] == 11


async def test_reservations_are_refused_cancelled_and_expire(network: Network, desk: Desk) -> None:
    identity = network.new_identity()

    def reserve(number: int, seconds: float) -> Any:
        body = {"connectorId": 1, "expiryDate": in_time(seconds), "idTag": "X"}
        return desk.send(identity, "ReserveNow", {**body, "reservationId": number})

    async with simulated(network.url, identity) as charge_point:
        for number, status in enumerate(("Faulted", "Occupied", "Unavailable", "Rejected")):
            charge_point.station.outcomes["ReserveNow"] = status
            assert await reserve(number, 60) == {"status": status}
        del charge_point.station.outcomes["ReserveNow"]
        assert await reserve(20, 60) == ACCEPTED
        cancel = {"reservationId": 20}
        assert await desk.send(identity, "CancelReservation", cancel) == ACCEPTED
        assert await desk.send(identity, "CancelReservation", cancel) == {"status": "Rejected"}
        assert await reserve(21, 1.5) == ACCEPTED
        await asyncio.sleep(1.6)
    found = desk.rows(
        "SELECT reservation_id, status, answer FROM report.reservation WHERE charge_point = %s"
        " ORDER BY reservation_id",
        identity,
    )
    assert [tuple(row.values()) for row in found] == [
        (0, "refused", "Faulted"),
        (1, "refused", "Occupied"),
        (2, "refused", "Unavailable"),
        (3, "refused", "Rejected"),
        (20, "cancelled", "Accepted"),
        (21, "expired", "Accepted"),
    ]


# ---------------------------------------------------------------- smart charging


async def test_charging_profiles_are_assigned_replaced_and_cleared(
    network: Network, desk: Desk
) -> None:
    identity = network.new_identity()

    def assigned() -> set[int]:
        query = (
            "SELECT charging_profile_id FROM report.charging_profile"
            " WHERE charge_point = %s AND cleared_at IS NULL"
        )
        return {row["charging_profile_id"] for row in desk.rows(query, identity)}

    def assign(connector_id: int, one: Row) -> Any:
        body = {"connectorId": connector_id, "csChargingProfiles": one}
        return desk.send(identity, "SetChargingProfile", body)

    async with simulated(network.url, identity):
        assert await assign(0, profile(1, "ChargePointMaxProfile")) == ACCEPTED
        assert await assign(1, profile(2)) == ACCEPTED
        assert await assign(1, profile(3, level=1)) == ACCEPTED
        assert await assign(2, profile(4)) == ACCEPTED
        assert await assign(1, profile(9, "TxProfile")) == {"status": "Rejected"}
        assert assigned() == {1, 2, 3, 4}
        assert await assign(1, profile(5)) == ACCEPTED
        assert assigned() == {1, 3, 4, 5}, "one of the same purpose and level gives way"
        schedule = {"connectorId": 1, "duration": 60, "chargingRateUnit": "W"}
        composite = await desk.send(identity, "GetCompositeSchedule", schedule)
        (period,) = composite["chargingSchedule"]["chargingSchedulePeriod"]
        assert period == {"startPeriod": 0, "limit": 11000.5}
        clear = "ClearChargingProfile"
        assert await desk.send(identity, clear, {"id": 4}) == ACCEPTED
        assert assigned() == {1, 3, 5}
        criteria = {"connectorId": 1, "chargingProfilePurpose": "TxDefaultProfile", "stackLevel": 1}
        assert await desk.send(identity, clear, criteria) == ACCEPTED
        assert assigned() == {1, 5}
        assert await desk.send(identity, clear, {"id": 99}) == {"status": "Unknown"}
        assert assigned() == {1, 5}
        assert await desk.send(identity, clear, {}) == ACCEPTED
        assert assigned() == set()


# ---------------------------------------------------------------- firmware, logs


async def test_every_status_of_a_request_is_found_with_it(network: Network, desk: Desk) -> None:
    identity = network.new_identity()
    address = "ftp://someone:geheim@files.example.org/up"
    authority = TestAuthority()

    def progress(action: str) -> list[str]:
        query = (
            "SELECT status FROM report.request_progress"
            " WHERE charge_point = %s AND action = %s AND status IS NOT NULL ORDER BY at"
        )
        return [row["status"] for row in desk.rows(query, identity, action)]

    async with simulated(network.url, identity) as charge_point:
        named = await desk.send(identity, "GetDiagnostics", {"location": address, "retries": 2})
        assert named["fileName"].startswith("diagnostics-")
        await until(lambda: progress("GetDiagnostics") == ["Uploading", "Uploaded"], "diagnostics")
        log = {"logType": "SecurityLog", "requestId": 41, "log": {"remoteLocation": address}}
        assert (await desk.send(identity, "GetLog", log))["status"] == "Accepted"
        await until(lambda: progress("GetLog") == ["Uploading", "Uploaded"], "log")
        charge_point.station.outcomes["FirmwareStatus"] = "DownloadFailed"
        update = {"location": "https://files.example.org/1.2.bin", "retrieveDate": in_time(-1)}
        assert await desk.send(identity, "UpdateFirmware", update) == {}
        await until(
            lambda: progress("UpdateFirmware") == ["Downloading", "DownloadFailed"], "firmware"
        )
        charge_point.station.outcomes["SignedFirmwareStatus"] = "InvalidSignature"
        signed = {
            "requestId": 42,
            "firmware": {
                "location": "https://files.example.org/1.3.bin",
                "retrieveDateTime": in_time(-1),
                "signingCertificate": authority.certificate_pem,
                "signature": "c2lnbmF0dXJl",
            },
        }
        assert await desk.send(identity, "SignedUpdateFirmware", signed) == ACCEPTED
        await until(
            lambda: progress("SignedUpdateFirmware")[-1:] == ["InvalidSignature"], "signed firmware"
        )
        event = "SELECT type FROM report.security_event WHERE charge_point = %s"
        await until(lambda: desk.rows(event, identity), "no security event")
    assert [row["type"] for row in desk.rows(event, identity)] == ["InvalidFirmwareSignature"]
    stored = desk.rows("SELECT payload, raw FROM report.ocpp_message WHERE raw LIKE '%%geheim%%'")
    assert stored == [], "a password in an address is a secret"


# ---------------------------------------------------------------- certificates


async def test_root_certificates_are_installed_listed_and_deleted(
    network: Network, desk: Desk
) -> None:
    identity = network.new_identity()
    kind = "CentralSystemRootCertificate"
    one, other = TestAuthority("One"), TestAuthority("Other", curve=False)

    def present() -> list[Row]:
        query = (
            "SELECT * FROM report.installed_certificate"
            " WHERE charge_point = %s AND deleted_at IS NULL ORDER BY installed_at"
        )
        return desk.rows(query, identity)

    async with simulated(network.url, identity):
        for authority in (one, other):
            body = {"certificateType": kind, "certificate": authority.certificate_pem}
            assert await desk.send(identity, "InstallCertificate", body) == ACCEPTED
        nonsense = {"certificateType": kind, "certificate": "no certificate"}
        assert await desk.send(identity, "InstallCertificate", nonsense) == {"status": "Rejected"}
        installed = present()
        assert [row["subject"] for row in installed] == ["CN=One", "CN=Other"]

        listing = {"certificateType": kind}
        told = await desk.send(identity, "GetInstalledCertificateIds", listing)
        names = ("hashAlgorithm", "issuerNameHash", "issuerKeyHash", "serialNumber")
        ours = [
            (row["hash_algorithm"], row["issuer_name_hash"], row["issuer_key_hash"])
            for row in installed
        ]
        theirs = [tuple(entry[name] for name in names[:3]) for entry in told["certificateHashData"]]
        assert sorted(ours) == sorted(theirs), "both sides name a certificate alike"
        assert all(row["reported_at"] for row in present())

        gone = {"certificateHashData": told["certificateHashData"][0]}
        assert await desk.send(identity, "DeleteCertificate", gone) == ACCEPTED
        assert await desk.send(identity, "DeleteCertificate", gone) == {"status": "NotFound"}
        assert len(present()) == 1
