"""The simulated charge point answers every CALL of OCPP 1.6, and does what it answered.

``ScriptedCentralSystem`` holds each frame against the JSON schemas of the standard.
"""

import asyncio
import itertools
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from testbench.bus import Bus, BusCharge, Outlet
from testbench.charge_point import ChargePoint
from testbench.clock import Clock, timestamp
from testbench.link import Address, Backoff
from testbench.session import Visit
from tests.scripted_central_system import scripted_central_system

FACTOR = 600.0


@pytest.fixture
async def central_system():
    async with scripted_central_system() as scripted:
        yield scripted


@asynccontextmanager
async def bench(central_system, **keys):
    charge_point = ChargePoint(
        "BENCH-1",
        Address(central_system.url),
        clock=Clock(FACTOR, datetime.now(UTC) - timedelta(days=2)),
        backoff=Backoff(first_s=0.02),
    )
    for name, value in keys.items():
        charge_point.configuration.set(name, str(value))
    async with charge_point.running():
        await charge_point.link.online()
        yield charge_point


def charging(charge_point, connector_id=1):
    """Start a long session and return its task."""
    visit = Visit(BusCharge(Bus(), Outlet(), 30), "BUS-1", duration_s=20_000, leave_s=5)
    return charge_point.later(charge_point.charge(connector_id, visit))


def statuses(central_system, connector_id=1):
    return [
        it["status"]
        for it in central_system.payloads("StatusNotification")
        if it["connectorId"] == connector_id
    ]


async def status(central_system, wanted, connector_id=1):
    await central_system.until(lambda: statuses(central_system, connector_id)[-1:] == [wanted])


# --- every CALL -------------------------------------------------------------------------------


def certificate(name, issuer=None, key_pair=None):
    """Return a certificate signed by ``issuer`` (itself if None) and its key."""
    own_key = key_pair or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer_name, issuer_key = (issuer[0].subject, issuer[1]) if issuer else (subject, own_key)
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer_name)
        .public_key(own_key.public_key())
        .serial_number(0xABCDEF12)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
    )
    return builder.sign(issuer_key, hashes.SHA256()), own_key


def pem(*certificates):
    return "".join(one.public_bytes(Encoding.PEM).decode() for one in certificates)


LATER = timestamp(datetime.now(UTC) + timedelta(days=1))
LIMIT = {
    "chargingProfileId": 1,
    "stackLevel": 0,
    "chargingProfilePurpose": "TxDefaultProfile",
    "chargingProfileKind": "Absolute",
    "chargingSchedule": {
        "chargingRateUnit": "W",
        "startSchedule": "2020-01-01T00:00:00Z",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 12000}],
    },
}
CERTIFICATE_HASH = {
    "hashAlgorithm": "SHA256",
    "issuerNameHash": "00",
    "issuerKeyHash": "00",
    "serialNumber": "1",
}
LOG = {"remoteLocation": "https://files.invalid/logs"}
FIRMWARE = {
    "location": "https://files.invalid/fw-2.bin",
    "retrieveDateTime": "2020-01-01T00:00:00Z",
    "signature": "00",
    "signingCertificate": "none",
}
EVERY_CALL = {
    "CancelReservation": ({"reservationId": 1}, "Rejected"),
    "CertificateSigned": ({"certificateChain": "none"}, "Rejected"),
    "ChangeAvailability": ({"connectorId": 2, "type": "Inoperative"}, "Accepted"),
    "ChangeConfiguration": ({"key": "HeartbeatInterval", "value": "60"}, "Accepted"),
    "ClearCache": ({}, "Accepted"),
    "ClearChargingProfile": ({}, "Unknown"),
    "DataTransfer": ({"vendorId": "x"}, "UnknownVendorId"),
    "DeleteCertificate": ({"certificateHashData": CERTIFICATE_HASH}, "NotFound"),
    "ExtendedTriggerMessage": ({"requestedMessage": "Heartbeat"}, "Accepted"),
    "GetCompositeSchedule": ({"connectorId": 1, "duration": 3600}, "Accepted"),
    "GetConfiguration": ({}, None),
    "GetDiagnostics": ({"location": "https://files.invalid/d"}, None),
    "GetInstalledCertificateIds": ({"certificateType": "CentralSystemRootCertificate"}, "NotFound"),
    "GetLocalListVersion": ({}, None),
    "GetLog": ({"logType": "SecurityLog", "requestId": 7, "log": LOG}, "Accepted"),
    "InstallCertificate": (
        {"certificateType": "CentralSystemRootCertificate", "certificate": "none"},
        "Rejected",
    ),
    "RemoteStartTransaction": ({"idTag": "BUS-1", "connectorId": 1}, "Accepted"),
    "RemoteStopTransaction": ({"transactionId": 99}, "Rejected"),
    "ReserveNow": (
        {"connectorId": 1, "expiryDate": LATER, "idTag": "BUS-1", "reservationId": 1},
        "Accepted",
    ),
    "Reset": ({"type": "Soft"}, "Accepted"),
    "SendLocalList": ({"listVersion": 1, "updateType": "Full"}, "Accepted"),
    "SetChargingProfile": ({"connectorId": 1, "csChargingProfiles": LIMIT}, "Accepted"),
    "SignedUpdateFirmware": ({"requestId": 1, "firmware": FIRMWARE}, "InvalidCertificate"),
    "TriggerMessage": ({"requestedMessage": "StatusNotification"}, "Accepted"),
    "UnlockConnector": ({"connectorId": 1}, "Unlocked"),
    "UpdateFirmware": (
        {"location": "https://files.invalid/fw.bin", "retrieveDate": "2020-01-01T00:00:00Z"},
        None,
    ),
}


