"""A simulated charge point on the bench, before a scripted central system."""

from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from testbench.bus import Bus, BusCharge, Outlet
from testbench.charge_point import ChargePoint
from testbench.clock import Clock, timestamp
from testbench.link import Address, Backoff
from testbench.session import Visit

FACTOR = 600.0
LATER = timestamp(datetime.now(UTC) + timedelta(days=1))
LIMIT: dict[str, Any] = {
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
