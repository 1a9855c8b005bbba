"""One vehicle at one connector, from plugging in to leaving."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from testbench import frames
from testbench.account import SessionAccount
from testbench.bus import Charge, Reading
from testbench.clock import next_aligned
from testbench.transaction_queue import Message, Transaction

if TYPE_CHECKING:
    from testbench.charge_point import ChargePoint, Connector

_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Visit:
    """What the driver means to do.

    Attributes:
        duration_s: Until the tag is presented again; None is until full.
        leave_s: From the end of the transaction to pulling the plug.
        idle_s: How long a full vehicle stays, where it stays until full.
        is_remote: The transaction was asked for by the central system.
    """

    charge: Charge
    id_tag: str
    duration_s: float | None = None
    leave_s: float = 60.0
    idle_s: float = 300.0
    is_remote: bool = False
    reservation_id: int | None = None


class Session:
    """Runs a visit by the clock of its charge point."""

    def __init__(self, charge_point: "ChargePoint", connector: "Connector", visit: Visit) -> None:
        self._charge_point = charge_point
        self._connector = connector
        self._visit = visit
        self._clock = charge_point.clock
        self._nudged = asyncio.Event()
        self._register_wh = connector.register_wh
        self._samples: list[str] = []
        self._reading: Reading | None = None
        self._reason: str | None = None
        self._is_limited_to_nothing = False
        self._ends_at = _NEVER
        self.started_at = self._advanced_at = self._sampled_at = self._clock.now()
        self.transaction: Transaction | None = None
        self.ended = asyncio.Event()

    @property
    def transaction_id(self) -> int | None:
        return None if self.transaction is None else self.transaction.transaction_id

    def stop(self, reason: str) -> None:
        """Ask for the end of the transaction; the first reason counts."""
        self._reason = self._reason or reason
        self._nudged.set()

    def nudge(self) -> None:
        """Look again: a limit or a configuration key has changed."""
        self._nudged.set()

    async def run(self) -> SessionAccount | None:
        """Return the account of the transaction, or None if there was none."""
        self._connector.session = self
        try:
            self._show("Preparing")
            if not await self._is_authorised():
                return None
            self._start()
            await self._charge()
            return await self._finish()
        finally:
            self._connector.session = None
            self.ended.set()
            self._charge_point.show_idle(self._connector)

    def _show(self, status: str) -> None:
        if self._connector.status != status:
            self._charge_point.show(self._connector.connector_id, status)

    async def _is_authorised(self) -> bool:
        asks = self._charge_point.configuration.switch("AuthorizeRemoteTxRequests")
        if self._visit.is_remote and not asks:
            return True
        return await self._charge_point.authorise(self._visit.id_tag) == "Accepted"

    def _start(self) -> None:
        now, visit, connector = self._clock.now(), self._visit, self._connector
        self.started_at = self._advanced_at = self._sampled_at = now
        if visit.duration_s is not None:
            self._ends_at = now + timedelta(seconds=visit.duration_s)
        meter_start_wh = round(self._register_wh)
        account = SessionAccount(
            self._charge_point.charge_point_id,
            connector.connector_id,
            visit.id_tag,
            now,
            meter_start_wh,
        )
        self._charge_point.account.open(account)
        self.transaction = Transaction(account)
        body = frames.start_transaction(
            connector.connector_id, visit.id_tag, meter_start_wh, now, visit.reservation_id
        )
        start = Message("StartTransaction", body, self.transaction, confirmed=self._confirmed)
        self._charge_point.queue.put(start)
        self._advance(now)
        self._keep_for_stop("Transaction.Begin")

    def _confirmed(self, _: dict[str, object]) -> None:
        assert self.transaction is not None
        self._charge_point.transaction_started(self)
        if self.transaction.id_tag_status == "Accepted":
            return
        if self._charge_point.configuration.switch("StopTransactionOnInvalidId"):
            self.stop("DeAuthorized")
        else:
            self._is_limited_to_nothing = True
            self.nudge()

    async def _charge(self) -> None:
        self._show("Charging")
        while self._reason is None:
            due, aligned = self._sampled_at + self._interval(), self._aligned()
            at = min(due, aligned, self._ends_at)
            if await self._clock.wait(self._nudged, at):
                self._nudged.clear()
                at = max(self._advanced_at, min(at, self._clock.now()))
            self._advance(at)
            self._show(self._charging_status())
            if at >= self._ends_at:
                self.stop("Local")
            elif at >= due:
                self._sampled_at = at
                self.put_meter_values("MeterValuesSampledData", "Sample.Periodic")
            if at == aligned:
                self.put_meter_values("MeterValuesAlignedData", "Sample.Clock")

    def _interval(self) -> timedelta:
        seconds = self._charge_point.configuration.number("MeterValueSampleInterval")
        return timedelta(seconds=seconds) if seconds else timedelta(days=3650)

    def _aligned(self) -> datetime:
        interval_s = self._charge_point.configuration.number("ClockAlignedDataInterval")
        return next_aligned(self._advanced_at, interval_s) if interval_s else _NEVER

    def _limit_w(self) -> float | None:
        if self._is_limited_to_nothing:
            return 0.0
        return self._charge_point.limit_w(self._connector, self._advanced_at)

    def _advance(self, at: datetime) -> None:
        seconds = (at - self._advanced_at).total_seconds()
        reading = self._visit.charge.advance(seconds, self._limit_w())
        self._reading, self._advanced_at = reading, at
        self._connector.register_wh = self._register_wh + reading.energy_wh
        assert self.transaction is not None
        self.transaction.session.saw_soc(reading.soc_percent)
        if self._visit.charge.is_full and self._ends_at == _NEVER:
            self._ends_at = at + timedelta(seconds=self._visit.idle_s)

    def _charging_status(self) -> str:
        if self._limit_w() == 0:
            return "SuspendedEVSE"
        return "SuspendedEV" if self._visit.charge.is_full else "Charging"

    def put_meter_values(self, key: str, context: str) -> None:
        """Queue one reading of the measurands of configuration ``key``."""
        element = self._element(key, context)
        if element is None or self.transaction is None:
            return
        body = frames.meter_values(self._connector.connector_id, [element])
        self.transaction.session.readings_sent += 1
        self._charge_point.queue.put(Message("MeterValues", body, self.transaction, readings=1))

    def _element(self, key: str, context: str) -> str | None:
        measurands = self._charge_point.configuration.measurands(key)
        if not measurands or self._reading is None:
            return None
        return frames.meter_value(
            self._advanced_at, self._reading, self._connector.register_wh, measurands, context
        )

    def _keep_for_stop(self, context: str) -> None:
        element = self._element("StopTxnSampledData", context)
        if element is not None:
            self._samples.append(element)

    async def _finish(self) -> SessionAccount:
        reason = self._reason or "Local"
        assert self.transaction is not None
        if reason == "Local":
            await self._charge_point.authorise(self._visit.id_tag)
        self._keep_for_stop("Transaction.End")
        account, meter_stop_wh = self.transaction.session, round(self._connector.register_wh)
        account.stop(self._advanced_at, meter_stop_wh, reason)
        id_tag = self._visit.id_tag if reason == "Local" else None
        body = frames.stop_transaction(
            meter_stop_wh, self._advanced_at, reason, id_tag, self._samples
        )
        self._charge_point.queue.put(Message("StopTransaction", body, self.transaction))
        self._charge_point.profiles.forget_transaction(self._connector.connector_id)
        self._show("Finishing")
        self.ended.set()
        await self._clock.sleep(self._visit.leave_s)
        return account
