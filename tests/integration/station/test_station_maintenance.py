"""Firmware, logs and certificates of a simulated charge point."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from tests.station_bench import FIRMWARE, LOG, bench, certificate, pem


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
