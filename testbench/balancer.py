"""A TCP balancer in front of replicas of a central system: round robin, dead ones passed over.

    python -m testbench.balancer --port 9000 9101 9102

It reads nothing of what it passes on, as a load balancer in front of chargers does.
"""

import argparse
import asyncio
import signal
from collections.abc import Sequence
from typing import cast

import uvloop

HOST = "127.0.0.1"


class Balancer:
    """Gives each new connection to the next replica.

    Attributes:
        targets: Ports of the replicas; may be changed while it runs, for new connections.
    """

    def __init__(self, targets: Sequence[int]) -> None:
        self.targets = list(targets)
        self.ends: set[_Near] = set()
        self._turn = 0
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        """For charge points, without the identity."""
        return f"ws://{HOST}:{self.port}/ocpp"

    async def __aenter__(self) -> "Balancer":
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        self.stop()

    async def start(self, port: int = 0) -> "Balancer":
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Near(self), HOST, port, backlog=4096)
        return self

    def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for end in list(self.ends):
            end.transport.abort()

    async def dial(self, near: "_Near") -> asyncio.Transport | None:
        """Connect to the replica whose turn it is, or to the next one that answers."""
        first, self._turn = self._turn, self._turn + 1
        loop = asyncio.get_running_loop()
        for number in range(len(self.targets)):
            target = self.targets[(first + number) % len(self.targets)]
            try:
                transport, _ = await loop.create_connection(lambda: _Far(near), HOST, target)
            except OSError:
                continue
            return transport
        return None


class _Near(asyncio.Protocol):
    """The charge point's side. What it sends before a replica answered waits."""

    def __init__(self, balancer: Balancer) -> None:
        self._balancer = balancer
        self._early = bytearray()
        self._far: asyncio.Transport | None = None
        self._dialling: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._balancer.ends.add(self)
        self._dialling = asyncio.create_task(self._dial())

    async def _dial(self) -> None:
        far = await self._balancer.dial(self)
        if far is None:
            self.transport.abort()
        elif self.transport.is_closing():
            far.abort()
        else:
            self._far = far
            far.write(self._early)

    def data_received(self, data: bytes) -> None:
        if self._far is None:
            self._early += data
        else:
            self._far.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._balancer.ends.discard(self)
        if self._far is not None:
            self._far.close()

    def pause_writing(self) -> None:
        if self._far is not None:
            self._far.pause_reading()

    def resume_writing(self) -> None:
        if self._far is not None:
            self._far.resume_reading()


class _Far(asyncio.Protocol):
    """The replica's side."""

    def __init__(self, near: _Near) -> None:
        self._near = near

    def data_received(self, data: bytes) -> None:
        self._near.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._near.transport.close()

    def pause_writing(self) -> None:
        self._near.transport.pause_reading()

    def resume_writing(self) -> None:
        self._near.transport.resume_reading()


async def _serve(port: int, targets: Sequence[int]) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    balancer = await Balancer(targets).start(port)
    print(f"balancer at {balancer.url}", flush=True)
    await ended.wait()
    balancer.stop()


def main() -> None:
    parser = argparse.ArgumentParser(prog="testbench.balancer", description=__doc__)
    parser.add_argument("--port", type=int, default=9000, help="0 = any free port")
    parser.add_argument("targets", type=int, nargs="+", help="ports of the replicas")
    arguments = parser.parse_args()
    uvloop.run(_serve(arguments.port, arguments.targets))


if __name__ == "__main__":
    main()
