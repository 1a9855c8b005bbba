"""The charge points: how each is and what it did."""

import pandas as pd
import streamlit as st

from dashboard import blocks, columns, data, header, visitor
from dashboard.charts import places
from dashboard.data import stations as ask
from dashboard.visitor import t

# A charge point with several connectors shows the state that matters most.
_RANK = (
    "Faulted", "offline", "Unavailable", "SuspendedEVSE", "Charging", "SuspendedEV", "Finishing",
    "Preparing", "Reserved", "Available", "unknown",
)  # fmt: skip


def with_state(stations: pd.DataFrame, connectors: pd.DataFrame) -> pd.DataFrame:
    """Add ``state``: of the connector that matters most, or whether anything is known."""
    rank = {state: place for place, state in enumerate(_RANK)}
    worst = (
        connectors.assign(place=connectors["state"].map(rank).fillna(len(_RANK)))
        .sort_values("place", kind="stable")
        .groupby("charge_point")["state"]
        .first()
    )
    silent = stations["is_online"].map({True: "unknown", False: "offline"})
    return stations.assign(state=stations["charge_point"].map(worst).fillna(silent))


selection = visitor.selection()
header.title(t("stations.title"))
if not data.charge_point_names():
    blocks.first_run()
    st.stop()
with blocks.card():
    stations = with_state(ask.stations(selection), data.connectors_now(selection))
    chosen = blocks.table(stations, columns.STATIONS, "stations_table", select=True)
    with st.container(horizontal=True):
        blocks.downloads("eletroposto-estacoes", lambda: stations, columns.STATIONS, "stations")
        st.caption(t("table.select_hint"))
    if chosen is not None:
        blocks.leave_for("station", ponto=stations["charge_point"].iloc[chosen])
    if stations["latitude"].notna().any():
        st.subheader(t("stations.map"), help=t("stations.map_help"), anchor=False)
        figure = places.network(stations, visitor.words())
        blocks.plot(figure, "map", t("stations.map_alt"))
