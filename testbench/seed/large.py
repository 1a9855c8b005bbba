"""A large network with a long past, made inside the database: for timings."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.resources import files

import psycopg

from sql import queries
from testbench.seed import rows
from testbench.seed.plan import Plan


@dataclass(frozen=True, slots=True)
class Large:
    """Attributes:
    until: The present; nothing is made after it.
    days: How many days of sessions and aggregates.
    raw_days: How many of them, the newest, with readings; two sessions of 90 min a day.
    log_days: How many of those also with frames.
    """

    until: datetime
    charge_points: int = 1000
    days: int = 365
    raw_days: int = 30
    log_days: int = 1
    sample_s: int = 10


def make(url: str, large: Large, say: Callable[[str], None] = print) -> None:
    """Fill an empty, migrated database. Needs the rights of its owner: triggers are left out."""
    with psycopg.connect(url) as conn:
        # What triggers would queue for DOJOT is not part of the picture.
        conn.execute("SET LOCAL session_replication_role = replica")
        for name, statement in queries(files(__package__).joinpath("large.sql")):
            say(f"{name} ...")
            conn.execute(statement, asdict(large))
        rows.store_numbers(conn)
        rows.store_watermarks(conn, Plan(large.until))
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("VACUUM ANALYZE")
