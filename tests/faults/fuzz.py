"""Fuzz what reads from outside: ``python -m tests.faults.fuzz TARGET [--runs N] [--seconds S]``.

Chance changes inputs that are known; with ``--coverage`` atheris, which ``make fuzz`` installs,
looks for those that reach further into the code. An input that raises is written to
tests/faults/corpus, where a unit test replays it for ever, as it does what ``--keep`` adds: short
inputs that together reach what was reached.
"""

import argparse
import hashlib
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from tests.faults.mutations import SEEDS, Mutator

CORPUS = Path(__file__).parent / "corpus"
_ROOT = Path(__file__).parents[2]
_OURS = tuple(str(_ROOT / room) for room in ("ingest", "flows", "dashboard"))


def keep(target: str, data: bytes) -> Path:
    """Write a finding to the corpus."""
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / hashlib.sha256(data).hexdigest()[:16]
    path.write_bytes(data)
    return path


def by_chance(target: str, seed: int, runs: int, seconds: float) -> int:
    """Return how many inputs raised."""
    from tests.faults.targets import TARGETS

    function, mutator = TARGETS[target], Mutator(seed, SEEDS[target])
    began, done, found = time.monotonic(), 0, 0
    while done < runs and time.monotonic() - began < seconds and found < 10:
        data = mutator.next()
        done += 1
        try:
            function(data)
        except Exception:
            found += 1
            print(f"{keep(target, data)}: {data[:200]!r}")
            traceback.print_exc()
    took = time.monotonic() - began
    print(f"{target}: seed {seed}, {done} inputs in {took:.0f} s, {found} raised")
    return found


def by_coverage(target: str, runs: int, seconds: float, found: Path) -> None:
    """Search with atheris, which ends the process; ``found`` collects what reached further."""
    import atheris  # type: ignore[import-not-found, import-untyped, unused-ignore]

    with atheris.instrument_imports(include=["ingest", "flows", "dashboard"]):
        from tests.faults.targets import TARGETS

    def one(data: bytes) -> None:
        try:
            TARGETS[target](data)
        except Exception:
            keep(target, data)
            raise

    found.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(SEEDS[target]):
        (found / f"seed-{number}").write_bytes(data)
    options = [f"-runs={runs}", f"-max_total_time={int(seconds)}", "-max_len=20000"]
    known = [str(folder) for folder in (found, CORPUS / target) if folder.exists()]
    atheris.Setup([sys.argv[0], *options, *known], one)
    atheris.Fuzz()


def keep_few(target: str, found: Path, most: int) -> int:
    """Add to the corpus the shortest inputs that each reach lines no shorter one reached."""
    from tests.faults.targets import TARGETS

    reached: set[tuple[str, int]] = set()
    kept = 0
    for path in sorted(found.iterdir(), key=lambda path: path.stat().st_size):
        lines = _lines_of(TARGETS[target], data := path.read_bytes())
        if not lines <= reached and kept < most:
            reached |= lines
            keep(target, data)
            kept += 1
    return kept


def _lines_of(function: Callable[[bytes], None], data: bytes) -> set[tuple[str, int]]:
    """Run ``function`` and return the lines of ours that ran."""
    lines: set[tuple[str, int]] = set()

    def trace(frame: FrameType, event: str, _: object) -> Any:
        name = frame.f_code.co_filename
        if not name.startswith(_OURS):
            return None
        lines.add((name, frame.f_lineno))
        return trace

    sys.settrace(trace)
    try:
        function(data)
    finally:
        sys.settrace(None)
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.faults.fuzz", description=__doc__)
    parser.add_argument("target", choices=SEEDS)
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--coverage", action="store_true", help="guided by atheris")
    parser.add_argument("--found", type=Path, help="folder for what reached further")
    parser.add_argument(
        "--keep", type=int, default=0, help="put so many of --found into the corpus"
    )
    arguments = parser.parse_args()
    found_in = arguments.found or Path(tempfile.mkdtemp(prefix="eletroposto-fuzz-"))
    if arguments.keep:
        print(f"{arguments.target}: kept {keep_few(arguments.target, found_in, arguments.keep)}")
        return 0
    if arguments.coverage:
        by_coverage(arguments.target, arguments.runs, arguments.seconds, found_in)
        return 0
    found = by_chance(arguments.target, arguments.seed, arguments.runs, arguments.seconds)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
