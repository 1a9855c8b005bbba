"""Starts the dashboard's web server."""

import os
import sys
from pathlib import Path

from dashboard import signin

_SERVER = Path(__file__).with_name("server.py")


def main(port: int = 8501, host: str = "127.0.0.1") -> None:
    """Replace this process by the dashboard's server, or end it with why not."""
    try:
        signin.refuse_unsafe(host)
    except signin.Unsafe as refused:
        sys.exit(f"eletroposto: {refused}")
    arguments = command(port, host)
    if users := os.environ.get(signin.USERS):
        os.environ[signin.USERS] = str(Path(users).absolute())
    os.chdir(_SERVER.parent)  # Streamlit looks for .streamlit/config.toml here
    os.execv(sys.executable, arguments)


def command(port: int, host: str) -> list[str]:
    """The server's command line. It names the secrets: the server runs in another folder."""
    arguments = [sys.executable, "-m", "streamlit", "run", str(_SERVER)]
    arguments += ["--server.port", str(port), "--server.address", host]
    for path in signin.secret_files():
        arguments += ["--secrets.files", path]
    if not signin.is_configured():
        # A page elsewhere must not reach us under a name of its own (DNS rebinding).
        for name in ("localhost", "127.0.0.1", "::1"):
            arguments += ["--server.allowedHosts", name]
    return arguments


if __name__ == "__main__":
    main(
        int(sys.argv[1]) if len(sys.argv) > 1 else 8501,
        sys.argv[2] if len(sys.argv) > 2 else "127.0.0.1",
    )
