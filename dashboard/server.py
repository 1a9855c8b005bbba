"""The web application: Streamlit's pages, and the routes for signing in."""

from pathlib import Path

from streamlit import App

from dashboard import signin

app = App(Path(__file__).with_name("app.py"), routes=signin.routes())
