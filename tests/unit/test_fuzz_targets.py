"""What fuzzing once found stays found, and a little of it runs every time."""

from pathlib import Path

import pytest

from tests.faults.fuzz import CORPUS
from tests.faults.mutations import SEEDS, Mutator
from tests.faults.targets import SLOW, TARGETS

_FOUND = [path for path in sorted(CORPUS.glob("*/*")) if path.is_file()]


@pytest.mark.parametrize("target", TARGETS)
def test_mutated_inputs_are_read_or_refused(target: str) -> None:
    mutator = Mutator(2026, SEEDS[target])
    for data in (mutator.next() for _ in range(SLOW.get(target, 3000))):
        TARGETS[target](data)


def test_past_findings_are_read_or_refused() -> None:
    for path in _FOUND:
        _replay(path)


def _replay(path: Path) -> None:
    TARGETS[path.parent.name](path.read_bytes())
