"""The raw log: every frame, paired with its answer."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import addresses, blocks, data, formats, header, visitor
from dashboard.blocks import Column
from dashboard.data import messages as ask
from dashboard.filters import Selection
from dashboard.visitor import t

COLUMNS = (
    Column("received_at", "column.at", "second"),
    Column("charge_point", "column.identity", "code"),
    Column("direction", "messages.direction", "term", terms="messages.direction_"),
    Column("action", "messages.action", "code"),
    Column("outcome", "messages.outcome"),
    Column("latency_ms", "messages.latency", "number", 1),
    Column("message_id", "messages.message_id", "code"),
    Column("raw", "messages.frame", "code"),
    Column("answer", "messages.answer", "code"),
)
# All of OCPP 1.6 and its security extension: first what charge points send, then what we do.
ACTIONS = (
    "Authorize", "BootNotification", "DataTransfer", "DiagnosticsStatusNotification",
    "FirmwareStatusNotification", "Heartbeat", "LogStatusNotification", "MeterValues",
    "SecurityEventNotification", "SignCertificate", "SignedFirmwareStatusNotification",
    "StartTransaction", "StatusNotification", "StopTransaction",
    "CancelReservation", "CertificateSigned", "ChangeAvailability", "ChangeConfiguration",
    "ClearCache", "ClearChargingProfile", "DeleteCertificate", "ExtendedTriggerMessage",
    "GetCompositeSchedule", "GetConfiguration", "GetDiagnostics", "GetInstalledCertificateIds",
    "GetLocalListVersion", "GetLog", "InstallCertificate", "RemoteStartTransaction",
    "RemoteStopTransaction", "ReserveNow", "Reset", "SendLocalList", "SetChargingProfile",
    "SignedUpdateFirmware", "TriggerMessage", "UnlockConnector", "UpdateFirmware",
)  # fmt: skip


def asked() -> ask.Wanted:
    with st.grid(min_column_width=180):
        action = _choice("acao", "messages.action", ("any", *ACTIONS))
        direction: Any = _choice("sentido", "messages.direction", ("any", "in", "out"))
        kind: Any = _choice("quais", "messages.kind", ask.KINDS)
        text = st.text_input(t("messages.text"), key="texto", bind="query-params", max_chars=200)
        message_id = st.text_input(
            t("messages.message_id"), key="mensagem", bind="query-params", max_chars=64
        )
    return ask.Wanted(
        action=None if action == "any" else action,
        direction=None if direction == "any" else direction,
        message_id=message_id or None,
        text=text or None,
        kind=kind,
    )


def _choice(key: str, label: str, options: tuple[str, ...]) -> str:
    words = visitor.words()
    addresses.take(key, addresses.one_of(options, options[0]), options[0])
    st.selectbox(
        t(label),
        options,
        format_func=lambda name: words.known(f"messages.{key}_{name}", name),
        key=key,
        persist_state="session",
    )
    addresses.show(key, st.session_state[key], options[0])
    return str(st.session_state[key])


def outcome(row: Any) -> str:
    """What became of a message, in a word."""
    if row.message_type is None or pd.isna(row.message_type):
        return "unreadable"
    if row.message_type == 4 or str(row.answer or "").startswith("[4"):
        return "CALLERROR"
    if row.message_type == 2:
        return "answered" if isinstance(row.answer, str) else "unanswered"
    return {3: "CALLRESULT"}.get(int(row.message_type), "?")


def found(selection: Selection, wanted: ask.Wanted, rows: int, patience_s: float) -> ask.Found:
    """What fits, with what became of each."""
    answer = ask.messages(selection, wanted, data.newest_message(), rows, patience_s)
    words = visitor.words()
    outcomes = [outcome(row) for row in answer.frame.itertuples()]
    texts = [words.known(f"outcome.{name}", name) for name in outcomes]
    reasons = answer.frame["set_aside"]
    texts = [
        f"{words('outcome.aside')}: {reason}" if isinstance(reason, str) else text
        for text, reason in zip(texts, reasons, strict=True)
    ]
    return replace(answer, frame=answer.frame.assign(outcome=texts))


def page(selection: Selection) -> None:
    wanted = asked()
    times = int(st.session_state.get("_messages_patience", 1))
    answer = found(selection, wanted, ask.SHOWN, times * ask.PATIENCE_S)
    if answer.frame.empty and answer.is_all:
        st.info(t("messages.none"), icon=":material/search_off:")
    if not answer.is_all:
        _further(answer.since, times)
    if not answer.frame.empty:
        listed(selection, wanted, answer.frame)


def _further(since: datetime, times: int) -> None:
    """Say how far back was searched, and offer to go on."""
    at = formats.instant(since, visitor.language())
    with st.container(horizontal=True, vertical_alignment="center"):
        st.info(t("messages.searched", since=at), icon=":material/history:")
        if st.button(t("messages.further"), key="search_further"):
            st.session_state["_messages_patience"] = times + 2
            st.rerun()


def listed(selection: Selection, wanted: ask.Wanted, frame: pd.DataFrame) -> None:
    chosen = blocks.table(frame, COLUMNS, "messages_table", select=True, height=420)
    with st.container(horizontal=True):
        blocks.downloads(
            "eletroposto-mensagens",
            lambda: found(selection, wanted, ask.EXPORTED, ask.EXPORT_PATIENCE_S).frame,
            COLUMNS,
            "messages",
        )
        st.caption(t("messages.shown", count=len(frame)))
    if chosen is not None:
        one(frame.iloc[chosen])


def one(row: Any) -> None:
    """A frame and its answer, spread out."""
    st.markdown(
        f"**{blocks.plain(row['action'] or '?')}** · {blocks.plain(row['charge_point'])} · "
        + formats.instant(row["received_at"], visitor.language(), True)
    )
    left, right = st.columns(2)
    for side, name in ((left, "raw"), (right, "answer")):
        with side:
            st.caption(t("messages.frame" if name == "raw" else "messages.answer"))
            st.code(blocks.pretty_json(row[name]), language="json", height=320)


header.title(t("messages.title"))
blocks.needs("engineer")
if not data.charge_point_names():
    blocks.first_run()
    st.stop()
with blocks.card():
    page(visitor.selection())
