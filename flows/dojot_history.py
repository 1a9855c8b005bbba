"""Reads DOJOT's history over HTTP (API of 0.7): a shared token, bounded questions, retries."""

import base64
import json
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from operator import itemgetter
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
import orjson

from flows.comparison import Value

logger = logging.getLogger(__name__)

_Answer = TypeVar("_Answer")
_PAUSES_S = (0.5, 2.0, 8.0)
_RENEW_AT = 0.8  # of the token's life: a token is never used when about to end
_FALLBACK_LIFE_S = 420.0
_TRUSTED_FAILURES = 4  # in a row; then it is away, and each further device is asked once
_LONGEST_WAIT_S = 70.0  # for the next login; the limit per hour is not waited for
# History takes a request line of 4,094 bytes, and holds an answer in memory as a whole.
_LONGEST_NAMES = 3_000
_MOST_NAMES = 24
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class HistoryError(RuntimeError):
    """DOJOT could not be asked, or answered nonsense; the message says what."""


class LoginRefused(HistoryError):
    """Asking again would only use up the few logins DOJOT allows."""


class DojotHistory:
    """A client for the history of all devices of a tenant. May be used from several threads."""

    def __init__(
        self,
        url: str,
        username: str,
        password: str,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._credentials = {"username": username, "passwd": password}
        self._client = httpx.Client(
            base_url=url,
            timeout=httpx.Timeout(60, connect=5),
            headers={"Accept": "application/json"},  # else its errors might come as XML
        )
        self._sleep = sleep
        self._lock = threading.Lock()
        self._token = ""
        self._renew_at = 0.0
        self._failures = 0
        self._refused: LoginRefused | None = None  # asked once, answered for all

    def close(self) -> None:
        self._client.close()

    def tenant(self) -> str:
        """Return whose devices this login sees.

        Raises:
            HistoryError: If DOJOT could not be asked, or the token does not say.
        """
        return self._patiently(self._read_tenant)

    def values(
        self, device_id: str, attributes: Sequence[str], start: datetime, end: datetime
    ) -> dict[str, list[Value]]:
        """Return what DOJOT holds of each of these attributes in [start, end), in order of time.

        Raises:
            HistoryError: If DOJOT could not be asked or the answer cannot be read.
        """
        path = f"/history/device/{device_id}/history"
        window = (("dateFrom", _z_form(start)), ("dateTo", _z_form(end)))
        first, last = ms_of(start), ms_of(end)  # both inclusive there
        found: dict[str, list[Value]] = {}
        for names in _questions(attributes):
            answer = self._patiently(partial(self._try, path, names, window))
            for name in names:
                found[name] = [it for it in answer.get(name, ()) if first <= it[0] < last]
        return found

    def _patiently(self, attempt: Callable[[], _Answer]) -> _Answer:
        patience = _PAUSES_S if self._failures < _TRUSTED_FAILURES else ()
        for pause in (*patience, None):
            try:
                found = attempt()
            except (httpx.HTTPError, HistoryError) as exc:
                if pause is None or isinstance(exc, LoginRefused):
                    self._failures += 1
                    raise HistoryError(f"{self._client.base_url}: {exc}") from exc
                logger.warning("dojot: %s; again in %s s", exc, pause)
                self._sleep(pause)
            else:
                self._failures = 0
                return found
        raise AssertionError("unreachable")

    def _read_tenant(self) -> str:
        token = self._authorization()["Authorization"]
        try:
            return str(_claims(token)["service"])
        except (IndexError, ValueError, KeyError, TypeError) as exc:
            raise HistoryError("the token of the login names no tenant") from exc

    def _try(
        self, path: str, names: Sequence[str], window: Iterable[tuple[str, str]]
    ) -> dict[str, list[Value]]:
        # Named twice at least, for a single one has another form of answer. Each by itself: of
        # names in a row DOJOT would only see the commas if they were not escaped.
        asked = [("attr", name) for name in (names if len(names) > 1 else (*names, *names))]
        parameters = httpx.QueryParams([*asked, *window])
        answer = self._client.get(path, params=parameters, headers=self._authorization())
        if answer.status_code == 401:
            self._forget_token(answer.request.headers["Authorization"].removeprefix("Bearer "))
            answer = self._client.get(path, params=parameters, headers=self._authorization())
        if answer.status_code == 404 and _is_unknown_device(answer):
            return {}  # it has sent nothing yet, as far as DOJOT knows
        if answer.status_code != 200:
            raise HistoryError(f"{path} answered {answer.status_code}: {answer.text[:200]!r}")
        return _series(answer, names)

    def _authorization(self) -> dict[str, str]:
        with self._lock:
            if self._refused is not None:
                raise self._refused
            if time.monotonic() >= self._renew_at:
                self._log_in()
            return {"Authorization": f"Bearer {self._token}"}

    def _forget_token(self, token: str) -> None:
        """Unless another thread has a newer one already: DOJOT allows five logins a minute."""
        with self._lock:
            if self._token == token:
                self._renew_at = 0.0

    def _log_in(self) -> None:
        answer = self._client.post("/auth", json=self._credentials)
        if answer.status_code == 429 and (wait_s := _retry_after_s(answer)) <= _LONGEST_WAIT_S:
            self._sleep(wait_s)
            answer = self._client.post("/auth", json=self._credentials)
        if answer.status_code != 200:
            problem = f"login refused: {answer.status_code} {answer.text[:200]!r}"
            if answer.status_code in (400, 401, 403, 429):
                self._refused = LoginRefused(problem)
                raise self._refused
            raise HistoryError(problem)
        try:
            self._token = str(answer.json()["jwt"])
        except (ValueError, KeyError, TypeError) as exc:
            raise HistoryError(f"login answered {answer.text[:200]!r}") from exc
        self._renew_at = time.monotonic() + _RENEW_AT * _life_s(self._token)


def _retry_after_s(answer: httpx.Response) -> float:
    try:
        return max(0.0, float(answer.headers.get("Retry-After", "60")))
    except ValueError:
        return 60.0


def _questions(names: Sequence[str]) -> Iterator[Sequence[str]]:
    """Share them out so that no question is longer, and no answer larger, than DOJOT can bear."""
    question: list[str] = []
    length = 0
    for name in names:
        added = len(quote(name)) + len("attr=&")
        if question and (len(question) == _MOST_NAMES or length + added > _LONGEST_NAMES):
            yield question
            question, length = [], 0
        question.append(name)
        length += added
    if question:
        yield question


def _claims(token: str) -> Any:
    body = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))


