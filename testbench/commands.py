"""``eletroposto testbench``: simulated charge points on the command line."""

import asyncio
import signal
import ssl
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
import uvloop

from testbench.account import Account, SessionAccount
from testbench.bus import Bus, BusCharge
from testbench.charge_point import ChargePoint
from testbench.clock import Clock
from testbench.fleet import fleet as run_fleet
from testbench.history import Sampling, replay
from testbench.link import Address
from testbench.live import live as run_live
from testbench.memory import Memory
from testbench.network import SITES
from testbench.quirks import NAMES
from testbench.seed import Plan, stored
from testbench.seed.large import Large, make
from testbench.session import Visit
from testbench.socket import to_json

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

Url = Annotated[str, typer.Option(help="The central system, without the identity.")]
AccountFile = Annotated[
    Path | None, typer.Option("--account", help="File for the simulator's own account, JSON lines.")
]
StateFile = Annotated[
    Path | None, typer.Option("--state", help="File for what charge points remember when off.")
]
Password = Annotated[str | None, typer.Option(help="Of every charge point; none by default.")]

_URL = "ws://127.0.0.1:9000/ocpp"


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Run to the end, or until interrupted or told to terminate: then tidily."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(_until_terminated(work))
        except (KeyboardInterrupt, asyncio.CancelledError):
            raise typer.Exit(130) from None


