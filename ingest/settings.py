"""Settings of the central system, from ``ELETROPOSTO_*`` environment variables only.

How they are read, and what is said of those that do not fit, is the same for the relay's.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from ingest.tls import CIPHERS, TlsFiles

_SHORTEST_SECRET = 32


class BadSettings(ValueError):
    """The environment does not say what we need; the message names each variable and value."""


def _in_capitals(value: object) -> object:
    return value.strip().upper() if isinstance(value, str) else value


LogLevel = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(_in_capitals)
]


class ProcessSettings(BaseSettings):
    """What every process of this room is told."""

    model_config = SettingsConfigDict(
        env_prefix="ELETROPOSTO_", env_ignore_empty=True, extra="ignore", frozen=True
    )

    database_url: SecretStr = Field(min_length=1)
    log_level: LogLevel = "INFO"


S = TypeVar("S", bound=ProcessSettings)


class Settings(ProcessSettings):
    ocpp_host: str = "127.0.0.1"
    ocpp_port: int = Field(9000, ge=0, le=65535)
    health_host: str = "127.0.0.1"
    health_port: int = Field(9464, ge=0, le=65535)
    unknown_charge_points: Literal["refuse", "accept"] = "refuse"
    unknown_id_tags: Literal["invalid", "accept"] = "invalid"
    configure_on_boot: bool = True
    heartbeat_interval: int = Field(300, ge=1)
    silent_intervals: float = Field(3.0, ge=0)
    ping_interval: float = Field(30.0, gt=0)
    largest_frame_bytes: int = Field(4 * 1024 * 1024, ge=65536)
    handshakes_at_once: int = Field(16_384, ge=1)
    handshakes_per_address: int = Field(12_288, ge=1)
    frames_per_second: float = Field(2000.0, gt=0)
    sockets_per_minute: float = Field(60.0, gt=0)
    wrong_passwords_per_minute: float = Field(60.0, gt=0)
    password_pepper_file: Path | None = None
    unread_seconds: float = Field(10.0, gt=0)
    meter_value_interval: int = Field(10, ge=1)
    clock_aligned_interval: int = Field(900, ge=0)
    ocpp_tls_port: int = Field(9001, ge=0, le=65535)
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tls_client_authority: Path | None = None
    tls_ciphers: str = CIPHERS
    authority_certificate: Path | None = None
    authority_key: Path | None = None

    @field_validator("password_pepper_file")
    @classmethod
    def _holds_a_secret(cls, path: Path | None) -> Path | None:
        if path is not None:
            _read_secret(path)
        return path

    @model_validator(mode="after")
    def _come_in_pairs(self) -> Self:
        for pair in (("tls_certificate", "tls_key"), ("authority_certificate", "authority_key")):
            for one, other in (pair, pair[::-1]):
                if getattr(self, one) and not getattr(self, other):
                    raise ValueError(f"{_variable(one)} is set, {_variable(other)} is not")
        if self.tls_client_authority and not self.tls_certificate:
            raise ValueError(
                f"{_variable('tls_client_authority')} is set, {_variable('tls_certificate')} is not"
            )
        return self

    @property
    def pepper(self) -> bytes | None:
        """The secret of quick password checks; None: there is none, and no such checks."""
        path = self.password_pepper_file
        return None if path is None else _read_secret(path)

    @property
    def tls_files(self) -> TlsFiles | None:
        """What the TLS listener needs; None: there is none."""
        if self.tls_certificate is None or self.tls_key is None:
            return None
        authorities = (self.tls_client_authority, self.authority_certificate)
        trusted = tuple(path for path in authorities if path is not None)
        return TlsFiles(self.tls_certificate, self.tls_key, trusted, self.tls_ciphers)


def from_environment(kind: type[S], **chosen: Any) -> S:
    """Return the settings of a process; those ``chosen`` go before the environment.

    Raises:
        BadSettings: Naming every variable that is missing or does not fit.
    """
    try:
        return kind(**chosen)
    except ValidationError as exc:
        raise BadSettings("\n".join(_complaint(dict(error)) for error in exc.errors())) from None


def _read_secret(path: Path) -> bytes:
    try:
        secret = path.read_bytes().strip()
    except OSError as exc:
        raise ValueError(str(exc)) from None
    if len(secret) < _SHORTEST_SECRET:
        raise ValueError(f"the secret in it has fewer than {_SHORTEST_SECRET} bytes")
    return secret


def _complaint(error: dict[str, object]) -> str:
    location = error["loc"]
    assert isinstance(location, tuple)
    message = str(error["msg"]).removeprefix("Value error, ")
    if not location:
        return message
    variable = _variable(str(location[0]))
    if error["type"] == "missing" or variable == "ELETROPOSTO_DATABASE_URL":
        return f"{variable} is not set (`eletroposto db up` starts a database and prints its URL)"
    return f"{variable}={error['input']!r}: {message}"


def _variable(name: str) -> str:
    return f"ELETROPOSTO_{name}".upper()