def _life_s(token: str) -> float:
    """Return how long the token is good for, by its own claims."""
    try:
        claims = _claims(token)
        life_s = float(claims["exp"]) - float(claims["iat"])
    except (IndexError, ValueError, KeyError, TypeError, OverflowError):
        return _FALLBACK_LIFE_S
    return life_s if life_s > 0 else _FALLBACK_LIFE_S


def _is_unknown_device(answer: httpx.Response) -> bool:
    """Whether it is history that finds nothing, and not something in front of it."""
    try:
        return bool(answer.json()["title"] == "Device not found")
    except (ValueError, KeyError, TypeError):
        return False


def _series(answer: httpx.Response, attributes: Iterable[str]) -> dict[str, list[Value]]:
    """Read an object of lists: each attribute has one, if only an empty one."""
    known: dict[str, int] = {}  # the attributes of a message share the text of their time
    try:
        body = orjson.loads(answer.content)
        return {name: _values(body[name], known) for name in attributes}
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise HistoryError(f"answered {answer.text[:200]!r}, unreadable: {exc!r}") from exc


def _values(rows: Iterable[Mapping[str, Any]], known: dict[str, int]) -> list[Value]:
    values = []
    for row in rows:
        text = row["ts"]
        if (ms := known.get(text)) is None:
            ms = known[text] = ms_of(datetime.fromisoformat(text))
        values.append((ms, row["value"]))
    values.sort(key=itemgetter(0))
    return values


def ms_of(at: datetime) -> int:
    """Return ms since 1970, cut off, not rounded; without a zone it is UTC."""
    since = (at if at.tzinfo else at.replace(tzinfo=UTC)) - _EPOCH
    return (since.days * 86400 + since.seconds) * 1000 + since.microseconds // 1000


def _z_form(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
