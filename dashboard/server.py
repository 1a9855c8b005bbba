"""The web application: Streamlit's pages, and the routes for signing in."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from streamlit import App

from dashboard import signin

# Not for us: the first visitor would wait two seconds for pandas and plotly.
from dashboard.charts import energy as energy


@asynccontextmanager
async def _guarded(_: App) -> AsyncIterator[None]:
    """Do not serve others than this machine without sign-in, however the server was started."""
    signin.refuse_unsafe(signin.bound_address())
    yield


app = App(
    Path(__file__).with_name("app.py"),
    routes=signin.routes(),
    lifespan=_guarded,
)
