"""How the embedded PostgreSQL is configured: for 2 cores that do other things too."""

import logging
import shutil
from pathlib import Path

logger = logging.getLogger(__name__)

_SETTINGS = {
    "shared_preload_libraries": "timescaledb",
    "listen_addresses": "",
    "port": "5432",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "random_page_cost": "1.1",
    "max_worker_processes": "32",
    # A query over years of chunks locks each of them and its indexes.
    "max_locks_per_transaction": "512",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "checkpoint_completion_target": "0.9",
    "wal_compression": "lz4",
    # The library it needs is not unpacked.
    "jit": "off",
    # The Apache edition has no jobs, and an idle scheduler in each database would keep it from
    # being a template.
    "timescaledb.max_background_workers": "0",
}
_NOT_DURABLE = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    # Its files may be in memory, and nothing is gained by keeping more of them.
    "max_wal_size": "256MB",
}
_DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
_ENOUGH_SHARED_MEMORY = 256 << 20
# Compiled into Debian's PostgreSQL.
_TIME_ZONES = Path("/usr/share/zoneinfo")


def server_settings(socket_folder: Path, *, durable: bool) -> list[str]:
    """The command line of the server."""
    zone = _time_zone()
    settings = _SETTINGS | (_DURABLE if durable else _NOT_DURABLE)
    settings |= {"timezone": zone, "log_timezone": zone}
    settings |= {"unix_socket_directories": str(socket_folder)}
    # Containers often have 64 MB, too little for parallel queries.
    if shutil.disk_usage("/dev/shm").total < _ENOUGH_SHARED_MEMORY:
        settings |= {"dynamic_shared_memory_type": "mmap"}
    return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]


def _time_zone() -> str:
    """Without the files of the time zones PostgreSQL knows no other than GMT."""
    if (_TIME_ZONES / "UTC").exists():
        return "UTC"
    logger.warning("%s: missing, so the database knows GMT only; install tzdata", _TIME_ZONES)
    return "GMT"