@pytest.mark.parametrize("action", sorted(EVERY_CALL))
async def test_every_call_is_answered_by_the_schema(central_system, action):
    payload, expected = EVERY_CALL[action]

    async with bench(central_system):
        answer = await central_system.call(action, payload)

    assert answer.get("status") == expected


async def test_no_call_of_the_standard_is_forgotten(central_system):
    async with bench(central_system) as charge_point:
        assert charge_point.station.actions == set(EVERY_CALL)


async def test_what_cannot_be_answered_is_refused_by_the_right_code(central_system):
    async with bench(central_system) as charge_point:
        charge_point.station.unsupported.add("ClearCache")
        refused = central_system.call_refused

        assert await refused("MakeCoffee", {}) == "NotImplemented"
        assert await refused("ClearCache", {}) == "NotSupported"
        assert await refused("Reset", {}) == "OccurenceConstraintViolation"
        assert await refused("GetConfiguration", {"key": 3}) == "TypeConstraintViolation"


async def test_a_test_may_say_what_it_answers(central_system):
    async with bench(central_system) as charge_point:
        charge_point.station.outcomes["UnlockConnector"] = "UnlockFailed"

        answer = await central_system.call("UnlockConnector", {"connectorId": 1})

    assert answer == {"status": "UnlockFailed"}


# --- what it then does ------------------------------------------------------------------------


async def test_a_remote_start_and_stop_is_a_transaction(central_system):
    async with bench(central_system):
        await central_system.call("RemoteStartTransaction", {"idTag": "BUS-9", "connectorId": 2})
        (start,) = await central_system.until_processed("StartTransaction")
        busy = await central_system.call(
            "RemoteStartTransaction", {"idTag": "BUS-8", "connectorId": 2}
        )
        await central_system.until_processed("MeterValues", 3)
        await central_system.call("RemoteStopTransaction", {"transactionId": 71})
        (stop,) = await central_system.until_processed("StopTransaction")
        await status(central_system, "Available", 2)

    assert (start["connectorId"], start["idTag"]) == (2, "BUS-9")
    assert busy == {"status": "Rejected"}
    assert (stop["transactionId"], stop["reason"]) == (71, "Remote")
    assert statuses(central_system, 2) == [
        "Available", "Preparing", "Charging", "Finishing", "Available",
    ]  # fmt: skip


