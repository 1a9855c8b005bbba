"""The frame of every page: who it is, navigation, header, and what to say when all fails."""

from datetime import datetime
from pathlib import Path

import streamlit as st

from dashboard import addresses, blocks, data, db, formats, header, signin, visitor
from dashboard.visitor import t

_HERE = Path(__file__).parent
# Pages about no period at all, and those about one charge point in a period.
_BARE = {"sessao", "sobre", "cadastros", "operacoes", "relatorios"}
_OF_ONE = {"estacao"}


def main() -> None:
    st.set_page_config("eletroposto", str(_HERE / "static/icon.svg"), layout="wide")
    st.html(_HERE / "static/style.css")
    st.logo(str(_HERE / "static/icon.svg"), size="large")
    st.session_state.pop("_shown_from", None)
    signin.require()
    page = st.navigation(_pages(), expanded=True)
    addresses.arrive(page.url_path)
    banner = st.container()
    blocks.say_done()
    with st.sidebar:
        signin.draw_visitor()
    try:
        bare = page.url_path in _BARE
        header.draw(period=not bare, charge_points=not bare and page.url_path not in _OF_ONE)
        # The style sheet lets it appear after two seconds, where it moves nothing.
        with st.spinner(t("loading.slow")), blocks.arriving(page.url_path):
            page.run()
    except db.NoAnswer as failure:
        _all_failed(failure)
    finally:  # also when the page stopped early
        with banner:
            _left_out()
            _old_data()


def _pages() -> dict[str, list[st.Page]]:
    operation = [
        _page("overview", "overview", "", default=True),
        _page("stations", "stations", "estacoes"),
        _page("sessions", "sessions", "sessoes"),
        _page("consumption", "consumption", "consumo"),
        _page("availability", "availability", "disponibilidade"),
        _page("costs", "costs", "custos"),
        _page("reports", "reports", "relatorios"),
        _page("station", "station", "estacao", hidden=True),
        _page("session", "session", "sessao", hidden=True),
    ]
    data_pages = [
        _page("quality", "quality", "qualidade"),
        _page("messages", "messages", "mensagens", hidden=not visitor.may_see_tags()),
        _page("about", "about", "sobre"),
    ]
    control = [
        _page("operations", "operations", "operacoes", hidden=not visitor.may_act()),
        _page("registry", "registry", "cadastros", hidden=not visitor.may_act()),
    ]
    return {
        t("section.operation"): operation,
        t("section.data"): data_pages,
        t("section.control"): control,
    }


def _page(
    view: str, name: str, url_path: str, default: bool = False, hidden: bool = False
) -> st.Page:
    return st.Page(
        _HERE / "views" / f"{view}.py",
        title=t(f"{name}.title"),
        url_path=url_path or None,
        default=default,
        visibility="hidden" if hidden else "visible",
    )


def _all_failed(failure: db.NoAnswer) -> None:
    blocks.no_answer(failure)
    st.button(t("failure.retry"), on_click=db.retry_now, icon=":material/refresh:")


def _left_out() -> None:
    """Who follows a link must not take what it shows for what it asked for."""
    if lost := addresses.left_out():
        what = ", ".join(blocks.plain(text) for text in lost[:3])
        st.info(t("header.left_out", what=what), icon=":material/link_off:")


def _old_data() -> None:
    shown_from: datetime | None = st.session_state.get("_shown_from")
    if shown_from is None:
        return
    text = t("failure.kept", clock=formats.instant(shown_from, visitor.language(), seconds=True))
    st.warning(text, icon=":material/cloud_off:")
    st.button(t("failure.retry"), on_click=_retry, key="retry_kept", icon=":material/refresh:")


def _retry() -> None:
    db.retry_now()
    data.forget()


main()
