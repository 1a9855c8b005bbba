"""A window computed by several workers: each takes charge points that nobody else has."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from flows.database import Connection, ask
from flows.runs import Compute, Outcome
from flows.scope import Scope, charge_point_ids

# What one charge point is computed of concerns no other. Consumption sums up sites: it is not here.
SPREADABLE = ("sessions", "soc", "availability", "quality")

# Hands the parts of a flow to workers and returns what each did, in any order.
Share = Callable[[str, Sequence[Scope]], Sequence[Outcome]]


def spread(flow: str, share: Share) -> Compute:
    """Return a flow that lets workers compute, in groups whose batches never wait for another."""

    def compute(conn: Connection, scope: Scope) -> Outcome:
        groups = ask(conn, "stripes", charge_point_ids=charge_point_ids(conn, scope))
        scopes = [replace(scope, charge_points=tuple(row["identities"])) for row in groups]
        return merged(share(flow, scopes))

    return compute


def merged(outcomes: Sequence[Outcome]) -> Outcome:
    """Return what the workers did together; local days are the same for all of them."""
    counts: dict[str, int] = {}
    for outcome in outcomes:
        for kind, count in outcome.counts.items():
            known = counts.get(kind, 0)
            counts[kind] = max(known, count) if kind == "days" else known + count
    rows = {repr(row): row for outcome in outcomes for row in outcome.table}
    did = ", ".join(f"{kind} {count}" for kind, count in counts.items()) or "nothing"
    return Outcome(counts, f"in {len(outcomes)} shares: {did}", list(rows.values()))
