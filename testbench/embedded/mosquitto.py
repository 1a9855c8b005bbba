"""A private MQTT broker on a port of the loopback interface; it ends with this process."""

import os
import signal
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from testbench.embedded import host, runtime
from testbench.embedded.errors import EmbeddedUnavailable

# A port asked for may still be in somebody's hands for a moment, after a kill for example.
PORT_SECONDS = 5
ATTEMPTS = 5


class EmbeddedMosquitto:
    """A broker whose files (log, persistence, what the configuration names) are in one folder.

    The user of the server must be able to enter the folder, see ``host.temporary_folder``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.log = self.folder / "mosquitto.log"
        self._port: int | None = None
        self._pid: int | None = None
        self._config_lines: tuple[str, ...] = ()

    def start(self, port: int | None = None, config_lines: Sequence[str] | None = None) -> Self:
        """Listen, with both arguments as at the last start if they are not given.

        Without any port a free one is chosen. ``config_lines`` are lines of mosquitto.conf that
        add to, or replace, the defaults: anonymous clients, no persistence.
        """
        if config_lines is not None:
            self._config_lines = tuple(config_lines)
        self._port = port or self._port
        self._prepare_folder()
        for _ in range(ATTEMPTS):
            port = self._port or host.free_port()
            _wait_until_free(port)
            if self._listen(port):
                self._port = port
                return self
        raise EmbeddedUnavailable(
            f"Mosquitto did not start ({self.log}): {self.log.read_text()[-500:]}"
        )

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the broker as a crash would, and wait until it is gone."""
        self._end(signal.SIGKILL)

    @property
    def port(self) -> int:
        """The port of the running broker, or of the last run."""
        if self._port is None:
            raise RuntimeError("the broker was never started")
        return self._port

    @property
    def pid(self) -> int | None:
        """The pid of the broker, None unless it runs."""
        return self._pid if self._is_alive() else None

    def __enter__(self) -> Self:
        return self if self.pid else self.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def _config(self) -> Path:
        return self.folder / "mosquitto.conf"

    def _prepare_folder(self) -> None:
        host.make_folder(self.folder)
        host.give_to_server(self.folder)

    def _listen(self, port: int) -> bool:
        """Start the broker; False if it ended, because another program took the port or so."""
        self._config.write_text("\n".join(self._lines(port)) + "\n")
        self._pid = host.spawn(
            [runtime.program("mosquitto"), "-c", self._config], self.log, dies_with_us=True
        )
        while self._is_alive():
            if _answers(port) and self._is_alive():
                return True
            time.sleep(0.01)
        return False

    def _lines(self, port: int) -> list[str]:
        chosen = {line.split()[0] for line in self._config_lines if line.strip()}
        defaults = {
            "allow_anonymous": "true",
            "persistence": "false",
            "persistence_location": f"{self.folder}/",
            "log_dest": "stderr",
        }
        kept = [f"{key} {value}" for key, value in defaults.items() if key not in chosen]
        return [f"listener {port} 127.0.0.1", *kept, *self._config_lines]

    def _is_alive(self) -> bool:
        return self._pid is not None and host.is_alive(self._pid, str(self._config))

    def _end(self, signal_number: int) -> None:
        if self._pid is not None and self._is_alive():
            os.kill(self._pid, signal_number)
            while self._is_alive():
                time.sleep(0.01)
        self._pid = None


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _wait_until_free(port: int) -> None:
    """Else the answer of another program would pass for that of the broker."""
    give_up = time.monotonic() + PORT_SECONDS
    while not host.is_free(port):
        if time.monotonic() > give_up:
            raise EmbeddedUnavailable(f"another program listens on port {port}")
        time.sleep(0.05)
