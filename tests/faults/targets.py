"""What is fuzzed: each function takes bytes and must not raise."""

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import httpx
import orjson
from pydantic import ValidationError
from streamlit.testing.v1 import AppTest

from dashboard import addresses
from dashboard.signin import local_path
from flows.dojot_history import HistoryError, _is_unknown_device, _life_s, _series
from ingest.central_system import read_identity
from ingest.credentials import read_basic
from ingest.frames import Call, CallError, CallResult, Unreadable, clean, read_frame, result_text
from ingest.meanings import meaning_of
from ingest.redaction import without_secrets
from ingest.relay.orders import NotAnOrder, UnusableOrder, read_orders
from ingest.settings import Settings
from ingest.situation import KnownTransaction, Situation
from ingest.timestamps import wire_time

_NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
_SETTINGS = list(Settings.model_fields)
_SITUATION = Situation(transactions={7: KnownTransaction(1, _NOW)})


def frames(data: bytes) -> None:
    """A frame from the wire to facts: all that happens to it before the database."""
    text = clean(data)
    assert "\x00" not in text
    match read_frame(text.encode()):
        case Call() as call:
            assert not _holds_nul([call.message_id, call.action, call.payload])
            _mean(call)
        case CallResult() as result:
            assert not _holds_nul([result.message_id, result.payload])
            result_text(result.message_id, without_secrets(result.payload))
        case CallError() | Unreadable():
            pass


def _mean(call: Call) -> None:
    meaning = meaning_of(call, _SITUATION, _NOW)
    if not callable(meaning.answer):
        result_text(call.message_id, meaning.answer)
    for reading in meaning.readings:
        assert wire_time(reading.sampled_at)
        assert all(value is None or abs(value) <= 1e23 for value in reading.values)
        orjson.dumps(reading.extra)
    for piece in meaning.aside:
        piece.reason.encode()
        piece.raw.encode()


def _holds_nul(value: Any) -> bool:
    """Whether PostgreSQL would refuse it."""
    match value:
        case str():
            return "\x00" in value
        case list():
            return any(map(_holds_nul, value))
        case dict():
            return any(map(_holds_nul, [*value, *value.values()]))
    return False


def identities(data: bytes) -> None:
    """The path of a handshake; the library has decoded it as ASCII."""
    identity = read_identity(data.decode("ascii", "replace"))
    if identity is not None:
        assert 0 < len(identity) <= 255
        assert "\x00" not in identity
        identity.encode()


def credentials(data: bytes) -> None:
    """The value of an Authorization header."""
    read_basic(data.decode("latin-1"))
    read_basic("Basic " + data.decode("latin-1"))


def settings(data: bytes) -> None:
    """One of the settings, chosen by the first byte, from text: taken or refused with a reason."""
    name = _SETTINGS[data[0] % len(_SETTINGS)] if data else _SETTINGS[0]
    text = data[1:].decode("utf-8", "replace").replace("\x00", "")
    with contextlib.suppress(ValidationError):
        Settings.model_validate({"database_url": "x", name: text})


def orders(data: bytes) -> None:
    """A message on the topic by which DOJOT commands a device."""
    with contextlib.suppress(NotAnOrder, UnusableOrder):
        for action, payload in read_orders(data):
            assert action
            assert not _holds_nul(payload)
            orjson.dumps(payload)


def histories(data: bytes) -> None:
    """What DOJOT's history answers, whole or half, or whatever stands in front of it."""
    answer = httpx.Response(200, content=data)
    _is_unknown_device(answer)
    with contextlib.suppress(HistoryError):
        for values in _series(answer, ["power_w_1", "soc_percent_1"]).values():
            assert all(isinstance(ms, int) for ms, _ in values)


def tokens(data: bytes) -> None:
    """The token DOJOT gives: how long it is good for."""
    assert _life_s(data.decode("latin-1")) > 0


def links(data: bytes) -> None:
    """Where the dashboard's sign-in is asked to lead: a place on itself, always."""
    path = local_path(data.decode("utf-8", "replace"))
    assert path.startswith("/")
    assert not path.startswith(("//", "/\\"))


def addressed_page() -> None:
    """What pages take from their address, without a database: period, station, kind, language."""
    import streamlit as st

    from dashboard import addresses, header, visitor

    addresses.arrive("here")
    header.draw(period=True, charge_points=False)
    known = ["CP-1", "Garagem é 2"]
    addresses.take("estacao", lambda values: [value for value in values if value in known], [])
    st.multiselect("charge points", known, key="estacao", persist_state="session")
    addresses.show("estacao", st.session_state["estacao"], [])
    addresses.take("tipo", addresses.one_of(("all", "open"), "all"), "all")
    st.selectbox("kind", ("all", "open"), key="tipo", persist_state="session")
    addresses.show("tipo", st.session_state["tipo"], "all")
    selection = visitor.selection()
    assert selection.period.since < selection.period.until
    assert selection.before().period.until <= selection.period.since
    assert set(selection.charge_points or ()) <= set(known)
    assert visitor.t("header.de")


def pages(data: bytes) -> None:
    """The address of a page, whole, as a link or a hand has written it."""
    page = AppTest.from_function(addressed_page, default_timeout=20)
    for name, values in parse_qs(data.decode("utf-8", "replace"), max_num_fields=None).items():
        page.query_params[name] = values
    page.run()
    assert not page.exception, page.exception[0].value


def numbers(data: bytes) -> None:
    """The number of a session in an address: what the database can be asked for, or nothing."""
    number = addresses.number(data.decode("utf-8", "replace"))
    assert number is None or 0 <= number < 2**63


TARGETS: dict[str, Callable[[bytes], None]] = {
    "frames": frames,
    "identities": identities,
    "credentials": credentials,
    "settings": settings,
    "orders": orders,
    "histories": histories,
    "tokens": tokens,
    "links": links,
    "pages": pages,
    "numbers": numbers,
}
# They start a page or read the environment anew: some dozens a second at best.
SLOW = {"settings": 150, "pages": 15}
