"""The network between charge points and the central system, which a fault can spoil."""

import asyncio
from dataclasses import dataclass, field

_CHUNK = 65536


@dataclass(eq=False)
class _Pair:
    """Two halves of one connection.

    Attributes:
        doomed: Bytes of it were swallowed: no side may ever believe in this connection again.
    """

    near: asyncio.StreamWriter
    far: asyncio.StreamWriter
    doomed: bool = False

    def abort(self) -> None:
        self.near.transport.abort()
        self.far.transport.abort()


@dataclass
class Proxy:
    """Passes bytes on, to a port of the loopback interface.

    Attributes:
        refusing: New connections are reset.
        swallowing: Directions whose bytes vanish: ``up`` to the central system, ``down`` from it.
        delay_s: Every piece waits so long.
        tear_after: Connections are reset after so many further bytes, mid-frame as a rule.
    """

    target_port: int
    refusing: bool = False
    swallowing: frozenset[str] = frozenset()
    delay_s: float = 0.0
    tear_after: int | None = None
    _pairs: set[_Pair] = field(default_factory=set)
    _server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        await self._server.wait_closed()

    def cut(self) -> None:
        """Reset every connection."""
        for pair in list(self._pairs):
            pair.abort()

    def heal(self) -> None:
        """Be an honest network again; connections that lost bytes are reset, as by a router."""
        self.refusing, self.swallowing, self.delay_s, self.tear_after = False, frozenset(), 0, None
        for pair in list(self._pairs):
            if pair.doomed:
                pair.abort()

    async def _serve(self, near_in: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        if self.refusing:
            near.transport.abort()
            return
        try:
            far_in, far = await asyncio.open_connection("127.0.0.1", self.target_port)
        except OSError:
            near.transport.abort()
            return
        pair = _Pair(near, far)
        self._pairs.add(pair)
        pumps = [
            asyncio.create_task(self._pump(near_in, far, pair, "up")),
            asyncio.create_task(self._pump(far_in, near, pair, "down")),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._pairs.discard(pair)
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            pair.abort()

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, pair: _Pair, way: str
    ) -> None:
        try:
            while data := await source.read(_CHUNK):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                if way in self.swallowing or pair.doomed:
                    pair.doomed = True
                    continue
                torn = self.tear_after is not None and self.tear_after < len(data)
                sink.write(data[: self.tear_after] if torn else data)
                await sink.drain()
                if torn:
                    return
                if self.tear_after is not None:
                    self.tear_after -= len(data)
        except OSError:
            return