@pytest.mark.parametrize(("kind", "reason"), [("Soft", "SoftReset"), ("Hard", "HardReset")])
async def test_a_reset_ends_transactions_and_boots_again(central_system, kind, reason):
    async with bench(central_system) as charge_point:
        charging(charge_point)
        await central_system.until_processed("MeterValues", 2)
        await central_system.call("Reset", {"type": kind})
        await central_system.until_processed("BootNotification", 2)
        (stop,) = await central_system.until_processed("StopTransaction")

    assert stop["reason"] == reason
    assert len(central_system.handshakes) == 2


async def test_unlocking_ends_the_transaction(central_system):
    async with bench(central_system) as charge_point:
        charging(charge_point)
        await central_system.until_processed("MeterValues")
        await central_system.call("UnlockConnector", {"connectorId": 1})
        (stop,) = await central_system.until_processed("StopTransaction")

        unknown = await central_system.call("UnlockConnector", {"connectorId": 9})

    assert stop["reason"] == "UnlockCommand"
    assert unknown == {"status": "NotSupported"}


async def test_availability_waits_for_the_end_of_a_transaction(central_system):
    async with bench(central_system) as charge_point:
        charging(charge_point)
        await central_system.until_processed("MeterValues")
        answer = await central_system.call(
            "ChangeAvailability", {"connectorId": 0, "type": "Inoperative"}
        )
        await status(central_system, "Unavailable", 2)
        assert statuses(central_system)[-1] == "Charging"
        await central_system.call("RemoteStopTransaction", {"transactionId": 71})
        await status(central_system, "Unavailable")

    assert answer == {"status": "Scheduled"}
    assert statuses(central_system, 0)[-1] == "Unavailable"


async def test_the_configuration_is_read_and_changed(central_system):
    async with bench(central_system):
        everything = await central_system.call("GetConfiguration", {})
        by_name = {it["key"]: it for it in everything["configurationKey"]}

        async def change(name, value):
            answer = await central_system.call("ChangeConfiguration", {"key": name, "value": value})
            return answer["status"]

        assert await change("MeterValueSampleInterval", "30") == "Accepted"
        assert await change("MeterValueSampleInterval", "often") == "Rejected"
        assert await change("NumberOfConnectors", "3") == "Rejected"
        assert await change("NoSuchKey", "1") == "NotSupported"
        assert await change("MeterValuesSampledData", "Voltage,Nonsense") == "Rejected"
        assert await change("SecurityProfile", "2") == "RebootRequired"
        assert await change("SecurityProfile", "1") == "Rejected"
        read = await central_system.call(
            "GetConfiguration", {"key": ["MeterValueSampleInterval", "AuthorizationKey", "Nope"]}
        )

    assert by_name["NumberOfConnectors"] == {
        "key": "NumberOfConnectors",
        "readonly": True,
        "value": "2",
    }
    assert read["configurationKey"] == [
        {"key": "MeterValueSampleInterval", "readonly": False, "value": "30"},
        {"key": "AuthorizationKey", "readonly": False},
    ]
    assert read["unknownKey"] == ["Nope"]


async def test_a_new_sample_interval_and_list_take_effect_at_once(central_system):
    async with bench(central_system, MeterValueSampleInterval=36_000) as charge_point:
        charging(charge_point)
        await status(central_system, "Charging")
        for name, value in (
            ("MeterValuesSampledData", "Voltage,SoC"),
            ("MeterValueSampleInterval", "60"),
        ):
            await central_system.call("ChangeConfiguration", {"key": name, "value": value})
        readings = [
            it["meterValue"][0] for it in await central_system.until_processed("MeterValues", 3)
        ]

    times = [datetime.fromisoformat(it["timestamp"]) for it in readings]
    assert times[2] - times[1] == timedelta(seconds=60)
    measured = [[sample["measurand"] for sample in it["sampledValue"]] for it in readings]
    assert measured[-1] == ["Voltage", "SoC"]


