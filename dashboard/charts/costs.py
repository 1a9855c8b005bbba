"""Figures of costs."""

import pandas as pd
import plotly.graph_objects as go

from dashboard.charts import style
from dashboard.charts.energy import POSTOS
from dashboard.i18n import Words

_BARS = 20


def by_charge_point(frame: pd.DataFrame, words: Words) -> go.Figure:
    """Cost by charge point and tariff period, dearest first. Columns: name, cost_<posto>."""
    shown = frame.dropna(subset=["cost"]).nlargest(_BARS, "cost")
    figure = style.base(words.language, 320, barmode="stack")
    for posto in [name for name in POSTOS if (shown[f"cost_{name}"] > 0).any()]:
        figure.add_bar(
            x=[style.safe(name) for name in shown["name"]],
            y=shown[f"cost_{posto}"],
            name=words(f"posto.{posto}"),
            marker_color=style.POSTO_COLORS[posto],
            hovertemplate="R$ %{y:,.2f}",
        )
    figure.update_xaxes(type="category")
    figure.update_yaxes(title="R$")
    return figure
