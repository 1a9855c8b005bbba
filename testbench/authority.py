"""A certificate authority for tests and the demo: certificates in files, made when needed."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def new_key(curve: bool = True) -> Key:
    if curve:
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def key_pem(key: Key) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


class TestAuthority:
    """A root of its own.

    Args:
        curve: Whether its key is elliptic, or else RSA.
        lifetime: Of what it signs, itself included; one below zero has ended.
    """

    __test__ = False  # no test, whatever pytest thinks of the name

    def __init__(
        self,
        name: str = "Test authority",
        *,
        curve: bool = True,
        lifetime: timedelta = timedelta(days=30),
    ) -> None:
        self._lifetime = lifetime
        self.key = new_key(curve)
        self.certificate = self._issue(name, self.key, name, is_authority=True)

    @property
    def certificate_pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write certificate and key of the authority and return their files."""
        return self._write(folder, "authority", self.certificate, self.key)

    def server(self, folder: Path, *, curve: bool = True) -> tuple[Path, Path]:
        """Write a server's certificate for loopback and its key, and return their files."""
        key = new_key(curve)
        return self._write(folder, "server", self._issue("localhost", key), key)

    def client(self, folder: Path, name: str, *, curve: bool = True) -> tuple[Path, Path]:
        """Write a charge point's certificate and its key, and return their files."""
        key = new_key(curve)
        return self._write(folder, f"client-{name}", self._issue(name, key), key)

    def _issue(
        self, name: str, key: Key, issuer: str | None = None, *, is_authority: bool = False
    ) -> x509.Certificate:
        subject = _named(name)
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(_named(issuer) if issuer else self.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + self._lifetime)
            .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
        )
        if name == "localhost":
            names = [x509.DNSName(name), x509.IPAddress(ip_address("127.0.0.1"))]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def _write(
        self, folder: Path, name: str, certificate: x509.Certificate, key: Key
    ) -> tuple[Path, Path]:
        certificate_file, key_file = folder / f"{name}.pem", folder / f"{name}.key"
        certificate_file.write_bytes(certificate.public_bytes(Encoding.PEM))
        key_file.touch(mode=0o600)
        key_file.write_bytes(key_pem(key))
        return certificate_file, key_file


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
