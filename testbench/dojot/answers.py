"""How the services behind the gateway answer: bodies, statuses and the odd 500."""

from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response


class Refused(Exception):
    """Ends a request with this status and JSON body; None is an empty one."""

    def __init__(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body
        self.headers = headers


def refusal(status: int, message: str) -> Refused:
    return Refused(status, {"message": message, "status": status})


def internal_error() -> Refused:
    """The device manager's answer to what it did not foresee."""
    return Refused(500, {"msg": "Internal Error"})


def bad_input(what: str, **errors: list[str]) -> Refused:
    return Refused(400, {"message": f"failed to parse {what}", "errors": errors})


async def answer_refused(_: Request, refused: Exception) -> Response:
    assert isinstance(refused, Refused)
    if refused.body is None:
        return Response(status_code=refused.status)
    return JSONResponse(refused.body, refused.status, refused.headers)


async def strict_json(request: Request) -> dict[str, Any]:
    """The body, if the content type is exactly ``application/json``."""
    try:
        if request.headers.get("content-type") != "application/json":
            raise ValueError("content type")
        body = orjson.loads(await request.body())
    except ValueError:
        raise refusal(400, "Payload must be valid JSON, and Content-Type set accordingly") from None
    if not isinstance(body, dict):
        raise bad_input("input", _schema=["Invalid input type."])
    return body


def number(text: object) -> int:
    """An integer as the device manager reads it; anything else surprises it."""
    try:
        return int(str(text))
    except ValueError:
        raise internal_error() from None


def page_of(request: Request) -> tuple[int, int]:
    """(page number, page size) of a listing."""
    page = number(request.query_params.get("page_num", "1"))
    size = number(request.query_params.get("page_size", "20"))
    if page < 1:
        raise refusal(400, "Page numbers must be greater than 1")
    if size < 1:
        raise internal_error()
    return page, size


def paged(items: list[Any], page: int, size: int) -> tuple[list[Any], dict[str, Any]]:
    """One page and its ``pagination``, whose ``total`` counts pages."""
    pages = -(-len(items) // size)
    has_next = page < pages
    return items[(page - 1) * size : page * size], {
        "page": page,
        "total": pages,
        "has_next": has_next,
        "next_page": page + 1 if has_next else None,
    }
