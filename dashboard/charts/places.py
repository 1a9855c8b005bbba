"""The map: points on a blank ground, so that nothing is fetched from anywhere."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from dashboard import states
from dashboard.charts import style
from dashboard.i18n import Words

# A style of our own without sources: Plotly's named styles ask a tile server, or glare in the dark.
BLANK: dict[str, Any] = {
    "version": 8,
    "sources": {},
    "layers": [
        {
            "id": "ground",
            "type": "background",
            "paint": {"background-color": "rgba(128,140,155,0.10)"},
        }
    ],
}


def network(frame: pd.DataFrame, words: Words) -> go.Figure:
    """Charge points by place, coloured by state. Columns: name, state, latitude, longitude."""
    placed = frame.dropna(subset=["latitude", "longitude"])
    figure = style.base(words.language, 360)
    for state, part in placed.groupby("state"):
        figure.add_scattermap(
            lat=part["latitude"],
            lon=part["longitude"],
            mode="markers",
            marker={"size": 15, "color": states.look(str(state)).color},
            name=f"{states.look(str(state)).symbol} {state}",
            text=[style.safe(name) for name in part["name"]],
            hovertemplate="<b>%{text}</b><extra></extra>",
        )
    figure.update_layout(
        map={
            "style": BLANK,
            "center": {"lat": placed["latitude"].mean(), "lon": placed["longitude"].mean()},
            "zoom": _zoom(placed),
        },
        hovermode="closest",
    )
    return figure


def _zoom(placed: pd.DataFrame) -> float:
    """Wide enough for every point; each step halves the width."""
    spread = max(
        placed["latitude"].max() - placed["latitude"].min(),
        placed["longitude"].max() - placed["longitude"].min(),
        0.002,
    )
    width, zoom = 360.0, 0.0
    while width / 2 > spread * 2 and zoom < 15:
        width, zoom = width / 2, zoom + 1
    return zoom
