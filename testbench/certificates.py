"""The certificate store of the simulated charge point and the key of its own certificate."""

import hashlib
import itertools
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

_MOST_INSTALLED = 20


def read_chain(text: str) -> list[x509.Certificate]:
    """Return the certificates of a PEM text, the leaf first; empty if there are none in it."""
    try:
        return x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        return []


def _issuer_key(certificate: x509.Certificate, known: list[x509.Certificate]) -> bytes:
    """Return the bits of the key that signed ``certificate``; its own if the issuer is unknown."""
    issuers = [other for other in known if other.subject == certificate.issuer]
    key = (issuers[0] if issuers else certificate).public_key()
    encoding, form = serialization.Encoding, serialization.PublicFormat
    match key:
        case rsa.RSAPublicKey():
            return key.public_bytes(encoding.DER, form.PKCS1)
        case ec.EllipticCurvePublicKey():
            return key.public_bytes(encoding.X962, form.UncompressedPoint)
        case _:
            return key.public_bytes(encoding.Raw, form.Raw)


def hash_data(
    certificate: x509.Certificate, known: list[x509.Certificate], algorithm: str = "SHA256"
) -> dict[str, str]:
    """Return CertificateHashData: how the two sides name a certificate without sending it."""

    def digest(data: bytes) -> str:
        return hashlib.new(algorithm.lower(), data).hexdigest()

    return {
        "hashAlgorithm": algorithm,
        "issuerNameHash": digest(certificate.issuer.public_bytes()),
        "issuerKeyHash": digest(_issuer_key(certificate, known)),
        "serialNumber": f"{certificate.serial_number:x}",
    }


@dataclass(slots=True)
class CertificateStore:
    """Installed root certificates by use, and the charge point's own chain."""

    installed: list[tuple[str, x509.Certificate]] = field(default_factory=list)
    own_chain: list[x509.Certificate] = field(default_factory=list)
    _key: ec.EllipticCurvePrivateKey | None = None

    def signing_request(self, charge_point_id: str, organisation: str) -> str:
        """Return a CSR in PEM for a new key; the certificate comes by CertificateSigned."""
        self._key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.NameAttribute(NameOID.COMMON_NAME, charge_point_id)]
        if organisation:
            names.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation))
        request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names))
        signed = request.sign(self._key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM).decode()

    def accept_signed(self, chain_text: str) -> bool:
        """Take the chain if its leaf is for our key and each is signed by the next."""
        chain = read_chain(chain_text)
        if self._key is None or not chain or chain[0].public_key() != self._key.public_key():
            return False
        if not all(_is_signed_by(one, other) for one, other in itertools.pairwise(chain)):
            return False
        self.own_chain = chain
        return True

    def install(self, use: str, text: str) -> str:
        """Return the status of an InstallCertificate.conf."""
        certificates = read_chain(text)
        if not certificates or len(self.installed) >= _MOST_INSTALLED:
            return "Rejected"
        self.installed.append((use, certificates[0]))
        return "Accepted"

    def ids(self, use: str) -> list[dict[str, str]]:
        known = self._known()
        return [hash_data(one, known) for place, one in self.installed if place == use]

    def delete(self, wanted: dict[str, str]) -> str:
        """Return the status of a DeleteCertificate.conf."""
        known, algorithm = self._known(), wanted["hashAlgorithm"]
        named = {**wanted, "serialNumber": wanted["serialNumber"].lower().lstrip("0")}
        kept = [
            (use, one) for use, one in self.installed if hash_data(one, known, algorithm) != named
        ]
        found = len(kept) < len(self.installed)
        self.installed = kept
        return "Accepted" if found else "NotFound"

    def _known(self) -> list[x509.Certificate]:
        return [one for _, one in self.installed]


def _is_signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
