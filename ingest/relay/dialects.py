"""What a device is called over MQTT: DOJOT 0.7 has two agents that differ in it. Pure."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Device:
    """A device of DOJOT and the charge point behind it."""

    charge_point_id: int
    tenant: str
    device_id: str

    @property
    def user(self) -> str:
        return f"{self.tenant}:{self.device_id}"


@dataclass(frozen=True, slots=True)
class Names:
    """What a session says who it is, and its two topics."""

    user: str
    client_id: str
    attrs: str
    config: str


Dialect = Callable[[str, Device], Names]  # of a relay, by its name, and a device


def vernemq(relay: str, device: Device) -> Names:
    """The agent of a usual installation knows a device by its user name.

    Of two sessions with one client id the older ends, so it names the relay; DOJOT allows 100
    bytes.
    """
    name = f"{relay}-{device.device_id}-{device.tenant}"
    client_id = name.encode()[:100].decode(errors="ignore")
    return Names(device.user, client_id, f"{device.user}/attrs", f"{device.user}/config")


def mosca(_: str, device: Device) -> Names:
    """The older agent, iotagent-mosca, knows a device by its client id."""
    root = f"/{device.tenant}/{device.device_id}"
    return Names(device.user, device.user, f"{root}/attrs", f"{root}/config")


DIALECTS: dict[str, Dialect] = {"vernemq": vernemq, "mosca": mosca}
