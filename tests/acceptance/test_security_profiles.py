"""Security profiles 0 to 3 at the wire: keys, TLS, certificates, and no way down."""

import asyncio
import secrets
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID
from websockets.exceptions import InvalidHandshake, InvalidStatus

from ingest.credentials import hash_password
from testbench.authority import TestAuthority, key_pem, new_key
from testbench.embedded import EmbeddedPostgres, host
from testbench.link import Address
from testbench.socket import connected
from tests.acceptance.conftest import StartCentralSystem, serving
from tests.acceptance.network import BOOT, Network
from tests.acceptance.operator_desk import Desk, eletroposto, simulated
from tests.waiting import until

KEY = "a1b2c3d4e5f60718293a4b5c6d7e8f9001122334"
OTHER_KEY = "00112233445566778899aabbccddeeff00112233"


async def refusal(url: str, identity: str, **how: Any) -> int:
    """Return the HTTP status that a handshake is refused with."""
    with pytest.raises(InvalidStatus) as refused:
        async with connected(url, identity, **how):
            pass
    return int(refused.value.response.status_code)


async def comes_in(url: str, identity: str, **how: Any) -> None:
    async with connected(url, identity, **how) as charge_point:
        await charge_point.call("Heartbeat")


# ---------------------------------------------------------------- profile 1


@pytest.mark.parametrize("stored", [KEY, "plain password 17"])
async def test_a_password_is_asked_for(network: Network, stored: str) -> None:
    identity = network.add_charge_point(password_hash=hash_password(stored))
    wrong = "ff" * 20
    assert await refusal(network.url, identity) == 401
    assert await refusal(network.url, identity, password=wrong) == 401
    other = {"Authorization": "Basic " + "b3RoZXI6"}
    assert await refusal(network.url, identity, headers=other) == 401
    assert await refusal(network.url, identity, headers={"Authorization": "Bearer x"}) == 401
    assert await refusal(network.url, identity, headers={"Authorization": "Basic ?"}) == 401
    twice = {"authorization": "Basic b3RoZXI6"}
    assert await refusal(network.url, identity, password=stored, headers=twice) == 401
    await comes_in(network.url, identity, password=stored)
    if stored == KEY:
        await comes_in(network.url, identity, password=bytes.fromhex(stored))
        await comes_in(network.url, identity, password=stored.upper())
    assert network.row("charge_point", identity)["security_profile"] == 1


async def test_a_key_is_changed_by_command(network: Network) -> None:
    desk = Desk(network.database)
    identity = network.add_charge_point(password_hash=hash_password(KEY))
    address = Address(network.url, password=bytes.fromhex(KEY))
    url = network.database.info.dsn
    async with simulated(network.url, identity, address=address) as charge_point:
        change = f'{{"key":"AuthorizationKey","value":"{OTHER_KEY}"}}'
        said = await eletroposto(url, "send", identity, "ChangeConfiguration", change)
        assert (said.code, said.out) == (0, '{"status": "Accepted"}\n')
        columns = "SELECT password_hash, new_password_hash FROM charge_point WHERE identity = %s"
        await until(
            lambda: desk.row(columns, identity)["new_password_hash"] is None,
            "it did not come with the new key",
        )
        async with asyncio.timeout(10):
            await charge_point.link.online()
        assert charge_point.link.address.password == bytes.fromhex(OTHER_KEY)
    stored = desk.row(columns, identity)["password_hash"]
    assert stored.startswith("scrypt$") and OTHER_KEY not in stored
    assert await refusal(network.url, identity, password=KEY) == 401
    await comes_in(network.url, identity, password=OTHER_KEY)


