"""``make bench``: the loads of docs/performance.md, the naive reference beside them.

A load that cannot be made ends it with exit code 1 and a sentence on stderr. Of the part it
belongs to no figure is printed, of the parts before it all are.
"""

from pathlib import Path
from typing import Annotated

import typer

from benchmarks import flows, foreign, growth, pages, path, replicas, storage
from benchmarks.servers import database_server, want_descriptors
from benchmarks.tables import Findings, publish

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    repeats: Annotated[int, typer.Option(min=1, help="Runs of which the median counts.")] = 3,
    seconds: Annotated[float, typer.Option(min=0.1, help="Length of a saturating run.")] = 8.0,
    stations: Annotated[int, typer.Option(help="Size of the crowd; 0 leaves it out.")] = 5000,
    crowd_seconds: Annotated[float, typer.Option(help="How long the crowd stays.")] = 60.0,
    with_replicas: Annotated[
        bool, typer.Option("--replicas", help="Also one replica against two.")
    ] = False,
    with_growth: Annotated[
        bool, typer.Option("--growth", help="Also cost as stations and history grow.")
    ] = False,
    with_storage: Annotated[
        bool, typer.Option("--storage", help="Also bytes per reading and per frame.")
    ] = False,
    with_pages: Annotated[
        bool,
        typer.Option("--pages/--no-pages", help="Also every page and question of the dashboard."),
    ] = True,
    with_flows: Annotated[
        bool, typer.Option("--flows/--no-flows", help="Also a day of 1,000 charge points.")
    ] = True,
    url: Annotated[
        str, typer.Option(help="Measure the central system that serves there instead.")
    ] = "",
    output: Annotated[Path | None, typer.Option(help="Also write everything as JSON.")] = None,
) -> None:
    """Measure the write path, the flows and the dashboard."""

    def collect(findings: Findings) -> None:
        if url:
            foreign.collect(findings, url, repeats, seconds)
            return
        _check_machine(max(stations, 500, *growth.STATIONS * with_growth), with_pages)
        with database_server() as server:
            path.collect(findings, server, repeats, seconds, stations, crowd_seconds)
            if with_flows:
                flows.collect(findings, server, flows.Plan(repeats=repeats))
            if with_replicas:
                replicas.collect(findings, server, repeats, seconds)
            if with_growth:
                growth.collect(findings, server, growth.Plan(repeats=repeats))
            if with_storage:
                storage.collect(findings, server, storage.Plan())
            if with_pages:
                pages.collect(findings, server, pages.Plan())

    publish(collect, output)


def _check_machine(sockets: int, with_pages: bool) -> None:
    """Say what is missing before the first load, not after the last. Raises Failed."""
    want_descriptors(sockets)
    if with_pages:
        pages.check_browser()


if __name__ == "__main__":
    app()
