"""Starts the dashboard's web server."""

import ipaddress
import os
import sys
from pathlib import Path

from dashboard import signin

_SERVER = Path(__file__).with_name("server.py")


class UnsafeBinding(RuntimeError):
    """Other machines could reach the dashboard, and nobody would have to sign in."""


def main(port: int = 8501, host: str = "127.0.0.1") -> None:
    """Replace this process by the dashboard's server.

    Raises:
        UnsafeBinding: For an address beyond this machine without sign-in.
    """
    refuse_unsafe(host)
    arguments = [sys.executable, "-m", "streamlit", "run", str(_SERVER)]
    arguments += ["--server.port", str(port), "--server.address", host]
    if not signin.is_configured():
        # A page elsewhere must not reach us under a name of its own (DNS rebinding).
        for name in ("localhost", "127.0.0.1", "::1"):
            arguments += ["--server.allowedHosts", name]
    os.chdir(_SERVER.parent)  # Streamlit looks for .streamlit/config.toml here
    os.execv(sys.executable, arguments)


def refuse_unsafe(host: str) -> None:
    """Raise unless ``host`` is this machine alone or people have to sign in."""
    if not _is_loopback(host) and not signin.is_configured():
        raise UnsafeBinding(
            f"the dashboard would be open to everybody on {host}: set ELETROPOSTO_DASHBOARD_USERS"
            " or configure OpenID Connect in .streamlit/secrets.toml, or use 127.0.0.1"
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 8501)
