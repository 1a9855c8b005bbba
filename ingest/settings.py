"""Settings of the central system, from ``ELETROPOSTO_*`` environment variables only."""

from typing import Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict


class BadSettings(ValueError):
    """The environment does not say what we need; the message names each variable and value."""


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="ELETROPOSTO_", extra="ignore", frozen=True)

    database_url: SecretStr = Field(min_length=1)
    ocpp_host: str = "127.0.0.1"
    ocpp_port: int = Field(9000, ge=0, le=65535)
    health_port: int = Field(9464, ge=0, le=65535)
    unknown_charge_points: Literal["refuse", "accept"] = "refuse"
    unknown_id_tags: Literal["invalid", "accept"] = "invalid"
    configure_on_boot: bool = True
    heartbeat_interval: int = Field(300, ge=1)
    ping_interval: float = Field(30.0, gt=0)
    largest_frame_bytes: int = Field(4 * 1024 * 1024, ge=65536)


def from_environment() -> Settings:
    """Return the settings.

    Raises:
        BadSettings: Naming every variable that is missing or does not fit.
    """
    try:
        return Settings()
    except ValidationError as exc:
        raise BadSettings("\n".join(_complaint(dict(error)) for error in exc.errors())) from None


def _complaint(error: dict[str, object]) -> str:
    location = error["loc"]
    assert isinstance(location, tuple)
    variable = f"ELETROPOSTO_{location[0]}".upper()
    if error["type"] == "missing" or variable == "ELETROPOSTO_DATABASE_URL":
        return f"{variable} is not set (`eletroposto db up` starts a database and prints its URL)"
    return f"{variable}={error['input']!r}: {error['msg']}"
