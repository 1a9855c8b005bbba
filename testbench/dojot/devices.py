"""Devices of the device manager, and actuation (contract section 3)."""

import secrets
from collections.abc import Callable
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from testbench.dojot.answers import (
    Refused,
    bad_input,
    internal_error,
    number,
    page_of,
    paged,
    refusal,
    strict_json,
)
from testbench.dojot.faults import Faults
from testbench.dojot.store import Store, now_text
from testbench.dojot.templates import LABEL_LIMIT, Templates, attribute_filter

_TRUE = ("true", "True", "1")

# (tenant, device id, data): "data" ends, as it is, on the device's config topic.
Event = Callable[[str, str, dict[str, Any]], None]


class Devices:
    def __init__(self, store: Store, faults: Faults, changed: Event, actuated: Event) -> None:
        self._store = store
        self._faults = faults
        self._changed = changed
        self._actuated = actuated
        self._templates = Templates(store, self._template_changed)

    @property
    def templates(self) -> Templates:
        return self._templates

    async def create(self, request: Request) -> Response:
        tenant, body = request.state.tenant, await strict_json(request)
        count = _count_of(request)
        verbose = request.query_params.get("verbose") in _TRUE
        if verbose and count > 1:
            raise refusal(400, "Verbose can only be used for single device creation")
        label, template_ids = self._read(tenant, body)
        created = [
            self._insert(tenant, name, template_ids, body.get("attrs", []))
            for name in _labels(label, count)
        ]
        if verbose:
            return JSONResponse({"message": "device created", "devices": created})
        short = [{"id": device["id"], "label": device["label"]} for device in created]
        return JSONResponse({"message": "devices created", "devices": short})

    def _read(self, tenant: str, body: dict[str, Any]) -> tuple[str, list[int]]:
        if "label" not in body:
            raise bad_input("input", label=["Missing data for required field."])
        label = str(body["label"])
        if len(label) > LABEL_LIMIT or label == self._faults.refuse_label:
            raise internal_error()
        template_ids = [number(item) for item in body.get("templates", [])]
        for template_id in template_ids:
            self._templates.describe(tenant, template_id)
        return label, template_ids

    def _insert(
        self, tenant: str, label: str, template_ids: list[int], overrides: list[dict[str, Any]]
    ) -> dict[str, Any]:
        device_id = self._free_id(tenant)
        self._store.run(
            "INSERT INTO device VALUES (?, ?, ?, ?, NULL)", tenant, device_id, label, now_text()
        )
        self._fill(tenant, device_id, template_ids, overrides)
        device = self.describe(tenant, device_id)
        self._store.remember_device(tenant, device_id)
        self._changed(tenant, device_id, device["attrs"])
        return device

    def _free_id(self, tenant: str) -> str:
        while True:
            device_id = f"{secrets.randbelow(16**6):05x}"
            if not self._exists(tenant, device_id):
                return device_id

    def _exists(self, tenant: str, device_id: str) -> bool:
        sql = "SELECT 1 FROM device WHERE tenant = ? AND id = ?"
        return self._store.row(sql, tenant, device_id) is not None

    def _fill(
        self,
        tenant: str,
        device_id: str,
        template_ids: list[int],
        overrides: list[dict[str, Any]],
    ) -> None:
        """Set templates and overrides; what is not sent again is lost."""
        for table in ("device_template", "override"):
            self._store.run(
                f"DELETE FROM {table} WHERE tenant = ? AND device_id = ?", tenant, device_id
            )
        for template_id in template_ids:
            self._attach(tenant, device_id, template_id)
        for override in overrides:
            if not {"id", "template_id", "label"} <= override.keys():
                raise internal_error()
            self._store.run(
                "INSERT INTO override VALUES (?, ?, ?, ?)",
                *(tenant, device_id, number(override["id"]), str(override["static_value"])),
            )

    def _attach(self, tenant: str, device_id: str, template_id: int) -> None:
        self._store.run(
            "INSERT OR IGNORE INTO device_template VALUES (?, ?, ?)",
            *(tenant, device_id, template_id),
        )

    async def find(self, request: Request) -> Response:
        return self._listing(request, request.query_params.get("template"))

    async def find_of_template(self, request: Request) -> Response:
        return self._listing(request, request.path_params["template_id"])

    def _listing(self, request: Request, template: str | None) -> Response:
        tenant, query = request.state.tenant, request.query_params
        page, size = page_of(request)
        ids = self._matching(tenant, request, template)
        shown, pagination = paged(ids, page, size)
        if query.get("idsOnly") in ("true", "1", ""):
            return JSONResponse(shown)
        devices = [self.describe(tenant, device_id) for device_id in shown]
        return JSONResponse({"pagination": pagination, "devices": devices})

    def _matching(self, tenant: str, request: Request, template: str | None) -> list[str]:
        """Ids in their (random) order, or by label; the label filter is a bare LIKE."""
        order = "label" if request.query_params.get("sortBy") == "label" else "id"
        belongs = (
            "attribute.template_id IN (SELECT template_id FROM device_template AS used"
            " WHERE used.tenant = ?1 AND used.device_id = device.id)"
        )
        condition, values = attribute_filter(request, belongs)
        if template is not None:
            condition += (
                " AND id IN (SELECT device_id FROM device_template"
                " WHERE tenant = ?1 AND template_id = ?)"
            )
            values.append(str(number(template)))
        found = self._store.rows(
            "SELECT id FROM device WHERE tenant = ?1"
            f" AND label LIKE '%' || ? || '%' ESCAPE '\\' {condition} ORDER BY {order}",
            *(tenant, request.query_params.get("label", ""), *values),
        )
        return [row["id"] for row in found]

    async def get(self, request: Request) -> Response:
        device = self.describe(request.state.tenant, request.path_params["device_id"])
        return JSONResponse(device)

    async def update(self, request: Request) -> Response:
        tenant, device_id = request.state.tenant, request.path_params["device_id"]
        body = await strict_json(request)
        self.describe(tenant, device_id)
        if "templates" not in body:
            raise internal_error()
        label, template_ids = self._read(tenant, body)
        self._store.run(
            "UPDATE device SET label = ? WHERE tenant = ? AND id = ?", label, tenant, device_id
        )
        self._fill(tenant, device_id, template_ids, body.get("attrs", []))
        return self._updated(tenant, device_id)

    async def attach(self, request: Request) -> Response:
        tenant, device_id = request.state.tenant, request.path_params["device_id"]
        template_id = number(request.path_params["template_id"])
        self.describe(tenant, device_id)
        self._templates.describe(tenant, template_id)
        self._attach(tenant, device_id, template_id)
        return self._updated(tenant, device_id)

    async def detach(self, request: Request) -> Response:
        tenant, device_id = request.state.tenant, request.path_params["device_id"]
        self.describe(tenant, device_id)
        self._store.run(
            "DELETE FROM device_template WHERE tenant = ? AND device_id = ? AND template_id = ?",
            *(tenant, device_id, number(request.path_params["template_id"])),
        )
        return self._updated(tenant, device_id)

    def _updated(self, tenant: str, device_id: str) -> Response:
        self._store.run(
            "UPDATE device SET updated = ? WHERE tenant = ? AND id = ?",
            *(now_text(), tenant, device_id),
        )
        device = self.describe(tenant, device_id)
        self._changed(tenant, device_id, device["attrs"])
        return JSONResponse({"message": "device updated", "device": device})

    async def delete(self, request: Request) -> Response:
        tenant, device_id = request.state.tenant, request.path_params["device_id"]
        return JSONResponse({"result": "ok", "removed_device": self._remove(tenant, device_id)})

    async def delete_all(self, request: Request) -> Response:
        tenant = request.state.tenant
        ids = [
            row["id"] for row in self._store.rows("SELECT id FROM device WHERE tenant = ?", tenant)
        ]
        removed = [self._remove(tenant, device_id) for device_id in ids]
        return JSONResponse({"result": "ok", "removed_devices": removed})

    def _remove(self, tenant: str, device_id: str) -> dict[str, Any]:
        """History stays, and data keeps being accepted."""
        removed = self.describe(tenant, device_id)
        self._fill(tenant, device_id, [], [])
        self._store.run("DELETE FROM device WHERE tenant = ? AND id = ?", tenant, device_id)
        self._changed(tenant, device_id, removed["attrs"])
        return removed

    async def actuate(self, request: Request) -> Response:
        tenant, device_id = request.state.tenant, request.path_params["device_id"]
        device = self.describe(tenant, device_id)
        attrs = _actuated(await request.body())
        actuators = {
            attr["label"]
            for used in device["attrs"].values()
            for attr in used
            if attr["type"] == "actuator"
        }
        if forbidden := [label for label in attrs if label not in actuators]:
            text = "some of the attributes are not configurable"
            raise Refused(403, {"status": text, "attrs": forbidden})
        self._actuated(tenant, device_id, attrs)
        return JSONResponse({" status": "configuration sent to device"})  # the space is DOJOT's

    def describe(self, tenant: str, device_id: str) -> dict[str, Any]:
        row = self._store.row("SELECT * FROM device WHERE tenant = ? AND id = ?", tenant, device_id)
        if row is None:
            raise refusal(404, f"No such device: {device_id}")
        used = self._store.rows(
            "SELECT template_id FROM device_template WHERE tenant = ? AND device_id = ?",
            *(tenant, device_id),
        )
        template_ids = [item["template_id"] for item in used]
        return {
            "id": row["id"],
            "label": row["label"],
            "templates": template_ids,
            "created": row["created"],
            **({"updated": row["updated"]} if row["updated"] else {}),
            "attrs": {
                str(item): self._device_attributes(tenant, device_id, item) for item in template_ids
            },
        }

    def _device_attributes(
        self, tenant: str, device_id: str, template_id: int
    ) -> list[dict[str, Any]]:
        rows = self._store.rows(
            "SELECT * FROM override WHERE tenant = ? AND device_id = ?", tenant, device_id
        )
        overrides = {row["attribute_id"]: row["static_value"] for row in rows}
        attrs = self._templates.attributes(tenant, template_id)
        for attr in attrs:
            if "static_value" in attr:
                attr["is_static_overridden"] = attr["id"] in overrides
                attr["static_value"] = overrides.get(attr["id"], attr["static_value"])
        return attrs

    def labels(self, tenant: str, device_id: str) -> list[str]:
        """Attribute labels of a device's templates; 404 when it was deleted."""
        attrs = self.describe(tenant, device_id)["attrs"]
        return sorted({attr["label"] for used in attrs.values() for attr in used})

    def _template_changed(self, tenant: str, template_id: int) -> None:
        rows = self._store.rows(
            "SELECT device_id FROM device_template WHERE tenant = ? AND template_id = ?",
            *(tenant, template_id),
        )
        for row in rows:
            device = self.describe(tenant, row["device_id"])
            self._changed(tenant, row["device_id"], device["attrs"])


def _count_of(request: Request) -> int:
    try:
        count = int(request.query_params.get("count", "1"))
    except ValueError:
        raise refusal(400, "If provided, count must be integer") from None
    if count < 1:
        raise internal_error()
    return count


def _labels(label: str, count: int) -> list[str]:
    if count == 1:
        return [label]
    return [f"{label}_{index:0{len(str(count))}d}" for index in range(count)]


def _actuated(body: bytes) -> dict[str, Any]:
    """No content type is checked here, and nothing odd is foreseen."""
    try:
        attrs = orjson.loads(body)["attrs"]
    except (ValueError, KeyError, TypeError):
        raise internal_error() from None
    if not isinstance(attrs, dict):
        raise internal_error()
    return attrs
