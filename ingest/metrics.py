"""What /metrics shows of the central system."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from ingest.meanings import MEANINGS
from ingest.trouble import KINDS

_BUCKETS_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0)


@dataclass(slots=True, eq=False)
class Metrics(Collector):
    """Plain counts, turned into metrics when somebody asks: the hot path only adds.

    Attributes:
        gauges, counters: Name, help text and how to read it, of what others keep.
        trouble: How to read the kind of trouble with the database.
    """

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    gauges: dict[str, tuple[str, Callable[[], float]]] = field(default_factory=dict)
    counters: dict[str, tuple[str, Callable[[], float]]] = field(default_factory=dict)
    trouble: Callable[[], str] = lambda: ""
    unreadable: int = 0
    refused: Counter[int] = field(default_factory=Counter)
    commands: Counter[str] = field(default_factory=Counter)
    _answered: Counter[str] = field(default_factory=Counter)
    _seconds: float = 0.0
    _buckets: list[int] = field(default_factory=lambda: [0] * (len(_BUCKETS_S) + 1))

    def __post_init__(self) -> None:
        self.registry.register(self)

    def answered(self, action: str, received_at: datetime) -> None:
        """Count the answer to a CALL and the time it took, the commit included."""
        # Names come from outside: those that we know become time series.
        self._answered[action if action in MEANINGS else "other"] += 1
        seconds = (datetime.now(UTC) - received_at).total_seconds()
        self._seconds += seconds
        self._buckets[bisect_left(_BUCKETS_S, seconds)] += 1

    def collect(self) -> Iterable[Metric]:
        """Return everything as Prometheus wants it."""
        calls = CounterMetricFamily(
            "eletroposto_calls", "CALLs of charge points answered", labels=["action"]
        )
        for action, count in self._answered.items():
            calls.add_metric([action], count)
        refused = CounterMetricFamily(
            "eletroposto_refused_handshakes", "By HTTP status", labels=["status"]
        )
        for status, count in self.refused.items():
            refused.add_metric([str(status)], count)
        commands = CounterMetricFamily(
            "eletroposto_commands", "CALLs to charge points by their outcome", labels=["outcome"]
        )
        for outcome, count in self.commands.items():
            commands.add_metric([outcome], count)
        yield self._database_trouble()
        yield calls
        yield refused
        yield commands
        yield CounterMetricFamily(
            "eletroposto_unreadable_frames", "Frames without a usable message", self.unreadable
        )
        yield self._confirmation_seconds()
        for name, (help_text, read) in self.gauges.items():
            yield GaugeMetricFamily(f"eletroposto_{name}", help_text, read())
        for name, (help_text, read) in self.counters.items():
            yield CounterMetricFamily(f"eletroposto_{name}", help_text, read())

    def _database_trouble(self) -> Metric:
        now = self.trouble()
        trouble = GaugeMetricFamily(
            "eletroposto_database_trouble", "1 for why nothing is stored now", labels=["kind"]
        )
        for kind in KINDS:
            trouble.add_metric([kind], int(kind == now))
        return trouble

    def _confirmation_seconds(self) -> Metric:
        buckets, total = [], 0
        for bound, count in zip([*_BUCKETS_S, float("inf")], self._buckets, strict=True):
            total += count
            buckets.append(("+Inf" if bound == float("inf") else str(bound), float(total)))
        return HistogramMetricFamily(
            "eletroposto_confirmation_seconds",
            "From a CALL's arrival to its answer, the commit included",
            buckets=buckets,
            sum_value=self._seconds,
        )
