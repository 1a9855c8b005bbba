"""One charge point: states, availability, sessions, faults."""

import streamlit as st

from dashboard import blocks, data, header
from dashboard.visitor import t

identity = st.query_params.get("ponto", "")
names = data.charge_point_names()
if identity not in names:
    header.title(t("station.title"))
    st.info(t("station.unknown"), icon=":material/search_off:")
    blocks.link("stations", t("station.all"), ":material/list:")
    st.stop()
header.title(blocks.plain(names[identity]))
