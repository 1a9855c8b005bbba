"""Who may look and who may act. Placeholder of the open, loopback-only mode."""

import os

import streamlit as st
from starlette.routing import BaseRoute

from dashboard import visitor
from dashboard.visitor import t


def is_configured() -> bool:
    return bool(os.environ.get("ELETROPOSTO_DASHBOARD_USERS"))


def routes() -> list[BaseRoute]:
    return []


def require() -> None:
    visitor.sign_in("dashboard", "operator")


def draw_visitor() -> None:
    st.caption(t("signin.open"))
