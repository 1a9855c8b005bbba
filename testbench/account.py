"""What the simulator itself knows to have happened, to be held against the database."""

import dataclasses
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import orjson


@dataclass(slots=True)
class SessionAccount:
    """One charging session as the charge point saw it.

    Attributes:
        transaction_id: As given by the central system; None if it never confirmed the start.
        readings_sent: Readings (elements of meterValue) handed to the queue.
        readings_confirmed: Those of them the central system confirmed.
        stop_confirmed: The StopTransaction was confirmed, so the account is closed.
        discarded: Messages given up after TransactionMessageAttempts.
    """

    charge_point: str
    connector_id: int
    id_tag: str
    started_at: datetime
    meter_start_wh: int
    transaction_id: int | None = None
    stopped_at: datetime | None = None
    meter_stop_wh: int | None = None
    energy_wh: int | None = None
    soc_start_percent: int | None = None
    soc_end_percent: int | None = None
    reason: str | None = None
    readings_sent: int = 0
    readings_confirmed: int = 0
    stop_confirmed: bool = False
    discarded: int = 0

    def stop(self, at: datetime, meter_stop_wh: int, reason: str) -> None:
        self.stopped_at = at
        self.meter_stop_wh = meter_stop_wh
        self.energy_wh = meter_stop_wh - self.meter_start_wh
        self.reason = reason

    def saw_soc(self, soc_percent: int | None) -> None:
        if soc_percent is None:
            return
        if self.soc_start_percent is None:
            self.soc_start_percent = soc_percent
        self.soc_end_percent = soc_percent


class Account:
    """The sessions of a simulation; written as JSON lines, each when it is complete."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self.closed: list[SessionAccount] = []
        self._open: list[SessionAccount] = []
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()

    def open(self, session: SessionAccount) -> SessionAccount:
        self._open.append(session)
        return session

    def close(self, session: SessionAccount) -> None:
        """Write ``session`` down. A second time changes nothing."""
        if session not in self._open:
            return
        self._open.remove(session)
        self.closed.append(session)
        if self._path is not None:
            with self._path.open("ab") as lines:
                lines.write(orjson.dumps(dataclasses.asdict(session)) + b"\n")

    def close_all(self, charge_point: str) -> None:
        """Write down what is unfinished too, as when ``charge_point`` is switched off."""
        for session in list(self._open):
            if session.charge_point == charge_point:
                self.close(session)
