"""A rolling restart: replicas of the older version are replaced one by one, under load.

The older version is in ``older_version.tar.xz``, so that sources without their history have it too:
the rooms as they were before migration 0016. A release puts its own in the place:
``git archive TAG ingest sql | xz -9e > tests/acceptance/older_version.tar.xz``.
"""

import asyncio
import random
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from testbench.balancer import Balancer
from tests.acceptance.conftest import CentralSystem
from tests.faults.load import Load
from tests.faults.verdict import judge

ROOT = Path(__file__).parent.parent.parent
ROOMS = ("ingest", "sql")
OLDER = Path(__file__).with_name("older_version.tar.xz")
SETTINGS = {
    "unknown_charge_points": "accept",
    "unknown_id_tags": "accept",
    "configure_on_boot": "false",
}


@pytest.fixture
def older_version(tmp_path: Path) -> Path:
    """A folder with the rooms of the older version that ingest needs."""
    folder = tmp_path / "older"
    folder.mkdir()
    with tarfile.open(OLDER) as sources:
        sources.extractall(folder, filter="data")
    return _proven(folder)


def _proven(folder: Path) -> Path:
    """Return the folder once it is sure that a process in it runs its sources and no others."""
    ask = [sys.executable, "-c", "import ingest, sql; print(ingest.__file__, sql.__file__)"]
    said = subprocess.run(ask, cwd=folder, capture_output=True, text=True, check=True).stdout
    assert said.split() == [str(folder / room / "__init__.py") for room in ROOMS]
    migrations = [len(list(place.glob("sql/migrations/*.sql"))) for place in (folder, ROOT)]
    assert migrations[0] < migrations[1], "it is not older"
    return folder


@pytest.fixture
def replicas(
    empty_database_url: str, older_version: Path, tmp_path: Path
) -> Iterator[list[CentralSystem]]:
    """Two of the older version, then two of the present one; none is started."""
    found = [
        CentralSystem(empty_database_url, tmp_path / f"{name}.log", SETTINGS, sources=sources)
        for name, sources in (
            ("older-1", older_version),
            ("older-2", older_version),
            ("newer-1", ROOT),
            ("newer-2", ROOT),
        )
    ]
    yield found
    for replica in found:
        replica.stop()


async def test_nothing_confirmed_is_lost_in_a_rolling_restart(
    replicas: list[CentralSystem], empty_database_url: str
) -> None:
    older, newer = replicas[:2], replicas[2:]
    began = datetime.now(UTC)
    for replica in older:
        await asyncio.to_thread(replica.start)  # this brings the schema of their version
    async with Balancer([replica.port for replica in older]) as balancer:
        load = Load(balancer.url, 4, random.Random(5))
        async with load.running():
            load.begin()
            await asyncio.sleep(1)
            for leaving, coming in zip(older, newer, strict=True):
                await _replace(balancer, leaving, coming)
                await asyncio.sleep(1)
            await load.end(60)
    with psycopg.connect(empty_database_url, autocommit=True) as database:
        verdict = judge(database, load.book.exchanges, load.account.closed, began)
        used = database.execute("SELECT count(DISTINCT replica_id) FROM connection").fetchone()
    assert (verdict.lost, verdict.doubled, verdict.given_up) == ([], [], 0)
    assert verdict.confirmed > 100, "there was hardly any load"
    # Both older ones, then whichever was there when they left: a migration that changes a key
    # ends the service of the older ones at once, and everybody has moved before the last comes.
    assert used is not None and used[0] >= 3, "hardly anybody was moved"
    for replica in replicas:
        assert "Traceback" not in replica.log, replica.log


async def _replace(balancer: Balancer, leaving: CentralSystem, coming: CentralSystem) -> None:
    """Start the newer one, let it be found, then end the older one in order."""
    await asyncio.to_thread(coming.start)
    balancer.targets = [port for port in balancer.targets if port != leaving.port] + [coming.port]
    assert await asyncio.to_thread(leaving.stop) == 0
