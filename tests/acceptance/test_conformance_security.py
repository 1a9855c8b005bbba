"""What certification checks of a central system: keys, certificates and security profiles."""

import asyncio
import ssl
from dataclasses import dataclass

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from websockets.exceptions import InvalidHandshake, InvalidStatus

from ingest.credentials import hash_password
from testbench.authority import TestAuthority, key_pem, new_key
from testbench.certificates import hash_data
from testbench.embedded import host
from tests.acceptance.conftest import serving
from tests.acceptance.network import BOOT, Answers, Network, answered, boot
from tests.waiting import until

case = pytest.mark.conformance

KEY = "0123456789abcdef0123"


async def refusal(network, identity, **how):
    """Return the status of a handshake that must be refused."""
    with pytest.raises(InvalidStatus) as refused:
        async with network.charge_point(identity, **how):
            pass
    return refused.value.response.status_code


async def comes_in(network, identity, **how):
    async with network.charge_point(identity, **how) as charge_point:
        answer = await charge_point.call("BootNotification", BOOT)
    return answer["status"] == "Accepted"


async def comes_back(network, identity, **how):
    """Try as a charge point does; replicas hear of a change within moments."""
    for _ in range(50):
        try:
            return await comes_in(network, identity, **how)
        except InvalidStatus:
            await asyncio.sleep(0.1)
    return False


async def change_key(network, identity, value, **how):
    """Set the AuthorizationKey as an operator does; return what the charge point was asked."""
    answers = Answers()
    async with network.charge_point(identity, on_call=answers, **how) as charge_point:
        await boot(charge_point)
        change = {"key": "AuthorizationKey", "value": value}
        row = await network.command(charge_point, "ChangeConfiguration", change)
    assert answered(row, status="Accepted")
    return answers.asked[0][1]


@case("085", "profile 1: refused without and with a wrong password, accepted with the right one")
async def test_a_password_is_asked_for(network):
    identity = network.add_charge_point(password_hash=hash_password(KEY))

    assert await refusal(network, identity) == 401
    assert await refusal(network, identity, password="wrong") == 401
    assert await comes_in(network, identity, password=KEY)
    assert network.row("charge_point", identity)["security_profile"] == 1
    assert await refusal(network, identity) == 401


@case("073", "new AuthorizationKey: hex on the wire, a hash at rest, used from the next connection")
async def test_the_key_is_changed(network):
    identity = network.new_identity()
    await change_key(network, identity, KEY)
    assert await comes_back(network, identity, password=KEY)
    asked = await change_key(network, identity, "another-key-of-20-by", password=KEY)

    assert asked["value"] == b"another-key-of-20-by".hex()
    assert await comes_back(network, identity, password=b"another-key-of-20-by")
    assert await comes_in(network, identity, password=b"another-key-of-20-by".hex())
    assert await refusal(network, identity, password=KEY) == 401
    stored = network.ask("SELECT to_jsonb(cp)::text FROM charge_point AS cp") + network.ask(
        "SELECT to_jsonb(cmd)::text FROM command AS cmd"
    )
    raw = network.ask("SELECT raw FROM ocpp_message")
    for (text,) in stored + raw:
        assert "another-key" not in text and asked["value"] not in text


# ---------------------------------------------------------------- certificates in the charge point


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(
            "ManufacturerRootCertificate",
            marks=case("075_1", "manufacturer root installed, listed"),
        ),
        pytest.param(
            "CentralSystemRootCertificate", marks=case("075_2", "central root installed, listed")
        ),
    ],
)
async def test_a_root_is_installed_and_listed(network, kind):
    root = TestAuthority("Root")
    listed = [hash_data(root.certificate, [root.certificate])]
    answers = Answers(
        {"GetInstalledCertificateIds": {"status": "Accepted", "certificateHashData": listed}}
    )
    async with network.charge_point(on_call=answers) as charge_point:
        await boot(charge_point)
        payload = {"certificateType": kind, "certificate": root.certificate_pem}
        row = await network.command(charge_point, "InstallCertificate", payload)
        ids = await network.command(
            charge_point, "GetInstalledCertificateIds", {"certificateType": kind}
        )

    assert answered(row, status="Accepted")
    assert answers.asked[0] == ("InstallCertificate", payload)
    assert ids["response"]["certificateHashData"] == listed
    installed = network.row("installed_certificate", charge_point)
    assert installed["certificate_type"] == kind
    assert installed["issuer_key_hash"] == listed[0]["issuerKeyHash"]
    assert installed["reported_at"] is not None