async def test_a_new_password_is_used_from_the_next_connection_on(central_system):
    secret = bytes(range(16))
    async with bench(central_system):
        answer = await central_system.call(
            "ChangeConfiguration", {"key": "AuthorizationKey", "value": secret.hex()}
        )
        await central_system.until(lambda: len(central_system.handshakes) == 2)

    assert answer == {"status": "Accepted"}
    assert "Authorization" in central_system.handshakes[1].headers


async def test_messages_are_triggered(central_system):
    wanted = {
        "BootNotification": "BootNotification",
        "Heartbeat": "Heartbeat",
        "MeterValues": "MeterValues",
        "DiagnosticsStatusNotification": "DiagnosticsStatusNotification",
        "FirmwareStatusNotification": "FirmwareStatusNotification",
    }
    async with bench(central_system):
        for message, action in wanted.items():
            before = len(central_system.payloads(action))
            await central_system.call("TriggerMessage", {"requestedMessage": message})
            await central_system.until_processed(action, before + 1)
        rejected = await central_system.call(
            "TriggerMessage", {"requestedMessage": "Heartbeat", "connectorId": 9}
        )

    reading = central_system.payloads("MeterValues")[0]["meterValue"][0]["sampledValue"][0]
    assert reading["context"] == "Trigger"
    assert rejected == {"status": "Rejected"}


async def test_clock_aligned_values_come_outside_transactions_too(central_system):
    async with bench(central_system, ClockAlignedDataInterval=900):
        readings = await central_system.until_processed("MeterValues", 4)

    assert all("transactionId" not in it for it in readings)
    for it in readings:
        element = it["meterValue"][0]
        at = datetime.fromisoformat(element["timestamp"])
        past = (at.minute * 60 + at.second) % 900
        assert past < 120, "not at a quarter of an hour"
        assert element["sampledValue"][0]["context"] == "Sample.Clock"


async def test_the_local_list_has_versions(central_system):
    accepted = {"idTag": "BUS-1", "idTagInfo": {"status": "Accepted"}}
    blocked = {"idTag": "BUS-2", "idTagInfo": {"status": "Blocked"}}

    async def send(version, kind, *entries):
        answer = await central_system.call(
            "SendLocalList",
            {"listVersion": version, "updateType": kind, "localAuthorizationList": list(entries)},
        )
        return answer["status"]

    async with bench(central_system) as charge_point:
        assert await central_system.call("GetLocalListVersion", {}) == {"listVersion": 0}
        assert await send(3, "Full", accepted, blocked) == "Accepted"
        assert await send(3, "Differential", accepted) == "VersionMismatch"
        assert await send(4, "Differential", {"idTag": "BUS-1"}) == "Accepted"
        assert await central_system.call("GetLocalListVersion", {}) == {"listVersion": 4}
        await charge_point.link.go_offline()
        offline = [await charge_point.authorise(tag) for tag in ("bus-2", "BUS-1")]
        charge_point.configuration.set("AllowOfflineTxForUnknownId", "false")
        unknown = await charge_point.authorise("BUS-1")

    assert offline == ["Blocked", "Accepted"]
    assert unknown == "Invalid"


async def test_a_reservation_holds_the_connector_for_its_tag(central_system):
    reserve = {"connectorId": 1, "expiryDate": LATER, "idTag": "BUS-1", "reservationId": 5}
    async with bench(central_system):
        await central_system.call("ReserveNow", reserve)
        await status(central_system, "Reserved")
        other = await central_system.call("ReserveNow", {**reserve, "reservationId": 6})
        stranger = await central_system.call(
            "RemoteStartTransaction", {"idTag": "BUS-2", "connectorId": 1}
        )
        await central_system.call("RemoteStartTransaction", {"idTag": "bus-1", "connectorId": 1})
        (start,) = await central_system.until_processed("StartTransaction")
        used = await central_system.call("CancelReservation", {"reservationId": 5})

    assert (other["status"], stranger["status"]) == ("Occupied", "Rejected")
    assert start["reservationId"] == 5
    assert used == {"status": "Rejected"}