async def _until_terminated(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await work


@app.command()
def charge(
    url: Url = _URL,
    charge_point: Annotated[str, typer.Option(help="Identity.")] = "BENCH-1",
    id_tag: Annotated[str, typer.Option(help="The driver's.")] = "BUS-1",
    connector: Annotated[int, typer.Option(min=1, max=2)] = 1,
    soc: Annotated[float, typer.Option(help="At the start, in percent.", min=0, max=99)] = 20.0,
    hours: Annotated[float, typer.Option(help="Longest duration.", min=0.001)] = 5.0,
    speed: Annotated[float, typer.Option(help="1 is real time; more begins in the past.")] = 1.0,
    interval: Annotated[int, typer.Option(help="Seconds between readings.", min=1)] = 10,
    seed: int = 0,
    account_file: AccountFile = None,
    password: Password = None,
    quirk: Annotated[
        list[str] | None, typer.Option(help=f"Misbehaviour: {', '.join(sorted(NAMES))}.")
    ] = None,
    ca: Annotated[Path | None, typer.Option(help="Root certificate for wss, PEM.")] = None,
    certificate: Annotated[Path | None, typer.Option(help="Client certificate, PEM.")] = None,
    key: Annotated[Path | None, typer.Option(help="Key of the client certificate, PEM.")] = None,
) -> None:
    """Charge one bus at one charge point, and print the account of the session."""
    quirks = tuple(quirk or ())
    if unknown := set(quirks) - NAMES:
        raise typer.BadParameter(f"unknown quirks: {', '.join(sorted(unknown))}")
    simulated = ChargePoint(
        charge_point,
        Address(url, password, _tls(url, ca, certificate, key)),
        clock=_clock(speed, hours),
        account=Account(account_file),
        seed=seed,
        quirks=quirks,
    )
    simulated.configuration.set("MeterValueSampleInterval", str(interval))
    outlet = simulated.connectors[connector].outlet
    vehicle = BusCharge(Bus.drawn(id_tag), outlet, soc, seed=seed)
    visit = Visit(vehicle, id_tag, duration_s=hours * 3600)
    _run(_charge(simulated, connector, visit))


async def _charge(charge_point: ChargePoint, connector_id: int, visit: Visit) -> None:
    async with charge_point.running():
        await charge_point.link.online()
        account = await charge_point.charge(connector_id, visit)
        if account is None:
            typer.echo(f"{charge_point.charge_point_id}: the tag was not accepted", err=True)
            raise typer.Exit(1)
        await charge_point.queue.drained()
    typer.echo(to_json(_told(account)))


def _told(account: SessionAccount) -> dict[str, object]:
    return {name: getattr(account, name) for name in account.__slots__}


def _clock(speed: float, hours: float) -> Clock:
    """Return a clock; a quick one begins in the past and ends about now."""
    if speed <= 1:
        return Clock(1.0)
    return Clock(speed, datetime.now(UTC) - timedelta(hours=hours, minutes=5))


def _tls(
    url: str, ca: Path | None, certificate: Path | None, key: Path | None
) -> ssl.SSLContext | None:
    if not url.startswith("wss:"):
        return None
    context = ssl.create_default_context(cafile=ca)
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context


@app.command()
def fleet(
    url: Url = _URL,
    count: Annotated[int, typer.Option(min=1, max=20_000)] = 10,
    interval: Annotated[int, typer.Option(help="Seconds between readings.", min=1)] = 10,
    duration: Annotated[float, typer.Option(help="Seconds each charges.", min=1)] = 60.0,
    prefix: Annotated[str, typer.Option(help="Of the identities; a number follows.")] = "FLEET-",
    id_tag: str = "BUS-1",
    account_file: AccountFile = None,
    password: Password = None,
) -> None:
    """Charge at many charge points in real time, and print what they did as JSON."""

    async def work() -> None:
        report = await run_fleet(
            Address(url, password),
            count,
            interval_s=interval,
            duration_s=duration,
            prefix=prefix,
            id_tag=id_tag,
            account=Account(account_file),
        )
        typer.echo(to_json(report.as_dict()))

    _run(work())


@app.command()
def history(
    url: Url = _URL,
    days: Annotated[int, typer.Option(min=1, max=400)] = 30,
    interval: Annotated[float, typer.Option(help="Seconds between a bus's readings.")] = 10.0,
    single_days: Annotated[int, typer.Option(help="Latest days, one reading a frame.", min=0)] = 1,
    older_interval: Annotated[float, typer.Option(help="Seconds between older readings.")] = 30.0,
    per_frame: Annotated[int, typer.Option(help="Older readings in one frame.", min=1)] = 10,
    seed: int = 7,
    account_file: AccountFile = None,
    state_file: StateFile = None,
    password: Password = None,
) -> None:
    """Tell a month of sessions through the websocket, as fast as it is confirmed."""

    async def work() -> None:
        started = asyncio.get_running_loop().time()
        total = await replay(
            url,
            days=days,
            seed=seed,
            sampling=Sampling(interval, single_days, older_interval, per_frame),
            passwords=_passwords(password),
            account=Account(account_file),
            memory=Memory(state_file),
            progress=_say_progress,
        )
        seconds = asyncio.get_running_loop().time() - started
        typer.echo(f"{total} sessions and faults of {days} days confirmed in {seconds:.1f} s")

    _run(work())


def _say_progress(told: int, total: int) -> None:
    if told * 10 // total != (told - 1) * 10 // total:
        typer.echo(f"{told * 100 // total:3d} %  {told} of {total}")


def _passwords(password: str | None) -> dict[str, str]:
    return {} if password is None else {site.charge_point_id: password for site in SITES}


@app.command()
def live(
    url: Url = _URL,
    interval: Annotated[int, typer.Option(help="Seconds between readings.", min=1)] = 10,
    account_file: AccountFile = None,
    state_file: StateFile = None,
    password: Password = None,
) -> None:
    """Charge in real time, with a bus in mid-charge at once, until interrupted."""
    work = run_live(
        url,
        passwords=_passwords(password),
        account=Account(account_file),
        memory=Memory(state_file),
        interval_s=interval,
    )
    _run(work)


@app.command()
def seed(
    database: Annotated[
        str, typer.Option(envvar="ELETROPOSTO_DATABASE_URL", help="Empty and migrated.")
    ],
    charge_points: Annotated[int, typer.Option(min=1)] = 3,
    days: Annotated[int, typer.Option(min=1, help="Of sessions and aggregates.")] = 30,
    raw_days: Annotated[int, typer.Option(min=0, help="Of them with readings.")] = 30,
    sample: Annotated[int, typer.Option(min=1, help="Seconds between readings.")] = 60,
    large: Annotated[
        bool, typer.Option(help="Made inside the database: 1,000 charge points in minutes.")
    ] = False,
    log_days: Annotated[int, typer.Option(min=0, help="Days with frames, if large.")] = 1,
) -> None:
    """Put a network with a past straight into a database, for development and timings."""
    until = datetime.now(UTC).replace(second=0, microsecond=0)
    if large:
        make(database, Large(until, charge_points, days, raw_days, log_days, sample), typer.echo)
        return
    plan = Plan(until, charge_points, days, raw_days, sample)
    counts = [len(made.sessions) for made in stored(database, plan)]
    typer.echo(f"{len(counts)} charge points, {sum(counts)} sessions over {days} days")