async def test_the_old_key_counts_until_the_new_one_was_used(network: Network) -> None:
    desk = Desk(network.database)
    identity = network.add_charge_point(password_hash=hash_password(KEY))
    sent: list[Mapping[str, Any]] = []

    def answer(action: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        sent.append(payload)
        return {"status": "Accepted"}

    text = "16 bytes of text"
    async with connected(network.url, identity, password=KEY, on_call=answer):
        change = {"key": "AuthorizationKey", "value": text}
        await desk.send(identity, "ChangeConfiguration", change)
    assert sent[-1]["value"] == text.encode().hex(), "it is set in hex digits"
    await comes_in(network.url, identity, password=KEY)
    await comes_in(network.url, identity, password=text)
    assert await refusal(network.url, identity, password=KEY) == 401


async def test_a_rejected_key_changes_nothing(network: Network) -> None:
    desk = Desk(network.database)
    identity = network.add_charge_point(password_hash=hash_password(KEY))
    rejected = {"status": "Rejected"}
    async with connected(network.url, identity, password=KEY, on_call=lambda *_: rejected):
        change = {"key": "AuthorizationKey", "value": OTHER_KEY}
        await desk.send(identity, "ChangeConfiguration", change)
    assert await refusal(network.url, identity, password=OTHER_KEY) == 401
    await comes_in(network.url, identity, password=KEY)


async def test_a_key_whose_answer_was_lost_lets_the_charge_point_in(network: Network) -> None:
    """Three changes, none of them answered: it may hold any of the keys, and comes with it."""
    desk = Desk(network.database)
    identity = network.add_charge_point(password_hash=hash_password(KEY))
    keys = [f"{number:040x}" for number in (1, 2, 3)]
    for key in keys:
        async with connected(network.url, identity, password=KEY) as charge_point:
            change = {"key": "AuthorizationKey", "value": key}
            number = desk.queue(identity, "ChangeConfiguration", change)
            assert (await charge_point.receive())[3] == change
            await charge_point.cut()
        assert (await desk.finished(number))["status"] == "failed"
    await comes_in(network.url, identity, password=KEY)
    await comes_in(network.url, identity, password=keys[1])
    for key in (KEY, keys[0], keys[2]):
        assert await refusal(network.url, identity, password=key) == 401
    stored = str(desk.rows("SELECT * FROM charge_point WHERE identity = %s", identity))
    assert not any(key in stored for key in keys)


async def test_a_refused_key_leaves_one_in_doubt_as_it_was(network: Network) -> None:
    desk = Desk(network.database)
    identity = network.add_charge_point(password_hash=hash_password(KEY))
    async with connected(network.url, identity, password=KEY) as charge_point:
        doubtful = desk.queue(
            identity, "ChangeConfiguration", {"key": "AuthorizationKey", "value": OTHER_KEY}
        )
        await charge_point.receive()
        await charge_point.cut()
    await desk.finished(doubtful)
    rejected = {"status": "Rejected"}
    async with connected(network.url, identity, password=KEY, on_call=lambda *_: rejected):
        change = {"key": "authorizationkey ", "value": "aa" * 20}
        await desk.send(identity, "ChangeConfiguration", change)
    assert await refusal(network.url, identity, password="aa" * 20) == 401
    await comes_in(network.url, identity, password=OTHER_KEY)


async def test_a_first_key_leads_from_profile_0_to_1(network: Network) -> None:
    desk = Desk(network.database)
    accepted = {"status": "Accepted"}
    async with network.charge_point(on_call=lambda *_: accepted) as charge_point:
        identity = charge_point.charge_point_id
        assert network.row("charge_point", identity)["security_profile"] == 0
        change = {"key": "AuthorizationKey", "value": KEY}
        await desk.send(identity, "ChangeConfiguration", change)
    await comes_in(network.url, identity)
    await comes_in(network.url, identity, password=bytes.fromhex(KEY))
    assert network.row("charge_point", identity)["security_profile"] == 1
    assert await refusal(network.url, identity) == 401


# ---------------------------------------------------------------- TLS


@dataclass
class Fortress:
    """A central system with TLS, and the authority that everybody there trusts."""

    plain_url: str
    url: str
    authority: TestAuthority
    folder: Path
    database: psycopg.Connection[Any]

    def trust(self, name: str | None = None, by: TestAuthority | None = None) -> ssl.SSLContext:
        """Return a charge point's side of TLS, with a certificate of its own if it has a name."""
        context = ssl.create_default_context(cadata=self.authority.certificate_pem)
        if name is not None:
            context.load_cert_chain(*(by or self.authority).client(self.folder, name))
        return context

    def profile(self, identity: str) -> int:
        query = "SELECT security_profile FROM charge_point WHERE identity = %s"
        row = self.database.execute(query, [identity]).fetchone()
        assert row is not None
        return int(row[0])

    def add(self, password: str | None = None) -> str:
        """Register a charge point nobody used before and return its identity."""
        identity = f"P-{secrets.token_hex(4)}"
        hashed = hash_password(password) if password else None
        insert = "INSERT INTO charge_point (identity, password_hash) VALUES (%s, %s)"
        self.database.execute(insert, [identity, hashed])
        return identity


@pytest.fixture(scope="module", params=["elliptic curve", "RSA"])
def fortress(
    request: pytest.FixtureRequest,
    postgres_server: EmbeddedPostgres,
    migrated_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Fortress]:
    """One for each kind of key; every test brings its own charge points."""
    folder = tmp_path_factory.mktemp("fortress")
    curve = request.param == "elliptic curve"
    authority = TestAuthority(curve=curve)
    certificate, key = authority.server(folder, curve=curve)
    root, root_key = authority.write(folder)
    port = host.free_port()
    settings = {
        "unknown_charge_points": "refuse",
        "ocpp_tls_port": str(port),
        "tls_certificate": str(certificate),
        "tls_key": str(key),
        "tls_client_authority": str(root),
        "authority_certificate": str(root),
        "authority_key": str(root_key),
    }
    name = f"fortress_{'ec' if curve else 'rsa'}"
    database_url = postgres_server.create_database(name, template=migrated_template)
    url = f"wss://127.0.0.1:{port}/ocpp"
    with (
        serving(database_url, folder, **settings) as central_system,
        psycopg.connect(database_url, autocommit=True) as database,
    ):
        yield Fortress(central_system.url, url, authority, folder, database)


async def test_profiles_rise_and_never_fall(fortress: Fortress) -> None:
    identity = fortress.add(KEY)
    plain, tls = fortress.plain_url, fortress.url
    with_key: dict[str, Any] = {"password": KEY}
    over_tls = {**with_key, "ssl_context": fortress.trust()}
    certified = {"ssl_context": fortress.trust(identity)}

    await comes_in(plain, identity, **with_key)
    assert fortress.profile(identity) == 1
    await comes_in(tls, identity, **over_tls)
    assert fortress.profile(identity) == 2
    assert await refusal(plain, identity, **with_key) == 403
    assert await refusal(tls, identity, ssl_context=fortress.trust()) == 401
    await comes_in(tls, identity, **over_tls)
    await comes_in(tls, identity, **certified)
    assert fortress.profile(identity) == 3
    assert await refusal(tls, identity, **over_tls) == 403
    assert await refusal(plain, identity, **with_key) == 403
    await comes_in(tls, identity, **certified)


async def test_a_certificate_is_for_one_charge_point(fortress: Fortress) -> None:
    stranger = TestAuthority("Stranger")
    identity = fortress.add()
    others = fortress.trust("P-9")
    assert await refusal(fortress.url, identity, ssl_context=others) == 403
    with pytest.raises((ssl.SSLError, InvalidHandshake, OSError)):
        await comes_in(fortress.url, identity, ssl_context=fortress.trust(identity, by=stranger))
    await comes_in(fortress.url, identity, ssl_context=fortress.trust(identity))


async def test_old_protocols_and_ciphers_are_refused(fortress: Fortress) -> None:
    identity = fortress.add()
    rsa_exchange, old = fortress.trust(), fortress.trust()
    rsa_exchange.maximum_version = ssl.TLSVersion.TLSv1_2
    rsa_exchange.set_ciphers("AES128-SHA:AES256-SHA:AES128-GCM-SHA256:@SECLEVEL=0")
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    for context in (rsa_exchange, old):
        with pytest.raises((ssl.SSLError, OSError)):
            await comes_in(fortress.url, identity, ssl_context=context)
    plain_tls_1_2 = fortress.trust()
    plain_tls_1_2.maximum_version = ssl.TLSVersion.TLSv1_2
    await comes_in(fortress.url, identity, ssl_context=plain_tls_1_2)


@pytest.mark.parametrize("curve", [True, False])
@pytest.mark.parametrize("form", ["as it is", "carriage returns", "percent-encoded"])
async def test_a_signing_request_is_signed_and_used(
    fortress: Fortress, curve: bool, form: str
) -> None:
    desk = Desk(fortress.database)
    identity = fortress.add(KEY)
    key = new_key(curve)
    csr = _csr(key)
    if form == "carriage returns":
        csr = csr.replace("\n", "\r\n")
    elif form == "percent-encoded":
        csr = csr.replace("\n", "%0A")
    chains: list[str] = []

    def answer(action: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        assert action == "CertificateSigned"
        chains.append(payload["certificateChain"])
        return {"status": "Accepted"}

    async with connected(
        fortress.url, identity, password=KEY, ssl_context=fortress.trust(), on_call=answer
    ) as charge_point:
        for _ in range(2):  # its answer was lost
            said = await charge_point.call("SignCertificate", {"csr": csr}, message_id="sign")
            assert said == {"status": "Accepted"}
        await until(lambda: chains, "no certificate came")
        signing = "SELECT * FROM report.certificate_signing WHERE charge_point = %s"
        await until(
            lambda: desk.row(signing, identity)["answer"] == "Accepted", "no answer is stored"
        )
    assert len(chains) == 1
    leaf, root = x509.load_pem_x509_certificates(chains[0].encode())
    assert root == fortress.authority.certificate
    _verify(leaf, root)
    assert leaf.public_key() == key.public_key()
    (name,) = leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert name.value == identity, "in the name of who asked, whatever the request says"

    (fortress.folder / "own.pem").write_text(chains[0])
    (fortress.folder / "own.key").write_bytes(key_pem(key))
    context = fortress.trust()
    context.load_cert_chain(fortress.folder / "own.pem", fortress.folder / "own.key")
    await comes_in(fortress.url, identity, ssl_context=context)
    assert fortress.profile(identity) == 3


def _csr(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody else")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


def _verify(leaf: x509.Certificate, root: x509.Certificate) -> None:
    """Check the signature by hand: RSA in the padding of PKCS#1 v1.5, or ECDSA, with SHA256."""
    assert isinstance(leaf.signature_hash_algorithm, hashes.SHA256)
    match root.public_key():
        case rsa.RSAPublicKey() as key:
            key.verify(
                leaf.signature, leaf.tbs_certificate_bytes, padding.PKCS1v15(), hashes.SHA256()
            )
        case ec.EllipticCurvePublicKey() as key:
            key.verify(leaf.signature, leaf.tbs_certificate_bytes, ec.ECDSA(hashes.SHA256()))
        case _:
            raise InvalidSignature


async def test_requests_that_cannot_be_signed_are_rejected(fortress: Fortress) -> None:
    desk = Desk(fortress.database)
    identity = fortress.add()
    small = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    good = _csr(new_key())
    forged = good[:-60] + ("B" if good[-60] == "A" else "A") + good[-59:]
    async with connected(fortress.plain_url, identity) as charge_point:
        for csr in ("", "nonsense", _csr(small), forged):
            answer = await charge_point.call("SignCertificate", {"csr": csr})
            assert answer == {"status": "Rejected"}, csr
        assert await charge_point.call("SignCertificate", {}) == {"status": "Rejected"}
        signing = "SELECT status FROM report.certificate_signing WHERE charge_point = %s"
        await until(lambda: len(desk.rows(signing, identity)) == 5, "not written down")
    assert {row["status"] for row in desk.rows(signing, identity)} == {"refused"}


async def test_without_an_authority_requests_are_rejected(network: Network) -> None:
    async with network.charge_point() as charge_point:
        await charge_point.call("BootNotification", BOOT)
        answer = await charge_point.call("SignCertificate", {"csr": _csr(new_key())})
    assert answer == {"status": "Rejected"}


# ---------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"tls_certificate": "server.pem"}, "ELETROPOSTO_TLS_KEY is not"),
        ({"authority_certificate": "no.pem", "authority_key": "no.key"}, "no.pem"),
    ],
)
async def test_bad_settings_end_it_at_once(
    database_url: str, settings: dict[str, str], complaint: str
) -> None:
    named = {f"ELETROPOSTO_{name.upper()}": value for name, value in settings.items()}
    said = await eletroposto(database_url, "ingest", **named)
    assert said.code == 2
    assert complaint in said.err


async def test_a_defect_in_the_judgement_is_answered_and_leaves_a_trace(
    start_central_system: StartCentralSystem, database_url: str
) -> None:
    central_system = start_central_system()
    central_system.may_trace = True
    with psycopg.connect(database_url, autocommit=True) as database:
        database.execute(
            "INSERT INTO charge_point (identity, password_hash) VALUES ('CP-1', 'no hash at all')"
        )
    assert await refusal(central_system.url, "CP-1", password=KEY) == 500
    assert "was not judged: a defect" in central_system.log
    assert "Traceback" in central_system.log
    url = f"{central_system.health_url}/metrics"
    metrics = (await asyncio.to_thread(httpx.get, url, trust_env=False)).text
    assert 'eletroposto_refused_handshakes_total{status="500"} 1.0' in metrics