async def test_a_reservation_is_cancelled_or_expires(central_system):
    async with bench(central_system) as charge_point:
        soon = timestamp(charge_point.clock.now() + timedelta(seconds=120))
        reserve = {"connectorId": 1, "expiryDate": LATER, "idTag": "BUS-1", "reservationId": 5}
        await central_system.call("ReserveNow", reserve)
        await status(central_system, "Reserved")
        await central_system.call("CancelReservation", {"reservationId": 5})
        await status(central_system, "Available")
        await central_system.call("ReserveNow", {**reserve, "expiryDate": soon})
        await status(central_system, "Reserved")
        await status(central_system, "Available")


async def test_a_charging_profile_takes_power_away_and_gives_it_back(central_system):
    async with bench(central_system) as charge_point:
        charging(charge_point)
        await central_system.until_processed("MeterValues", 10)

        async def power_w(beyond):
            """The power and the offer of a reading so many frames from now."""
            count = len(central_system.payloads("MeterValues")) + beyond
            last = (await central_system.until_processed("MeterValues", count))[-1]
            samples = last["meterValue"][0]["sampledValue"]
            values = {it["measurand"]: float(it["value"]) for it in samples}
            return values["Power.Active.Import"], values["Power.Offered"]

        full, _ = await power_w(1)
        await central_system.call(
            "SetChargingProfile", {"connectorId": 1, "csChargingProfiles": LIMIT}
        )
        limited = await power_w(5)
        schedule = await central_system.call(
            "GetCompositeSchedule", {"connectorId": 1, "duration": 600, "chargingRateUnit": "A"}
        )
        cleared = await central_system.call("ClearChargingProfile", {"id": 1})
        again, _ = await power_w(5)

    assert full > 45_000
    assert limited == (12_000, 12_000)
    assert schedule["chargingSchedule"]["chargingSchedulePeriod"] == [
        {"startPeriod": 0, "limit": 20}
    ]
    assert cleared == {"status": "Accepted"}
    assert again > 45_000


async def test_a_limit_of_nothing_suspends(central_system):
    nothing = {**LIMIT, "chargingSchedule": {**LIMIT["chargingSchedule"]}}
    nothing["chargingSchedule"]["chargingSchedulePeriod"] = [{"startPeriod": 0, "limit": 0}]
    async with bench(central_system) as charge_point:
        charging(charge_point)
        await status(central_system, "Charging")
        await central_system.call(
            "SetChargingProfile", {"connectorId": 1, "csChargingProfiles": nothing}
        )
        await status(central_system, "SuspendedEVSE")
        await central_system.call("ClearChargingProfile", {})
        await status(central_system, "Charging")


async def test_profiles_that_do_not_suit_are_rejected(central_system):
    async def install(connector_id, **changes):
        profile = {**LIMIT, **changes}
        answer = await central_system.call(
            "SetChargingProfile", {"connectorId": connector_id, "csChargingProfiles": profile}
        )
        return answer["status"]

    async with bench(central_system):
        assert await install(9) == "Rejected"
        assert await install(1, stackLevel=11) == "Rejected"
        assert await install(1, chargingProfilePurpose="TxProfile") == "Rejected"
        assert await install(1, chargingProfilePurpose="ChargePointMaxProfile") == "Rejected"
        assert await install(0, chargingProfilePurpose="ChargePointMaxProfile") == "Accepted"


# --- maintenance ------------------------------------------------------------------------------


async def told(central_system, action, times):
    return [it["status"] for it in await central_system.until_processed(action, times)]


async def test_firmware_is_updated_step_by_step(central_system):
    async with bench(central_system):
        await central_system.call(*_update("fw-9.9.bin"))
        steps = await told(central_system, "FirmwareStatusNotification", 4)

    assert steps == ["Downloading", "Downloaded", "Installing", "Installed"]
    first, second = central_system.payloads("BootNotification")
    assert second["firmwareVersion"] == "fw-9.9" != first["firmwareVersion"]


