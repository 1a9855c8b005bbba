"""What people keep: charge points, id tags, tariffs, holidays, settings; and who changed what."""

from datetime import date, datetime, time, timedelta
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import blocks, confirming, formats, header, shown, visitor
from dashboard.blocks import Column
from dashboard.data import costs, operations
from dashboard.filters import today
from dashboard.visitor import t

STATUSES = ("Accepted", "Blocked", "Expired", "Invalid")
_MOST = 2**31 - 1  # what the column holds
MODALITIES = ("convencional", "branca", "azul", "verde")
TAGS = (
    Column("id_tag_alias", "registry.alias"),
    Column("id_tag", "registry.tag", "code"),
    Column("status", "command.status"),
    Column("expiry_at", "registry.expiry", "instant"),
    Column("parent_id_tag", "registry.parent", "code"),
    Column("max_active", "registry.max_active", "integer"),
)
POINTS = (
    Column("charge_point", "column.identity", "code"),
    Column("name", "registry.name"),
    Column("site", "column.site"),
    Column("latitude", "registry.latitude", "number", 5),
    Column("longitude", "registry.longitude", "number", 5),
    Column("security_profile", "registry.security", "integer"),
    Column("energy_factor", "registry.energy_factor", "number", 3),
)
CURRENTS = ("AC", "DC")
HOLIDAYS = (Column("day", "column.day", "day"), Column("name", "registry.holiday_name"))
VEHICLES = (
    Column("name", "registry.vehicle"),
    Column("id_tag_alias", "registry.alias"),
    Column("id_tag", "registry.tag", "code"),
    Column("usable_capacity_wh", "registry.capacity", "kwh"),
    Column("consumption_kwh_per_km", "registry.consumption", "number", 2),
)
LOG = (
    Column("at", "column.at", "second"),
    Column("who", "command.who"),
    Column("what", "registry.what", "term", terms="registry.did_"),
    Column("subject", "registry.subject", "code"),
    Column("details", "quality.detail", "code"),
)
SETTINGS = (
    Column("meaning", "about.meaning"),
    Column("value", "quality.value", "number", 3),
    Column("unit", "quality.unit"),
    Column("source", "column.source"),
    Column("source_year", "registry.year", "code"),
    Column("name", "config.key", "code"),
)


def knocking() -> None:
    """Charge points that came unasked: one click lets them in."""
    frame = operations.knocking()
    if frame.empty:
        st.success(t("registry.nobody_knocks"), icon=":material/check_circle:")
        return
    for row in frame.itertuples():
        with st.container(horizontal=True, vertical_alignment="center", border=True):
            since = formats.instant(row.created_at, visitor.language())
            state = t(f"registration.{row.registration}")
            st.markdown(f"**{blocks.plain(row.charge_point)}** · {state} · {since}")
            _decide(str(row.charge_point), "registered", "primary")
            if row.registration == "pending":
                _decide(str(row.charge_point), "refused", "secondary")


def _decide(identity: str, decision: str, kind: Any) -> None:
    if st.button(t(f"registry.{decision}"), key=f"{decision}_{identity}", type=kind):
        with blocks.acting(t("registry.saved")):
            operations.register(identity, decision)


def points() -> None:
    frame = operations.known_charge_points()
    if frame.empty:
        st.info(t("registry.no_points"), icon=":material/ev_station:")
        return
    chosen = blocks.table(frame, POINTS, "points_table", select=True, height=300)
    st.caption(t("registry.select_to_edit"))
    if chosen is not None:
        _describe(frame.iloc[chosen])
        _equip(frame.iloc[chosen])


def _describe(row: Any) -> None:
    identity = str(row["charge_point"])
    with st.form(f"describe_{identity}", border=True):
        st.markdown(f"**{blocks.plain(identity)}**")
        name = st.text_input(t("registry.name"), row["name"], max_chars=120)
        site = st.text_input(t("column.site"), row["site"] or "", max_chars=120)
        latitude = st.number_input(
            t("registry.latitude"), -90.0, 90.0, value=_known(row["latitude"]), format="%.5f"
        )
        longitude = st.number_input(
            t("registry.longitude"), -180.0, 180.0, value=_known(row["longitude"]), format="%.5f"
        )
        if not st.form_submit_button(t("registry.save"), type="primary"):
            return
    with blocks.acting(t("registry.saved")):
        operations.describe(identity, name, site, latitude, longitude)


