"""Who may look and who may act.

Three ways, the first that is configured: OpenID Connect (``[auth]`` in Streamlit's secrets.toml),
local users (``ELETROPOSTO_DASHBOARD_USERS`` names a file), or nobody has to sign in, which is
allowed on this machine only: ``launch`` asks before the server starts, the server itself after.
"""

import hmac
import ipaddress
import logging
import os
import time
from html import escape
from pathlib import Path
from urllib.parse import parse_qs, quote

import streamlit as st
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from streamlit.errors import StreamlitSecretNotFoundError

from dashboard import i18n, users, visitor
from dashboard.visitor import Role, t

logger = logging.getLogger(__name__)

USERS = "ELETROPOSTO_DASHBOARD_USERS"
COOKIE = "eletroposto_session"
_HOURS = 12
_TRIES, _TRIES_OF_ALL, _PAUSE_S = 8, 80, 60.0
_LONGEST_FORM = 10_000
_failures: dict[tuple[str, str | None], list[float]] = {}  # name None: whoever it was


class Unsafe(RuntimeError):
    """Others could reach the dashboard without signing in, or nobody could know whether."""


def is_configured() -> bool:
    """Whether people have to sign in.

    Raises:
        Unsafe: If the secrets cannot be read.
    """
    return bool(_users_file()) or _has_oidc()


def refuse_unsafe(host: str) -> None:
    """Raise unless ``host`` is this machine alone or people have to sign in."""
    if not is_configured() and not _is_loopback(host):
        raise Unsafe(
            f"the dashboard would be open to everybody on {host or 'every address'}: set {USERS},"
            " or configure OpenID Connect ([auth] in .streamlit/secrets.toml), or use 127.0.0.1"
        )


def bound_address() -> str:
    """Where the running server listens; empty for everywhere."""
    return str(st.get_option("server.address") or "")


def secret_files() -> list[str]:
    """Absolute paths of Streamlit's secrets, where there are any."""
    paths = (Path(each).absolute() for each in st.get_option("secrets.files"))
    return [str(path) for path in paths if path.exists()]


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def require() -> None:
    """Know the visitor, or stop with the way to sign in."""
    if _has_oidc():
        _require_oidc()
    elif _users_file():
        _require_local()
    elif st.context.headers and not _is_loopback(bound_address()):  # a browser, past server.py
        st.error(t("signin.unsafe"), icon=":material/lock:")
        st.stop()
    else:
        visitor.sign_in("dashboard", "operator")


def draw_visitor() -> None:
    """Who is signed in, and the way out; or that nobody has to."""
    if not is_configured():
        st.caption(t("signin.open"))
        return
    st.caption(t("signin.as", name=visitor.name()[:60], role=t(f"role.{visitor.role()}")))
    if _has_oidc():
        st.button(t("signin.out"), on_click=st.logout, type="tertiary")
    else:
        st.html(f'<a href="/sair" target="_self">{escape(t("signin.out"))}</a>')


def _require_local() -> None:
    if (known := _known()) is None:
        st.info(t("signin.needed"), icon=":material/lock:")
        target = quote(st.context.url or "/", safe="")
        st.html(f'<a href="/entrar?next={target}" target="_self">{escape(t("signin.in"))}</a>')
        st.stop()
    visitor.sign_in(*known)


def _known() -> tuple[str, Role] | None:
    try:
        return users.read_token(_users_file(), str(st.context.cookies.get(COOKIE, "")), time.time())
    except users.UsersFileError as broken:
        logger.warning("nobody is signed in: %s", broken)
        return None


def _require_oidc() -> None:
    if not st.user.is_logged_in:
        st.info(t("signin.needed"), icon=":material/lock:")
        st.button(t("signin.in"), on_click=st.login, type="primary")
        st.stop()
    claim = os.environ.get("ELETROPOSTO_DASHBOARD_ROLE_CLAIM", "eletroposto_role")
    name = str(st.user.get("email") or st.user.get("sub") or "?")
    visitor.sign_in(name, role_of(st.user.get(claim)))


def role_of(claim: object) -> Role:
    """The strongest role a claim names; a viewer where it names none."""
    named = claim if isinstance(claim, list) else [claim]
    return next((role for role in reversed(visitor.ROLES) if role in named), "viewer")


def _has_oidc() -> bool:
    if not st.secrets.load_if_toml_exists() and not secret_files():
        return False
    try:
        return "auth" in st.secrets
    except StreamlitSecretNotFoundError as broken:
        # Whoever wrote them may have wanted people to sign in.
        raise Unsafe(f"the secrets of the dashboard cannot be read: {broken}") from broken


