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
    parser.add_argument("--data", type=Path, required=True, help="folder of database and broker")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(name)s %(levelname)s %(message)s")
    data: Path = arguments.data.resolve()
    data.mkdir(parents=True, exist_ok=True)
    asyncio.run(_serve(data, arguments.http_port, arguments.mqtt_port))


async def _serve(data: Path, http_port: int, mqtt_port: int) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with running(
        data / "broker",
        database=str(data / "dojot.sqlite"),
        http_port=http_port,
        mqtt_port=mqtt_port,
    ) as stand_in:
        print(f"stand-in for DOJOT at {stand_in.url}, MQTT at {stand_in.mqtt}", flush=True)
        await ended.wait()


if __name__ == "__main__":
    main()
