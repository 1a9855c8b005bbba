"""DOJOT's HTTP API as far as the relay needs it: login, templates, devices.

Every failure is a ``DojotError`` with a name, whatever DOJOT or something in front of it answers:
HTML, half of a JSON text, JSON of another shape, refusals, nothing.
"""

import asyncio
import base64
import functools
import time
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
import orjson
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

T = TypeVar("T")
_adapter = functools.cache(TypeAdapter)  # making one takes longer than the call

_TIMEOUT_S = 30  # the device manager gives up after as much
_PAGE_SIZE = 500
_RENEW_AT = 0.8  # of a token's life
_USUAL_LIFE_S = 420
_LONGEST_WAIT_S = 3600  # the longest period that DOJOT counts logins over
_LOGIN_PAUSE_S = 300  # after a refusal: 40 logins an hour are all that an address has


# Answers that may be about the one device that was asked about.
ABOUT_ONE = frozenset({"refused", "not_found", "server_error", "not_json", "unexpected_shape"})


class DojotError(Exception):
    """DOJOT did not do as asked.

    Attributes:
        name: For metrics and logs.
        retry_after_s: How long DOJOT asked us to wait; 0 if it did not.
        maybe_done: Whether the change may have happened all the same.
    """

    def __init__(
        self, name: str, text: str, *, retry_after_s: float = 0, maybe_done: bool = False
    ) -> None:
        super().__init__(f"{name}: {text}")
        self.name = name
        self.retry_after_s = retry_after_s
        self.maybe_done = maybe_done


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)


class Attribute(_Answer):
    label: str
    type: str
    value_type: str
    static_value: Any = None
    metadata: Any = None

    def definition(self) -> dict[str, Any]:
        """What may be sent back in an update: ids and dates may not, at no depth."""
        return _definition(self.model_dump(exclude_none=True))


class Template(_Answer):
    id: int
    label: str
    attrs: list[Attribute]


class FoundDevice(_Answer):
    id: str
    label: str
    created: str = ""
    templates: list[int | str] | None = None  # of a new one it is not told


def _definition(attribute: dict[str, Any]) -> dict[str, Any]:
    kept = ("label", "type", "value_type", "static_value", "metadata")
    definition = {name: attribute[name] for name in kept if attribute.get(name) is not None}
    if isinstance(about := definition.get("metadata"), list):
        definition["metadata"] = [_definition(item) for item in about if isinstance(item, dict)]
    return definition


class _Pagination(_Answer):
    next_page: int | None


class _Devices(_Answer):
    devices: list[FoundDevice]
    pagination: _Pagination


class _Templates(_Answer):
    templates: list[Template]
    pagination: _Pagination


class _Created(_Answer):
    devices: list[FoundDevice]


class _NewTemplate(_Answer):
    template: Template


class _Token(_Answer):
    jwt: str


class _Claims(_Answer):
    service: str
    iat: float
    exp: float


@dataclass(slots=True)
class _Login:
    token: str
    tenant: str
    renew_at: float  # our clock


