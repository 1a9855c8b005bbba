"""Fuzz what reads from outside: ``python -m tests.faults.fuzz TARGET [--runs N] [--seconds S]``.

With atheris installed (``pip install atheris``; it is no dependency of ours) coverage guides the
search, else chance does. An input that raises is written to tests/faults/corpus, where a unit test
replays it for ever.
"""

import argparse
import hashlib
import sys
import time
import traceback
from pathlib import Path

from tests.faults.mutations import SEEDS, Mutator

CORPUS = Path(__file__).parent / "corpus"


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


def by_coverage(target: str, runs: int, seconds: float) -> None:
    """Search with atheris; it ends the process, with a report if an input raised."""
    import atheris  # type: ignore[import-not-found, unused-ignore]

    with atheris.instrument_imports(include=["ingest", "flows", "dashboard"]):
        from tests.faults.targets import TARGETS

    def one(data: bytes) -> None:
        try:
            TARGETS[target](data)
        except Exception:
            keep(target, data)
            raise

    seeds = Path("/tmp") / f"eletroposto-fuzz-{target}"
    seeds.mkdir(exist_ok=True)
    for number, data in enumerate(SEEDS[target]):
        (seeds / f"seed-{number}").write_bytes(data)
    options = [f"-runs={runs}", f"-max_total_time={int(seconds)}", "-max_len=20000"]
    atheris.Setup([sys.argv[0], *options, str(seeds)], one)
    atheris.Fuzz()


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.faults.fuzz", description=__doc__)
    parser.add_argument("target", choices=SEEDS)
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--coverage", action="store_true", help="guided by atheris")
    arguments = parser.parse_args()
    if arguments.coverage:
        by_coverage(arguments.target, arguments.runs, arguments.seconds)
        return 0
    found = by_chance(arguments.target, arguments.seed, arguments.runs, arguments.seconds)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