def _equip(row: Any) -> None:
    """What the charge point itself does not tell: its factor, and what its connectors are."""
    identity, before = str(row["charge_point"]), float(row["energy_factor"])
    known = operations.connectors_known(identity)
    with st.form(f"equip_{identity}", border=True):
        st.markdown(f"**{t('registry.equipment')}**")
        factor = st.number_input(
            t("registry.energy_factor"),
            min(0.000001, before),
            value=before,
            format="%.6f",
            help=t("registry.energy_factor_help"),
        )
        with st.grid(min_column_width=190):
            said = [(con, *_connector_fields(con)) for _, con in known.iterrows()]
        if not st.form_submit_button(t("registry.save"), type="primary"):
            return
    with blocks.acting(t("registry.saved")):
        if factor != before:
            operations.set_energy_factor(identity, factor)
        for con, current_type, power_kw in said:
            if (current_type, power_kw) != (con["current_type"], _kilowatts(con)):
                power_w = power_kw and power_kw * 1000
                operations.set_connector(identity, int(con["connector_id"]), current_type, power_w)


def _connector_fields(con: Any) -> tuple[str | None, float | None]:
    number, current_type = int(con["connector_id"]), con["current_type"]
    kind = st.selectbox(
        t("registry.connector_kind", number=number),
        CURRENTS,
        index=CURRENTS.index(current_type) if current_type in CURRENTS else None,
        key=f"current_{number}",
    )
    label = t("registry.connector_power", number=number)
    return kind, _positive(label, _kilowatts(con), key=f"power_{number}")


def _positive(label: str, value: float | None, key: str | None = None) -> float | None:
    """A field for what is above 0; one that was stored smaller than people enter is shown too."""
    return st.number_input(label, min(0.001, value or 0.001), value=value, key=key)


def _kilowatts(con: Any) -> float | None:
    watts = _known(con["rated_power_w"])
    return None if watts is None else watts / 1000


def _known(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)


def tags() -> None:
    text = st.text_input(t("registry.find"), key="busca", bind="query-params", max_chars=60)
    frame = operations.id_tags(text or None)
    chosen = blocks.table(frame, TAGS, "id_tags_table", select=True, height=300)
    shown.say(frame)
    blocks.downloads(
        "eletroposto-etiquetas", lambda: operations.every_id_tag(text or None), TAGS, "id_tags"
    )
    _tag_form(None if chosen is None else frame.iloc[chosen])


def _tag_form(row: Any) -> None:
    """A new tag, or the chosen one."""
    tag = "" if row is None else str(row["id_tag"])
    with st.form(f"tag_{tag}", border=True):
        st.markdown(f"**{t('registry.new_tag') if row is None else blocks.plain(tag)}**")
        if row is None:
            tag = st.text_input(t("registry.tag"), max_chars=255)
        alias = st.text_input(t("registry.alias"), _text(row, "alias"), max_chars=120)
        status = st.selectbox(
            t("command.status"), STATUSES, index=0 if row is None else STATUSES.index(row["status"])
        )
        before = _last_day(row)
        last_day = st.date_input(
            t("registry.expiry"), before, format=formats.date_field(visitor.language())
        )
        parent = st.text_input(t("registry.parent"), _text(row, "parent_id_tag"), max_chars=255)
        limit = st.number_input(t("registry.max_active"), 0, _MOST, value=_count(row), step=1)
        if not st.form_submit_button(t("registry.save"), type="primary"):
            return
    if row is None and _is_refused(tag):
        return
    expiry = row["expiry_at"] if before and last_day == before else _end_of(last_day)
    with blocks.acting(t("registry.saved")):
        operations.save_id_tag(tag, str(status), expiry, parent, limit, alias, row is None)


def _is_refused(tag: str) -> bool:
    """Whether a new tag is none, or a known one; says so."""
    if not tag.strip():
        st.error(t("registry.needs_tag"), icon=":material/edit:")
    elif operations.is_known_id_tag(tag):
        st.error(t("registry.tag_known"), icon=":material/edit:")
    else:
        return False
    return True


def _text(row: Any, name: str) -> str:
    return "" if row is None or pd.isna(row[name]) else str(row[name])


def _count(row: Any) -> int | None:
    return None if row is None or pd.isna(row["max_active"]) else int(row["max_active"])


def _last_day(row: Any) -> date | None:
    if row is None or pd.isna(row["expiry_at"]):
        return None
    return formats.local(row["expiry_at"].to_pydatetime()).date()


def _end_of(day: Any) -> datetime | None:
    """A tag holds until the end of its last day."""
    return datetime.combine(day, time(23, 59, 59), formats.ZONE) if isinstance(day, date) else None


