"""The machine's own apt, used with a private state: nothing is installed into the system.

Its mirror, proxy and keys stay in force, and apt checks the signatures.
"""

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from testbench.embedded.errors import EmbeddedUnavailable

# The Debian release whose packages are unpacked, whatever the release of the machine.
DEBIAN_SUITE = "trixie"
DEBIAN_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
DEBIAN_RELEASES = ("stable", "oldstable", "testing", "unstable", "sid")


@dataclass(frozen=True, slots=True)
class Source:
    uri: str
    suite: str
    components: str

    def line(self) -> str:
        trusted = self.suite == DEBIAN_SUITE and DEBIAN_KEYRING.exists()
        option = f"[signed-by={DEBIAN_KEYRING}] " if trusted else ""
        return f"deb {option}{self.uri} {self.suite} {self.components}\n"


class PrivateApt:
    """apt-get and apt-cache over a state folder of their own, as if nothing were installed."""

    def __init__(self, state: Path) -> None:
        for folder in ("lists/partial", "cache/archives/partial"):
            (state / folder).mkdir(parents=True)
        # Nothing installed: apt then resolves every library, libc included.
        (state / "status").touch()
        (state / "sources.list").write_text(find_source().line())
        self._options = [part for option in _options(state) for part in ("-o", option)]

    def update(self) -> None:
        self.get("update")

    def closure(self, packages: Sequence[str]) -> list[str]:
        """The names of these packages and of all they depend on."""
        planned = self.get("install", "--print-uris", "--yes", *packages)
        files = [row.split()[1] for row in planned.splitlines() if row.startswith("'")]
        return sorted(file.split("_")[0] for file in files)

    def names(self, prefix: str) -> list[str]:
        return _run("apt-cache", *self._options, "pkgnames", prefix).split()

    def download(self, packages: Sequence[str], folder: Path) -> None:
        self.get("download", *packages, folder=folder)

    def get(self, *arguments: str, folder: Path | None = None) -> str:
        return _run("apt-get", *self._options, "--quiet", *arguments, folder=folder)


def _options(state: Path) -> list[str]:
    return [
        f"Dir::Etc::sourcelist={state / 'sources.list'}",
        "Dir::Etc::sourceparts=/dev/null",
        "Dir::Etc::preferences=/dev/null",
        "Dir::Etc::preferencesparts=/dev/null",
        f"Dir::State={state}",
        f"Dir::State::Lists={state / 'lists'}",
        f"Dir::State::status={state / 'status'}",
        f"Dir::Cache={state / 'cache'}",
        "APT::Default-Release=",
        "APT::Install-Recommends=false",
        "APT::Sandbox::User=root",
        "Acquire::Languages=none",
        "Acquire::Retries=3",
        # Otherwise an unreachable mirror passes for success and fails later, misleadingly.
        "APT::Update::Error-Mode=any",
    ]


def find_source() -> Source:
    """The package source of the machine, asked for the release that has TimescaleDB."""
    if mirror := os.environ.get("ELETROPOSTO_APT_MIRROR"):
        return Source(mirror, DEBIAN_SUITE, "main")
    of_ubuntu = _os_release().get("ID") == "ubuntu"
    codename = _os_release().get("VERSION_CODENAME", "")
    for uri, release, component in _configured_sources():
        if component != "main" or "security" in uri:
            continue
        if of_ubuntu and release == codename:
            return Source(uri, release, "main universe")
        if not of_ubuntu and release in (codename, *DEBIAN_RELEASES):
            return Source(uri, DEBIAN_SUITE, "main")
    raise EmbeddedUnavailable("no usable apt source (ELETROPOSTO_APT_MIRROR names a Debian mirror)")


def _configured_sources() -> list[list[str]]:
    rows = _run(
        "apt-get", "indextargets", "--format", "$(REPO_URI)|$(RELEASE)|$(COMPONENT)",
        "Created-By: Packages",
    )  # fmt: skip
    return [row.split("|") for row in rows.splitlines() if row.count("|") == 2]


def _os_release() -> dict[str, str]:
    text = Path("/etc/os-release").read_text()
    return dict(re.findall(r'^(\w+)="?(.*?)"?$', text, re.MULTILINE))


def _run(*command: str, folder: Path | None = None) -> str:
    ended = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    if ended.returncode:
        raise EmbeddedUnavailable(f"{command[0]} failed: {ended.stderr[-500:]}")
    return ended.stdout
