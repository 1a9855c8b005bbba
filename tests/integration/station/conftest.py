"""The central system says what a test tells it to say."""

import pytest

from tests.scripted_central_system import scripted_central_system


@pytest.fixture
async def central_system():
    async with scripted_central_system() as scripted:
        yield scripted