def tariffs() -> None:
    frame = costs.tariffs()
    for number, part in frame.groupby("tariff_id", sort=False):
        first = part.iloc[0]
        with st.container(horizontal=True, vertical_alignment="center", border=True):
            language = visitor.language()
            end = (
                formats.day(first["valid_to"], language) if first["valid_to"] else t("tariff.open")
            )
            span = f"{formats.day(first['valid_from'], language)} – {end}"
            prices = ", ".join(_price(row) for row in part.itertuples() if row.posto)
            name = f"**{blocks.plain(first['name'])}**"
            st.markdown(f"{name} · {blocks.plain(first['modality'])} · {span} · {prices}")
            _end(int(str(number)), first["valid_to"])
            _remove(int(str(number)), name, span)
    _tariff_form()


def _remove(number: int, name: str, span: str) -> None:
    """The costs of all its days go with it, so it is asked first."""
    if st.button(t("tariff.remove"), key=f"tariff_{number}", type="tertiary"):
        confirming.ask(remove=number)
    if confirming.asked(remove=number):
        confirming.draw(
            t("tariff.remove_title"),
            [f"{name} · {span}", t("tariff.remove_text")],
            t("tariff.remove"),
            lambda: operations.remove_tariff(number),
            t("registry.saved"),
        )


def _end(number: int, last_day: Any) -> None:
    """Let a tariff end; what overlaps with another one is refused by the database."""
    with st.popover(t("tariff.end"), key=f"end_{number}_popover"):
        day = _day(t("tariff.last_day"), last_day, f"end_day_{number}")
        if st.button(t("registry.save"), key=f"end_{number}", type="primary"):
            with blocks.acting(t("registry.saved")):
                operations.end_tariff(number, day)


def _price(row: Any) -> str:
    hours = f" {row.from_time}–{row.to_time}" if row.from_time else ""
    price = formats.money(row.price_per_kwh, visitor.language(), 4)
    return blocks.plain(f"{t(f'posto.{row.posto}')}{hours}: {price}/kWh")


def _tariff_form() -> None:
    with st.form("new_tariff", border=True):
        st.markdown(f"**{t('tariff.new')}**")
        st.caption(t("tariff.follows"))
        with st.grid(min_column_width=190):
            tariff = _tariff_fields()
            prices = {
                posto: st.number_input(
                    t("tariff.price_of", posto=t(f"posto.{posto}")), 0.0, value=None, format="%.5f"
                )
                for posto in ("fora_ponta", "intermediario", "ponta")
            }
            start = st.time_input(t("tariff.peak_from"), time(18), step=900)
            end = st.time_input(t("tariff.peak_to"), time(21), step=900)
        if not st.form_submit_button(t("registry.save"), type="primary"):
            return
    if prices["fora_ponta"] is None or not tariff["name"]:
        st.error(t("tariff.needs"), icon=":material/edit:")
        return
    with blocks.acting(t("registry.saved")):
        operations.add_tariff(tariff, tariff_periods(prices, start, end))


def _tariff_fields() -> dict[str, Any]:
    modality = st.selectbox(t("tariff.modality"), MODALITIES)
    last_day = _day(t("tariff.last_day"), None, "tariff_last_day")
    return {
        "name": st.text_input(t("tariff.name"), max_chars=120).strip(),
        "modality": modality,
        "consumer_group": "A" if modality in ("azul", "verde") else "B",
        "site": st.text_input(t("tariff.site"), max_chars=120).strip() or None,
        "valid_from": str(_day(t("tariff.from"), today(), "tariff_first_day")),
        "valid_to": str(last_day + timedelta(days=1)) if last_day else None,
        "tax_percent": st.number_input(t("tariff.tax"), 0.0, 100.0, value=0.0),
        "surcharge_per_kwh": st.number_input(t("tariff.surcharge"), 0.0, value=0.0, format="%.5f"),
        "contracted_demand_kw": st.number_input(t("tariff.demand"), 0.0, value=0.0) or None,
        "demand_price_per_kw": st.number_input(
            t("tariff.demand_price"), 0.0, value=None, format="%.5f"
        ),
        "source": st.text_input(t("column.source"), max_chars=300).strip() or None,
    }


def tariff_periods(prices: dict[str, float | None], start: time, end: time) -> list[dict[str, Any]]:
    """Hours of each tariff period: the peak, an hour on either side, and the rest."""
    hour = 3600
    first, last = (at.hour * hour + at.minute * 60 for at in (start, end))
    spans = {
        "ponta": [(first, last)],
        "intermediario": [(first - hour, first), (last, last + hour)],
    }
    periods: list[dict[str, Any]] = []
    for posto, price in prices.items():
        for begins, ends in spans.get(posto, [(None, None)]):
            if price is not None:
                hours = {"from_time": _clock(begins), "to_time": _clock(ends)}
                periods.append({"posto": posto, "price_per_kwh": price, **hours})
    return periods