class DojotApi:
    """One client with one token for the whole process; safe to use from several tasks."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self._user = user
        self._password = password
        self._client = httpx.AsyncClient(base_url=url, timeout=_TIMEOUT_S)
        self._login: _Login | None = None
        self._logging_in = asyncio.Lock()

    async def close(self) -> None:
        await self._client.aclose()

    async def tenant(self) -> str:
        """Log in if need be. Raises DojotError, as all methods do."""
        return (await self._logged_in()).tenant

    async def templates(self, label: str) -> list[Template]:
        """Return the templates with exactly this label, oldest first."""
        found: list[Template] = []
        page: int | None = 1
        while page:
            query = {"label": label, "page_num": page, "page_size": _PAGE_SIZE, "sortBy": "label"}
            answer = await self._call(_Templates, "GET", "/template", params=query)
            found += [template for template in answer.templates if template.label == label]
            page = _following(page, answer.pagination)
        return sorted(found, key=lambda template: template.id)

    async def create_template(self, label: str, attrs: list[dict[str, Any]]) -> Template:
        body = {"label": label, "attrs": attrs}
        return (await self._call(_NewTemplate, "POST", "/template", json=body)).template

    async def update_template(self, template: Template, attrs: list[dict[str, Any]]) -> None:
        """Replace the attributes: one that is not in ``attrs`` is deleted."""
        body = {"label": template.label, "attrs": attrs}
        await self._call(dict[str, Any], "PUT", f"/template/{template.id}", json=body)

    async def devices(self, label: str = "") -> list[FoundDevice]:
        """Return the devices whose label contains ``label``; _ and % match anything."""
        found: list[FoundDevice] = []
        page: int | None = 1
        while page:
            query = {"label": label, "page_num": page, "page_size": _PAGE_SIZE, "sortBy": "label"}
            answer = await self._call(_Devices, "GET", "/device", params=query)
            found += answer.devices
            page = _following(page, answer.pagination)
        return found

    async def create_device(self, label: str, template_id: int) -> FoundDevice:
        """Make a device, also a second one of a label: look before, and after a failure."""
        body = {"label": label, "templates": [template_id]}
        created = (await self._call(_Created, "POST", "/device", json=body)).devices
        if not created:
            raise DojotError("unexpected_shape", "no device in the answer", maybe_done=True)
        return created[0]

    async def attach_template(self, device_id: str, template_id: int) -> None:
        """Give a device the attributes of one more template."""
        await self._call(dict[str, Any], "POST", f"/device/{device_id}/template/{template_id}")

    async def _call(self, shape: type[T], method: str, path: str, **options: Any) -> T:
        """Call once, and once more with a new token if the first one was not accepted."""
        login = await self._logged_in()
        answer = await self._send(method, path, login, options)
        if answer.status_code == 401:
            self._forget(login)
            answer = await self._send(method, path, await self._logged_in(), options)
        _check_status(answer, method != "GET")
        return _read(shape, answer, method != "GET")

    async def _send(
        self, method: str, path: str, login: _Login | None, options: dict[str, Any]
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {login.token}"} if login else {}
        try:
            return await self._client.request(method, path, headers=headers, **options)
        except httpx.TimeoutException as error:
            raise DojotError("timeout", f"{method} {path}", maybe_done=True) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise DojotError("unreachable", f"{path}: {error}", maybe_done=True) from error

    async def _logged_in(self) -> _Login:
        async with self._logging_in:
            if self._login is None or time.monotonic() > self._login.renew_at:
                self._login = await self._log_in()
            return self._login

    def _forget(self, login: _Login) -> None:
        if self._login is login:  # or else another task has a newer one already
            self._login = None

    async def _log_in(self) -> _Login:
        body = {"username": self._user, "passwd": self._password}
        answer = await self._send("POST", "/auth", None, {"json": body})
        if answer.status_code in (400, 401, 403):
            raise DojotError(
                "login_refused",
                f"{answer.status_code} for user {self._user!r}",
                retry_after_s=_LOGIN_PAUSE_S,
            )
        _check_status(answer, False)
        token = _read(_Token, answer, False).jwt
        claims = _claims(token)
        life_s = claims.exp - claims.iat
        renew_in_s = _RENEW_AT * (life_s if life_s > 0 else _USUAL_LIFE_S)
        return _Login(token, claims.service, time.monotonic() + renew_in_s)


def _check_status(answer: httpx.Response, changes: bool) -> None:
    status = answer.status_code
    if status == 429:
        wait_s = _seconds(answer.headers.get("retry-after", ""))
        raise DojotError("rate_limited", f"for {wait_s} s", retry_after_s=wait_s)
    if status == 401:  # a new token too
        raise DojotError("unauthorized", answer.url.path, retry_after_s=_LOGIN_PAUSE_S)
    names = {403: "forbidden", 404: "not_found"}
    if status >= 500:
        raise DojotError("server_error", f"{status} of {answer.url.path}", maybe_done=changes)
    if status >= 400:
        raise DojotError(names.get(status, "refused"), f"{status} of {answer.url.path}")


def _read(shape: type[T], answer: httpx.Response, changes: bool) -> T:
    """A change that was answered with nonsense may have happened."""
    path = answer.url.path
    try:
        body = orjson.loads(answer.content)
    except ValueError:
        raise DojotError("not_json", f"{path}: {answer.text[:40]!r}", maybe_done=changes) from None
    try:
        valid: T = _adapter(shape).validate_python(body)  # type: ignore[arg-type]
        return valid
    except ValidationError as error:
        complaint = f"{path}: {error.error_count()} fields are not as expected"
        raise DojotError("unexpected_shape", complaint, maybe_done=changes) from None


def _claims(token: str) -> _Claims:
    """Only read: whether the token is genuine is the gateway's business."""
    try:
        payload = token.split(".")[1]
        text = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
        return _Claims.model_validate(orjson.loads(text), strict=False)
    except (IndexError, ValueError):
        raise DojotError("unexpected_shape", "the token has no readable claims") from None


def _following(page: int, pagination: _Pagination) -> int | None:
    """The next page; one that does not go on would make us ask for ever."""
    following = pagination.next_page
    if following is not None and following <= page:
        raise DojotError("unexpected_shape", f"page {following} after page {page}")
    return following


def _seconds(text: str) -> float:
    """What Retry-After says, within reason: its form with a date is not read."""
    try:
        return min(_LONGEST_WAIT_S, max(0.0, float(text)))
    except ValueError:
        return 60.0
