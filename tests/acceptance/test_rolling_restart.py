"""A rolling restart: replicas of the older version are replaced one by one, under load.

The older version is the last tag; until there is one, a commit of which the schema has fewer
migrations. Sources without their history have no older version: there it is a copy of the present
one, and what is shown is only that replicas can be replaced.
"""

import asyncio
import io
import random
import shutil
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
BEFORE_0016 = "399c72f0467d286173bb43091cb2df6123c9c82a"
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
    tag = _git("describe", "--tags", "--abbrev=0")
    archive = _git("archive", tag.decode().strip() if tag else BEFORE_0016, *ROOMS)
    assert archive is not None or tag is None, f"git does not give us the sources of {tag!r}"
    if archive is None:
        for room in ROOMS:
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / room, folder / room, ignore=ignored)
        return _proven(folder)
    with tarfile.open(fileobj=io.BytesIO(archive)) as sources:
        sources.extractall(folder, filter="data")
    return _proven(folder)


def _proven(folder: Path) -> Path:
    """Return the folder once it is sure that a process in it runs its sources and no others."""
    ask = [sys.executable, "-c", "import ingest, sql; print(ingest.__file__, sql.__file__)"]
    said = subprocess.run(ask, cwd=folder, capture_output=True, text=True, check=True).stdout
    assert said.split() == [str(folder / room / "__init__.py") for room in ROOMS]
    return folder


def _git(*words: str) -> bytes | None:
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, timeout=30)
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None


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
            await asyncio.sleep(2)
            for leaving, coming in zip(older, newer, strict=True):
                await _replace(balancer, leaving, coming)
                await asyncio.sleep(2)
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
