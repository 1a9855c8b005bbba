"""The local authority that signs certificates of charge points. Pure but for reading its files.

OCPP 1.6 security whitepaper, edition 2: a charge point sends a signing request (SignCertificate)
and gets a chain (CertificateSigned). RSA signs SHA256withRSA in the padding of PKCS#1 v1.5, which
every charge point can verify, not in PSS; elliptic curves sign with ECDSA.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote, unquote

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_BACKDATED = timedelta(minutes=5)  # clocks of charge points run late
_LIFETIME = timedelta(days=365)
_SHORTEST_RSA_KEY = 2048
_LONGEST_NAME = 64  # of a common name; the whole identity is in the alternative name


class BadAuthority(ValueError):
    """The files of the authority cannot be used; the message says which and why."""


class BadRequest(ValueError):
    """A signing request that is not signed, as a fragment of a sentence."""


@dataclass(frozen=True, slots=True)
class SignedCertificate:
    """A certificate as it goes to the charge point: ``chain`` is PEM, the leaf first."""

    chain: str
    serial_number: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class CertificateAuthority:
    """Signs with ``key``; ``certificates`` are its own one and those above it, a root last."""

    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
    certificates: tuple[x509.Certificate, ...]

    @property
    def ended_at(self) -> datetime | None:
        """When its own certificate ended: what it signs is worth nothing then."""
        end = self.certificates[0].not_valid_after_utc
        return end if end <= datetime.now(UTC) else None

    def read(self, csr: str) -> x509.CertificateSigningRequest:
        """Return a request that can be signed.

        Raises:
            BadRequest: It cannot be read, is not signed by its own key, the key is weak, or the
                authority has ended.
        """
        if self.ended_at is not None:
            raise BadRequest(f"the certificate of the authority ended at {self.ended_at}")
        return read_request(csr)

    def sign(self, csr: str, identity: str) -> SignedCertificate:
        """Return a client certificate for the key in ``csr``, in the name of ``identity``.

        Raises:
            BadRequest: As ``read``.
        """
        request = self.read(csr)
        now = datetime.now(UTC)
        own = self.certificates[0]
        expires_at = min(now + _LIFETIME, own.not_valid_after_utc)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(_subject(request, identity))
            .issuer_name(own.subject)
            .public_key(request.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(max(now - _BACKDATED, own.not_valid_before_utc))
            .not_valid_after(expires_at)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_KEY_USAGE, critical=True)
            .add_extension(_alternative_name(identity), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
                critical=False,
            )
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(request.public_key()), critical=False
            )
            .sign(self.key, hashes.SHA256())
        )
        chain = (certificate, *self.certificates)
        text = "".join(one.public_bytes(Encoding.PEM).decode() for one in chain)
        return SignedCertificate(text, f"{certificate.serial_number:x}", expires_at)


def load_authority(certificate_file: Path, key_file: Path) -> CertificateAuthority:
    """Read the authority's chain and its key, both PEM, the key without a passphrase.

    Raises:
        BadAuthority: A file is missing or no PEM, or the key is not the certificate's.
    """
    try:
        certificates = x509.load_pem_x509_certificates(certificate_file.read_bytes())
        key = load_pem_private_key(key_file.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as exc:
        raise BadAuthority(f"{certificate_file}, {key_file}: {exc}") from exc
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise BadAuthority(f"{key_file}: neither an RSA nor an elliptic curve key")
    if key.public_key() != certificates[0].public_key():
        raise BadAuthority(f"{key_file} is not the key of {certificate_file}")
    return CertificateAuthority(key, tuple(certificates))


def read_request(csr: str) -> x509.CertificateSigningRequest:
    """Return the signing request, also when its line ends are odd or percent-encoded.

    Raises:
        BadRequest: It cannot be read, is not signed by its own key, or the key is weak.
    """
    text = unquote(csr) if "%0" in csr else csr
    text = text.replace("\\r", "").replace("\\n", "\n").replace("\r", "").strip()
    try:
        request = x509.load_pem_x509_csr(f"{text}\n".encode())
        is_signed = request.is_signature_valid
        key = request.public_key()
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise BadRequest(f"it cannot be read: {exc}") from exc
    if not is_signed:
        raise BadRequest("it is not signed by its own key")
    match key:
        case ec.EllipticCurvePublicKey():
            return request
        case rsa.RSAPublicKey() if key.key_size >= _SHORTEST_RSA_KEY:
            return request
    raise BadRequest(f"its key is neither of an elliptic curve nor RSA of {_SHORTEST_RSA_KEY} bits")


def hash_data(certificate: x509.Certificate) -> dict[str, str | None]:
    """Return how a charge point names this certificate (CertificateHashData, SHA256).

    Of a certificate that others signed the key of its issuer is not known here: None.
    """
    is_root = certificate.issuer == certificate.subject
    return {
        "hash_algorithm": "SHA256",
        "issuer_name_hash": _digest(certificate.issuer.public_bytes()),
        "issuer_key_hash": _digest(_key_bits(certificate)) if is_root else None,
        "serial_number": f"{certificate.serial_number:x}",
    }


def _subject(request: x509.CertificateSigningRequest, identity: str) -> x509.Name:
    """Name the charge point as we know it: a request may claim to be another."""
    names = [x509.NameAttribute(NameOID.COMMON_NAME, identity[:_LONGEST_NAME])]
    for name in request.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[:1]:
        if isinstance(name.value, str) and name.value.strip():
            names.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, name.value))
    return x509.Name(names)


def _alternative_name(identity: str) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName(
        [x509.UniformResourceIdentifier(f"urn:ocpp:{quote(identity, safe='')}")]
    )


def _key_bits(certificate: x509.Certificate) -> bytes:
    """Return the bits of the public key, as RFC 6960 hashes them: without algorithm and length."""
    key = certificate.public_key()
    match key:
        case rsa.RSAPublicKey():
            return key.public_bytes(Encoding.DER, PublicFormat.PKCS1)
        case ec.EllipticCurvePublicKey():
            return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _digest(data: bytes) -> str:
    digest = hashes.Hash(hashes.SHA256())
    digest.update(data)
    return digest.finalize().hex()


_KEY_USAGE = x509.KeyUsage(
    digital_signature=True,
    key_encipherment=False,
    key_agreement=False,
    content_commitment=False,
    data_encipherment=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)
