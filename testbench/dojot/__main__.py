"""Run the stand-in until it is interrupted: ``python -m testbench.dojot --data DIR``."""

import argparse
import asyncio
import logging
import signal
from pathlib import Path

from testbench.dojot.stand_in import running


def main() -> None:
    parser = argparse.ArgumentParser(prog="testbench.dojot", description=__doc__)
    parser.add_argument("--http-port", type=int, default=8000, help="0 = any free port")
    parser.add_argument("--mqtt-port", type=int, default=1883, help="0 = any free port")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--broker-port", type=int, help="of a broker here; default: one of its own")
    parser.add_argument("--data", type=Path, required=True, help="folder of database and broker")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(name)s %(levelname)s %(message)s")
    data: Path = arguments.data.resolve()
    data.mkdir(parents=True, exist_ok=True)
    asyncio.run(_serve(data, arguments))


async def _serve(data: Path, arguments: argparse.Namespace) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with running(
        data / "broker",
        database=str(data / "dojot.sqlite"),
        http_port=arguments.http_port,
        mqtt_port=arguments.mqtt_port,
        host=arguments.host,
        broker_port=arguments.broker_port,
    ) as stand_in:
        print(f"stand-in for DOJOT at {stand_in.url}, MQTT at {stand_in.mqtt}", flush=True)
        await ended.wait()


if __name__ == "__main__":
    main()
