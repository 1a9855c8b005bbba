"""What the charge point answers to CALLs of the central system, and what it does about them.

Core, local authorisation list, reservation, smart charging and remote trigger; firmware, logs and
certificates are in ``maintenance``.
"""

import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from testbench.clock import timestamp
from testbench.maintenance import Maintenance
from testbench.session import Visit
from testbench.socket import CallError, Reply

if TYPE_CHECKING:
    from testbench.charge_point import ChargePoint, Connector

logger = logging.getLogger(__name__)

Payload = dict[str, Any]
Answer = Reply | Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reservation:
    """A connector held for one tag, or for those of its parent; connector 0 is any of them."""

    reservation_id: int
    connector_id: int
    id_tag: str
    parent_id_tag: str | None
    expires_at: datetime


class Station:
    """Answers every CALL of the six profiles of OCPP 1.6 and of the security extension.

    ``outcomes`` makes it answer as a test wants: ``outcomes["ReserveNow"] = "Faulted"`` gives that
    status and no effect. ``unsupported`` holds actions answered with NotSupported.
    """

    def __init__(self, charge_point: "ChargePoint") -> None:
        self._charge_point = charge_point
        self._maintenance = Maintenance(charge_point)
        self.outcomes: dict[str, str] = self._maintenance.outcomes
        self.unsupported: set[str] = set()
        self._answers: dict[str, Callable[[Payload], Answer]] = {
            "CancelReservation": self._cancel_reservation,
            "ChangeAvailability": self._change_availability,
            "ChangeConfiguration": self._change_configuration,
            "ClearCache": self._clear_cache,
            "ClearChargingProfile": self._clear_charging_profile,
            "DataTransfer": self._data_transfer,
            "ExtendedTriggerMessage": self._trigger_message,
            "GetCompositeSchedule": self._get_composite_schedule,
            "GetConfiguration": self._get_configuration,
            "GetLocalListVersion": self._get_local_list_version,
            "RemoteStartTransaction": self._remote_start_transaction,
            "RemoteStopTransaction": self._remote_stop_transaction,
            "ReserveNow": self._reserve_now,
            "Reset": self._reset,
            "SendLocalList": self._send_local_list,
            "SetChargingProfile": self._set_charging_profile,
            "TriggerMessage": self._trigger_message,
            "UnlockConnector": self._unlock_connector,
            **self._maintenance.answers,
        }

    @property
    def actions(self) -> frozenset[str]:
        return frozenset(self._answers)

    def answer(self, action: str, payload: Payload) -> Answer:
        """Return the answer to a CALL.

        Raises:
            CallError: It cannot be answered with a CALLRESULT.
        """
        logger.debug("%s: asked for %s", self._charge_point.charge_point_id, action)
        if action not in self._answers:
            raise CallError("NotImplemented", f"{action} is not known here")
        if action in self.unsupported:
            raise CallError("NotSupported", f"{action} is not supported here")
        if action in self.outcomes:
            return {"status": self.outcomes[action]}
        try:
            return self._answers[action](payload)
        except KeyError as missing:
            raise CallError("OccurenceConstraintViolation", f"{missing} is missing") from missing
        except (ValueError, TypeError, AttributeError) as odd:
            raise CallError("TypeConstraintViolation", str(odd)) from odd

    def _then(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> Callable[[], object]:
        return lambda: self._charge_point.later(work())

    def _connector(self, connector_id: int) -> "Connector | None":
        return self._charge_point.connectors.get(connector_id)

    # --- transactions ---------------------------------------------------------------------------

    def _remote_start_transaction(self, payload: Payload) -> Answer:
        connector = self._free_connector(payload.get("connectorId"), payload["idTag"])
        if connector is None:
            return {"status": "Rejected"}
        profile = payload.get("chargingProfile")
        if profile is not None:
            self._charge_point.profiles.install(connector.connector_id, profile)
        visit = Visit(
            self._charge_point.vehicle(connector),
            payload["idTag"],
            is_remote=True,
            reservation_id=self._used_reservation(connector, payload["idTag"]),
        )
        work = self._charge_point.charge
        return Reply(
            {"status": "Accepted"}, self._then(lambda: work(connector.connector_id, visit))
        )

    def _free_connector(self, connector_id: int | None, id_tag: str) -> "Connector | None":
        held = {
            it.connector_id
            for it in self._charge_point.reservations.values()
            if it.id_tag.lower() != id_tag.lower()
        }
        for connector in self._charge_point.connectors.values():
            wanted = connector_id in (None, connector.connector_id)
            if wanted and connector.is_free and connector.connector_id not in held:
                return connector
        return None

    def _used_reservation(self, connector: "Connector", id_tag: str) -> int | None:
        """Return the reservation this start uses up, if there is one."""
        reservations = self._charge_point.reservations
        for held in list(reservations.values()):
            if held.connector_id not in (0, connector.connector_id):
                continue
            parent = self._charge_point.authorisation.parent(id_tag)
            if held.id_tag.lower() == id_tag.lower() or (parent and parent == held.parent_id_tag):
                del reservations[held.reservation_id]
                return held.reservation_id
        return None

    def _remote_stop_transaction(self, payload: Payload) -> Answer:
        session = self._charge_point.session_of(payload["transactionId"])
        if session is None:
            return {"status": "Rejected"}
        return Reply({"status": "Accepted"}, lambda: session.stop("Remote"))

    def _unlock_connector(self, payload: Payload) -> Answer:
        connector = self._connector(payload["connectorId"])
        if connector is None:
            return {"status": "NotSupported"}
        session = connector.session
        if session is None:
            return {"status": "Unlocked"}
        return Reply({"status": "Unlocked"}, lambda: session.stop("UnlockCommand"))

    # --- the charge point itself ----------------------------------------------------------------

    def _reset(self, payload: Payload) -> Answer:
        reason = {"Soft": "SoftReset", "Hard": "HardReset"}.get(payload["type"])
        if reason is None:
            return {"status": "Rejected"}
        work = self._charge_point.reboot
        return Reply({"status": "Accepted"}, self._then(lambda: work(reason)))

    def _change_availability(self, payload: Payload) -> Answer:
        connector_id, is_operative = payload["connectorId"], payload["type"] == "Operative"
        connectors = [
            connector
            for connector in self._charge_point.connectors.values()
            if connector_id in (0, connector.connector_id)
        ]
        if not connectors:
            return {"status": "Rejected"}
        for connector in connectors:
            connector.is_operative = is_operative
        idle = [connector for connector in connectors if connector.session is None]

        def show() -> None:
            if connector_id == 0:
                self._charge_point.is_operative = is_operative
                self._charge_point.show(0, "Available" if is_operative else "Unavailable")
            for connector in idle:
                self._charge_point.show_idle(connector)

        scheduled = len(idle) < len(connectors)
        return Reply({"status": "Scheduled" if scheduled else "Accepted"}, show)

    def _get_configuration(self, payload: Payload) -> Answer:
        known, unknown = self._charge_point.configuration.read(payload.get("key"))
        answer: Payload = {"configurationKey": known}
        return answer | ({"unknownKey": unknown} if unknown else {})

    def _change_configuration(self, payload: Payload) -> Answer:
        name, value = payload["key"], payload["value"]
        status = self._charge_point.configuration.change(name, value)
        if status != "Accepted":
            return {"status": status}
        if name == "AuthorizationKey":
            return Reply({"status": status}, self._then(lambda: self._new_password(value)))
        return Reply({"status": status}, self._charge_point.reconfigured)

    async def _new_password(self, value: str) -> None:
        """Come back with the new key, which is hexadecimal here and bytes on the wire."""
        self._charge_point.link.change_password(bytes.fromhex(value))
        await self._charge_point.link.drop()

    def _clear_cache(self, _: Payload) -> Answer:
        if not self._charge_point.configuration.switch("AuthorizationCacheEnabled"):
            return {"status": "Rejected"}
        self._charge_point.authorisation.clear_cache()
        return {"status": "Accepted"}

    def _data_transfer(self, payload: Payload) -> Answer:
        if payload["vendorId"] != self._charge_point.nameplate.vendor:
            return {"status": "UnknownVendorId"}
        if payload.get("messageId") != "Echo":
            return {"status": "UnknownMessageId"}
        return {"status": "Accepted", "data": payload.get("data", "")}

    # --- remote trigger -------------------------------------------------------------------------

    def _trigger_message(self, payload: Payload) -> Answer:
        connector_id = payload.get("connectorId")
        known = {0, *self._charge_point.connectors}
        if connector_id is not None and connector_id not in known:
            return {"status": "Rejected"}
        work = self._triggered(payload["requestedMessage"], connector_id)
        if work is None:
            return {"status": "NotImplemented"}
        return Reply({"status": "Accepted"}, work)

    def _triggered(self, message: str, connector_id: int | None) -> Callable[[], object] | None:
        charge_point = self._charge_point
        match message:
            case "BootNotification":
                return self._then(charge_point.boot_once)
            case "Heartbeat":
                return self._then(lambda: charge_point.ask("Heartbeat", {}))
            case "StatusNotification":
                return lambda: self._show_again(connector_id)
            case "MeterValues":
                key = "MeterValuesSampledData"
                return lambda: charge_point.put_meter_values(key, "Trigger", connector_id)
            case _:
                return self._maintenance.triggered(message)

    def _show_again(self, connector_id: int | None) -> None:
        charge_point = self._charge_point
        if connector_id in (None, 0):
            charge_point.show(0, "Available" if charge_point.is_operative else "Unavailable")
        for connector in charge_point.connectors.values():
            if connector_id in (None, connector.connector_id):
                charge_point.show(connector.connector_id, connector.status, connector.error_code)

    # --- local list and reservations ------------------------------------------------------------

    def _get_local_list_version(self, _: Payload) -> Answer:
        enabled = self._charge_point.configuration.switch("LocalAuthListEnabled")
        return {"listVersion": self._charge_point.authorisation.list_version if enabled else -1}

    def _send_local_list(self, payload: Payload) -> Answer:
        if not self._charge_point.configuration.switch("LocalAuthListEnabled"):
            return {"status": "NotSupported"}
        entries = payload.get("localAuthorizationList") or []
        if len(entries) > self._charge_point.configuration.number("SendLocalListMaxLength"):
            return {"status": "Failed"}
        update = self._charge_point.authorisation.update
        return {"status": update(payload["listVersion"], payload["updateType"], entries)}

    def _reserve_now(self, payload: Payload) -> Answer:
        status = self._reservation_status(payload)
        if status != "Accepted":
            return {"status": status}
        reservation_id = payload["reservationId"]
        expires_at = datetime.fromisoformat(payload["expiryDate"])
        self._charge_point.reservations[reservation_id] = Reservation(
            reservation_id,
            payload["connectorId"],
            payload["idTag"],
            payload.get("parentIdTag"),
            expires_at,
        )
        work = self._expire
        return Reply({"status": status}, self._then(lambda: work(reservation_id, expires_at)))

    def _reservation_status(self, payload: Payload) -> str:
        connector_id = payload["connectorId"]
        wanted = self._connector(connector_id)
        connectors = list(self._charge_point.connectors.values()) if connector_id == 0 else [wanted]
        present = [connector for connector in connectors if connector is not None]
        if not present:
            return "Rejected"
        if any(self._is_free_for(connector, payload["reservationId"]) for connector in present):
            return "Accepted"
        if all(connector.error_code != "NoError" for connector in present):
            return "Faulted"
        return "Occupied" if any(connector.is_operative for connector in present) else "Unavailable"

    def _is_free_for(self, connector: "Connector", reservation_id: int) -> bool:
        """Return whether it may be reserved; the same reservation may come again, changed."""
        taken = any(
            held.connector_id == connector.connector_id and held.reservation_id != reservation_id
            for held in self._charge_point.reservations.values()
        )
        return connector.is_free and not taken

    async def _expire(self, reservation_id: int, expires_at: datetime) -> None:
        self._show_reserved(reservation_id)
        await self._charge_point.clock.sleep_until(expires_at)
        held = self._charge_point.reservations.get(reservation_id)
        if held is not None and held.expires_at == expires_at:
            self._end_reservation(reservation_id)

    def _show_reserved(self, reservation_id: int) -> None:
        held = self._charge_point.reservations.get(reservation_id)
        connector = self._connector(held.connector_id) if held is not None else None
        if connector is not None:
            self._charge_point.show_idle(connector)

    def _end_reservation(self, reservation_id: int) -> None:
        held = self._charge_point.reservations.pop(reservation_id)
        connector = self._connector(held.connector_id)
        if connector is not None and connector.session is None:
            self._charge_point.show_idle(connector)

    def _cancel_reservation(self, payload: Payload) -> Answer:
        reservation_id = payload["reservationId"]
        if reservation_id not in self._charge_point.reservations:
            return {"status": "Rejected"}
        return Reply({"status": "Accepted"}, lambda: self._end_reservation(reservation_id))

    # --- smart charging -------------------------------------------------------------------------

    def _set_charging_profile(self, payload: Payload) -> Answer:
        connector_id, profile = payload["connectorId"], payload["csChargingProfiles"]
        if connector_id and self._connector(connector_id) is None:
            return {"status": "Rejected"}
        if not self._suits(connector_id, profile):
            return {"status": "Rejected"}
        self._charge_point.profiles.install(connector_id, profile)
        return Reply({"status": "Accepted"}, self._charge_point.reconfigured)

    def _suits(self, connector_id: int, profile: Payload) -> bool:
        highest = self._charge_point.configuration.number("ChargeProfileMaxStackLevel")
        if not 0 <= profile["stackLevel"] <= highest or not profile["chargingSchedule"]:
            return False
        match profile["chargingProfilePurpose"]:
            case "ChargePointMaxProfile":
                return connector_id == 0
            case "TxProfile":
                connector = self._connector(connector_id)
                session = connector.session if connector is not None else None
                meant = profile.get("transactionId")
                return session is not None and meant in (None, session.transaction_id)
            case _:
                return True

    def _clear_charging_profile(self, payload: Payload) -> Answer:
        found = self._charge_point.profiles.clear(payload)
        if not found:
            return {"status": "Unknown"}
        return Reply({"status": "Accepted"}, self._charge_point.reconfigured)

    def _get_composite_schedule(self, payload: Payload) -> Answer:
        connector = self._connector(payload["connectorId"] or 1)
        if connector is None:
            return {"status": "Rejected"}
        now, duration_s = self._charge_point.clock.now(), payload["duration"]
        now = now.replace(microsecond=0) + timedelta(seconds=1 if now.microsecond else 0)
        unit, place = payload.get("chargingRateUnit", "W"), self._charge_point.place(connector)
        rated_w = connector.outlet.rated_power_w
        periods = self._charge_point.profiles.schedule(place, now, duration_s, rated_w)
        divisor = 1.0 if unit == "W" else place.volts
        return {
            "status": "Accepted",
            "connectorId": payload["connectorId"],
            "scheduleStart": timestamp(now),
            "chargingSchedule": {
                "duration": duration_s,
                "startSchedule": timestamp(now),
                "chargingRateUnit": unit,
                "chargingSchedulePeriod": [
                    {"startPeriod": offset, "limit": round(limit / divisor, 1)}
                    for offset, limit in periods
                ],
            },
        }
