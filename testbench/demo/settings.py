"""Settings of the demo, from ``ELETROPOSTO_DEMO_*`` variables, and what it needs to be free."""

import os
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from testbench.embedded import host

HOST = "127.0.0.1"
PREFIX = "ELETROPOSTO_DEMO_"
# What the user set for a real installation must not reach the demo, which has a database and a
# DOJOT of its own; these only say where files are and how much is logged.
_KEPT = {
    "ELETROPOSTO_CACHE",
    "ELETROPOSTO_DATA",
    "ELETROPOSTO_APT_MIRROR",
    "ELETROPOSTO_LOG_LEVEL",
}
_FOREIGN = ("ELETROPOSTO_", "PREFECT_", "STREAMLIT_")

Port = Annotated[int, Field(ge=1, le=65535)]


class CannotStart(RuntimeError):
    """The demo cannot begin; the message says what to change."""


class Settings(BaseSettings):
    """Attributes:
    days: Of sessions to replay before the live charging.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True
    )

    days: Annotated[int, Field(ge=1, le=365)] = 30
    dashboard_port: Port = 8501
    prefect_port: Port = 4200
    ocpp_port: Port = 9000
    health_port: Port = 9464
    relay_health_port: Port = 9465
    dojot_port: Port = 8000
    mqtt_port: Port = 1883

    @property
    def data(self) -> Path:
        """Not the folder of ``eletroposto db``: the demo leaves the user's database alone."""
        return host.demo_folder()

    @property
    def ports(self) -> dict[str, int]:
        """Ports to listen on, by the variable that changes each."""
        named = {name: value for name, value in self if name.endswith("_port")}
        return {f"{PREFIX}{name}".upper(): port for name, port in named.items()}


def read_settings(**chosen: object) -> Settings:
    """Return the settings; those ``chosen`` that are not None go before the environment.

    Raises:
        CannotStart: Naming each variable that does not fit.
    """
    try:
        return Settings(**{name: value for name, value in chosen.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as wrong:
        complaints = (
            f"{PREFIX}{error['loc'][0]}".upper() + f"={error['input']!r}: {error['msg']}"
            for error in wrong.errors()
        )
        raise CannotStart("; ".join(complaints)) from None


def check_ports(settings: Settings) -> None:
    """Raises CannotStart naming every port that is taken, or asked for twice."""
    ports = settings.ports
    complaints = []
    for variable, port in ports.items():
        if list(ports.values()).count(port) > 1:
            complaints.append(f"port {port} is wanted twice, set {variable} to another")
        elif not host.is_free(port):
            complaints.append(f"port {port} is taken, free it or set {variable} to another")
    if complaints:
        raise CannotStart("; ".join(complaints))


def environment(**variables: str) -> dict[str, str]:
    """Return the environment of a program of the demo."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT or not name.startswith(_FOREIGN)
    }
    return kept | {"PYTHONUNBUFFERED": "1"} | variables
