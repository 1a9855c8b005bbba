"""The client of DOJOT's history against the stand-in and against what is no DOJOT at all."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
import pytest_asyncio

from flows.dojot_history import DojotHistory, HistoryError
from testbench.dojot import Faults, StandIn, running
from testbench.dojot.payloads import DeviceData
from testbench.embedded import host

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)
NAMES = ["energy_wh_1", "power_w_1"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def dojot() -> AsyncIterator[StandIn]:
    with host.temporary_folder() as folder:
        async with running(folder / "broker") as stand_in:
            yield stand_in


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def good_day(dojot: StandIn) -> None:
    dojot.faults.change(Faults().model_dump() | {"limit_logins": False})
    dojot.auth.forget_logins()


@contextmanager
def client(dojot: StandIn, password: str = "admin") -> Iterator[DojotHistory]:
    history = DojotHistory(dojot.url, "admin", password, sleep=lambda _: None)
    try:
        yield history
    finally:
        history.close()


async def ask(
    history: DojotHistory, device: str = "a1b2c3", hours: tuple[int, int] = (-1, 1)
) -> dict[str, list[tuple[int, Any]]]:
    start, end = (NOW + timedelta(hours=hour) for hour in hours)
    return await asyncio.to_thread(history.values, device, NAMES, start, end)


async def stored(dojot: StandIn, device: str, *messages: tuple[int, dict[str, Any]]) -> None:
    for ms, attrs in messages:
        dojot.persister.put(DeviceData("admin", device, ms, attrs))
    while dojot.persister.waiting:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_both_forms_of_time_are_read_and_the_end_is_left_out(dojot: StandIn) -> None:
    """Section 5: six digits or none; dateTo is inclusive there."""
    whole_ms = int(NOW.timestamp() * 1000)
    end_ms = whole_ms + 3_600_000
    await stored(
        dojot,
        "f0f0f0",
        (whole_ms, {"energy_wh_1": 1}),
        (whole_ms + 271, {"energy_wh_1": 2.5, "power_w_1": "x"}),
        (end_ms, {"energy_wh_1": 3}),
    )
    with client(dojot) as history:
        found = await ask(history, "f0f0f0")

    assert found == {
        "energy_wh_1": [(whole_ms, 1), (whole_ms + 271, 2.5)],
        "power_w_1": [(whole_ms + 271, "x")],
    }


async def test_a_device_that_never_sent_has_nothing(dojot: StandIn) -> None:
    """Section 5: 404 with a title means no data, not an error."""
    with client(dojot) as history:
        assert await ask(history, "abcdef") == {"energy_wh_1": [], "power_w_1": []}


async def test_many_attributes_are_asked_for_in_questions_that_dojot_can_bear(
    dojot: StandIn,
) -> None:
    """Section 5: a name each, for an escaped comma separates nothing; and 4,094 bytes in all."""
    names = [f"{'x' * 100}_{number}" for number in range(60)]
    ms = int(NOW.timestamp() * 1000)
    await stored(dojot, "f0f0f1", (ms, {name: place for place, name in enumerate(names)}))

    with client(dojot) as history:
        found = await asyncio.to_thread(history.values, "f0f0f1", names, NOW, NOW + HOUR)

    assert found == {name: [(ms, place)] for place, name in enumerate(names)}


async def test_one_attribute_is_answered_like_several(dojot: StandIn) -> None:
    """Section 5: of one that is named once there would be a list, or 404."""
    ms = int(NOW.timestamp() * 1000)
    await stored(dojot, "f0f0f2", (ms, {"energy_wh_1": 5}))

    with client(dojot) as history:
        for name, values in (("energy_wh_1", [(ms, 5)]), ("power_w_1", [])):
            found = await asyncio.to_thread(history.values, "f0f0f2", [name], NOW, NOW + HOUR)
            assert found == {name: values}


async def test_the_tenant_is_the_one_of_the_login(dojot: StandIn) -> None:
    """Section 1: the claim ``service``."""
    with client(dojot) as history:
        assert await asyncio.to_thread(history.tenant) == "admin"


async def test_a_token_without_a_tenant_is_an_error() -> None:
    with something_else(lambda _: TOKEN) as url:
        history = DojotHistory(url, "admin", "admin", sleep=lambda _: None)
        with pytest.raises(HistoryError, match="no tenant"):
            await asyncio.to_thread(history.tenant)
        history.close()


async def test_a_refused_login_is_tried_once_for_all_devices(dojot: StandIn) -> None:
    """Section 1: each attempt counts against five a minute of the whole address."""
    dojot.faults.change({"limit_logins": True})
    with client(dojot, "wrong") as history:
        for device in ("a1b2c3", "a1b2c4", "a1b2c5"):
            with pytest.raises(HistoryError, match="login refused: 403"):
                await ask(history, device)

    assert dojot.auth.forget_logins() == 1


async def test_a_token_another_thread_renewed_already_is_not_renewed_again(dojot: StandIn) -> None:
    """Section 8: one shared token; 401 logs in once."""
    with client(dojot) as history:
        await ask(history)
        dojot.faults.change({"enforce_exp": True, "token_lifetime_s": 1})
        history._renew_at = 0.0
        await ask(history)
        await asyncio.sleep(1.6)
        dojot.faults.change({"limit_logins": True, "token_lifetime_s": 420})
        await asyncio.gather(*(ask(history) for _ in range(8)))

    assert dojot.auth.forget_logins() == 1


# ---------------------------------------------------------------- what is no DOJOT


Answer = tuple[int, str, bytes]
TOKEN: Answer = (200, "application/json", b'{"jwt": "x.y.z"}')


@contextmanager
def something_else(answer: Callable[[str], Answer]) -> Iterator[str]:
    """A web server that answers whatever ``answer`` says of a path; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, kind, body = answer(self.path)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, *_: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    "answer",
    [
        (404, "text/html", b"<html>404 Not Found</html>"),
        (404, "application/json", b'{"message": "no Route matched with those values"}'),
        (200, "application/json", b"{}"),
        (200, "application/json", b'{"energy_wh_1": []}'),
        (200, "application/json", b'{"energy_wh_1": 7, "power_w_1": []}'),
        (
            200,
            "application/json",
            b'{"energy_wh_1": [{"ts": "today", "value": 1}], "power_w_1": []}',
        ),
        (200, "application/json", b'{"energy_wh_1": [{"ts": 5, "value": 1}], "power_w_1": []}'),
        (200, "application/json", b"null"),
        (200, "text/html", b"<html>welcome</html>"),
        (302, "text/html", b""),
        (429, "application/json", b'{"message": "API rate limit exceeded"}'),
    ],
)
async def test_no_answer_but_historys_own_counts_as_nothing_there(answer: Answer) -> None:
    """Else all that the database has would be taken for missing, and sent again."""
    with something_else(lambda path: TOKEN if path == "/auth" else answer) as url:
        history = DojotHistory(url, "admin", "admin", sleep=lambda _: None)
        with pytest.raises(HistoryError):
            await ask(history)
        history.close()


@pytest.mark.parametrize(
    "answer",
    [
        (200, "text/html", b"<html>login</html>"),
        (200, "application/json", b"[]"),
        (503, "text/plain", b"name resolution failed"),
        (429, "application/json", b"{}"),
    ],
)
async def test_no_login_but_a_token_counts(answer: Answer) -> None:
    with something_else(lambda _: answer) as url:
        history = DojotHistory(url, "admin", "admin", sleep=lambda _: None)
        with pytest.raises(HistoryError):
            await ask(history)
        history.close()
