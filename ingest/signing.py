"""Signing requests of charge points: answered, signed, and sent back as CertificateSigned."""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool

import sql
from ingest.certificate_authority import BadRequest, CertificateAuthority, SignedCertificate
from ingest.charge_point import ChargePoint
from ingest.database import DATABASE_AWAY

logger = logging.getLogger(__name__)

_QUERIES = sql.load("ingest")
_ASKED_BY = "signing request"


@dataclass(slots=True)
class Signing:
    """Signs with the local authority; without one every request is refused."""

    pool: AsyncConnectionPool
    authority: CertificateAuthority | None

    def accepts(self, csr: str) -> bool:
        """Return whether a SignCertificate with this request is answered Accepted."""
        try:
            self._able().read(csr)
        except BadRequest:
            return False
        return True

    async def after_request(self, charge_point: ChargePoint, csr: str) -> None:
        """Sign what was accepted and queue the chain; write down what was refused."""
        signed, reason = None, None
        try:
            signed = self._able().sign(csr, charge_point.identity)
        except BadRequest as exc:
            reason = str(exc)
            logger.warning("%s: no certificate signed: %s", charge_point.identity, reason)
        try:
            await self._record(charge_point, csr, signed, reason)
        except DATABASE_AWAY as exc:
            logger.warning("%s: no certificate sent: %s", charge_point.identity, str(exc).strip())

    def _able(self) -> CertificateAuthority:
        if self.authority is None:
            raise BadRequest("there is no authority to sign it")
        return self.authority

    async def _record(
        self,
        charge_point: ChargePoint,
        csr: str,
        signed: SignedCertificate | None,
        reason: str | None,
    ) -> None:
        parameters: dict[str, Any] = {
            "charge_point_id": charge_point.charge_point_id,
            "requested_at": datetime.now(UTC),
            "csr": csr,
            "status": "signed" if signed else "refused",
            "reason": reason,
            "serial_number": signed.serial_number if signed else None,
            "chain": signed.chain if signed else None,
            "expires_at": signed.expires_at if signed else None,
            "command_id": None,
        }
        async with self.pool.connection() as conn:
            if signed is not None:
                cursor = await conn.execute(
                    _QUERIES["queue_command"],
                    {
                        "charge_point_id": charge_point.charge_point_id,
                        "action": "CertificateSigned",
                        "payload": Jsonb({"certificateChain": signed.chain}),
                        "requested_by": _ASKED_BY,
                    },
                )
                (parameters["command_id"],) = await cursor.fetchone() or (None,)
            await conn.execute(_QUERIES["record_signing"], parameters)
