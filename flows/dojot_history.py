"""Reads DOJOT's history over HTTP (API of 0.7): a shared token, bounded windows, retries."""

import base64
import json
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

logger = logging.getLogger(__name__)

_PAUSES_S = (0.5, 2.0, 8.0)
_RENEW_AT = 0.8  # of the token's life: a token is never used when about to end
_FALLBACK_LIFE_S = 420.0


class HistoryError(RuntimeError):
    """DOJOT could not be asked, or answered nonsense; the message says what."""


class LoginRefused(HistoryError):
    """Asking again would only use up the few logins DOJOT allows."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of one attribute; ``ms`` since 1970, the precision DOJOT keeps."""

    attribute: str
    ms: int
    value: Any


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
        self._client = httpx.Client(base_url=url, timeout=httpx.Timeout(60, connect=5))
        self._sleep = sleep
        self._lock = threading.Lock()
        self._token = ""
        self._renew_at = 0.0

    def close(self) -> None:
        self._client.close()

    def samples(
        self, device_id: str, attributes: Sequence[str], start: datetime, end: datetime
    ) -> list[Sample]:
        """Return what DOJOT holds of these attributes in [start, end), in no particular order.

        At least two attributes must be named: with one, DOJOT answers in another shape.

        Raises:
            HistoryError: If DOJOT could not be asked or the answer cannot be read.
        """
        if len(attributes) < 2:
            raise ValueError("name at least two attributes")
        parameters = {
            "attr": ",".join(attributes),
            "dateFrom": _z_form(start),
            "dateTo": _z_form(end),
        }
        first, last = _ms(start), _ms(end)
        found = self._ask(f"/history/device/{device_id}/history", parameters)
        return [sample for sample in found if first <= sample.ms < last]

    def _ask(self, path: str, parameters: Mapping[str, str]) -> list[Sample]:
        for pause in (*_PAUSES_S, None):
            try:
                return self._try(path, parameters)
            except (httpx.HTTPError, HistoryError) as exc:
                if pause is None or isinstance(exc, LoginRefused):
                    raise HistoryError(f"{self._client.base_url}: {exc}") from exc
                logger.warning("dojot: %s: %s; again in %s s", path, exc, pause)
                self._sleep(pause)
        raise AssertionError("unreachable")

    def _try(self, path: str, parameters: Mapping[str, str]) -> list[Sample]:
        answer = self._client.get(path, params=parameters, headers=self._authorization())
        if answer.status_code == 401:
            self._forget_token()
            answer = self._client.get(path, params=parameters, headers=self._authorization())
        if answer.status_code == 404:
            return []  # nothing in this window, which DOJOT calls not found
        if answer.status_code != 200:
            raise HistoryError(f"answered {answer.status_code}: {answer.text[:200]!r}")
        return _samples(answer)

    def _authorization(self) -> dict[str, str]:
        with self._lock:
            if time.monotonic() >= self._renew_at:
                self._log_in()
            return {"Authorization": f"Bearer {self._token}"}

    def _forget_token(self) -> None:
        with self._lock:
            self._renew_at = 0.0

    def _log_in(self) -> None:
        answer = self._client.post("/auth", json=self._credentials)
        if answer.status_code == 429:
            self._sleep(min(float(answer.headers.get("Retry-After", "60")), 70.0))
            answer = self._client.post("/auth", json=self._credentials)
        if answer.status_code != 200:
            problem = f"login refused: {answer.status_code} {answer.text[:200]!r}"
            is_final = answer.status_code in (400, 401, 403)
            raise LoginRefused(problem) if is_final else HistoryError(problem)
        try:
            self._token = str(answer.json()["jwt"])
        except (ValueError, KeyError, TypeError) as exc:
            raise HistoryError(f"login answered {answer.text[:200]!r}") from exc
        self._renew_at = time.monotonic() + _RENEW_AT * _life_s(self._token)


def _life_s(token: str) -> float:
    """Return how long the token is good for, by its own claims."""
    try:
        body = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return float(claims["exp"]) - float(claims["iat"])
    except (IndexError, ValueError, KeyError, TypeError):
        return _FALLBACK_LIFE_S


def _samples(answer: httpx.Response) -> list[Sample]:
    try:
        return [_sample(row) for row in _rows(answer.json())]
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise HistoryError(f"answered {answer.text[:200]!r}, unreadable: {exc}") from exc


def _rows(body: Any) -> Iterable[Mapping[str, Any]]:
    """Take both shapes: an object of lists, or a list for a single attribute."""
    if isinstance(body, list):
        return body
    return [row for rows in body.values() for row in rows]


def _sample(row: Mapping[str, Any]) -> Sample:
    return Sample(str(row["attr"]), _ms(datetime.fromisoformat(row["ts"])), row["value"])


def _ms(at: datetime) -> int:
    """Return ms since 1970, cut off, not rounded."""
    at = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    since = at - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86400 + since.seconds) * 1000 + since.microseconds // 1000


def _z_form(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
