"""The TLS side of the door: security profiles 2 and 3."""

import ssl
from dataclasses import dataclass
from pathlib import Path

# Forward secrecy and authenticated encryption only, as BSI TR-02102-2 and Mozilla's "intermediate"
# have it. TLS 1.3 brings its own.
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"


class BadCertificate(ValueError):
    """The files cannot be used; the message says which and why."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files. ``client_authorities`` issued the certificates of charge points (profile 3)."""

    certificate: Path
    key: Path
    client_authorities: tuple[Path, ...] = ()
    ciphers: str = CIPHERS


def server_context(files: TlsFiles) -> ssl.SSLContext:
    """Return the context of the listener.

    A charge point without a certificate may still come in with its password; one whose
    certificate does not verify is cut off by the handshake.

    Raises:
        BadCertificate: A file is missing, is no PEM, or the key does not fit.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.options |= ssl.OP_NO_COMPRESSION
    try:
        context.set_ciphers(files.ciphers)
        context.load_cert_chain(files.certificate, files.key, password=_no_passphrase)
        for authority in files.client_authorities:
            context.load_verify_locations(authority)
    except (OSError, ValueError) as exc:  # ssl.SSLError is an OSError
        raise BadCertificate(f"{files.certificate}, {files.key}: {exc}") from exc
    if files.client_authorities:
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def _no_passphrase() -> str:
    raise ValueError("the key has a passphrase, which nobody could enter")
