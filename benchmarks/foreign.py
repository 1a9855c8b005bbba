"""Any central system that speaks OCPP 1.6J: only what is seen from outside can be told."""

from urllib.parse import urlsplit

import uvloop

from benchmarks import writing
from benchmarks.load import Failed, Outcome
from benchmarks.tables import Findings, Table, say

COLUMNS = ("load", "frames/s", "p50 ms", "p95 ms", "p99 ms", "errors")


def collect(findings: Findings, url: str, repeats: int, seconds: float) -> None:
    """Measure the central system at ``url``, to which the identity is appended.

    A load that cannot be made ends it; those before it are told.
    """
    check(url)
    loads = {
        "50 saturated": writing.saturating(50, seconds),
        "500 at one per 10 s": writing.paced(500, max(seconds, 10)),
        "500 starts at once": writing.starting(500),
        "500 reconnects, 3 times": writing.reconnecting(500, 3),
    }
    rows: list[tuple[str, ...]] = []
    runs: dict[str, object] = {}
    try:
        for name, load in loads.items():
            findings.begin(name)
            say(f"{name}, {repeats} times")
            found = [uvloop.run(writing.go(load, (url,))) for _ in range(repeats)]
            rows.append((name, *_cells(found)))
            runs[name] = [outcome.summary() for outcome in found]
    finally:
        if rows:
            findings.add(Table("foreign", f"Seen from outside: {url}", COLUMNS, rows), runs)


def check(url: str) -> None:
    """Say what is wrong with an address before anything is sent there. Raises Failed."""
    try:
        parts = urlsplit(url)
        is_address = bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, or too large
        is_address = False
    else:
        if parts.scheme == "wss":
            raise Failed(f"{url}: the load generator speaks no TLS; name the port behind it")
        is_address = is_address and parts.scheme == "ws" and not (parts.query or parts.fragment)
    if not is_address:
        raise Failed(f"{url!r} is no address like ws://HOST:PORT/PATH")


def _cells(found: list[Outcome]) -> tuple[str, ...]:
    return (
        f"{writing.median(found, 'frames_per_s'):,.0f}",
        *(f"{writing.median(found, f'p{percent}_ms'):.1f}" for percent in (50, 95, 99)),
        str(sum(outcome.errors for outcome in found)),
    )
