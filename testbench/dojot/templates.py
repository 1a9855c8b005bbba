"""Templates of the device manager (contract section 2)."""

import random
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from testbench.dojot.answers import (
    bad_input,
    internal_error,
    number,
    page_of,
    paged,
    refusal,
    strict_json,
)
from testbench.dojot.store import Row, Store, now_text

_LABEL = re.compile(r"[A-Za-z0-9_-]+")
_DATA_TYPES = ("static", "dynamic", "actuator")
LABEL_LIMIT = 128
_TYPE_LIMIT = 32


class Templates:
    def __init__(self, store: Store, changed: Callable[[str, int], None]) -> None:
        """``changed(tenant, template id)`` hears of every update."""
        self._store = store
        self._changed = changed

    async def create(self, request: Request) -> Response:
        tenant, body = request.state.tenant, await strict_json(request)
        label, attrs = _read(body)
        template_id = self._store.next_id(tenant, "template")
        self._store.run(
            "INSERT INTO template VALUES (?, ?, ?, ?, NULL)", tenant, template_id, label, now_text()
        )
        for attr in attrs:
            self._add_attribute(tenant, template_id, attr)
        return JSONResponse({"result": "ok", "template": self.describe(tenant, template_id)})

    async def find(self, request: Request) -> Response:
        tenant, query = request.state.tenant, request.query_params
        page, size = page_of(request)
        ids = self._matching(tenant, request)
        shown, pagination = paged(ids, page, size)
        form = query.get("attr_format", "both")
        templates = [_shaped(self.describe(tenant, item), form) for item in shown]
        return JSONResponse({"pagination": pagination, "templates": templates})

    def _matching(self, tenant: str, request: Request) -> list[int]:
        order = "label" if request.query_params.get("sortBy") == "label" else "id"
        condition, values = attribute_filter(request, "attribute.template_id = template.id")
        found = self._store.rows(
            "SELECT id FROM template WHERE tenant = ?"
            f" AND label LIKE '%' || ? || '%' ESCAPE '\\' {condition} ORDER BY {order}",
            *(tenant, request.query_params.get("label", ""), *values),
        )
        return [row["id"] for row in found]

    async def get(self, request: Request) -> Response:
        template_id = number(request.path_params["template_id"])
        return JSONResponse(self.describe(request.state.tenant, template_id))

    async def update(self, request: Request) -> Response:
        """Attributes are matched by (label, type): absent ones go, new ones come."""
        tenant, body = request.state.tenant, await strict_json(request)
        template_id = number(request.path_params["template_id"])
        old = self.describe(tenant, template_id)
        label, attrs = _read(body)
        self._store.run(
            "UPDATE template SET label = ?, updated = ? WHERE tenant = ? AND id = ?",
            *(label, now_text(), tenant, template_id),
        )
        known = {(attr["label"], attr["type"]): attr["id"] for attr in old["attrs"]}
        wanted = {(attr["label"], attr["type"]): attr for attr in attrs}
        for key in known.keys() - wanted.keys():
            self._remove_attribute(tenant, known[key])
        for key, attr in wanted.items():
            if key in known:
                self._change_attribute(tenant, known[key], attr)
            else:
                self._add_attribute(tenant, template_id, attr)
        self._changed(tenant, template_id)
        return JSONResponse({"result": "ok", "updated": self.describe(tenant, template_id)})

    async def delete(self, request: Request) -> Response:
        tenant = request.state.tenant
        template_id = number(request.path_params["template_id"])
        removed = self.describe(tenant, template_id)
        if self._store.row(
            "SELECT 1 FROM device_template WHERE tenant = ? AND template_id = ?",
            *(tenant, template_id),
        ):
            raise refusal(400, "Templates cannot be removed as they are being used by devices")
        self._store.run("DELETE FROM template WHERE tenant = ? AND id = ?", tenant, template_id)
        self._store.run(
            "DELETE FROM attribute WHERE tenant = ? AND template_id = ?", tenant, template_id
        )
        return JSONResponse({"result": "ok", "removed": removed})

    def describe(self, tenant: str, template_id: int) -> dict[str, Any]:
        row = self._store.row(
            "SELECT * FROM template WHERE tenant = ? AND id = ?", tenant, template_id
        )
        if row is None:
            raise refusal(404, f"No such template: {template_id}")
        attrs = self.attributes(tenant, template_id)
        return {
            "id": row["id"],
            "label": row["label"],
            "created": row["created"],
            **({"updated": row["updated"]} if row["updated"] else {}),
            "attrs": attrs,
            "data_attrs": [attr for attr in attrs if attr["type"] in _DATA_TYPES],
            "config_attrs": [attr for attr in attrs if attr["type"] not in _DATA_TYPES],
        }

    def attributes(self, tenant: str, template_id: int) -> list[dict[str, Any]]:
        """In no order, as DOJOT gives them."""
        rows = self._store.rows(
            "SELECT * FROM attribute WHERE tenant = ? AND template_id = ?", tenant, template_id
        )
        attrs = [_attribute(row) for row in rows]
        random.shuffle(attrs)
        return attrs

    def _add_attribute(self, tenant: str, template_id: int, attr: dict[str, Any]) -> None:
        metadata = orjson.dumps(attr["metadata"]).decode() if attr.get("metadata") else None
        self._store.run(
            "INSERT INTO attribute VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            *(tenant, self._store.next_id(tenant, "attribute"), template_id, attr["label"]),
            *(attr["type"], attr["value_type"], attr.get("static_value"), metadata, now_text()),
        )

    def _change_attribute(self, tenant: str, attribute_id: int, attr: dict[str, Any]) -> None:
        self._store.run(
            "UPDATE attribute SET value_type = ?, static_value = ? WHERE tenant = ? AND id = ?",
            *(attr["value_type"], attr.get("static_value"), tenant, attribute_id),
        )

    def _remove_attribute(self, tenant: str, attribute_id: int) -> None:
        self._store.run("DELETE FROM attribute WHERE tenant = ? AND id = ?", tenant, attribute_id)
        self._store.run(
            "DELETE FROM override WHERE tenant = ? AND attribute_id = ?", tenant, attribute_id
        )


