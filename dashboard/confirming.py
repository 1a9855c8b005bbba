"""Asks once more before an act that may reach a vehicle, naming whom it reaches."""

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import blocks, formats, visitor
from dashboard.visitor import t

_ASKED = "_asked"


def ask(**act: Any) -> None:
    """Remember what is to be done until the reader agrees, declines or leaves the page."""
    st.session_state[_ASKED] = act


def asked(**act: Any) -> dict[str, Any] | None:
    """What waits for an answer, if it has these values; on another page nothing does."""
    if st.session_state.get("_moved"):
        forget()
    waiting: dict[str, Any] = st.session_state.get(_ASKED) or {}
    return waiting if waiting and act.items() <= waiting.items() else None


def forget() -> None:
    st.session_state.pop(_ASKED, None)


def draw(title: str, lines: list[str], agree: str, act: Callable[[], None], done: str) -> None:
    """Draw the question: ``lines`` of Markdown; ``act`` only if the reader agrees."""

    @st.dialog(title, on_dismiss=forget)
    def shown() -> None:
        for line in lines:
            st.markdown(line)
        # Nobody should agree to what was true when the database was last heard.
        is_old = "_shown_from" in st.session_state
        if is_old:
            at = formats.instant(st.session_state["_shown_from"], visitor.language(), seconds=True)
            st.warning(t("failure.kept", clock=at), icon=":material/cloud_off:")
        with st.container(horizontal=True):
            agreed = st.button(agree, type="primary", key="confirm_agree", disabled=is_old)
            if st.button(t("confirm.cancel"), key="confirm_cancel"):
                forget()
                st.rerun()
        if agreed:
            forget()  # the next act is asked about anew
            with blocks.acting(done):
                act()

    shown()


def reached(payload: Mapping[str, Any], running: pd.DataFrame) -> tuple[int | None, pd.DataFrame]:
    """The connector a command reaches, None for all of them, and the sessions that run there."""
    connector = payload.get("connectorId")
    if "transactionId" in payload:
        of = running[running["transaction_id"] == payload["transactionId"]]
        return (int(of["connector_id"].iloc[0]), of) if len(of) else (None, of)
    if not connector:
        return None, running
    return int(connector), running[running["connector_id"] == connector]


def who_is_reached(
    name: str, identity: str, payload: Mapping[str, Any], running: pd.DataFrame
) -> list[str]:
    """Station, connector and running sessions, as lines of Markdown."""
    connector, sessions = reached(payload, running)
    where = t("confirm.all") if connector is None else t("confirm.connector", number=connector)
    lines = [f"**{blocks.plain(name)}** ({blocks.plain(identity)}) · {where}"]
    lines += [
        t(
            "confirm.charging",
            number=int(row.transaction_id),
            connector=int(row.connector_id),
            since=formats.instant(row.started_at, visitor.language()),
        )
        for row in sessions.itertuples()
    ]
    return lines if len(sessions) else [*lines, t("confirm.nobody")]
