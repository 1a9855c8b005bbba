"""What the registry knows of a charge point: the record that door, socket and registry share."""

import logging
from dataclasses import dataclass
from datetime import UTC, tzinfo

from ingest.timestamps import read_zone

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Registration:
    """A charge point of the registry.

    Attributes:
        status: pending, registered or refused; only who is registered may connect.
        time_zone: Of timestamps it sends without one.
        password_hash: One or more, apart by blanks; None: nobody asks for a password.
        new_password_hash: Of a password it was told and has not used yet.
        security_profile: The highest it ever came with (OCPP security whitepaper).
        password_digest: Of the password that was right last; it lets the same one in quickly.
    """

    charge_point_id: int
    identity: str
    status: str
    time_zone: str
    password_hash: str | None
    new_password_hash: str | None
    security_profile: int
    has_booted: bool
    password_digest: str | None = None

    @property
    def password_hashes(self) -> list[str]:
        """Of all passwords that count; none where nobody asks for one."""
        return [*(self.password_hash or "").split(), *(self.new_password_hash or "").split()]

    @property
    def zone(self) -> tzinfo:
        """The time zone; UTC where the name is of none."""
        zone = read_zone(self.time_zone)
        if zone is None:
            logger.warning("%s: no time zone %r, UTC is assumed", self.identity, self.time_zone)
            return UTC
        return zone
