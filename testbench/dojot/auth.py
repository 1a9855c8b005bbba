"""Login, tokens and their check at the gateway (contract section 1)."""

import base64
import hashlib
import hmac
import secrets
import time
from collections import Counter
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from testbench.dojot.answers import Refused
from testbench.dojot.faults import Faults
from testbench.dojot.store import Store

_LIMITS = {"Minute": (60, 5), "Hour": (3600, 40)}
_ACCOUNTS = [  # user name, password, tenant, group
    ("admin", "admin", "admin", "admin"),
    ("reader", "temppwd", "admin", "user"),
    ("idle", None, "admin", "user"),  # never set a password
    ("other", "temppwd", "other", "admin"),  # of another tenant
]


class Auth:
    def __init__(self, store: Store, faults: Faults) -> None:
        self._store = store
        self._faults = faults
        self._logins: Counter[tuple[str, str, int]] = Counter()
        self._secret = self._keep_secret()
        for number, (username, passwd, tenant, profile) in enumerate(_ACCOUNTS, start=1):
            store.run(
                "INSERT OR IGNORE INTO account VALUES (?, ?, ?, ?, ?, ?)",
                *(username, number, passwd, tenant, profile, secrets.token_hex(16)),
            )

    def _keep_secret(self) -> bytes:
        """Kept in the database, so that tokens outlive a restart."""
        row = self._store.row("SELECT value FROM secret")
        if row is None:
            self._store.run("INSERT INTO secret VALUES (?)", secrets.token_hex(32))
            return self._keep_secret()
        return str(row["value"]).encode()

    async def login(self, request: Request) -> Response:
        self._count(request.client.host if request.client else "")
        if request.headers.get("content-type", "").split(";")[0].strip() != "application/json":
            return PlainTextResponse("invalid mimetype", 400)
        try:
            body = orjson.loads(await request.body())
        except ValueError:
            return HTMLResponse("<!DOCTYPE HTML><title>400 Bad Request</title>", 400)
        for key, name in (("username", "username"), ("passwd", "password")):
            if not isinstance(body, dict) or key not in body:
                return PlainTextResponse(f"missing {name}", 400)
        return JSONResponse({"jwt": self._admit(str(body["username"]).lower(), body["passwd"])})

    def _count(self, address: str) -> None:
        """Fixed windows, as the gateway counts them; a failed login counts too."""
        if not self._faults.limit_logins:
            return
        now = time.time()
        for name, (window_s, limit) in _LIMITS.items():
            slot = (address, name, int(now // window_s))
            self._logins[slot] += 1
            if self._logins[slot] > limit:
                raise _too_many_logins(int(window_s - now % window_s) + 1)

    def forget_logins(self) -> int:
        """Count anew, and return how many logins there were of late."""
        tried = sum(count for (_, name, _), count in self._logins.items() if name == "Hour")
        self._logins.clear()
        return tried

    def _admit(self, username: str, passwd: object) -> str:
        account = self._store.row("SELECT * FROM account WHERE username = ?", username)
        if account is None:
            raise Refused(401, {"message": "AuthenticationError", "status": 401})
        if account["passwd"] is None:
            raise Refused(401, {"message": "This user is inactive", "status": 401})
        if account["passwd"] != passwd:
            raise Refused(403, {"message": "AuthorizationError", "status": 403})
        return self._token(dict(account))

    def _token(self, account: dict[str, Any]) -> str:
        now = int(time.time())
        claims = {
            "iss": account["key"],
            "iat": now,
            "exp": now + int(self._faults.token_lifetime_s),
            "profile": account["profile"],
            "groups": [1 if account["profile"] == "admin" else 2],
            "userid": account["id"],
            "jti": secrets.token_hex(16),
            "service": account["tenant"],
            "username": account["username"],
        }
        signed = f"{_encode({'alg': 'HS256', 'typ': 'JWT'})}.{_encode(claims)}"
        return f"{signed}.{self._signature(signed, account['key'])}"

    def _signature(self, signed: str, key: str) -> str:
        secret = hmac.digest(self._secret, key.encode(), hashlib.sha256)
        return _base64(hmac.digest(secret, signed.encode(), hashlib.sha256))

    def check(self, request: Request) -> dict[str, Any]:
        """Return the claims of the bearer, or refuse as the gateway does."""
        word, _, token = request.headers.get("authorization", "").partition(" ")
        if word not in ("Bearer", "bearer") or not token.strip():
            raise Refused(401, {"message": "Unauthorized"})
        claims = self._claims(token.strip())
        if self._faults.enforce_exp and claims.get("exp", 0) < time.time():
            raise Refused(401, {"exp": "token expired"})
        if not _permitted(claims, request):
            raise Refused(403, None)
        return claims

    def _claims(self, token: str) -> dict[str, Any]:
        try:
            header, payload, signature = token.split(".")
            claims: dict[str, Any] = orjson.loads(_decode(payload))
            key = str(claims["iss"])
        except (ValueError, KeyError, TypeError):
            raise Refused(401, {"message": "Bad token; invalid JSON"}) from None
        if self._store.row("SELECT 1 FROM account WHERE key = ?", key) is None:
            raise Refused(401, {"message": "No credentials found for given 'iss'"})
        if not hmac.compare_digest(self._signature(f"{header}.{payload}", key), signature):
            raise Refused(401, {"message": "Invalid signature"})
        return claims


def _too_many_logins(retry_after_s: int) -> Refused:
    headers = {
        "Retry-After": str(retry_after_s),
        "RateLimit-Reset": str(retry_after_s),
        **{f"X-RateLimit-Limit-{name}": str(limit) for name, (_, limit) in _LIMITS.items()},
    }
    return Refused(429, {"message": "API rate limit exceeded"}, headers)


def _permitted(claims: dict[str, Any], request: Request) -> bool:
    if claims.get("profile") == "admin" or request.url.path.startswith(("/template", "/device")):
        return True
    return request.method == "GET" and request.url.path.startswith("/history")


def _encode(part: dict[str, Any]) -> str:
    return _base64(orjson.dumps(part))


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
