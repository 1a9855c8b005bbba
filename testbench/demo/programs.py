"""The programs of the demo: what each is called with, and how one knows that it is ready."""

import signal
import sys
from collections.abc import Mapping

import httpx

from testbench.demo.settings import HOST, Settings, environment
from testbench.demo.supervisor import Probe, Program

_ELETROPOSTO = (sys.executable, "-m", "eletroposto")
_PREFECT = (sys.executable, "-m", "prefect")
# Prefect would report to its makers and show advertisements.
_QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
    "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
}


def fetch() -> Program:
    """Unpack the embedded services; a program of its own, since a thread cannot be interrupted."""
    command = (sys.executable, "-m", "testbench.embedded")
    return Program("fetch", command, environment(), stop_signal=signal.SIGINT)


class Programs:
    """Makes the programs for given settings and a given database."""

    def __init__(self, settings: Settings, database_url: str) -> None:
        self._settings = settings
        self._database = {"ELETROPOSTO_DATABASE_URL": database_url}
        self._dojot = {
            "ELETROPOSTO_DOJOT_URL": f"http://{HOST}:{settings.dojot_port}",
            "ELETROPOSTO_DOJOT_MQTT": f"{HOST}:{settings.mqtt_port}",
            "ELETROPOSTO_DOJOT_USER": "admin",
            "ELETROPOSTO_DOJOT_PASSWORD": "admin",
        }
        self.urls = {
            "dashboard": f"http://localhost:{settings.dashboard_port}",
            "Prefect": f"http://{HOST}:{settings.prefect_port}",
            "chargers connect to": f"ws://{HOST}:{settings.ocpp_port}/ocpp/<charge point id>",
            "metrics of ingest": f"http://{HOST}:{settings.health_port}/metrics",
            "metrics of the relay": f"http://{HOST}:{settings.relay_health_port}/metrics",
            "stand-in for DOJOT": self._dojot["ELETROPOSTO_DOJOT_URL"] + "/_standin",
        }

    def dashboard(self) -> Program:
        port = self._settings.dashboard_port
        return Program(
            "dashboard",
            (*_ELETROPOSTO, "dashboard", "--port", str(port)),
            environment(**self._database),
            is_ready=answers(f"http://{HOST}:{port}/_stcore/health"),
        )

    def dojot(self) -> Program:
        ports = ("--http-port", self._settings.dojot_port, "--mqtt-port", self._settings.mqtt_port)
        folder = ("--data", self._settings.data / "dojot")
        return Program(
            "dojot-stand-in",
            (sys.executable, "-m", "testbench.dojot", *map(str, ports + folder)),
            environment(),
            is_ready=answers(f"http://{HOST}:{self._settings.dojot_port}/_standin"),
        )

    def ingest(self) -> Program:
        return Program(
            "ingest",
            (*_ELETROPOSTO, "ingest"),
            environment(
                **self._database,
                ELETROPOSTO_OCPP_PORT=str(self._settings.ocpp_port),
                ELETROPOSTO_HEALTH_PORT=str(self._settings.health_port),
                # A month comes through few sockets, as fast as it is confirmed.
                ELETROPOSTO_FRAMES_PER_SECOND="10000",
            ),
            is_ready=answers(f"http://{HOST}:{self._settings.health_port}/healthz"),
        )

    def relay(self) -> Program:
        port = self._settings.relay_health_port
        return Program(
            "relay",
            (*_ELETROPOSTO, "relay"),
            environment(**self._database, **self._dojot, ELETROPOSTO_RELAY_HEALTH_PORT=str(port)),
            is_ready=answers(f"http://{HOST}:{port}/healthz"),
        )

    def history(self) -> Program:
        options = ("--days", str(self._settings.days))
        return Program("history", (*self._bench("history"), *options), environment(), is_shown=True)

    def live(self) -> Program:
        return Program("live", self._bench("live"), environment())

    def _bench(self, name: str) -> tuple[str, ...]:
        """The simulated charge points, with what they remember from the last demo."""
        folder = self._settings.data / "bench"
        url = f"ws://{HOST}:{self._settings.ocpp_port}/ocpp"
        files = ("--state", f"{folder}/memory.json", "--account", f"{folder}/account.jsonl")
        return (*_ELETROPOSTO, "testbench", name, "--url", url, *files)

    def prefect(self) -> Program:
        port = str(self._settings.prefect_port)
        return Program(
            "prefect-server",
            (*_PREFECT, "server", "start", "--host", HOST, "--port", port),
            self._prefect_environment(),
            is_ready=answers(f"http://{HOST}:{port}/api/health"),
            within_s=180,
            is_required=False,
        )

    def flows(self) -> Program:
        return Program(
            "flows",
            (*_ELETROPOSTO, "flows", "serve"),
            self._prefect_environment(),
            is_required=False,
            stop_within_s=15,
        )

    def update(self) -> Program:
        """Compute what is new, without Prefect: that takes seconds less to begin."""
        return Program(
            "update", (*_ELETROPOSTO, "flows", "run", "update"), environment(**self._database)
        )

    def reports(self) -> Program:
        """The reports of last month, which the schedule would make when the next one begins."""
        return Program(
            "reports", (*_ELETROPOSTO, "flows", "run", "reports"), environment(**self._database)
        )

    def reconcile(self) -> Program:
        """A run for people to look at in Prefect; the schedule goes on from there."""
        command = (*_ELETROPOSTO, "flows", "run", "reconcile_dojot")
        # The demo waits until nothing is on its way; it need not wait by the clock as well.
        settled = {**self._prefect_environment(), "ELETROPOSTO_DOJOT_SETTLE_S": "0"}
        return Program("reconcile", command, settled)

    def _prefect_environment(self) -> Mapping[str, str]:
        return environment(
            **self._database,
            **self._dojot,
            **_QUIET,
            ELETROPOSTO_DASHBOARD_URL=self.urls["dashboard"],
            PREFECT_HOME=str(self._settings.data / "prefect"),
            # Its runner keeps a folder there that belongs to whoever was the first on the machine.
            TMPDIR=str(self._settings.data / "tmp"),
            PREFECT_API_URL=f"{self.urls['Prefect']}/api",
        )


def answers(url: str) -> Probe:
    """Return whether ``url`` is answered with 200."""

    async def probe() -> bool:
        # Without TLS: to load the certificates of the machine takes longer than to ask.
        async with httpx.AsyncClient(trust_env=False, verify=False, timeout=2) as client:
            try:
                return (await client.get(url)).status_code == httpx.codes.OK
            except httpx.TransportError:
                return False

    return probe
