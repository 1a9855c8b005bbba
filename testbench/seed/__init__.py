"""A network with a past, put straight into the database: for development, tests and timings.

It stands for what charge points and flows would have written; the same arguments give the same
rows. The demo does not use it: there, every reading comes through the websocket.
"""

from collections.abc import Iterator

import psycopg

from testbench.seed import rows
from testbench.seed.plan import ChargePoint, Plan, charge_points

__all__ = ["ChargePoint", "Plan", "seed", "stored"]


def seed(url: str, plan: Plan) -> list[ChargePoint]:
    """Fill an empty database and return what was put there, charge point by charge point."""
    return list(stored(url, plan))


def stored(url: str, plan: Plan) -> Iterator[ChargePoint]:
    """As ``seed``, but hand over each charge point once it is stored and keep none."""
    with psycopg.connect(url) as conn:
        rows.store_network(conn)
        for charge_point in charge_points(plan):
            rows.store_facts(conn, plan, charge_point)
            rows.store_aggregates(conn, plan, charge_point)
            rows.store_findings(conn, plan, charge_point)
            yield charge_point
        rows.store_numbers(conn)
        rows.store_demand(conn)
        rows.store_watermarks(conn, plan)
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("ANALYZE")
