"""The dashboard as it is run, and a browser to look at it."""

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from testbench.embedded.host import free_port
from tests.waiting import fetch

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
]
_READY_WITHIN_S = 60


def install_chromium() -> None:
    """Debian's own package, where it is missing; the test fails with apt's words otherwise."""
    if Path(CHROMIUM).exists():
        return
    assert shutil.which("apt-get"), f"no {CHROMIUM}, and no apt-get to install it with"
    for command in (["update"], ["install", "-y", "--no-install-recommends", "chromium"]):
        done = subprocess.run(["apt-get", *command], capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, f"apt-get {' '.join(command)}: {done.stderr or done.stdout}"


@dataclass
class Dashboard:
    """One ``python -m dashboard.launch``.

    Attributes:
        folder: Where it is started, and looks for secrets; None: where the tests run.
    """

    database_url: str
    log_file: Path
    settings: dict[str, str] = field(default_factory=dict)
    host: str = "127.0.0.1"
    folder: Path | None = None
    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("ELETROPOSTO_")}
        own = {"ELETROPOSTO_DATABASE_URL": self.database_url, **self.settings}
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "dashboard.launch", str(self.port), self.host],
                env=inherited | own,
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )
        give_up = time.monotonic() + _READY_WITHIN_S
        while not self._is_ready():
            assert self._process.poll() is None, f"the dashboard ended:\n{self.log}"
            assert time.monotonic() < give_up, f"the dashboard is not ready:\n{self.log}"
            time.sleep(0.1)

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)

    def _is_ready(self) -> bool:
        try:
            return fetch(f"{self.url}/_stcore/health").status_code == 200
        except httpx.TransportError:
            return False


@dataclass
class Watched:
    """What a browser asked for and complained about while a test looked at pages.

    Attributes:
        received: Bytes that came over the sockets of pages, by page address.
    """

    home: str
    outside: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    received: dict[str, int] = field(default_factory=dict)

    def watch(self, page: Any) -> None:
        page.on("request", lambda request: self._asked(request.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._said)
        page.on("websocket", self._opened)

    def _asked(self, url: str) -> None:
        own = (self.home, self.home.replace("http", "ws"), "data:", "blob:", "about:")
        if not url.startswith(own):
            self.outside.append(url)

    def _said(self, message: Any) -> None:
        # Streamlit looks for its own files below the page's path first, and finds them at the root.
        if message.type == "error" and "404" not in message.text:
            self.complaints.append(message.text)

    def _opened(self, socket: Any) -> None:
        def count(frame: bytes | str) -> None:
            self.received[socket.url] = self.received.get(socket.url, 0) + len(frame)

        self._asked(socket.url.replace("ws:", "http:"))
        socket.on("framereceived", count)