def _clock(seconds: int | None) -> str | None:
    return None if seconds is None else f"{seconds // 3600:02d}:{seconds % 3600 // 60:02d}"


def _day(label: str, day: date | None, key: str) -> Any:
    return st.date_input(label, day, format=formats.date_field(visitor.language()), key=key)


def holidays() -> None:
    frame = operations.holidays()
    if frame.empty:
        st.caption(t("registry.no_holidays"))
    else:
        chosen = blocks.table(frame, HOLIDAYS, "holidays_table", select=True)
        if chosen is not None and st.button(t("registry.remove"), key="remove_holiday"):
            with blocks.acting(t("registry.saved")):
                operations.remove_holiday(frame.iloc[chosen]["day"])
    _holiday_form()


def _holiday_form() -> None:
    with st.form("holiday", border=True):
        day = _day(t("column.day"), today(), "holiday_day")
        name = st.text_input(t("registry.holiday_name"), max_chars=120)
        if not st.form_submit_button(t("registry.add_holiday")):
            return
    if not isinstance(day, date) or not name.strip():
        st.error(t("registry.needs_day_and_name"), icon=":material/edit:")
    else:
        with blocks.acting(t("registry.saved")):
            operations.add_holiday(day, name.strip())


def vehicles() -> None:
    frame = operations.vehicles()
    chosen = None
    if frame.empty:
        st.caption(t("registry.no_vehicles"))
    else:
        chosen = blocks.table(frame, VEHICLES, "vehicles_table", select=True, height=300)
        st.caption(t("registry.select_to_edit"))
    _vehicle_form(None if chosen is None else frame.iloc[chosen])


def _vehicle_form(row: Any) -> None:
    """A new vehicle, or the chosen one."""
    tag = "" if row is None else str(row["id_tag"])
    capacity = None if row is None else _known(row["usable_capacity_wh"])
    consumption = None if row is None else _known(row["consumption_kwh_per_km"])
    with st.form(f"vehicle_{tag}", border=True):
        st.markdown(f"**{t('registry.new_vehicle') if row is None else blocks.plain(tag)}**")
        if row is None:
            tag = st.text_input(t("registry.tag"), max_chars=255)
        name = st.text_input(t("registry.vehicle"), _text(row, "name"), max_chars=120)
        capacity = _positive(t("registry.capacity"), capacity and capacity / 1000)
        consumption = _positive(t("registry.consumption"), consumption)
        saved = st.form_submit_button(t("registry.save"), type="primary")
    if saved and not tag.strip():
        st.error(t("registry.needs_tag"), icon=":material/edit:")
    elif saved:
        with blocks.acting(t("registry.saved")):
            operations.save_vehicle(tag, name, capacity, consumption)
    if row is not None and st.button(t("registry.remove"), key="remove_vehicle"):
        with blocks.acting(t("registry.saved")):
            operations.remove_vehicle(tag)


def settings() -> None:
    frame = costs.settings()
    chosen = blocks.table(frame, SETTINGS, "settings_table", select=True)
    st.caption(t("registry.select_to_edit"))
    if chosen is not None:
        _set(frame.iloc[chosen])


def _set(row: Any) -> None:
    with st.form(f"setting_{row['name']}", border=True):
        st.markdown(f"**{blocks.plain(row['meaning'])}** ({blocks.plain(row['unit'])})")
        value = st.number_input(t("quality.value"), value=_known(row["value"]), format="%.5f")
        source = st.text_input(t("column.source"), row["source"] or "", max_chars=300)
        year = st.number_input(t("registry.year"), 1990, 2200, value=today().year)
        if not st.form_submit_button(t("registry.save"), type="primary"):
            return
    with blocks.acting(t("registry.saved")):
        operations.set_setting(str(row["name"]), value, source, int(year))


def log() -> None:
    frame = operations.operation_log()
    if frame.empty:
        st.caption(t("registry.no_log"))
    else:
        blocks.table(frame, LOG, "log_table")


header.title(t("registry.title"))
blocks.needs("operator")
PARTS = {
    "knocking": knocking, "points": points, "tags": tags, "tariffs": tariffs,
    "holidays": holidays, "vehicles": vehicles, "settings": settings, "log": log,
}  # fmt: skip
part = blocks.choose(t("registry.title"), "parte", list(PARTS), "registry.part_", "knocking")
with blocks.card():
    PARTS[part]()