@case("076", "a certificate is deleted by its hash data, in each of the hash algorithms")
@pytest.mark.parametrize("algorithm", ["SHA256", "SHA384", "SHA512"])
async def test_a_certificate_is_deleted(network, algorithm):
    root, kind = TestAuthority("Root"), "CentralSystemRootCertificate"
    named = hash_data(root.certificate, [root.certificate], algorithm)
    answers = Answers(
        {"GetInstalledCertificateIds": {"status": "Accepted", "certificateHashData": [named]}}
    )
    async with network.charge_point(on_call=answers) as charge_point:
        await boot(charge_point)
        payload = {"certificateType": kind, "certificate": root.certificate_pem}
        await network.command(charge_point, "InstallCertificate", payload)
        await network.command(charge_point, "GetInstalledCertificateIds", {"certificateType": kind})
        row = await network.command(
            charge_point, "DeleteCertificate", {"certificateHashData": named}
        )

    assert answered(row, status="Accepted")
    assert answers.asked[-1] == ("DeleteCertificate", {"certificateHashData": named})
    assert network.row("installed_certificate", charge_point)["deleted_at"] is not None


# ---------------------------------------------------------------- profiles 2 and 3


@dataclass
class Secured:
    """A central system with TLS, and the authority that charge points and it trust.

    Attributes:
        plain: Charge points without TLS.
        secure: Charge points over TLS.
    """

    authority: TestAuthority
    plain: Network
    secure: Network

    def trust(self, *own_certificate):
        """Return a charge point's TLS context, with its own certificate and key if given."""
        context = ssl.create_default_context(cadata=self.authority.certificate_pem)
        if own_certificate:
            context.load_cert_chain(*own_certificate)
        return context


@pytest.fixture(scope="module")
def secured(module_database_url, tmp_path_factory):
    folder, authority = tmp_path_factory.mktemp("secured"), TestAuthority()
    certificate, key = authority.server(folder)
    authority_certificate, authority_key = authority.write(folder)
    tls_port = host.free_port()
    settings = {
        "ocpp_tls_port": str(tls_port),
        "tls_certificate": str(certificate),
        "tls_key": str(key),
        "authority_certificate": str(authority_certificate),
        "authority_key": str(authority_key),
    }
    url = module_database_url
    with (
        serving(url, folder, **settings) as central_system,
        psycopg.connect(url, autocommit=True) as database,
    ):
        yield Secured(
            authority,
            Network(central_system.url, url, database),
            Network(f"wss://127.0.0.1:{tls_port}/ocpp", url, database),
        )


@case("086", "profile 2: the server certificate verifies; a wrong authority does not")
async def test_the_server_shows_its_certificate(secured):
    identity = secured.secure.new_identity()
    await change_key(secured.secure, identity, KEY, ssl_context=secured.trust())

    assert await comes_back(secured.secure, identity, password=KEY, ssl_context=secured.trust())
    assert secured.secure.row("charge_point", identity)["security_profile"] == 2
    assert await refusal(secured.plain, identity, password=KEY) == 403
    stranger = ssl.create_default_context(cadata=TestAuthority("Other").certificate_pem)
    with pytest.raises(ssl.SSLCertVerificationError):
        await comes_in(secured.secure, identity, password=KEY, ssl_context=stranger)


