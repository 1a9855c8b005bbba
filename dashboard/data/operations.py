"""What operators see and do. Every act goes through a function of the database."""

import json
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import pandas as pd

from dashboard import db, visitor
from dashboard.data import asking


def commands(charge_point: str | None = None) -> pd.DataFrame:
    """Commands, newest first, with what became of them."""
    return asking.live("commands", charge_point=charge_point)


def running_transactions(charge_point: str) -> pd.DataFrame:
    """transaction_id, connector_id, started_at."""
    return asking.live("running_transactions", charge_point=charge_point)


def connector_ids(charge_point: str) -> list[int]:
    frame = asking.recent("connectors_of", charge_point=charge_point)
    return [int(number) for number in frame["connector_id"]]


def reservations(charge_point: str) -> pd.DataFrame:
    """reservation_id, connector_id, expires_at, status of those not ended."""
    return asking.live("reservations", charge_point=charge_point)


def knocking() -> pd.DataFrame:
    """Charge points that wait for approval or were refused."""
    return asking.live("knocking")


def known_charge_points() -> pd.DataFrame:
    return asking.live("known_charge_points")


def id_tags(text: str | None) -> pd.DataFrame:
    """The first identifiers that contain the text; of_all says of how many."""
    return asking.live("id_tags", text=text, rows=asking.SHOWN)


def every_id_tag(text: str | None) -> pd.DataFrame:
    """All of ``id_tags``, for a file."""
    return asking.whole("id_tags", text=text, rows=None)


def operation_log() -> pd.DataFrame:
    return asking.live("operation_log")


def queue_command(charge_point: str, action: str, payload: Mapping[str, Any], seconds: int) -> int:
    """Queue a CALL and return its number."""
    values = {"charge_point": charge_point, "action": action, "seconds": seconds}
    return int(_act("act_queue_command", payload=json.dumps(payload), **values))


def end_transaction(transaction_id: int) -> bool:
    """Count a transaction as ended whose stop is lost; False if it was not open."""
    return bool(_act("act_end_transaction", transaction_id=transaction_id))


def register(charge_point: str, decision: str) -> None:
    """decision: registered or refused."""
    _act("act_register_charge_point", charge_point=charge_point, decision=decision)


def describe(
    charge_point: str, name: str, site: str, latitude: float | None, longitude: float | None
) -> None:
    place = {"latitude": latitude, "longitude": longitude}
    _act("act_describe_charge_point", charge_point=charge_point, name=name, site=site, **place)


def save_id_tag(
    tag: str,
    status: str,
    expiry: datetime | None,
    parent: str,
    max_active: int | None,
    alias: str,
    is_new: bool,
) -> None:
    """A new one that is known already is refused: nobody unblocks a tag by adding it again."""
    values = {"status": status, "expiry": expiry, "parent": parent, "max_active": max_active}
    _act("act_add_id_tag" if is_new else "act_save_id_tag", tag=tag, alias=alias, **values)


def is_known_id_tag(tag: str) -> bool:
    """Compared as charge points' tags are: without case and outer blanks."""
    wanted = tag.strip().upper()
    return bool((every_id_tag(tag.strip())["id_tag"].str.strip().str.upper() == wanted).any())


def exclude(
    charge_point: str,
    connector_id: int | None,
    started_at: datetime,
    ended_at: datetime,
    reason: str,
    evidence: str,
) -> None:
    """Exclude down time the operator is not answerable for."""
    values = {"started_at": started_at, "ended_at": ended_at, "reason": reason}
    where = {"charge_point": charge_point, "connector_id": connector_id}
    _act("act_exclude", evidence=evidence, **where, **values)


def withdraw_exclusion(exclusion: int) -> None:
    _act("act_withdraw_exclusion", exclusion=exclusion)


def add_tariff(tariff: Mapping[str, Any], periods: list[dict[str, Any]]) -> None:
    _act("act_add_tariff", tariff=json.dumps(tariff), periods=json.dumps(periods))


def end_tariff(tariff_id: int, last_day: date | None) -> None:
    """Say which day is the last one a tariff holds; None: until further notice."""
    _act("act_end_tariff", tariff_id=tariff_id, last_day=last_day)


def remove_tariff(tariff_id: int) -> None:
    _act("act_remove_tariff", tariff_id=tariff_id)


def add_holiday(day: date, name: str) -> None:
    _act("act_add_holiday", day=day, name=name)


def holidays() -> pd.DataFrame:
    """day, name; newest first."""
    return asking.live("holidays")


def remove_holiday(day: date) -> None:
    _act("act_remove_holiday", day=day)


def connectors_known(charge_point: str) -> pd.DataFrame:
    """connector_id, current_type, rated_power_w."""
    return asking.live("connectors_known", charge_point=charge_point)


def set_energy_factor(charge_point: str, factor: float) -> None:
    _act("act_set_energy_factor", charge_point=charge_point, factor=factor)


def set_connector(
    charge_point: str, connector_id: int, current_type: str | None, rated_power_w: float | None
) -> None:
    """None: as it was."""
    about = {"current_type": current_type, "rated_power_w": rated_power_w}
    _act("act_set_connector", charge_point=charge_point, connector_id=connector_id, **about)


def vehicles() -> pd.DataFrame:
    """id_tag, id_tag_alias, name, usable_capacity_wh, consumption_kwh_per_km."""
    return asking.live("vehicles")


def save_vehicle(
    tag: str, name: str, usable_capacity_kwh: float | None, consumption_kwh_per_km: float | None
) -> None:
    values = {
        "usable_capacity_wh": usable_capacity_kwh and usable_capacity_kwh * 1000,
        "consumption_wh_per_km": consumption_kwh_per_km and consumption_kwh_per_km * 1000,
    }
    _act("act_save_vehicle", tag=tag, name=name, **values)


def remove_vehicle(tag: str) -> None:
    _act("act_remove_vehicle", tag=tag)


def set_setting(name: str, value: float | None, source: str, source_year: int | None) -> None:
    _act("act_set_setting", name=name, value=value, source=source, source_year=source_year)


def _act(query: str, **values: Any) -> Any:
    """Act as the visitor; only operators get here, and the database checks again.

    Raises:
        NoAnswer: ``refused`` with the database's own sentence, or away.
    """
    if not visitor.may_act():
        raise db.NoAnswer("refused", "only operators may do this")
    done = db.act(asking.QUERIES[query], {**values, "who": visitor.name()})
    asking.forget()
    return done
