"""What DOJOT may ask of a charge point: messages on the config topic to OCPP commands. Pure.

DOJOT forwards every event of a device to that topic, template-shaped ones included, so only an
object of nothing but known actuators is taken for an order.
"""

from collections.abc import Callable
from typing import Any

import orjson

from ingest.fields import LONGEST_ID_TAG

Command = tuple[str, dict[str, Any]]

_MOST_DIGITS = 20


class NotAnOrder(ValueError):
    """Some other event of the device."""


class UnusableOrder(ValueError):
    """An actuator we know, with a value we cannot use."""


def _reset(value: Any) -> Command:
    return "Reset", {"type": _word(value, "Soft", "Hard")}


def _remote_stop(value: Any) -> Command:
    return "RemoteStopTransaction", {"transactionId": _number(value)}


def _remote_start(value: Any) -> Command:
    wanted = value if isinstance(value, dict) else {"idTag": value}
    id_tag = wanted.get("idTag")
    if not isinstance(id_tag, str) or not 1 <= len(id_tag) <= LONGEST_ID_TAG or "\0" in id_tag:
        raise UnusableOrder("remote_start needs an idTag of 1 to 20 characters")
    payload: dict[str, Any] = {"idTag": id_tag}
    if "connectorId" in wanted:
        payload["connectorId"] = _number(wanted["connectorId"])
    return "RemoteStartTransaction", payload


def _change_availability(value: Any) -> Command:
    wanted = value if isinstance(value, dict) else {"type": value}
    kind = _word(wanted.get("type"), "Operative", "Inoperative")
    return "ChangeAvailability", {
        "connectorId": _number(wanted.get("connectorId", 0), least=0),
        "type": kind,
    }


def _unlock_connector(value: Any) -> Command:
    return "UnlockConnector", {"connectorId": _number(value)}


ACTUATORS: dict[str, Callable[[Any], Command]] = {
    "reset": _reset,
    "remote_start": _remote_start,
    "remote_stop": _remote_stop,
    "change_availability": _change_availability,
    "unlock_connector": _unlock_connector,
}


def read_orders(payload: bytes) -> list[Command]:
    """Return the commands in a message of the config topic.

    Raises:
        NotAnOrder: If it is no object, is empty, or has any key that is no actuator of ours.
        UnusableOrder: If an actuator's value makes no sense; nothing of the message is done then.
    """
    try:
        message = orjson.loads(payload)
    except ValueError:
        raise NotAnOrder("not JSON") from None
    if not isinstance(message, dict) or not message or not message.keys() <= ACTUATORS.keys():
        raise NotAnOrder("not an object of actuators")
    return [ACTUATORS[name](value) for name, value in message.items()]


def _word(value: Any, *allowed: str) -> str:
    for word in allowed:
        if isinstance(value, str) and value.strip().lower() == word.lower():
            return word
    raise UnusableOrder(f"{_shown(value)} is none of {', '.join(allowed)}")


def _number(value: Any, least: int = 1) -> int:
    """A positive int32, as charge points hold them."""
    text = str(value).strip()
    # int() refuses thousands of digits with an error of another kind.
    is_number = not isinstance(value, bool) and text.isdecimal() and len(text) <= _MOST_DIGITS
    if not is_number or not least <= int(text) < 2**31:
        raise UnusableOrder(f"{_shown(value)} is not a number from {least}")
    return int(text)


def _shown(value: Any) -> str:
    """The value for a log, which nobody may fill."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
