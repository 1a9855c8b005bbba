"""The configuration keys of the simulated charge point (OCPP 1.6 chapter 9, security extension)."""

from collections.abc import Iterable
from dataclasses import dataclass

from ocpp.v16.enums import Measurand  # type: ignore[import-untyped, unused-ignore]

from testbench.frames import MEASURANDS

_MAX_KEYS = 80
_MEASURANDS = frozenset(measurand.value for measurand in Measurand)


@dataclass(slots=True)
class Key:
    """One configuration key.

    Attributes:
        kind: ``int``, ``bool``, ``measurands``, ``hex`` or ``text``.
        hidden: May be written, never read.
    """

    value: str
    kind: str = "text"
    readonly: bool = False
    hidden: bool = False
    needs_reboot: bool = False

    def takes(self, value: str) -> bool:
        match self.kind:
            case "int":
                return value.isascii() and value.isdigit()
            case "bool":
                return value.lower() in ("true", "false")
            case "measurands":
                return all(name in _MEASURANDS for name in _listed(value))
            case "hex":
                return 32 <= len(value) <= 40 and _is_hex(value)
            case _:
                return len(value) <= 500


def _listed(value: str) -> list[str]:
    return [name.strip() for name in value.split(",") if name.strip()]


def _is_hex(value: str) -> bool:
    try:
        bytes.fromhex(value)
    except ValueError:
        return False
    return True


_NUMBERS = {
    "BlinkRepeat": 3,
    "ClockAlignedDataInterval": 0,
    "ConnectionTimeOut": 120,
    "HeartbeatInterval": 300,
    "LightIntensity": 80,
    "MaxEnergyOnInvalidId": 0,
    "MeterValueSampleInterval": 10,
    "MinimumStatusDuration": 0,
    "ResetRetries": 3,
    "TransactionMessageAttempts": 10,
    "TransactionMessageRetryInterval": 10,
    "WebSocketPingInterval": 30,
}
_SWITCHES = {
    "AllowOfflineTxForUnknownId": True,
    "AuthorizationCacheEnabled": True,
    "AuthorizeRemoteTxRequests": True,
    "LocalAuthListEnabled": True,
    "LocalAuthorizeOffline": True,
    "LocalPreAuthorize": False,
    "StopTransactionOnEVSideDisconnect": True,
    "StopTransactionOnInvalidId": True,
    "UnlockConnectorOnEVSideDisconnect": True,
}
_FIXED = {
    "AdditionalRootCertificateCheck": "false",
    "CertificateStoreMaxLength": "20",
    "ChargeProfileMaxStackLevel": "10",
    "ChargingScheduleAllowedChargingRateUnit": "Current,Power",
    "ChargingScheduleMaxPeriods": "24",
    "ConnectorPhaseRotationMaxLength": "1",
    "GetConfigurationMaxKeys": str(_MAX_KEYS),
    "LocalAuthListMaxLength": "1000",
    "MaxChargingProfilesInstalled": "40",
    "MeterValuesAlignedDataMaxLength": "8",
    "MeterValuesSampledDataMaxLength": "8",
    "ReserveConnectorZeroSupported": "true",
    "SendLocalListMaxLength": "200",
    "StopTxnAlignedDataMaxLength": "8",
    "StopTxnSampledDataMaxLength": "8",
    "SupportedFeatureProfiles": (
        "Core,FirmwareManagement,LocalAuthListManagement,Reservation,SmartCharging,RemoteTrigger"
    ),
    "SupportedFeatureProfilesMaxLength": "6",
    "SupportedFileTransferProtocols": "HTTP,HTTPS",
}
_MEASURAND_LISTS = {
    "MeterValuesAlignedData": ",".join(MEASURANDS[:2]),
    "MeterValuesSampledData": ",".join(MEASURANDS),
    "StopTxnAlignedData": "",
    "StopTxnSampledData": "",
}


def _table(connectors: int) -> dict[str, Key]:
    fixed = {**_FIXED, "NumberOfConnectors": str(connectors)}
    return {
        **{name: Key(str(value), "int") for name, value in _NUMBERS.items()},
        **{name: Key(str(value).lower(), "bool") for name, value in _SWITCHES.items()},
        **{name: Key(value, readonly=True) for name, value in fixed.items()},
        **{name: Key(value, "measurands") for name, value in _MEASURAND_LISTS.items()},
        "AuthorizationKey": Key("", "hex", hidden=True),
        "ConnectorPhaseRotation": Key("NotApplicable"),
        "CpoName": Key(""),
        "SecurityProfile": Key("0", "int", needs_reboot=True),
    }


class Configuration:
    """The key table. Names are compared as written, as the specification has them."""

    def __init__(self, connectors: int) -> None:
        self._keys = _table(connectors)

    def text(self, name: str) -> str:
        return self._keys[name].value

    def number(self, name: str) -> int:
        return int(self._keys[name].value)

    def switch(self, name: str) -> bool:
        return self._keys[name].value.lower() == "true"

    def measurands(self, name: str) -> list[str]:
        return _listed(self._keys[name].value)

    def set(self, name: str, value: str) -> None:
        """Set ``name`` from inside, whatever its rules."""
        self._keys[name].value = value

    def change(self, name: str, value: str) -> str:
        """Return the status of a ChangeConfiguration.conf, and apply what was accepted."""
        key = self._keys.get(name)
        if key is None:
            return "NotSupported"
        if key.readonly or not key.takes(value):
            return "Rejected"
        if key.kind == "measurands" and len(_listed(value)) > 8:
            return "Rejected"
        if name == "SecurityProfile" and int(value) < int(key.value):
            return "Rejected"
        key.value = value
        return "RebootRequired" if key.needs_reboot else "Accepted"

    def read(self, names: Iterable[str] | None) -> tuple[list[dict[str, object]], list[str]]:
        """Return what GetConfiguration.conf tells: the known keys and the unknown names."""
        wanted = sorted(self._keys) if not names else list(names)
        known = [_shown(name, self._keys[name]) for name in wanted if name in self._keys]
        return known[:_MAX_KEYS], [name for name in wanted if name not in self._keys]


def _shown(name: str, key: Key) -> dict[str, object]:
    shown: dict[str, object] = {"key": name, "readonly": key.readonly}
    return shown if key.hidden else shown | {"value": key.value}