def _update(name):
    location = f"https://files.invalid/{name}"
    return "UpdateFirmware", {"location": location, "retrieveDate": "2020-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("failure", "steps"),
    [
        ("DownloadFailed", ["Downloading", "DownloadFailed"]),
        ("InstallationFailed", ["Downloading", "Downloaded", "Installing", "InstallationFailed"]),
    ],
)
async def test_firmware_may_fail(central_system, failure, steps):
    async with bench(central_system) as charge_point:
        charge_point.station.outcomes["FirmwareStatus"] = failure
        await central_system.call(*_update("fw.bin"))
        assert await told(central_system, "FirmwareStatusNotification", len(steps)) == steps

    assert len(central_system.payloads("BootNotification")) == 1


async def test_signed_firmware_is_verified_and_reported(central_system):
    signer, _ = certificate("firmware signer")
    firmware = {**FIRMWARE, "signingCertificate": pem(signer)}
    async with bench(central_system):
        await central_system.call("SignedUpdateFirmware", {"requestId": 8, "firmware": firmware})
        await central_system.until_processed("SignedFirmwareStatusNotification", 6)
        notifications = central_system.payloads("SignedFirmwareStatusNotification")

    assert [it["status"] for it in notifications] == [
        "Downloading", "Downloaded", "SignatureVerified", "Installing", "InstallRebooting",
        "Installed",
    ]  # fmt: skip
    assert {it["requestId"] for it in notifications} == {8}
    assert central_system.payloads("SecurityEventNotification")[0]["type"] == "FirmwareUpdated"


async def test_a_bad_firmware_signature_ends_it(central_system):
    signer, _ = certificate("firmware signer")
    firmware = {**FIRMWARE, "signingCertificate": pem(signer)}
    async with bench(central_system) as charge_point:
        charge_point.station.outcomes["SignedFirmwareStatus"] = "InvalidSignature"
        await central_system.call("SignedUpdateFirmware", {"requestId": 8, "firmware": firmware})
        steps = await told(central_system, "SignedFirmwareStatusNotification", 3)
        (event,) = await central_system.until_processed("SecurityEventNotification")

    assert steps == ["Downloading", "Downloaded", "InvalidSignature"]
    assert event["type"] == "InvalidFirmwareSignature"


async def test_diagnostics_and_logs_are_uploaded(central_system):
    async with bench(central_system) as charge_point:
        named = await central_system.call("GetDiagnostics", {"location": "https://files.invalid/"})
        diagnostics = await told(central_system, "DiagnosticsStatusNotification", 2)
        charge_point.station.outcomes["LogStatus"] = "UploadFailure"
        await central_system.call("GetLog", {"logType": "SecurityLog", "requestId": 7, "log": LOG})
        logs = await told(central_system, "LogStatusNotification", 2)

    assert named["fileName"]
    assert diagnostics == ["Uploading", "Uploaded"]
    assert logs == ["Uploading", "UploadFailure"]
    assert central_system.payloads("LogStatusNotification")[0]["requestId"] == 7


@pytest.mark.parametrize(
    "key_pair",
    [None, rsa.generate_private_key(public_exponent=65537, key_size=2048)],
    ids=["elliptic", "rsa"],
)
@pytest.mark.parametrize("algorithm", ["SHA256", "SHA384", "SHA512"])
async def test_certificates_are_installed_listed_and_deleted(central_system, key_pair, algorithm):
    """The key hash is that of the bit string, which is what SubjectKeyIdentifier hashes too."""
    use = {"certificateType": "CentralSystemRootCertificate"}
    root, _ = certificate("root", key_pair=key_pair)
    async with bench(central_system):
        installed = await central_system.call(
            "InstallCertificate", {**use, "certificate": pem(root)}
        )
        listed = await central_system.call("GetInstalledCertificateIds", use)
        (named,) = listed["certificateHashData"]
        other = {**named, "serialNumber": "1"}
        missing = await central_system.call("DeleteCertificate", {"certificateHashData": other})
        wanted = _hash_data(root, algorithm)
        deleted = await central_system.call("DeleteCertificate", {"certificateHashData": wanted})
        nothing = await central_system.call("GetInstalledCertificateIds", use)

    assert (installed["status"], listed["status"]) == ("Accepted", "Accepted")
    assert named == _hash_data(root, "SHA256")
    assert (missing["status"], deleted["status"]) == ("NotFound", "Accepted")
    assert nothing == {"status": "NotFound"}


