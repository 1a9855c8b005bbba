"""Settings of the relay, from ``ELETROPOSTO_*`` environment variables only."""

import ssl
from datetime import timedelta
from typing import Literal

from pydantic import Field, SecretStr, field_validator

from ingest.settings import ProcessSettings


class RelaySettings(ProcessSettings):
    """An empty ``dojot_url`` means that there is nothing to relay to."""

    dojot_url: str = ""
    dojot_mqtt: str = "127.0.0.1:1883"
    dojot_mqtt_agent: Literal["vernemq", "mosca"] = "vernemq"
    dojot_mqtt_tls: bool = False
    dojot_mqtt_ca: str = ""  # PEM file of the authority; empty: those of the system
    dojot_user: str = "admin"
    dojot_password: SecretStr = SecretStr("")
    relay_health_host: str = "127.0.0.1"
    relay_health_port: int = Field(9465, ge=0, le=65535)
    dojot_connections: int = Field(0, ge=0)  # MQTT sessions; 0: one a device, as files allow
    dojot_rate: float = Field(1000, gt=0)  # backlog messages per second, fresh: 5 times it
    dojot_retention: timedelta = timedelta(days=7)  # older readings are not sent; 0: all
    dojot_frame_log: bool = False
    dojot_session_s: float = Field(1680, gt=0)  # DOJOT cuts a session at 1800: renewed before
    dojot_new_tenant_s: float = Field(5, ge=0)  # until DOJOT listens to a tenant's first device

    @field_validator("dojot_url")
    @classmethod
    def _without_slash(cls, url: str) -> str:
        return url.rstrip("/")

    @field_validator("dojot_mqtt")
    @classmethod
    def _has_a_port(cls, address: str) -> str:
        host, _, port = address.rpartition(":")
        if not host.strip("[]") or not port.isdecimal() or not 0 < int(port) < 65536:
            raise ValueError("host:port is needed, the port from 1 to 65535")
        try:
            host.encode("idna")
        except UnicodeError as error:
            raise ValueError(f"{host!r} is no host name: {error}") from None
        return address

    @field_validator("dojot_mqtt_ca")
    @classmethod
    def _is_readable(cls, path: str) -> str:
        try:
            ssl.create_default_context(cafile=path or None)
        except OSError as error:
            raise ValueError(f"{path}: {error}") from None
        return path

    @field_validator("dojot_retention", mode="before")
    @classmethod
    def _days(cls, value: object) -> object:
        """``7``, ``7d`` and ``7 days`` are days; the flows read the same."""
        if isinstance(value, timedelta):
            return value
        text = str(value).strip()
        try:
            days = timedelta(days=float(text.removesuffix("days").removesuffix("d")))
        except (ValueError, OverflowError):
            raise ValueError(f"{text!r} is not a number of days") from None
        if days < timedelta(0):
            raise ValueError(f"{text!r} must be 0 or more")
        return days

    def mqtt_tls(self) -> ssl.SSLContext | None:
        """Return how to check the broker's certificate; None: the connection is not encrypted."""
        if not self.dojot_mqtt_tls:
            return None
        return ssl.create_default_context(cafile=self.dojot_mqtt_ca or None)

    @property
    def mqtt_address(self) -> tuple[str, int]:
        host, _, port = self.dojot_mqtt.rpartition(":")
        return host.strip("[]"), int(port)
