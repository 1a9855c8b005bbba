"""What the tests against a database share."""

from collections.abc import Iterator

import pytest

from tests.flow_facts import Facts


@pytest.fixture
def facts(database_url: str) -> Iterator[Facts]:
    made = Facts(database_url)
    yield made
    made.conn.close()
