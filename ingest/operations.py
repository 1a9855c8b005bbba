"""What the central system does of its own accord or on request, beside answering."""

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass, field

from ingest.charge_point import ChargePoint
from ingest.commands import Commands
from ingest.configuring import Configuring
from ingest.frames import Call
from ingest.signing import Signing

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Operations:
    """Attends to charge points that connect, boot, or ask for a certificate.

    Attributes:
        configuring: None where charge points are not to be asked anything uncalled for.
    """

    commands: Commands
    signing: Signing
    configuring: Configuring | None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def attend(self, charge_point: ChargePoint) -> None:
        """Do what a charge point that connects is waited for."""
        self.commands.welcome(charge_point.charge_point_id)
        if self.configuring is not None and not self.configuring.knows(charge_point):
            self._begin(charge_point, self.configuring.learn_identity(charge_point))

    def follow_up(self, charge_point: ChargePoint, call: Call) -> None:
        """Begin what a CALL leads to; its answer has left."""
        if call.action == "BootNotification" and self.configuring is not None:
            self._begin(charge_point, self.configuring.after_boot(charge_point))
        elif call.action == "SignCertificate":
            csr = call.payload.get("csr")
            work = self.signing.after_request(charge_point, csr if isinstance(csr, str) else "")
            self._begin(charge_point, work)

    async def stop(self) -> None:
        """End what is not a command; wait until commands are written down."""
        for task in self._tasks:
            task.cancel()
        await self.commands.stop()

    def _begin(self, charge_point: ChargePoint, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(_watched(charge_point.identity, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _watched(identity: str, work: Coroutine[None, None, None]) -> None:
    try:
        await work
    except Exception:
        logger.exception("%s: a task beside the answers failed", identity)
