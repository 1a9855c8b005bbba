"""What charge points remember over a power cut: registers and the transaction they were in."""

import dataclasses
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import orjson

_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
_FIRST_REGISTER_WH = 31_400_000.0


@dataclass(slots=True)
class OpenTransaction:
    transaction_id: int
    connector_id: int
    id_tag: str


@dataclass(slots=True)
class Remembered:
    """One charge point's: ``until`` is the instant of its latest reading."""

    registers_wh: dict[str, float] = field(default_factory=dict)
    until: datetime = _LONG_AGO
    open: OpenTransaction | None = None


class Memory:
    """The memories of a network; a file holds them where ``path`` is given."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._by_id: dict[str, Remembered] = {}
        if path is not None and path.exists():
            for charge_point_id, kept in orjson.loads(path.read_bytes()).items():
                self._by_id[charge_point_id] = _remembered(kept)

    def of(self, charge_point_id: str) -> Remembered:
        return self._by_id.setdefault(charge_point_id, Remembered())

    def register_wh(self, charge_point_id: str, connector_id: int) -> float:
        return self.of(charge_point_id).registers_wh.get(str(connector_id), _FIRST_REGISTER_WH)

    def told_until(self, charge_point_id: str) -> datetime:
        return self.of(charge_point_id).until

    def keep(
        self, charge_point_id: str, connector_id: int, register_wh: float, at: datetime
    ) -> None:
        mine = self.of(charge_point_id)
        mine.registers_wh[str(connector_id)] = register_wh
        mine.until = max(mine.until, at)

    def save(self) -> None:
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        kept = {name: dataclasses.asdict(mine) for name, mine in self._by_id.items()}
        beside = self._path.with_suffix(".new")
        beside.write_bytes(orjson.dumps(kept))
        beside.replace(self._path)


def _remembered(kept: dict[str, object]) -> Remembered:
    registers, until, transaction = kept["registers_wh"], kept["until"], kept["open"]
    assert isinstance(registers, dict)
    assert isinstance(until, str)
    return Remembered(
        registers,
        datetime.fromisoformat(until),
        OpenTransaction(**transaction) if isinstance(transaction, dict) else None,
    )
