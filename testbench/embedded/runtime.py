"""PostgreSQL, TimescaleDB (Apache edition) and Mosquitto, unpacked into the cache folder.

The programs run through the dynamic loader that was unpacked with them, so the C library of the
machine does not matter, and nothing of the machine is changed.
"""

import logging
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from testbench.embedded import host
from testbench.embedded.apt import DEBIAN_SUITE, PrivateApt
from testbench.embedded.errors import EmbeddedUnavailable

logger = logging.getLogger(__name__)

# Of the dependencies only libraries matter, and not the big ones that serve JIT and scripts.
_LIBRARY = re.compile(r"(lib(?!llvm|z3|perl|c-l10n|gcrypt|db5|.*-perl$).+|zlib1g)$")
_TIMESCALEDB = re.compile(r"postgresql-(\d+)-timescaledb")
_UNUSED = (
    "etc",
    "var",
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/lintian",
    "usr/share/bug",
    "usr/lib/systemd",
    "usr/lib/*/gconv",
    "usr/lib/postgresql/*/lib/bitcode",
    # Without libLLVM it would fail the first costly query.
    "usr/lib/postgresql/*/lib/llvmjit*",
)
_PROGRAMS = {
    "usr/lib/postgresql/*/bin": (
        *("postgres", "initdb", "psql"),
        *("pg_dump", "pg_dumpall", "pg_restore"),
    ),
    "usr/sbin": ("mosquitto",),
    "usr/bin": ("mosquitto_passwd",),
}
_PACKAGES_FILE = "packages.txt"


def root() -> Path:
    """The folder of the runtime, unpacked or not."""
    return host.cache_folder() / f"runtime-{DEBIAN_SUITE}-{platform.machine()}"


def is_installed() -> bool:
    return (root() / _PACKAGES_FILE).exists()


def install() -> Path:
    """Return the folder of the runtime; the first call of a machine fetches about 40 MB."""
    if not is_installed():
        check_machine()
        with host.locked(host.cache_folder() / "lock"):
            if not is_installed():
                _fetch()
    return root()


def program(name: str) -> Path:
    """The path of a program of ours: psql, pg_dump, pg_dumpall, pg_restore, mosquitto and so on."""
    folder = next(folder for folder, names in _PROGRAMS.items() if name in names)
    path = next(install().glob(f"{folder}/{name}"))
    if not path.with_name(f"{name}.bin").exists():  # unpacked when we did not use it yet
        with host.locked(host.cache_folder() / "lock"):
            _wrap(path, root(), _loader(root()))
    return path


def versions() -> dict[str, str]:
    """Package versions of the runtime, such as {"mosquitto": "2.0.21-1"}."""
    files = (install() / _PACKAGES_FILE).read_text().split()
    return {name: version for name, version, _ in (file.split("_") for file in files)}


def postgres_major() -> str:
    return next(m[1] for name in versions() if (m := _TIMESCALEDB.fullmatch(name)))


def check_machine() -> None:
    """Raises EmbeddedUnavailable where nothing could be fetched anyway."""
    if sys.platform != "linux":
        raise EmbeddedUnavailable(f"no embedded services on {sys.platform}")
    for needed in ("apt-get", "apt-cache", "dpkg-deb"):
        if not shutil.which(needed):
            raise EmbeddedUnavailable(f"the embedded services need Debian or Ubuntu (no {needed})")


def _fetch() -> None:
    logger.info("fetching TimescaleDB and Mosquitto into %s, about 40 MB, once", root())
    began = time.monotonic()
    with _scratch() as scratch:
        new, debs = scratch / "root", scratch / "debs"
        (scratch / "apt").mkdir()
        debs.mkdir()
        _download(PrivateApt(scratch / "apt"), debs)
        names = sorted(deb.name for deb in debs.iterdir())
        for name in names:
            subprocess.run(["dpkg-deb", "--extract", debs / name, new], check=True)
        _prune(new)
        _wrap_programs(new)
        (new / _PACKAGES_FILE).write_text("\n".join(names))
        new.chmod(0o755)
        new.rename(root())
    logger.info("unpacked in %.1f s", time.monotonic() - began)


@contextmanager
def _scratch() -> Iterator[Path]:
    """On the file system of the runtime, so that it can be renamed into its place."""
    with tempfile.TemporaryDirectory(prefix="new-", dir=host.cache_folder()) as folder:
        yield Path(folder)


def _download(apt: PrivateApt, folder: Path) -> None:
    apt.update()
    found = [int(m[1]) for n in apt.names("postgresql-") if (m := _TIMESCALEDB.fullmatch(n))]
    if not found:
        raise EmbeddedUnavailable("this release has no TimescaleDB (see ELETROPOSTO_APT_MIRROR)")
    server = f"postgresql-{max(found)}"
    wanted = [server, f"postgresql-client-{max(found)}", f"{server}-timescaledb", "mosquitto"]
    closure = apt.closure(wanted)
    apt.download([n for n in closure if n in wanted or _LIBRARY.match(n)], folder)


def _prune(new: Path) -> None:
    for pattern in _UNUSED:
        for path in new.glob(pattern):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


def _wrap_programs(new: Path) -> None:
    for folder, names in _PROGRAMS.items():
        for name in names:
            _wrap(next(new.glob(f"{folder}/{name}")), new, _loader(new))


def _loader(place: Path) -> Path:
    return next(place.glob("usr/lib/*-linux-gnu/ld-linux-*.so.*")).relative_to(place)


def _wrap(path: Path, new: Path, loader: Path) -> None:
    """Put a script in the place of a program that starts it with its own loader and libraries."""
    final, binary = root() / path.relative_to(new), Path(f"{path}.bin")
    if binary.exists():
        return  # another process was quicker
    path.rename(binary)
    # PostgreSQL finds its share and lib folders relative to the name it was called by.
    path.write_text(
        f'#!/bin/sh\nexec "{root() / loader}" --inhibit-cache '
        f'--library-path "{root() / loader.parent}" --argv0 "{final}" "{final}.bin" "$@"\n'
    )
    path.chmod(0o755)