@case("087", "profile 3: the client certificate names the charge point; another's is refused")
async def test_the_charge_point_shows_its_certificate(secured, tmp_path):
    identity = secured.secure.new_identity()
    mine = secured.trust(*secured.authority.client(tmp_path, identity))
    of_another = secured.trust(*secured.authority.client(tmp_path, "ANOTHER"))

    assert await comes_in(secured.secure, identity, ssl_context=mine)
    assert secured.secure.row("charge_point", identity)["security_profile"] == 3
    assert await refusal(secured.secure, identity, ssl_context=of_another) == 403
    self_signed = secured.trust(*TestAuthority("Forger").client(tmp_path, f"{identity}-forged"))
    with pytest.raises((OSError, InvalidHandshake)):
        await comes_in(secured.secure, identity, ssl_context=self_signed)


@case("083", "from profile 2 to 3: asked, reset, back with a certificate; profile 2 is refused")
async def test_the_profile_rises_and_does_not_fall(secured, tmp_path):
    network, identity = secured.secure, secured.secure.new_identity()
    await change_key(network, identity, KEY, ssl_context=secured.trust())
    assert await comes_back(network, identity, password=KEY, ssl_context=secured.trust())
    answers = Answers()
    async with network.charge_point(
        identity, on_call=answers, password=KEY, ssl_context=secured.trust()
    ) as charge_point:
        await boot(charge_point)
        change = {"key": "SecurityProfile", "value": "3"}
        row = await network.command(charge_point, "ChangeConfiguration", change)
        await network.command(charge_point, "Reset", {"type": "Hard"})
    mine = secured.trust(*secured.authority.client(tmp_path, identity))

    assert answered(row, status="Accepted")
    assert answers.asked == [("ChangeConfiguration", change), ("Reset", {"type": "Hard"})]
    assert await comes_in(network, identity, ssl_context=mine)
    await until(lambda: network.row("charge_point", identity)["security_profile"] == 3, "profile 3")
    assert await refusal(network, identity, password=KEY, ssl_context=secured.trust()) == 403


@case("074", "a certificate is asked for and signed: the chain verifies, RSA and ECDSA")
@pytest.mark.parametrize("curve", [True, False], ids=["ECDSA", "RSA"])
async def test_a_certificate_is_signed(secured, curve, tmp_path):
    network, key, answers = secured.secure, new_key(curve), Answers()
    async with network.charge_point(on_call=answers, ssl_context=secured.trust()) as charge_point:
        await boot(charge_point)
        request = (
            x509.CertificateSigningRequestBuilder()
            .subject_name(x509.Name([]))
            .sign(key, hashes.SHA256())
        )
        csr = request.public_bytes(Encoding.PEM).decode()
        answer = await charge_point.call("SignCertificate", {"csr": csr})
        await until(lambda: answers.asked, "CertificateSigned comes")
        await until(
            lambda: network.row("certificate_signing", charge_point)["answer"] == "Accepted",
            "the delivery is recorded",
        )

    assert answer == {"status": "Accepted"}
    ((action, signed),) = answers.asked
    assert action == "CertificateSigned"
    leaf, *above = x509.load_pem_x509_certificates(signed["certificateChain"].encode())
    assert leaf.public_key() == key.public_key()
    leaf.verify_directly_issued_by(above[0])
    assert above[-1] == secured.authority.certificate

    chain_file, key_file = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain_file.write_text(signed["certificateChain"])
    key_file.write_bytes(key_pem(key))
    mine = secured.trust(chain_file, key_file)
    assert await comes_in(network, charge_point.charge_point_id, ssl_context=mine)
    assert network.row("charge_point", charge_point)["security_profile"] == 3


@case("074", "a signing request nobody can sign is Rejected, not an error")
async def test_without_an_authority_a_request_is_rejected(network):
    async with network.charge_point() as charge_point:
        for csr in ("no request", "", None, 17):
            answer = await charge_point.call("SignCertificate", {"csr": csr})
            assert answer == {"status": "Rejected"}
