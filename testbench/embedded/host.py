"""Where the embedded services keep their files, their ports, and as whom their programs run."""

import fcntl
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from testbench.embedded.errors import EmbeddedUnavailable

APP = "eletroposto"
_MEMORY = Path("/dev/shm")
_ENOUGH_MEMORY = 4 << 30

# A program that outlives its owner here is still reaped, and Popen does not warn about it.
_children: dict[int, subprocess.Popen[bytes]] = {}


@cache
def _spawner(_pid: int) -> ThreadPoolExecutor:
    """One thread of this process, as old as itself, that starts the programs.

    The kernel's signal to the orphans of a parent is sent when the *thread* ends that started them.
    """
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="embedded-spawner")


def is_root() -> bool:
    return os.geteuid() == 0


def cache_folder() -> Path:
    return _folder("ELETROPOSTO_CACHE", "/var/cache", "XDG_CACHE_HOME", ".cache")


def data_folder() -> Path:
    return _folder("ELETROPOSTO_DATA", "/var/lib", "XDG_DATA_HOME", ".local/share")


def _folder(variable: str, of_system: str, xdg: str, of_home: str) -> Path:
    """Root's folders are not under its home, which the user of the server could not enter."""
    if chosen := os.environ.get(variable):
        return Path(chosen).absolute()
    if is_root():
        return Path(of_system, APP)
    return Path(os.environ.get(xdg) or Path.home() / of_home, APP)


def demo_folder() -> Path:
    """Where the demo keeps all it has, beside what ``eletroposto db`` keeps."""
    return data_folder() / "demo"


def free_port() -> int:
    """For programs that cannot tell which port the kernel chose for them."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def make_folder(path: Path) -> None:
    """Make a folder and its parents so that every user may enter them, whatever the umask is."""
    for folder in reversed([path, *path.parents]):
        if not folder.exists():
            folder.mkdir(exist_ok=True)
            folder.chmod(0o755)


@contextmanager
def temporary_folder(*, in_memory: bool = False) -> Iterator[Path]:
    """A folder for ephemeral services: unlike pytest's, the user of the server may enter it.

    ``in_memory`` is for what need not survive the machine; where memory is scarce it is on disk.
    """
    place = _MEMORY if in_memory and _has_room(_MEMORY) else Path("/tmp")
    folder = Path(tempfile.mkdtemp(prefix=f"{APP}-", dir=place))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _has_room(memory: Path) -> bool:
    """Shared memory offers half of the machine's, whether others use it or not."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    available = next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvail"))
    return memory.is_dir() and min(shutil.disk_usage(memory).free, available) > _ENOUGH_MEMORY


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file against other processes and other threads of this one."""
    try:
        make_folder(path.parent)
        file = path.open("w")
    except OSError as error:
        raise EmbeddedUnavailable(
            f"cannot write {error.filename} (ELETROPOSTO_CACHE and ELETROPOSTO_DATA choose folders)"
        ) from None
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def server_user() -> pwd.struct_passwd:
    """PostgreSQL refuses root and asks for a passwd entry: root runs it as nobody."""
    try:
        return pwd.getpwnam("nobody") if is_root() else pwd.getpwuid(os.geteuid())
    except KeyError:
        raise EmbeddedUnavailable(
            f"uid {os.geteuid()} has no passwd entry, which PostgreSQL needs"
        ) from None


def give_to_server(path: Path) -> None:
    user = server_user()
    if path.stat().st_uid != user.pw_uid:
        os.chown(path, user.pw_uid, user.pw_gid)


def run(command: Sequence[str | Path]) -> None:
    """Run a program as the server user, to its end."""
    try:
        ended: subprocess.CompletedProcess[str] = subprocess.run(
            command, capture_output=True, text=True, **_as_server_user()
        )
    except PermissionError:
        raise _no_privileges() from None
    if ended.returncode:
        raise EmbeddedUnavailable(f"{Path(command[0]).name} failed: {ended.stderr[-500:]}")


def spawn(command: Sequence[str | Path], log: Path, *, dies_with_us: bool) -> int:
    """Start a program as the server user, in a session of its own, and return its pid."""
    if dies_with_us:
        command = ["/usr/bin/setpriv", "--pdeathsig", "INT", *command]
    process = _spawner(os.getpid()).submit(_popen, command, log).result()
    _children[process.pid] = process
    return process.pid


def _popen(command: Sequence[str | Path], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        log.chmod(0o600)
        try:
            return subprocess.Popen(
                command, stdout=output, stderr=output, start_new_session=True, **_as_server_user()
            )
        except PermissionError:
            raise _no_privileges() from None


def _no_privileges() -> EmbeddedUnavailable:
    hint = "try as an ordinary user" if is_root() else "see who owns its folders"
    return EmbeddedUnavailable(f"this process may not run programs as the server user ({hint})")


def _as_server_user() -> dict[str, Any]:
    """Locale and time zone would need files that the unpacked runtime leaves out."""
    user = server_user()
    foreign = ("PG", "LD_", "LC_", "LANG", "TZ")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
    environment |= {"LC_ALL": "C", "PATH": "/usr/bin:/bin"}
    options: dict[str, Any] = {"env": environment, "cwd": "/", "stdin": subprocess.DEVNULL}
    if is_root():
        environment["HOME"] = "/nonexistent"
        options |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    return options


def is_alive(pid: int, argument: str) -> bool:
    """Whether the program with this argument still has this pid; a zombie has none any more."""
    if child := _children.get(pid):
        if child.poll() is None:
            return True
        del _children[pid]
    try:
        return argument in Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return False
