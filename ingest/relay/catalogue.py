"""What DOJOT has: our template, and the devices by their labels. Found, or made."""

import asyncio
import logging
from collections import defaultdict

from ingest.relay.dojot_api import ABOUT_ONE, DojotApi, DojotError, FoundDevice, Template
from ingest.relay.metrics import Metrics
from ingest.relay.orders import ACTUATORS

logger = logging.getLogger(__name__)

_TEMPLATE = "eletroposto-charge-point"

Wanted = dict[tuple[str, str], str]  # value types of attributes, by label and type


class Catalogue:
    """Finds before it makes, as labels are not unique. One relay at a time may use it.

    Args:
        new_tenant_s: Pause after the first device of a tenant: DOJOT begins to listen to it then.
    """

    def __init__(self, api: DojotApi, metrics: Metrics, new_tenant_s: float) -> None:
        self._api = api
        self._metrics = metrics
        self._new_tenant_s = new_tenant_s
        self._is_new_tenant = False
        self._template: Template | None = None

    def look_again(self) -> None:
        """Somebody may have changed our template."""
        self._template = None

    async def template(self, dynamic: dict[str, str]) -> Template:
        """The oldest template of our label, with these dynamic attributes and our actuators."""
        wanted = {(label, "dynamic"): value_type for label, value_type in dynamic.items()}
        wanted |= {(label, "actuator"): "string" for label in ACTUATORS}
        if self._template is None or not _has(self._template, wanted):
            self._template = await self._find_template(wanted)
        return self._template

    async def _find_template(self, wanted: Wanted) -> Template:
        found = await self._api.templates(_TEMPLATE)
        if not found:
            return await self._api.create_template(_TEMPLATE, _definitions(wanted))
        if len(found) > 1:
            logger.warning("%d templates %r; using %d", len(found), _TEMPLATE, found[0].id)
        return found[0] if _has(found[0], wanted) else await self._extend(found[0], wanted)

    async def _extend(self, template: Template, wanted: Wanted) -> Template:
        """An update deletes what it does not name, so it names everything."""
        kept = [attr.definition() for attr in template.attrs]
        have = {(attr.label, attr.type) for attr in template.attrs}
        new = {key: value_type for key, value_type in wanted.items() if key not in have}
        await self._api.update_template(template, [*kept, *_definitions(new)])
        for found in await self._api.templates(_TEMPLATE):
            if found.id == template.id:
                return found
        raise DojotError("unexpected_shape", f"template {template.id} is gone after its update")

    async def all(self) -> dict[str, FoundDevice]:
        """Every device by label; of those that share one the oldest counts."""
        by_label: defaultdict[str, list[FoundDevice]] = defaultdict(list)
        for device in await self._api.devices():
            by_label[device.label].append(device)
        self._is_new_tenant = not by_label
        return {label: _oldest(devices) for label, devices in by_label.items()}

    async def provide(
        self, label: str, template: Template, known: dict[str, FoundDevice] | None
    ) -> FoundDevice:
        """Find it in the list of all, if there is one, or by its label; or make it."""
        found = known.get(label) if known is not None else await self._look_up(label)
        if found is None:
            return await self._create(label, template)
        await self.complete(found, template)
        return found

    async def complete(self, device: FoundDevice, template: Template) -> None:
        """One that somebody else made has our attributes and actuators only with our template."""
        if device.templates is None or str(template.id) in map(str, device.templates):
            return
        try:
            await self._api.attach_template(device.id, template.id)
        except DojotError as error:
            if error.name not in ABOUT_ONE:
                raise
            # What it is sent is stored all the same.
            self._metrics.error("template_missing")
            logger.warning("%s: stays without our template: %s", device.label, error)
        else:
            logger.info("%s: device %s has our template now", device.label, device.id)

    async def _create(self, label: str, template: Template) -> FoundDevice:
        """Make a device, and look for it if that seems to fail: a 500 can mean created."""
        try:
            found = await self._api.create_device(label, template.id)
        except DojotError as error:
            maybe = await self._look_up(label) if error.maybe_done else None
            if maybe is None:
                raise
            found = maybe
            self._metrics.error(error.name)
            logger.warning("%s: created in spite of %s", label, error)
        if self._is_new_tenant:  # DOJOT subscribes to it only now, and only to what comes next
            await asyncio.sleep(self._new_tenant_s)
            self._is_new_tenant = False
        return found

    async def _look_up(self, label: str) -> FoundDevice | None:
        # DOJOT's filter is a bare LIKE, in which a backslash would hide what it stands before.
        piece = max(label.split("\\"), key=len)
        same = [device for device in await self._api.devices(piece) if device.label == label]
        return _oldest(same) if same else None


def _oldest(devices: list[FoundDevice]) -> FoundDevice:
    """Always the same one of several with one label."""
    if len(devices) > 1:
        logger.warning("%d devices are labelled %r", len(devices), devices[0].label)
    return min(devices, key=lambda device: (device.created, device.id))


def _has(template: Template, wanted: Wanted) -> bool:
    return wanted.keys() <= {(attr.label, attr.type) for attr in template.attrs}


def _definitions(wanted: Wanted) -> list[dict[str, str]]:
    return [
        {"label": label, "type": kind, "value_type": value_type}
        for (label, kind), value_type in wanted.items()
    ]
