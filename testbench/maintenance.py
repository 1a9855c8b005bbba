"""Firmware, diagnostics, logs and certificates of the simulated charge point."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from testbench.certificates import read_chain
from testbench.clock import timestamp
from testbench.socket import Reply

if TYPE_CHECKING:
    from testbench.charge_point import ChargePoint

Payload = dict[str, Any]
Answer = Reply | Mapping[str, Any]

_STEP_S = 2.0  # between two status notifications, by the clock of the charge point


class Maintenance:
    """Nothing is fetched or uploaded in truth; the notifications come in the order of a real one.

    ``outcomes`` may name the failure to end in, such as ``{"FirmwareStatus": "DownloadFailed"}``;
    the other names are DiagnosticsStatus, LogStatus and SignedFirmwareStatus.
    """

    def __init__(self, charge_point: "ChargePoint") -> None:
        self._charge_point = charge_point
        self.outcomes: dict[str, str] = {}
        self._latest = {
            "FirmwareStatusNotification": "Idle",
            "DiagnosticsStatusNotification": "Idle",
            "LogStatusNotification": "Idle",
            "SignedFirmwareStatusNotification": "Idle",
        }
        self.answers: dict[str, Callable[[Payload], Answer]] = {
            "CertificateSigned": self._certificate_signed,
            "DeleteCertificate": self._delete_certificate,
            "GetDiagnostics": self._get_diagnostics,
            "GetInstalledCertificateIds": self._get_installed_certificate_ids,
            "GetLog": self._get_log,
            "InstallCertificate": self._install_certificate,
            "SignedUpdateFirmware": self._signed_update_firmware,
            "UpdateFirmware": self._update_firmware,
        }

    def triggered(self, message: str) -> Callable[[], object] | None:
        """Return what a TriggerMessage for ``message`` makes it do; None if it cannot."""
        if message == "SignChargePointCertificate":
            return self._then(self.ask_for_certificate)
        if message in self._latest:
            return self._then(lambda: self._tell(message, self._latest[message], {}))
        return None

    def _then(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> Callable[[], object]:
        return lambda: self._charge_point.later(work())

    async def _tell(self, action: str, status: str, extra: Payload) -> None:
        self._latest[action] = status
        await self._charge_point.ask(action, {"status": status, **extra})

    async def _tell_all(
        self, action: str, statuses: Sequence[str], extra: Payload, failure: str | None
    ) -> bool:
        """Tell one status after another; return False if it ended in ``failure`` instead."""
        for status in statuses:
            if failure is not None and _follows(failure, status):
                await self._tell(action, failure, extra)
                return False
            await self._tell(action, status, extra)
            await self._charge_point.clock.sleep(_STEP_S)
        return True

    async def security_event(self, kind: str, info: str = "") -> None:
        event = {"type": kind, "timestamp": timestamp(self._charge_point.clock.now())}
        await self._charge_point.ask(
            "SecurityEventNotification", event | ({"techInfo": info} if info else {})
        )

    # --- firmware -------------------------------------------------------------------------------

    def _update_firmware(self, payload: Payload) -> Answer:
        at, location = datetime.fromisoformat(payload["retrieveDate"]), payload["location"]
        return Reply({}, self._then(lambda: self._update(at, location)))

    async def _update(self, at: datetime, location: str) -> None:
        action = "FirmwareStatusNotification"
        await self._charge_point.clock.sleep_until(at)
        failure = self.outcomes.get("FirmwareStatus")
        steps = ("Downloading", "Downloaded", "Installing", "Installed")
        if not await self._tell_all(action, steps[:3], {}, failure):
            return
        if failure is None:
            await self._install(location)
        await self._tell(action, failure or steps[3], {})

    async def _install(self, location: str) -> None:
        """Boot with the version named by the file, as a charge point does after installing."""
        version = location.rsplit("/", 1)[-1].rsplit(".", 1)[0][:50]
        self._charge_point.firmware_version = version or None
        await self._charge_point.reboot("Reboot")
        await self._charge_point.link.online()

    def _signed_update_firmware(self, payload: Payload) -> Answer:
        firmware = payload["firmware"]
        if not read_chain(firmware["signingCertificate"]):
            event = "InvalidFirmwareSigningCertificate"
            return Reply(
                {"status": "InvalidCertificate"}, self._then(lambda: self.security_event(event))
            )
        request_id = payload["requestId"]
        return Reply({"status": "Accepted"}, self._then(lambda: self._signed(firmware, request_id)))

    async def _signed(self, firmware: Payload, request_id: int) -> None:
        action, extra = "SignedFirmwareStatusNotification", {"requestId": request_id}
        failure = self.outcomes.get("SignedFirmwareStatus")
        await self._charge_point.clock.sleep_until(
            datetime.fromisoformat(firmware["retrieveDateTime"])
        )
        steps = ("Downloading", "Downloaded", "SignatureVerified", "Installing", "InstallRebooting")
        if not await self._tell_all(action, steps, extra, failure):
            if failure == "InvalidSignature":
                await self.security_event("InvalidFirmwareSignature")
            return
        await self._install(firmware["location"])
        await self.security_event("FirmwareUpdated", firmware["location"][:255])
        await self._tell(action, failure or "Installed", extra)

    # --- diagnostics and logs -------------------------------------------------------------------

    def _get_diagnostics(self, _: Payload) -> Answer:
        action, failure = "DiagnosticsStatusNotification", self.outcomes.get("DiagnosticsStatus")
        name = f"diagnostics-{self._charge_point.charge_point_id}.zip"[:255]
        steps = ("Uploading", "Uploaded")
        return Reply(
            {"fileName": name}, self._then(lambda: self._tell_all(action, steps, {}, failure))
        )

    def _get_log(self, payload: Payload) -> Answer:
        action, failure = "LogStatusNotification", self.outcomes.get("LogStatus")
        extra = {"requestId": payload["requestId"]}
        name = f"{payload['logType']}-{self._charge_point.charge_point_id}.log"[:255]
        steps = ("Uploading", "Uploaded")
        return Reply(
            {"status": "Accepted", "filename": name},
            self._then(lambda: self._tell_all(action, steps, extra, failure)),
        )

    # --- certificates ---------------------------------------------------------------------------

    async def ask_for_certificate(self) -> None:
        charge_point = self._charge_point
        organisation = charge_point.configuration.text("CpoName")
        request = charge_point.certificates.signing_request(
            charge_point.charge_point_id, organisation
        )
        await charge_point.ask("SignCertificate", {"csr": request})

    def _certificate_signed(self, payload: Payload) -> Answer:
        if self._charge_point.certificates.accept_signed(payload["certificateChain"]):
            return {"status": "Accepted"}
        event = "InvalidChargePointCertificate"
        return Reply({"status": "Rejected"}, self._then(lambda: self.security_event(event)))

    def _install_certificate(self, payload: Payload) -> Answer:
        install = self._charge_point.certificates.install
        status = install(payload["certificateType"], payload["certificate"])
        if status == "Accepted":
            return {"status": status}
        event = "InvalidCentralSystemCertificate"
        return Reply({"status": status}, self._then(lambda: self.security_event(event)))

    def _get_installed_certificate_ids(self, payload: Payload) -> Answer:
        ids = self._charge_point.certificates.ids(payload["certificateType"])
        return {"status": "Accepted", "certificateHashData": ids} if ids else {"status": "NotFound"}

    def _delete_certificate(self, payload: Payload) -> Answer:
        return {"status": self._charge_point.certificates.delete(payload["certificateHashData"])}


# After which status a failure may come.
_BEFORE = {
    "DownloadFailed": "Downloaded",
    "InstallationFailed": "Installed",
    "InvalidSignature": "SignatureVerified",
    "UploadFailed": "Uploaded",
    "UploadFailure": "Uploaded",
}


def _follows(failure: str, status: str) -> bool:
    """Return whether ``failure`` comes in the place of ``status``."""
    return _BEFORE.get(failure) == status