def _users_file() -> str:
    return os.environ.get(USERS, "")


# The form is served beside Streamlit, not by it: only an HTTP answer can set a cookie that
# scripts of a page cannot read.


def routes() -> list[BaseRoute]:
    return [
        Route("/entrar", show_form, methods=["GET"]),
        Route("/entrar", take_form, methods=["POST"]),
        Route("/sair", leave, methods=["GET"]),
    ]


async def show_form(request: Request) -> Response:
    return _form(request, None)


async def take_form(request: Request) -> Response:
    """Check name and password; a wrong pair and an unknown name look the same."""
    address = request.client.host if request.client else "?"
    if not _is_same_origin(request):
        return _form(request, "signin.wrong", 403)
    name, password = await _credentials(request)
    if _is_paused((address, name), _TRIES) or _is_paused((address, None), _TRIES_OF_ALL):
        return _form(request, "signin.paused", 429)
    role = await run_in_threadpool(users.check, _users_file(), name, password)
    if role is None:
        for who in (name, None):
            _failures.setdefault((address, who), []).append(time.monotonic())
        logger.warning("%s: sign-in refused", address)
        return _form(request, "signin.wrong", 403)
    _failures.pop((address, name), None)
    logger.info("%s: signed in as %s", address, role)
    return _welcome(request, name)


async def _credentials(request: Request) -> tuple[str, str]:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LONGEST_FORM:
            return "", ""
    fields = parse_qs(body.decode(errors="replace"))
    return fields.get("name", [""])[0], fields.get("password", [""])[0]


def _welcome(request: Request, name: str) -> Response:
    answer = RedirectResponse(local_path(request.query_params.get("next", "/")), 303)
    until = time.time() + _HOURS * 3600
    answer.set_cookie(
        COOKIE,
        users.make_token(_users_file(), name, until),
        max_age=_HOURS * 3600,
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    return answer


async def leave(_: Request) -> Response:
    answer = RedirectResponse("/entrar", 303)
    answer.delete_cookie(COOKIE)
    return answer


def local_path(target: str) -> str:
    """The path and query of an address, so that signing in never leads elsewhere."""
    _, _, rest = target.partition("://")
    path = "/" + rest.partition("/")[2] if rest else target
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) else "/"


def _is_same_origin(request: Request) -> bool:
    origin = request.headers.get("origin")
    if origin in (None, "null"):
        return origin is None
    return hmac.compare_digest(
        origin.partition("://")[2].encode(), request.headers.get("host", "").encode()
    )


def _is_paused(who: tuple[str, str | None], tries: int) -> bool:
    """After many failures a name has to wait, and after very many the address they came from.

    Behind a proxy everybody has one address: a few failures of one user must not stop the others.
    """
    now = time.monotonic()
    recent = [at for at in _failures.get(who, []) if now - at < _PAUSE_S]
    if len(_failures) > 10_000:
        _failures.clear()
    _failures[who] = recent
    return len(recent) >= tries


_PAGE = """<!doctype html><html lang="{lang}"><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1"><title>eletroposto</title>
<style>:root{{color-scheme:light dark}}body{{font:16px/1.5 system-ui,sans-serif;display:grid;
place-items:center;min-height:90vh;margin:0}}form{{display:grid;gap:.7rem;width:min(20rem,90vw)}}
input,button{{font:inherit;padding:.55rem .7rem;border-radius:.4rem;border:1px solid #8b96a3}}
button{{background:#1f5f99;color:#fff;border:0;cursor:pointer}}p{{margin:0;color:#b8433a}}</style>
<form method="post"><h1>eletroposto</h1>{error}
<label>{name}<br><input name="name" autocomplete="username" required autofocus></label>
<label>{password}<br>
<input name="password" type="password" autocomplete="current-password" required></label>
<button>{enter}</button></form></html>"""


def _form(request: Request, error: str | None, status: int = 200) -> Response:
    english = request.headers.get("accept-language", "pt").lower().startswith("en")
    words = i18n.Words("en" if english else "pt")
    page = _PAGE.format(
        lang=words.language,
        error=f'<p role="alert">{escape(words(error))}</p>' if error else "",
        name=escape(words("signin.name")),
        password=escape(words("signin.password")),
        enter=escape(words("signin.in")),
    )
    return HTMLResponse(page, status, headers={"Cache-Control": "no-store"})
