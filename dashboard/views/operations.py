"""Operators act here: a command goes into the database, the process with the socket sends it."""

import json
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import addresses, blocks, commands, confirming, data, db, formats, header, visitor
from dashboard.blocks import Column
from dashboard.data import operations as ask
from dashboard.visitor import t

HISTORY = (
    Column("requested_at", "column.at", "second"),
    Column("charge_point", "column.identity", "code"),
    Column("action", "messages.action", "code"),
    Column("status", "command.status", "term", terms="command.status_"),
    Column("outcome", "command.outcome", "code"),
    Column("answered_after_s", "command.took", "number", 2),
    Column("requested_by", "command.who"),
    Column("payload", "command.payload", "code"),
    Column("response", "command.response", "code"),
    Column("error_description", "quality.detail"),
)


def target() -> str:
    known = data.charge_point_names()
    options = list(known)
    asked = st.query_params.get("ponto")
    if "operar" not in st.session_state and asked in known:
        st.session_state["operar"] = asked
    identity = st.selectbox(
        t("operations.target"),
        options,
        format_func=lambda name: known.get(name, name),
        key="operar",
        persist_state="session",
    )
    return str(identity)


def wanted() -> commands.Command:
    options = tuple(commands.BY_ACTION)
    addresses.take("comando", addresses.one_of(options, options[0]), options[0])
    st.selectbox(
        t("operations.command"),
        options,
        format_func=lambda action: f"{action} – {t(f'command.{action}')}",
        key="comando",
        persist_state="session",
    )
    addresses.show("comando", st.session_state["comando"], options[0])
    return commands.BY_ACTION[st.session_state["comando"]]


def form(charge_point: str, command: commands.Command) -> None:
    with st.form(f"form_{command.action}", border=True):
        values = {field.name: _field(charge_point, field) for field in command.fields}
        seconds = int(st.number_input(t("operations.wait"), 5, 86_400, value=60, step=5))
        if not st.form_submit_button(t("operations.send"), type="primary"):
            return
    try:
        payload = commands.payload(command, values, datetime.now(UTC))
    except commands.Incomplete as missing:
        st.error(t("operations.incomplete", field=missing.field), icon=":material/edit:")
        return
    if command.touches:
        confirming.ask(
            charge_point=charge_point, action=command.action, payload=payload, seconds=seconds
        )
        return
    with blocks.acting(t("operations.queued", action=command.action)):
        ask.queue_command(charge_point, command.action, payload, seconds)


def confirmed(charge_point: str) -> None:
    """Send what may reach a vehicle after one more look at whom it reaches."""
    if (asked := confirming.asked(charge_point=charge_point)) is None:
        return
    action, payload = asked["action"], asked["payload"]
    name = data.charge_point_names().get(charge_point, charge_point)
    running = ask.running_transactions(charge_point)
    lines = confirming.who_is_reached(name, charge_point, payload, running)
    shown = json.dumps(payload, ensure_ascii=False)[:500]
    confirming.draw(
        f"{action} – {t(f'command.{action}')}",
        [*lines, blocks.plain(shown)],
        t("operations.send_now"),
        lambda: _queue(**asked),
        t("operations.queued", action=action),
    )


def _queue(charge_point: str, action: str, payload: dict[str, Any], seconds: int) -> None:
    ask.queue_command(charge_point, action, payload, seconds)


def _field(charge_point: str, field: commands.Field) -> Any:
    label = field.name if field.required else f"{field.name} ({t('operations.optional')})"
    empty = [] if field.required else [""]
    match field.kind:
        case "choice":
            return _select(label, [*empty, *field.options])
        case "connector":
            return _select(label, [*empty, *ask.connector_ids(charge_point)])
        case "any_connector":
            return _select(label, [*empty, 0, *ask.connector_ids(charge_point)])
        case "transaction":
            return _pick(label, ask.running_transactions(charge_point), "transaction_id")
        case "reservation":
            return _pick(label, ask.reservations(charge_point), "reservation_id")
        case "tag":
            return _pick(label, ask.id_tags(None), "id_tag")
        case "json":
            return st.text_area(label, field.default, height=240)
        case _:
            return st.text_input(label, field.default, max_chars=2000)


def _select(label: str, options: list[Any]) -> Any:
    return st.selectbox(label, options, placeholder=t("operations.any"))


def _pick(label: str, frame: pd.DataFrame, column: str) -> Any:
    """A choice of what is known, or anything typed."""
    return st.selectbox(
        label,
        [str(value) for value in frame[column]],
        index=0 if len(frame) else None,
        accept_new_options=True,
        placeholder=t("operations.type_or_choose"),
    )


def running(charge_point: str) -> None:
    """What charges there now; a session is ended in our books on its own page."""
    for row in ask.running_transactions(charge_point).itertuples():
        since = formats.instant(row.started_at, visitor.language())
        text = t("operations.running", connector=row.connector_id, since=since)
        blocks.link("session", text, ":material/bolt:", transacao=row.transaction_id)


@st.fragment(run_every="3s")
def history(charge_point: str) -> None:
    """Pending and answered commands, newest first."""
    with blocks.card():
        everything = st.toggle(t("operations.everything"), key="every_command")
        frame = ask.commands(None if everything else charge_point)
        if frame.empty:
            st.caption(t("operations.none_yet"))
            return
        chosen = blocks.table(frame, HISTORY, "commands_table", select=True)
        if chosen is not None:
            one(frame.iloc[chosen])


def one(row: Any) -> None:
    at = formats.instant(row["requested_at"], visitor.language(), True)
    st.markdown(f"**{blocks.plain(row['action'])}** · {at}")
    left, right = st.columns(2)
    with left:
        st.code(blocks.pretty_json(row["payload"]), language="json")
    with right:
        answer = row["response"] or row["error_description"] or ""
        st.code(blocks.pretty_json(answer), language="json")


header.title(t("operations.title"))
blocks.needs("operator")
try:
    known = data.charge_point_names()
except db.NoAnswer as failure:
    blocks.no_answer(failure)
    st.stop()
if not known:
    blocks.first_run()
    st.stop()
left, right = st.columns([2, 3], gap="large")
with left, blocks.card():
    charge_point = target()
    form(charge_point, wanted())
    confirmed(charge_point)
    running(charge_point)
with right:
    st.subheader(t("operations.history"), anchor=False)
    history(charge_point)
