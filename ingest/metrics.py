"""What /metrics shows of the central system."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)

disable_created_metrics()

_BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0)


@dataclass(slots=True)
class Metrics:
    """Counts kept by name, so that the hot path does no label look-up."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    connected: Gauge = field(init=False)
    _frames: Counter = field(init=False)
    _unreadable: Counter = field(init=False)
    refused: Counter = field(init=False)
    _seconds: Histogram = field(init=False)
    _by_action: dict[str, Counter] = field(default_factory=dict)

    def __post_init__(self) -> None:
        registry = self.registry
        self.connected = Gauge(
            "eletroposto_connected_charge_points", "Open websockets", registry=registry
        )
        self._frames = Counter(
            "eletroposto_calls", "CALLs of charge points answered", ["action"], registry=registry
        )
        self._unreadable = Counter(
            "eletroposto_unreadable_frames", "Frames without a usable message", registry=registry
        )
        self.refused = Counter(
            "eletroposto_refused_handshakes", "By HTTP status", ["status"], registry=registry
        )
        self._seconds = Histogram(
            "eletroposto_confirmation_seconds",
            "From a CALL's arrival to its answer, the commit included",
            buckets=_BUCKETS,
            registry=registry,
        )

    def answered(self, action: str, received_at: datetime) -> None:
        """Count an answer and the time it took."""
        if (counter := self._by_action.get(action)) is None:
            # Names come from outside: only so many become time series of their own.
            name = action if len(self._by_action) < 64 and action.isascii() else "other"
            counter = self._by_action.setdefault(name[:40], self._frames.labels(name[:40]))
        counter.inc()
        self._seconds.observe((datetime.now(UTC) - received_at).total_seconds())

    def unreadable(self) -> None:
        self._unreadable.inc()