def attribute_filter(request: Request, belongs: str) -> tuple[str, list[str]]:
    """SQL for ``attr=<label>=<static value>`` and ``attr_type=<value type>``."""
    conditions, values = [], []
    for asked in request.query_params.getlist("attr"):
        label, equals, value = asked.partition("=")
        if not equals:
            raise internal_error()
        conditions.append("attribute.label = ? AND attribute.static_value = ?")
        values += [label, value]
    for value_type in request.query_params.getlist("attr_type"):
        conditions.append("attribute.value_type = ?")
        values.append(value_type)
    sql = "".join(
        f" AND EXISTS (SELECT 1 FROM attribute WHERE attribute.tenant = ?1 AND {belongs}"
        f" AND {condition})"
        for condition in conditions
    )
    return sql, values


def _read(body: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
    """(label, attributes) of a template, or the refusal they deserve."""
    if "label" not in body:
        raise bad_input("input", label=["Missing data for required field."])
    if not isinstance(body.get("attrs"), list) or len(str(body["label"])) > LABEL_LIMIT:
        raise internal_error()
    for attr in body["attrs"]:
        _check_attribute(attr)
    keys = Counter((attr["label"], attr["type"]) for attr in body["attrs"])
    if any(count > 1 for count in keys.values()):
        raise refusal(400, "Template attribute constraints are violated by the request")
    return str(body["label"]), body["attrs"]


def _check_attribute(attr: dict[str, Any]) -> None:
    for field in ("label", "type", "value_type"):
        if field not in attr:
            raise bad_input("attr", **{field: ["Missing data for required field."]})
    if not _LABEL.fullmatch(str(attr["label"])):
        raise bad_input("attr", label=["Labels must contain letters, numbers or dashes(-_)"])
    limits = {"label": LABEL_LIMIT, "static_value": LABEL_LIMIT}
    limits |= {"type": _TYPE_LIMIT, "value_type": _TYPE_LIMIT}
    if any(len(str(attr.get(field) or "")) > limit for field, limit in limits.items()):
        raise internal_error()


def _attribute(row: Row) -> dict[str, Any]:
    """Null fields and empty lists are left out."""
    attr = {
        "id": row["id"],
        "template_id": str(row["template_id"]),
        "label": row["label"],
        "type": row["type"],
        "value_type": row["value_type"],
        "static_value": row["static_value"],
        "metadata": orjson.loads(row["metadata"]) if row["metadata"] else None,
        "created": row["created"],
    }
    return {name: value for name, value in attr.items() if value is not None}


def _shaped(template: dict[str, Any], form: str) -> dict[str, Any]:
    hidden = {"split": ("attrs",), "single": ("data_attrs", "config_attrs")}.get(form, ())
    return {name: value for name, value in template.items() if name not in hidden}
