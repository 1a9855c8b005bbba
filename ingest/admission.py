"""Who a handshake proves to be, and whether that is enough.

OCPP security whitepaper, edition 2. Profile 0: nobody asks. 1: Basic authentication. 2: the same
over TLS. 3: TLS with a certificate of the charge point's own. Once a charge point came with a
profile, a lower one is refused.
"""

import asyncio
import http
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from ingest.charge_point import Registration
from ingest.credentials import Checked, check_password, read_basic

_URN = "urn:ocpp:"


class Refused(Exception):
    """A handshake we do not accept; carries the HTTP status and a sentence."""

    def __init__(self, status: http.HTTPStatus, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True, slots=True)
class Proof:
    """What a handshake shows.

    Attributes:
        certified: Names in the client certificate, which TLS has verified; empty: there is none.
    """

    authorization: str | None
    is_encrypted: bool = False
    certified: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Admitted:
    """A charge point that may come in, and how it proved itself."""

    known: Registration
    security_profile: int
    uses_new_password: bool = False


@dataclass(slots=True)
class Admission:
    """Judges proofs; remembers which passwords were right."""

    _checked: Checked = field(default_factory=Checked)

    async def admit(self, known: Registration, proof: Proof) -> Admitted:
        """Return how ``known`` comes in.

        Raises:
            Refused: With 401 where credentials would help, with 403 where they would not.
        """
        admitted = await self._identify(known, proof)
        if admitted.security_profile >= known.security_profile:
            return admitted
        wanted = known.security_profile
        if wanted == 3 or (wanted == 2 and not proof.is_encrypted):
            sentence = f"security profile {wanted} is required"
            raise Refused(http.HTTPStatus.FORBIDDEN, sentence)
        raise Refused(http.HTTPStatus.UNAUTHORIZED, "credentials are missing")

    async def _identify(self, known: Registration, proof: Proof) -> Admitted:
        if proof.certified:
            if known.identity not in proof.certified:
                sentence = "the certificate is of another charge point"
                raise Refused(http.HTTPStatus.FORBIDDEN, sentence)
            return Admitted(known, 3)
        profile = 2 if proof.is_encrypted else 1
        given = read_basic(proof.authorization)
        if given is not None:
            user, password = given
            if user == known.identity.encode():
                if await self._is_right(password, known.password_hash):
                    return Admitted(known, profile)
                if await self._is_right(password, known.new_password_hash):
                    return Admitted(known, profile, uses_new_password=True)
        if known.password_hash is None:
            return Admitted(known, 0)
        raise Refused(http.HTTPStatus.UNAUTHORIZED, _complaint(known, given))

    async def _is_right(self, password: bytes, stored: str | None) -> bool:
        if stored is None:
            return False
        if self._checked.knows(password, stored):
            return True
        if not await asyncio.to_thread(check_password, password, stored):
            return False
        self._checked.learn(password, stored)
        return True


def certified_names(certificate: Mapping[str, Any] | None) -> frozenset[str]:
    """Return the names in a verified client certificate, as ``ssl`` tells them: CN, DNS, URN."""
    if not certificate:
        return frozenset()
    found = {
        value
        for part in certificate.get("subject", ())
        for name, value in part
        if name == "commonName"
    }
    for kind, value in certificate.get("subjectAltName", ()):
        if kind == "DNS":
            found.add(value)
        elif kind == "URI" and value.startswith(_URN):
            found.add(unquote(value.removeprefix(_URN)))
    return frozenset(found) or frozenset({""})


def _complaint(known: Registration, given: tuple[bytes, bytes] | None) -> str:
    if given is None:
        return "credentials are missing"
    if given[0] != known.identity.encode():
        return "the user is not the charge point"
    return "the password is wrong"
