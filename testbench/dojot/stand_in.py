"""Puts the parts together: broker, proxy, bridge, persister and HTTP server in one process."""

import asyncio
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import uvicorn

from testbench.dojot.auth import Auth
from testbench.dojot.bridge import Bridge
from testbench.dojot.broker import broker_in, start_broker
from testbench.dojot.controls import Controls
from testbench.dojot.devices import Devices
from testbench.dojot.faults import Faults
from testbench.dojot.gateway import application, routes_of
from testbench.dojot.history import History
from testbench.dojot.payloads import DeviceData
from testbench.dojot.persister import Persister
from testbench.dojot.proxy import Proxy
from testbench.dojot.store import Store

_HOST = "127.0.0.1"


class StandIn:
    """A running stand-in; ``running()`` makes one.

    Attributes:
        url: Base address of the HTTP side.
        mqtt: ``host:port`` of the MQTT side.
    """

    username = "admin"
    password = "admin"
    tenant = "admin"

    def __init__(self, folder: Path, store: Store, broker_port: int | None = None) -> None:
        self.faults = Faults()
        self.counters: Counter[str] = Counter()
        self.store = store
        self.persister = Persister(store, self.faults, self.counters)
        self.proxy = Proxy(self.faults, self.counters)
        self.bridge = Bridge(self.persister, self.counters)
        self.broker = broker_in(folder, broker_port)
        self.auth = Auth(store, self.faults)
        self.devices = Devices(store, self.faults, self.bridge.send_config, self.bridge.actuate)
        self.history = History(store, self.devices, self.faults)
        self.url = ""
        self.mqtt = ""

    def counted(self) -> dict[str, int | bool]:
        return {
            **self.counters,
            "connections": len(self.proxy.connections),
            "waiting": self.persister.waiting,
            "persister_alive": self.persister.alive,
        }

    def cut_mqtt(self) -> int:
        return self.proxy.cut_all()

    def poison(self) -> None:
        """As if some other device of the tenant had sent microseconds."""
        microseconds = time.time_ns() // 1000
        self.persister.put(DeviceData(self.tenant, "00bad", microseconds, {"x": 1}))

    async def stop_broker(self) -> None:
        """Kill the broker as a crash would: what it had not handed on is gone."""
        await asyncio.to_thread(self.broker.kill)
        self.bridge.forget_broker()

    async def start_broker(self) -> None:
        self.proxy.refusing = True  # a publish before the bridge listens would be lost
        await asyncio.to_thread(start_broker, self.broker)
        self.proxy.broker_port = self.broker.port
        await self.bridge.wait_subscribed()
        self.proxy.refusing = False


@asynccontextmanager
async def running(
    folder: Path,
    *,
    database: str = ":memory:",
    http_port: int = 0,
    mqtt_port: int = 0,
    host: str = _HOST,
    broker_port: int | None = None,
) -> AsyncIterator[StandIn]:
    """Run a stand-in inside the current event loop.

    ``folder`` holds the files of the broker, which runs as another user when we are root; a
    ``database`` file keeps devices and history over restarts. ``host`` is where it listens;
    ``broker_port`` that of a broker which runs already, instead of one of its own.
    """
    async with AsyncExitStack() as stack:
        store = Store(database)
        stack.callback(store.close)
        stand_in = StandIn(folder, store, broker_port)
        await _run_mqtt(stand_in, host, mqtt_port, stack)
        await _run_http(stand_in, host, http_port, stack)
        yield stand_in


async def _run_mqtt(stand_in: StandIn, host: str, port: int, stack: AsyncExitStack) -> None:
    stack.callback(stand_in.broker.stop)
    await asyncio.to_thread(start_broker, stand_in.broker)
    stand_in.proxy.broker_port = stand_in.broker.port
    stand_in.bridge.connect(stand_in.broker.port)
    stack.callback(stand_in.bridge.close)
    await stand_in.bridge.wait_subscribed()
    stand_in.mqtt = f"{host}:{await stand_in.proxy.listen(host, port)}"
    stack.callback(stand_in.proxy.close)
    for coroutine in (stand_in.bridge.run, stand_in.persister.run, stand_in.proxy.cut_old):
        stack.push_async_callback(_cancel, asyncio.create_task(coroutine()))


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


async def _run_http(stand_in: StandIn, host: str, port: int, stack: AsyncExitStack) -> None:
    # asyncio sets TCP_NODELAY only where the protocol is named; answers would take 40 ms without.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((host, port))
    stand_in.url = f"http://{host}:{listening.getsockname()[1]}"
    routes = routes_of(stand_in.auth, stand_in.devices, stand_in.history)
    controls = Controls(stand_in).routes()
    app = application([*routes, *controls], stand_in.auth, stand_in.faults)
    server = _Server(
        uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off", ws="none")
    )
    task = asyncio.create_task(server.serve([listening]))
    stack.push_async_callback(_end, server, task)


class _Server(uvicorn.Server):
    """Leaves the signals to the process it runs in."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _end(server: uvicorn.Server, task: asyncio.Task[None]) -> None:
    server.should_exit = True
    await task
