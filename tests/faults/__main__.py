"""``make faults``: break real processes at random, then count what was lost and what doubled."""

import argparse
import asyncio
import logging
import random
import sys
import tempfile
from pathlib import Path

from tests.faults.campaign import Outcome, Plan, carry_out


def main() -> int:
    arguments = _arguments()
    plan = Plan(
        arguments.seed,
        arguments.rounds,
        arguments.seconds,
        arguments.charge_points,
        not arguments.no_dojot,
        arguments.only,
    )
    if unknown := set(plan.kinds) - set(plan.known_kinds()):
        print(f"no such fault: {', '.join(unknown)}; there are: {', '.join(plan.known_kinds())}")
        return 2
    folder: Path = arguments.logs or Path(tempfile.mkdtemp(prefix="eletroposto-faults-"))
    folder.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(
        filename=folder / "campaign.txt",
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    print(f"seed {plan.seed}, {plan.rounds} rounds, logs in {folder}", flush=True)
    outcome = asyncio.run(carry_out(plan, folder, lambda line: print(line, flush=True)))
    _show(plan, outcome)
    return 0 if outcome.is_clean else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.faults", description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--seconds", type=float, default=2.0, help="of load around each fault")
    parser.add_argument("--charge-points", type=int, default=6)
    parser.add_argument("--no-dojot", action="store_true", help="leave out stand-in and relay")
    parser.add_argument("--only", action="append", default=[], help="this kind of fault")
    parser.add_argument("--logs", type=Path, help="folder for the output of the programs")
    return parser.parse_args()


def _show(plan: Plan, outcome: Outcome) -> None:
    print()
    for kind, count in sorted(outcome.kinds.items()):
        print(f"{count:5} x {kind}")
    for title, cases in (
        ("LOST", outcome.lost),
        ("DOUBLED", outcome.doubled),
        ("DEFECT", outcome.defects),
    ):
        for case in cases[:20]:
            print(f"{title}: {case}")
    print(
        f"seed {plan.seed}: {outcome.rounds} rounds in {outcome.seconds:.0f} s,"
        f" {outcome.confirmed} CALLs and {outcome.readings} readings confirmed,"
        f" {outcome.sessions} transactions,"
        f" lost {len(outcome.lost)}, doubled {len(outcome.doubled)},"
        f" other defects {len(outcome.defects)}, given up {outcome.given_up}"
    )
    if plan.with_dojot:
        print(f"acknowledged and forgotten by DOJOT itself: {outcome.forgotten_by_dojot}")
        for kind, count in sorted((+outcome.doubled_in_dojot).items()):
            print(f"more than once in DOJOT: {count} messages after {kind!r}")


if __name__ == "__main__":
    sys.exit(main())
