"""Who may charge when nobody can be asked: the local list and the cache (OCPP 1.6 3.5)."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

Entry = Mapping[str, Any]


class Authorisation:
    """Local authorisation list and authorisation cache; idTags are compared without case."""

    def __init__(self) -> None:
        self.list_version = 0
        self._listed: dict[str, Mapping[str, Any]] = {}
        self._cached: dict[str, Mapping[str, Any]] = {}

    def remember(self, id_tag: str, info: Mapping[str, Any]) -> None:
        self._cached[id_tag.lower()] = info

    def clear_cache(self) -> None:
        self._cached.clear()

    def status(self, id_tag: str, now: datetime) -> str | None:
        """Return the known status, the list before the cache; None if the tag is unknown."""
        tag = id_tag.lower()
        info = self._listed.get(tag, self._cached.get(tag))
        if info is None:
            return None
        expiry = info.get("expiryDate")
        if expiry is not None and datetime.fromisoformat(expiry) <= now:
            return "Expired"
        return str(info["status"])

    def parent(self, id_tag: str) -> str | None:
        tag = id_tag.lower()
        info = self._listed.get(tag, self._cached.get(tag, {}))
        return info.get("parentIdTag")

    def update(self, version: int, kind: str, entries: Iterable[Entry]) -> str:
        """Return the status of a SendLocalList.conf, and apply what was accepted."""
        changes = {entry["idTag"].lower(): entry.get("idTagInfo") for entry in entries}
        if version <= 0 or (kind == "Full" and None in changes.values()):
            return "Failed"
        if kind == "Differential" and version <= self.list_version:
            return "VersionMismatch"
        kept = {} if kind == "Full" else self._listed
        merged = {**kept, **changes}
        self._listed = {tag: info for tag, info in merged.items() if info is not None}
        self.list_version = version
        return "Accepted"
