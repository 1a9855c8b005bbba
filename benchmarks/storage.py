"""Bytes per reading, per raw frame and per reading that waits, as the write path stores them.

python -m benchmarks.storage
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, LiteralString

import psycopg
import typer

import sql
from benchmarks import servers, writing
from benchmarks.load import Failed
from benchmarks.tables import Findings, Table, publish, say
from benchmarks.writing import Measured
from testbench.embedded import EmbeddedPostgres

TABLES = ("ocpp_message", "meter_value")
COLUMNS = ("what", "rows", "table", "indexes", "bytes per row")


@dataclass(frozen=True, slots=True)
class Plan:
    """Stations that never pause, for so long: pages must fill as they do in months.

    Attributes:
        waiting_stations: Of a paced load whose readings wait for DOJOT. A commit leaves a row for
            each shard, and how many readings share one depends on the pace.
    """

    stations: int = 50
    seconds: float = 30.0
    waiting_stations: int = 5000


def collect(findings: Findings, server: EmbeddedPostgres, plan: Plan) -> None:
    """Store frames by way of the central system and weigh what came of them."""
    findings.begin("storage")
    with servers.ours(server) as ours:
        say(f"{plan.stations} saturated stations for {plan.seconds:g} s, then the scales")
        load = writing.saturating(plan.stations, plan.seconds)
        with psycopg.connect(ours.database_url, autocommit=True) as conn:
            before = _log_position(conn)
            run = writing.measure(ours, server, load)
            log_bytes = (_log_position(conn) - before) / run.outcome.confirmed
            rows = [row for table in TABLES for row in _weigh(conn, table)]
            rows += _parts_of_a_frame(conn)
            rows += _packed(conn)
    rows.append(("write-ahead log per frame", "", "", "", f"{log_bytes:.0f}"))
    waiting = _waiting(server, plan, rows)
    runs = {"saturated": run.summary(), "waiting": waiting.summary()}
    findings.add(Table("storage", "Storage", COLUMNS, rows), runs)


def _waiting(server: EmbeddedPostgres, plan: Plan, rows: list[tuple[str, ...]]) -> Measured:
    """Weigh what waits for DOJOT while it is away: the keys of each commit, a row per shard."""
    count, seconds = plan.waiting_stations, plan.seconds
    say(f"{count:,} stations at one per 10 s for {seconds:g} s, their readings wait for DOJOT")
    with (
        servers.ours(server) as ours,
        psycopg.connect(ours.database_url, autocommit=True) as conn,
    ):
        conn.execute(sql.load("ingest")["open_feed"])
        run = writing.measure(ours, server, writing.paced(count, seconds))
        conn.execute("VACUUM dojot_outbox")
        readings = _number(conn, b"SELECT sum(cardinality(charge_point_ids)) FROM dojot_outbox")
        in_rows = round(_number(conn, b"SELECT count(*) FROM dojot_outbox"))
        table, indexes = (
            _number(conn, f"SELECT pg_{part}_size('dojot_outbox')".encode())
            for part in ("table", "indexes")
        )
    if readings < run.outcome.confirmed:
        raise Failed(f"{run.outcome.confirmed} readings were confirmed, {readings:.0f} wait")
    what = f"a reading that waits in `dojot_outbox`, {count:,} stations paced, {in_rows:,} rows"
    sizes = (table / readings, indexes / readings, (table + indexes) / readings)
    cells = (f"{sizes[0]:.0f}", f"{sizes[1]:.0f}", f"**{sizes[2]:.0f}**")
    rows.append((what, f"{readings:,.0f}", *cells))
    return run


def _log_position(conn: psycopg.Connection[Any]) -> float:
    """Bytes of write-ahead log since the server was made."""
    return _number(conn, b"SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')")


def _weigh(conn: psycopg.Connection[Any], table: str) -> list[tuple[str, ...]]:
    """Weigh a hypertable as it was written, and with its chunks put into the order of the key."""
    conn.execute(f"VACUUM {table}".encode())
    found = [_row(conn, f"`{table}`, as written", table)]
    for name, index in _chunk_indexes(conn, table):
        conn.execute(f"CLUSTER {name} USING {index}".encode())
    return [*found, _row(conn, f"`{table}`, chunks clustered", table)]


def _row(conn: psycopg.Connection[Any], what: str, table: str) -> tuple[str, ...]:
    count = round(_number(conn, f"SELECT count(*) FROM {table}".encode()))
    heap, index, toast, total = conn.execute(
        "SELECT sum(table_bytes), sum(index_bytes), sum(coalesce(toast_bytes, 0)),"
        " sum(total_bytes) FROM hypertable_detailed_size(%s::regclass)",
        [table],
    ).fetchone() or (0, 0, 0, 0)
    per_row = (float(part) / count for part in (heap + toast, index, total))
    table_bytes, index_bytes, total_bytes = per_row
    return (
        what,
        f"{count:,}",
        f"{table_bytes:.0f}",
        f"{index_bytes:.0f}",
        f"**{total_bytes:.0f}**",
    )


def _chunk_indexes(conn: psycopg.Connection[Any], table: str) -> list[tuple[str, str]]:
    """Return each chunk with its index on (charge point, time)."""
    return conn.execute(
        "SELECT ind.indrelid::regclass::text, quote_ident(cls.relname)"
        " FROM show_chunks(%s::regclass) AS chunk"
        " JOIN pg_index AS ind ON ind.indrelid = chunk"
        " JOIN pg_class AS cls ON cls.oid = ind.indexrelid"
        " JOIN pg_am AS am ON am.oid = cls.relam WHERE am.amname = 'btree'",
        [table],
    ).fetchall()


def _parts_of_a_frame(conn: psycopg.Connection[Any]) -> list[tuple[str, ...]]:
    frame, answer = conn.execute(
        "SELECT avg(octet_length(raw)), avg(octet_length(answer)) FROM ocpp_message"
        " WHERE action = 'MeterValues'"
    ).fetchone() or (0, 0)
    return [
        ("of it the text of a MeterValues frame", "", "", "", f"{frame:.0f}"),
        ("of it the text of our answer", "", "", "", f"{answer:.0f}"),
    ]


def _packed(conn: psycopg.Connection[Any]) -> list[tuple[str, ...]]:
    """What a thousand frames of a charge point come to in one compressed value.

    So does the column store of the community edition keep a text column: arrays of a thousand,
    compressed by the server's own methods.
    """
    rows: list[tuple[str, ...]] = []
    for method, name in (("pglz", "pglz"), ("lz4", "LZ4")):
        conn.execute(
            f"CREATE TEMPORARY TABLE packed_{method} (frames text COMPRESSION {method})".encode()
        )
        conn.execute(f"INSERT INTO packed_{method} {_PACK}".encode())
        size = _number(conn, f"SELECT sum(pg_column_size(frames)) FROM packed_{method}".encode())
        count = _number(conn, b"SELECT count(*) FROM ocpp_message")
        what = f"raw frames and answers, a thousand of a charge point in one {name} value"
        rows.append((what, "", "", "", f"{size / count:.0f}"))
    return rows


_PACK: LiteralString = """
SELECT string_agg(raw || coalesce(answer, ''), E'\\n' ORDER BY received_at)
FROM (
    SELECT *, row_number() OVER (PARTITION BY charge_point_id ORDER BY received_at) / 1000 AS part
    FROM ocpp_message
) AS numbered
GROUP BY charge_point_id, part
"""


def _number(conn: psycopg.Connection[Any], query: bytes) -> float:
    row = conn.execute(query).fetchone()
    assert row is not None
    return float(row[0])


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    stations: Annotated[int, typer.Option(min=1)] = 50,
    seconds: Annotated[float, typer.Option(min=1, help="How long they send.")] = 30.0,
    waiting_stations: Annotated[
        int, typer.Option(min=1, help="Whose readings wait for DOJOT, one per 10 s.")
    ] = 5000,
    output: Annotated[Path | None, typer.Option(help="Also write everything as JSON.")] = None,
) -> None:
    """Weigh readings, raw frames and what waits for DOJOT."""

    def run(findings: Findings) -> None:
        with servers.database_server() as server:
            collect(findings, server, Plan(stations, seconds, waiting_stations))

    publish(run, output)


if __name__ == "__main__":
    app()
