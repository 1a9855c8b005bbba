"""A few thousand mutated frames at a running central system; tests/faults sends a million."""

import psycopg

from tests.acceptance.conftest import StartCentralSystem
from tests.faults.wire_fuzz import SETTINGS, fuzz, kept


async def test_mutated_frames_end_no_socket_and_are_all_in_the_raw_log(
    start_central_system: StartCentralSystem, database_url: str
) -> None:
    central_system = start_central_system(**SETTINGS)
    tally = await fuzz(central_system, frames=4_000, sockets=4, seed=2026)
    assert tally.closed == []
    assert tally.sent == 4_000
    assert tally.honest > 5, "the honest charge point went on beside them"
    assert central_system.stop() == 0
    assert "Traceback" not in central_system.log, central_system.log
    with psycopg.connect(database_url) as conn:
        assert kept(conn) >= tally.sent
