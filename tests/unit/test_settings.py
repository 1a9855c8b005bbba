import pytest

from ingest.settings import BadSettings, from_environment


@pytest.fixture(autouse=True)
def database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELETROPOSTO_DATABASE_URL", "postgresql:///nowhere")


@pytest.mark.parametrize(
    ("variable", "value", "complaint"),
    [
        ("TLS_CERTIFICATE", "a.pem", "ELETROPOSTO_TLS_CERTIFICATE is set, ELETROPOSTO_TLS_KEY is"),
        ("TLS_KEY", "a.key", "ELETROPOSTO_TLS_KEY is set, ELETROPOSTO_TLS_CERTIFICATE is not"),
        ("AUTHORITY_KEY", "a.key", "ELETROPOSTO_AUTHORITY_CERTIFICATE is not"),
        ("TLS_CLIENT_AUTHORITY", "a.pem", "ELETROPOSTO_TLS_CERTIFICATE is not"),
        ("OCPP_PORT", "many", "ELETROPOSTO_OCPP_PORT='many'"),
        ("OCPP_TLS_PORT", "70000", "ELETROPOSTO_OCPP_TLS_PORT='70000'"),
        ("METER_VALUE_INTERVAL", "0", "ELETROPOSTO_METER_VALUE_INTERVAL='0'"),
    ],
)
def test_what_does_not_fit_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, complaint: str
) -> None:
    monkeypatch.setenv(f"ELETROPOSTO_{variable}", value)
    with pytest.raises(BadSettings, match=complaint):
        from_environment()


def test_tls_is_off_unless_asked_for() -> None:
    assert from_environment().tls_files is None