def _hash_data(root, algorithm):
    """Cut the bit string out of the encoded key by hand: it is its last part."""
    encoded = root.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    bits = encoded[24:] if isinstance(root.public_key(), rsa.RSAPublicKey) else encoded[26:]

    def digest(data):
        sum_ = hashes.Hash(getattr(hashes, algorithm)())
        sum_.update(data)
        return sum_.finalize().hex()

    return {
        "hashAlgorithm": algorithm,
        "issuerNameHash": digest(root.issuer.public_bytes()),
        "issuerKeyHash": digest(bits),
        "serialNumber": "abcdef12",
    }


async def test_a_certificate_is_asked_for_and_taken(central_system):
    authority = certificate("authority")
    async with bench(central_system, CpoName="UFPA") as charge_point:
        await central_system.call(
            "ExtendedTriggerMessage", {"requestedMessage": "SignChargePointCertificate"}
        )
        (asked,) = await central_system.until_processed("SignCertificate")
        request = x509.load_pem_x509_csr(asked["csr"].encode())
        names = {it.oid: it.value for it in request.subject}
        ours = certificate_for(request, authority)
        wrong = await central_system.call(
            "CertificateSigned", {"certificateChain": pem(authority[0])}
        )
        right = await central_system.call(
            "CertificateSigned", {"certificateChain": pem(ours, authority[0])}
        )
        held = charge_point.certificates.own_chain
        (event,) = await central_system.until_processed("SecurityEventNotification")

    assert request.is_signature_valid
    assert names == {NameOID.COMMON_NAME: "BENCH-1", NameOID.ORGANIZATION_NAME: "UFPA"}
    assert (wrong["status"], right["status"]) == ("Rejected", "Accepted")
    assert held[0] == ours
    assert event["type"] == "InvalidChargePointCertificate"


def certificate_for(request, authority):
    issuer, issuer_key = authority
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(request.subject)
        .issuer_name(issuer.subject)
        .public_key(request.public_key())
        .serial_number(77)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
    )
    return builder.sign(issuer_key, hashes.SHA256())


async def test_data_transfer_knows_its_vendor(central_system):
    async with bench(central_system):
        echo = {"vendorId": "ABB", "messageId": "Echo", "data": "hello"}
        known = await central_system.call("DataTransfer", echo)
        unknown = await central_system.call("DataTransfer", {**echo, "messageId": "Sing"})

    assert known == {"status": "Accepted", "data": "hello"}
    assert unknown == {"status": "UnknownMessageId"}


async def test_two_calls_at_once_are_both_answered(central_system):
    async with bench(central_system):
        answers = await asyncio.gather(
            central_system.call("GetLocalListVersion", {}), central_system.call("ClearCache", {})
        )

    assert answers == [{"listVersion": 0}, {"status": "Accepted"}]


async def test_clock_aligned_values_come_within_transactions_at_the_exact_instant(central_system):
    async with bench(central_system, ClockAlignedDataInterval=900) as charge_point:
        charging(charge_point)
        await central_system.until(lambda: len(aligned(central_system)) >= 3)
        readings = aligned(central_system)

    times = [datetime.fromisoformat(it["meterValue"][0]["timestamp"]) for it in readings]
    assert {(at.minute % 15, at.second, at.microsecond) for at in times} == {(0, 0, 0)}
    assert {later - sooner for sooner, later in itertools.pairwise(times)} == {
        timedelta(minutes=15)
    }


def aligned(central_system):
    """Return the clock-aligned readings of the running transaction."""
    return [
        it
        for it in central_system.payloads("MeterValues")
        if it["meterValue"][0]["sampledValue"][0]["context"] == "Sample.Clock"
        and it.get("transactionId") == 71
    ]
