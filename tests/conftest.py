"""Real servers for the tests: one TimescaleDB for the session, a new database for each test."""

from collections.abc import Iterator
from itertools import count

import psycopg
import pytest
from hypothesis import settings

from sql.migrations import migrate
from testbench.embedded import EmbeddedMosquitto, EmbeddedPostgres, host, runtime
from testbench.embedded.postgres import DATABASE

_numbers = count(1)
# Begun first, in this order, so that no worker is left alone with one of them at the end.
_LONG = (
    "test_flows_prefect",
    "test_demo",
    "test_dashboard_browser",
    "test_upgrade",
    "test_faults_short",
    "test_flows_properties",
    "test_delivery",
    "test_bench",
    "test_dashboard_pages",
    "test_provisioning",
    "test_quirks",
)
# A test that is lucky the second time says something of the machine; several say it of the code.
_MOST_RERUNS = 3

# How long an example takes says more of the machine; a failure comes with what repeats it.
settings.register_profile("eletroposto", deadline=None, print_blob=True)
settings.load_profile("eletroposto")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    turns = {name: turn for turn, name in enumerate(_LONG)}
    items.sort(key=lambda item: turns.get(item.path.stem, len(turns)))


def pytest_report_header() -> str:
    if not runtime.is_installed():
        return "embedded services: not unpacked yet, the first test that needs them fetches them"
    versions = runtime.versions()
    major = runtime.postgres_major()
    return (
        f"embedded services: TimescaleDB {versions[f'postgresql-{major}-timescaledb']} on"
        f" PostgreSQL {versions[f'postgresql-{major}']}, Mosquitto {versions['mosquitto']}"
    )


def _reruns(config: pytest.Config) -> list[str]:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    return [report.nodeid for report in reporter.stats.get("rerun", ())] if reporter else []


def pytest_sessionfinish(session: pytest.Session) -> None:
    if len(_reruns(session.config)) > _MOST_RERUNS and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if (seed := config.getoption("randomly_seed", None)) is not None:
        terminalreporter.line(f"this order again: --randomly-seed={seed}")
    if len(reruns := _reruns(config)) > _MOST_RERUNS:
        terminalreporter.line(f"{len(reruns)} tests needed a second try: more than {_MOST_RERUNS}")


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
    # A copy of what the server came with, which no test fills.
    yield postgres_server.create_database(name, template=DATABASE)
    postgres_server.drop_database(name)


@pytest.fixture
def mosquitto_broker() -> Iterator[EmbeddedMosquitto]:
    """A broker that takes anonymous clients; the test may kill it and start it again."""
    with host.temporary_folder() as folder, EmbeddedMosquitto(folder / "mosquitto") as broker:
        yield broker
