import pytest

from ingest.settings import BadSettings, Settings, from_environment
from testbench.demo.settings import read_settings


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
        ("LOG_LEVEL", "loud", "ELETROPOSTO_LOG_LEVEL='LOUD'"),
        ("METER_VALUE_INTERVAL", "0", "ELETROPOSTO_METER_VALUE_INTERVAL='0'"),
    ],
)
def test_what_does_not_fit_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, complaint: str
) -> None:
    monkeypatch.setenv(f"ELETROPOSTO_{variable}", value)
    with pytest.raises(BadSettings, match=complaint):
        from_environment(Settings)


def test_tls_is_off_unless_asked_for() -> None:
    assert from_environment(Settings).tls_files is None


@pytest.mark.parametrize("name", sorted(Settings.model_fields.keys() - {"database_url"}))
def test_an_empty_variable_is_the_default(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    default = getattr(from_environment(Settings), name)
    monkeypatch.setenv(f"ELETROPOSTO_{name.upper()}", "")
    assert getattr(from_environment(Settings), name) == default


def test_a_log_level_may_be_written_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELETROPOSTO_LOG_LEVEL", "debug")
    assert from_environment(Settings).log_level == "DEBUG"


def test_an_empty_variable_of_the_demo_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELETROPOSTO_DEMO_OCPP_PORT", "")
    assert read_settings().ocpp_port == 9000
