"""Real servers for the tests: one TimescaleDB for the session, a new database for each test."""

from collections.abc import Iterator
from itertools import count

import psycopg
import pytest

from sql.migrations import migrate
from testbench.embedded import EmbeddedMosquitto, EmbeddedPostgres, host, runtime

_numbers = count(1)
# Begun first, so that no worker is left alone with one of them at the end.
_LONG = (
    "test_flows_prefect",
    "test_demo",
    "test_dashboard_browser",
    "test_upgrade",
    "test_faults_short",
    "test_flows_properties",
    "test_delivery",
    "test_quirks",
    "test_dashboard_pages",
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.stem not in _LONG)


def pytest_report_header() -> str:
    if not runtime.is_installed():
        return "embedded services: not unpacked yet, the first test that needs them fetches them"
    versions = runtime.versions()
    major = runtime.postgres_major()
    return (
        f"embedded services: TimescaleDB {versions[f'postgresql-{major}-timescaledb']} on"
        f" PostgreSQL {versions[f'postgresql-{major}']}, Mosquitto {versions['mosquitto']}"
    )


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[EmbeddedPostgres]:
    """The server of the session. A test that kills or stops a server starts its own."""
    with (
        host.temporary_folder(in_memory=True) as folder,
        EmbeddedPostgres(folder / "postgres", ephemeral=True) as server,
    ):
        yield server


@pytest.fixture(scope="session")
def migrated_template(postgres_server: EmbeddedPostgres) -> str:
    """The name of a database with the migrations, to make copies of."""
    name = "migrated_template"
    migrate(postgres_server.create_database(name))
    # A connection of somebody's would stand in the way of the copies.
    with psycopg.connect(postgres_server.url("postgres"), autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    return name


@pytest.fixture
def database_url(postgres_server: EmbeddedPostgres, migrated_template: str) -> Iterator[str]:
    """A new database with the migrations and nothing else in it."""
    name = f"test_{next(_numbers)}"
    yield postgres_server.create_database(name, template=migrated_template)
    postgres_server.drop_database(name)


@pytest.fixture(scope="module")
def module_database_url(postgres_server: EmbeddedPostgres, migrated_template: str) -> Iterator[str]:
    """A database with the migrations for the tests of a module that commit nothing."""
    name = f"test_{next(_numbers)}"
    yield postgres_server.create_database(name, template=migrated_template)
    postgres_server.drop_database(name)


@pytest.fixture
def empty_database_url(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """A new database with TimescaleDB, without the migrations."""
    name = f"test_{next(_numbers)}"
    yield postgres_server.create_database(name)
    postgres_server.drop_database(name)


@pytest.fixture
def mosquitto_broker() -> Iterator[EmbeddedMosquitto]:
    """A broker that takes anonymous clients; the test may kill it and start it again."""
    with host.temporary_folder() as folder, EmbeddedMosquitto(folder / "mosquitto") as broker:
        yield broker
