"""An authority whose certificate has ended refuses, and says why."""

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from ingest.certificate_authority import BadRequest, load_authority
from ingest.database import Pool
from ingest.signing import Signing
from testbench.authority import TestAuthority, new_key


def _csr() -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "CP-1")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name)
    return request.sign(new_key(), hashes.SHA256()).public_bytes(Encoding.PEM).decode()


@pytest.mark.parametrize("ends_in", [timedelta(minutes=-1), timedelta(days=1)])
async def test_an_authority_signs_until_it_ends(tmp_path: Path, ends_in: timedelta) -> None:
    has_ended = ends_in < timedelta(0)
    authority = load_authority(*TestAuthority(lifetime=ends_in).write(tmp_path))
    csr = _csr()

    assert Signing(Pool("postgresql:///x"), authority).accepts(csr) is not has_ended
    assert (authority.ended_at is not None) is has_ended
    if has_ended:
        with pytest.raises(BadRequest, match="ended at"):
            authority.sign(csr, "CP-1")
    else:
        assert "CERTIFICATE" in authority.sign(csr, "CP-1").chain
