"""Who a handshake proves to be, and whether that is enough.

OCPP security whitepaper, edition 2. Profile 0: nobody asks. 1: Basic authentication. 2: the same
over TLS. 3: TLS with a certificate of the charge point's own. Once a charge point came with a
profile, a lower one is refused.
"""

import asyncio
import hmac
import http
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from ingest.allowance import Allowance
from ingest.credentials import Checked, check_password, quick_digest, read_basic
from ingest.registration import Registration
from ingest.turns import Turns

_URN = "urn:ocpp:"
_HASHES_AT_ONCE = 2  # they are slow on purpose; the rest of the machine has other things to do
_MOST_GUESSERS = 10_000
_GUESSES_OF_ALL = 10  # times as many as of one charge point: one address may hide many of them


class Refused(Exception):
    """A handshake we do not accept; carries the HTTP status and a sentence.

    ``of_address``: it says more of where it came from than of a charge point of ours, and this is
    what it says, however different the sentences are.
    """

    def __init__(
        self, status: http.HTTPStatus, sentence: str, *, of_address: str | None = None
    ) -> None:
        super().__init__(sentence)
        self.status = status
        self.of_address = of_address


@dataclass(frozen=True, slots=True)
class Proof:
    """What a handshake shows.

    Attributes:
        address: What counts as one: of IPv6 the network.
        certified: Names in the client certificate, which TLS has verified; empty: there is none.
    """

    address: str
    authorization: str | None
    is_encrypted: bool = False
    certified: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Admitted:
    """A charge point that may come in, and how it proved itself.

    Attributes:
        new_password_hash: Of the new password that it used for the first time.
        password_digest: To be kept: it lets the same password in quickly next time.
    """

    registration: Registration
    security_profile: int
    new_password_hash: str | None = None
    password_digest: str | None = None

    def stands_up_to(self, registration: Registration) -> bool:
        """Return whether the same proof would do by what the registry says now."""
        if self.security_profile < registration.security_profile:
            return False
        if registration.password_hash is None or self.security_profile == 3:
            return True
        proved = self.new_password_hash or self.registration.password_hash
        return proved in registration.password_hashes


@dataclass(slots=True)
class Admission:
    """Judges proofs; remembers which passwords were right, and where wrong ones come from.

    Attributes:
        wrong_per_minute: Passwords that one address may guess of one charge point; then this
            charge point has to wait there. Of all charge points it may guess ten times as many.
            What was right before is not a guess.
        pepper: The secret of digests that outlive this process; None: none are made.
    """

    wrong_per_minute: float = 60.0
    pepper: bytes | None = None
    _checked: Checked = field(default_factory=Checked)
    _hashing: Turns = field(default_factory=lambda: Turns(_HASHES_AT_ONCE))
    _guesses: OrderedDict[tuple[str, ...], Allowance] = field(default_factory=OrderedDict)

    async def admit(self, registration: Registration, proof: Proof) -> Admitted:
        """Return how the charge point comes in.

        Raises:
            Refused: With 401 where credentials would help, with 403 where they would not.
        """
        admitted = await self._identify(registration, proof)
        if admitted.security_profile >= registration.security_profile:
            return admitted
        wanted = registration.security_profile
        if wanted == 3 or (wanted == 2 and not proof.is_encrypted):
            sentence = f"security profile {wanted} is required"
            raise Refused(http.HTTPStatus.FORBIDDEN, sentence)
        raise Refused(http.HTTPStatus.UNAUTHORIZED, "credentials are missing")

    async def _identify(self, registration: Registration, proof: Proof) -> Admitted:
        if proof.certified:
            if registration.identity not in proof.certified:
                sentence = "the certificate is of another charge point"
                raise Refused(http.HTTPStatus.FORBIDDEN, sentence)
            return Admitted(registration, 3)
        profile = 2 if proof.is_encrypted else 1
        given = read_basic(proof.authorization)
        if given is not None and given[0] == registration.identity.encode():
            fitting = await self._fitting(registration, given[1], proof.address)
            if fitting is not None:
                is_new = fitting != registration.password_hash
                digest = self._new_digest(registration, fitting, given[1])
                return Admitted(registration, profile, fitting if is_new else None, digest)
        if registration.password_hash is None:
            return Admitted(registration, 0)
        complaint = _complaint(registration, given, proof.authorization)
        raise Refused(http.HTTPStatus.UNAUTHORIZED, complaint)

    async def _fitting(
        self, registration: Registration, password: bytes, address: str
    ) -> str | None:
        """Return the hash that the password fits; None: it is wrong."""
        hashes = registration.password_hashes
        for stored in hashes:
            if self._checked.knows(password, stored) or self._is_proved(
                registration, stored, password
            ):
                return stored
        guesses = [self._allowance_of(address), self._allowance_of(address, registration.identity)]
        _check_guesses(guesses, address)
        async with self._hashing.turn(address):
            _check_guesses(guesses, address)  # others guessed while this one waited
            for stored in hashes:
                if await asyncio.to_thread(check_password, password, stored):
                    self._checked.learn(password, stored)
                    return stored
            for allowance in guesses:
                allowance.spend(1, asyncio.get_running_loop().time())
        return None

    def _is_proved(self, registration: Registration, stored: str, password: bytes) -> bool:
        """Return whether the digest kept in the table says that the password fits."""
        if self.pepper is None or registration.password_digest is None:
            return False
        digest = quick_digest(self.pepper, registration.identity, stored, password)
        return hmac.compare_digest(digest, registration.password_digest)

    def _new_digest(self, registration: Registration, stored: str, password: bytes) -> str | None:
        if self.pepper is None:
            return None
        digest = quick_digest(self.pepper, registration.identity, stored, password)
        return None if digest == registration.password_digest else digest

    def _allowance_of(self, *guesser: str) -> Allowance:
        """Return what is left to an address, for one charge point or for all of them."""
        allowance = self._guesses.get(guesser)
        if allowance is None:
            share = 1 if len(guesser) > 1 else _GUESSES_OF_ALL
            per_s = self.wrong_per_minute * share / 60
            allowance = self._guesses[guesser] = Allowance(per_s, gathers_s=60.0)
            if len(self._guesses) > _MOST_GUESSERS:
                self._guesses.popitem(last=False)
        self._guesses.move_to_end(guesser)
        return allowance


def _check_guesses(guesses: list[Allowance], address: str) -> None:
    now = asyncio.get_running_loop().time()
    if any(allowance.spend(0, now) > 0 for allowance in guesses):
        sentence = f"too many wrong passwords from {address}"
        raise Refused(http.HTTPStatus.TOO_MANY_REQUESTS, sentence, of_address="guesses")


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


def _complaint(
    registration: Registration, given: tuple[bytes, bytes] | None, header: str | None
) -> str:
    if given is None:
        return "credentials cannot be read" if header else "credentials are missing"
    if given[0] != registration.identity.encode():
        return "the user is not the charge point"
    return "the password is wrong"
