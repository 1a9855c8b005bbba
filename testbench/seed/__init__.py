"""A network with a past, put straight into the database: for development, tests and timings.

It stands for what charge points and flows would have written; the same arguments give the same
rows. The demo does not use it: there, every reading comes through the websocket.
"""

from datetime import UTC, datetime

import psycopg

from testbench.seed import rows
from testbench.seed.plan import ChargePoint, Plan, charge_points

__all__ = ["ChargePoint", "Plan", "seed"]


def seed(url: str, plan: Plan, aggregates: bool = True) -> list[ChargePoint]:
    """Fill an empty database and return what was put there, charge point by charge point.

    Without ``aggregates`` only facts are stored, for the flows to work on.
    """
    made: list[ChargePoint] = []
    with psycopg.connect(url) as conn:
        rows.store_network(conn)
        for charge_point in charge_points(plan):
            rows.store_facts(conn, plan, charge_point)
            if aggregates:
                rows.store_aggregates(conn, plan, charge_point)
            made.append(charge_point)
        rows.store_findings(conn, plan, made)
        rows.store_numbers(conn)
        if aggregates:
            rows.store_demand(conn)
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("ANALYZE")
    return made


def main(url: str, charge_points_: int = 3, days: int = 30, raw_days: int = 30) -> None:
    """Seed up to the present minute and say what was stored."""
    until = datetime.now(UTC).replace(second=0, microsecond=0)
    made = seed(url, Plan(until, charge_points_, days, raw_days))
    sessions = sum(len(charge_point.sessions) for charge_point in made)
    print(f"{len(made)} charge points, {sessions} sessions over {days} days")
