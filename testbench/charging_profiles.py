"""Smart charging: the profiles a charge point holds, and the limit that follows from them.

Source: OCPP 1.6 edition 2, 3.13 and 7.8-7.14. Pure: time comes in, watts come out.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

Profile = Mapping[str, Any]

_DAY_S = 86_400
_RECURRENCE_S = {"Daily": _DAY_S, "Weekly": 7 * _DAY_S}


@dataclass(frozen=True, slots=True)
class Place:
    """Where and in which transaction a limit is asked for."""

    connector_id: int
    volts: float  # one ampere is so many watts, all phases together
    transaction_id: int | None = None
    started_at: datetime | None = None


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


class ChargingProfiles:
    """The installed profiles by connector; 0 is the whole charge point."""

    def __init__(self) -> None:
        self._installed: list[tuple[int, Profile]] = []

    def install(self, connector_id: int, profile: Profile) -> None:
        """Install ``profile``; one with its id, or of its purpose and level there, gives way."""
        self._installed = [
            (place, other)
            for place, other in self._installed
            if other["chargingProfileId"] != profile["chargingProfileId"]
            and (place != connector_id or _rank(other) != _rank(profile))
        ]
        self._installed.append((connector_id, profile))

    def clear(self, wanted: Mapping[str, Any]) -> bool:
        """Remove what matches a ClearChargingProfile.req; return whether there was any."""
        kept = [pair for pair in self._installed if not _matches(pair, wanted)]
        found = len(kept) < len(self._installed)
        self._installed = kept
        return found

    def forget_transaction(self, connector_id: int) -> None:
        """Drop the TxProfiles of a connector: they end with their transaction."""
        self._installed = [
            (place, profile)
            for place, profile in self._installed
            if place != connector_id or profile["chargingProfilePurpose"] != "TxProfile"
        ]

    def limit_w(self, place: Place, at: datetime) -> float | None:
        """Return the strictest limit in force, or None if there is none."""
        highest = self._limit(0, ("ChargePointMaxProfile",), place, at)
        own = self._limit(place.connector_id, ("TxProfile",), place, at)
        if own is None:
            own = self._limit(place.connector_id, ("TxDefaultProfile",), place, at)
        if own is None:
            own = self._limit(0, ("TxDefaultProfile",), place, at)
        limits = [limit for limit in (highest, own) if limit is not None]
        return min(limits, default=None)

    def _limit(
        self, connector_id: int, purposes: Iterable[str], place: Place, at: datetime
    ) -> float | None:
        """Return the limit of the highest stack level that says something at ``at``."""
        candidates = [
            profile
            for installed_at, profile in self._installed
            if installed_at == connector_id and profile["chargingProfilePurpose"] in purposes
        ]
        for profile in sorted(candidates, key=lambda it: -it["stackLevel"]):
            limit = _limit_of(profile, place, at)
            if limit is not None:
                return limit
        return None

    def schedule(
        self, place: Place, at: datetime, duration_s: int, unlimited_w: float
    ) -> list[tuple[int, float]]:
        """Return the composite schedule: seconds after ``at``, and the limit in watts from then."""
        periods: list[tuple[int, float]] = []
        for offset in self._offsets(place, at, duration_s):
            limit = self.limit_w(place, at + timedelta(seconds=offset))
            limit = unlimited_w if limit is None else min(limit, unlimited_w)
            if not periods or periods[-1][1] != limit:
                periods.append((offset, limit))
        return periods

    def _offsets(self, place: Place, at: datetime, duration_s: int) -> list[int]:
        """Return every second of the window at which some profile may change its mind."""
        offsets = {0}
        for _, profile in self._installed:
            for change in _changes(profile, place, at, duration_s):
                offset = round((change - at).total_seconds())
                if 0 <= offset < duration_s:
                    offsets.add(offset)
        return sorted(offsets)


def _rank(profile: Profile) -> tuple[str, int]:
    return profile["chargingProfilePurpose"], profile["stackLevel"]


def _matches(pair: tuple[int, Profile], wanted: Mapping[str, Any]) -> bool:
    connector_id, profile = pair
    if "id" in wanted:
        return bool(profile["chargingProfileId"] == wanted["id"])
    criteria = {
        "connectorId": connector_id,
        "chargingProfilePurpose": profile["chargingProfilePurpose"],
        "stackLevel": profile["stackLevel"],
    }
    return all(wanted[name] == value for name, value in criteria.items() if name in wanted)


def _begin(profile: Profile, place: Place, at: datetime) -> datetime | None:
    """Return when the schedule that may be in force at ``at`` began."""
    start = _instant(profile["chargingSchedule"].get("startSchedule"))
    match profile["chargingProfileKind"]:
        case "Relative":
            return place.started_at
        case "Recurring" if start is not None:
            every = _RECURRENCE_S[profile.get("recurrencyKind", "Daily")]
            passed = (at - start).total_seconds() // every
            return start + timedelta(seconds=every * passed)
        case _:
            return start or place.started_at


def _limit_of(profile: Profile, place: Place, at: datetime) -> float | None:
    valid_from, valid_to = _instant(profile.get("validFrom")), _instant(profile.get("validTo"))
    if (valid_from and at < valid_from) or (valid_to and at >= valid_to):
        return None
    meant = profile.get("transactionId")
    if meant is not None and meant != place.transaction_id:
        return None
    begin = _begin(profile, place, at)
    schedule = profile["chargingSchedule"]
    if begin is None or at < begin:
        return None
    passed_s = (at - begin).total_seconds()
    if passed_s >= schedule.get("duration", float("inf")):
        return None
    periods = [it for it in schedule["chargingSchedulePeriod"] if it["startPeriod"] <= passed_s]
    if not periods:
        return None
    factor = 1.0 if schedule["chargingRateUnit"] == "W" else place.volts
    return float(periods[-1]["limit"]) * factor


def _changes(profile: Profile, place: Place, at: datetime, duration_s: int) -> Iterable[datetime]:
    for name in ("validFrom", "validTo"):
        instant = _instant(profile.get(name))
        if instant is not None:
            yield instant
    begin = _begin(profile, place, at)
    if begin is None:
        return
    schedule = profile["chargingSchedule"]
    offsets = [period["startPeriod"] for period in schedule["chargingSchedulePeriod"]]
    if "duration" in schedule:
        offsets.append(schedule["duration"])
    every_s = _RECURRENCE_S.get(profile.get("recurrencyKind", ""), 0)
    turns = duration_s // every_s + 2 if every_s else 1
    for turn in range(turns):
        for offset in offsets:
            yield begin + timedelta(seconds=turn * every_s + offset)
