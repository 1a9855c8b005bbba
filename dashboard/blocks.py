"""The building blocks of pages: tables, downloads, links and honest empty places."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from html import escape
from typing import Any, Literal

import pandas as pd
import streamlit as st
from plotly.graph_objects import Figure

from dashboard import addresses, data, db, exports, formats, states, visitor
from dashboard.charts import style
from dashboard.filters import Selection, presets, today
from dashboard.i18n import Language, Words
from dashboard.visitor import t
from dashboard.written import written

Kind = Literal[
    "text", "integer", "number", "kwh", "kw", "percent", "money", "cost", "duration",
    "instant", "day", "state", "code", "term", "glossed", "url", "second", "measure",
]  # fmt: skip
_MARKDOWN = str.maketrans({mark: "\\" + mark for mark in r"\`*_{}[]()#+-.!|~<>$:&"})
_KEPT_PARAMS = ("de", "ate", "estacao", "lang")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its name in the frame, the key of its title, and how to write it.

    A cost is written beside the column ``unpriced_wh`` of the frame, a measure beside ``unit``.
    A term is shown by our words alone, a glossed one in its own spelling with our words for it;
    either may hold several, apart by commas.
    """

    name: str
    label: str
    kind: Kind = "text"
    digits: int = 1
    terms: str = ""  # of kinds term and glossed: what the keys of its texts begin with


def plain(text: object) -> str:
    """Text from outside as Markdown that shows it letter by letter."""
    return str(text).replace("\n", " ")[:300].translate(_MARKDOWN)


@contextmanager
def card(title: str | None = None, help_: str | None = None, height: int = 320) -> Iterator[None]:
    """A part of a page that fails alone: the other parts stay.

    Who arrives at the page sees a grey place of ``height`` pixels until it is filled. Drawn anew,
    the page keeps what it showed, and a place would only push that aside.
    """
    if title:
        st.subheader(title, help=help_, anchor=False)
    is_new = st.session_state.get("_arriving")
    # Either way one place is taken: what follows must not move up or down in the page's order.
    place = st.skeleton(height) if is_new else st.empty()
    with place if is_new else nullcontext():
        try:
            yield
        except db.NoAnswer as failure:
            no_answer(failure)


@contextmanager
def arriving(page: str) -> Iterator[None]:
    """Until a page was drawn to its end for the first time since the visitor came to it."""
    st.session_state["_arriving"] = st.session_state.get("_drawn") != page
    try:
        yield
        st.session_state["_drawn"] = page
    finally:
        st.session_state["_arriving"] = False


def no_answer(failure: db.NoAnswer) -> None:
    """Say in the reader's language why something is missing."""
    text = t(f"failure.{failure.reason}")
    if failure.reason == "refused" and failure.detail:
        text += f" `{plain(failure.detail)}`"
    st.warning(text, icon=":material/cloud_off:")


def link(page: str, label: str, icon: str | None = None, **params: object) -> None:
    """A link to another page that keeps period, charge points and language."""
    st.page_link(f"views/{page}.py", label=label, icon=icon, query_params=kept(**params))


def leave_for(page: str, **params: object) -> None:
    """Leave for another page."""
    st.switch_page(f"views/{page}.py", query_params=kept(**params))


def kept(**params: object) -> dict[str, Any]:
    """What a link says of period, charge points and language, and ``params``."""
    chosen = {name: addresses.shown(name) for name in _KEPT_PARAMS}
    found: dict[str, Any] = {name: texts for name, texts in chosen.items() if texts}
    return found | {name: str(value) for name, value in params.items()}


def table(
    frame: pd.DataFrame,
    columns: Sequence[Column],
    key: str,
    select: bool = False,
    height: int | Literal["auto"] = "auto",
) -> int | None:
    """Draw a table; with ``select`` return the position of the row that was chosen."""
    language = visitor.language()
    shown = frame[[column.name for column in columns]].copy()
    for column in columns:
        shown[column.name] = _prepared(shown[column.name], column, visitor.words())
    texts = {c.name: _written(shown[c.name], frame, c) for c in columns if c.kind in _WRITTEN}
    event: Any = st.dataframe(
        written(shown, texts),
        column_config={column.name: _config(column, language) for column in columns},
        hide_index=True,
        height=height,
        key=key,
        on_select="rerun" if select else "ignore",
        selection_mode="single-row",
        placeholder=formats.UNKNOWN,
        alt=t("table.alt", rows=len(frame), columns=", ".join(t(c.label) for c in columns)),
    )
    rows = event["selection"]["rows"] if select else []
    return rows[0] if rows else None


def choose(label: str, key: str, options: Sequence[str], texts: str, default: str) -> str:
    """A row of choices whose value is in the address; ``texts`` begins the keys of their labels."""
    addresses.take(key, addresses.one_of(options, default), default)
    if st.session_state[key] not in options:
        st.session_state[key] = default
    st.segmented_control(
        label,
        options,
        required=True,
        format_func=lambda name: t(f"{texts}{name}"),
        key=key,
        label_visibility="collapsed",
    )
    chosen = st.session_state[key] or default
    addresses.show(key, chosen, default)
    return str(chosen)


def plot(figure: Figure, key: str, alt: str, select: bool = False) -> list[Any]:
    """Draw a figure in the ink of the visitor's theme; with ``select`` return clicked points."""
    dark = st.context.theme.type == "dark"
    ink, faint = ("#e4e9ee", "#aeb9c4") if dark else ("#1d2733", "#56626f")
    figure.update_layout(font_color=ink, legend_font_color=ink, annotationdefaults_font_color=ink)
    figure.update_xaxes(tickfont_color=faint, title_font_color=faint)
    figure.update_yaxes(tickfont_color=faint, title_font_color=faint)
    event: Any = st.plotly_chart(
        figure,
        config=style.CONFIG,
        key=key,
        on_select="rerun" if select else "ignore",
        selection_mode="points",
        alt=alt,
    )
    return list(event["selection"]["points"]) if select else []


def downloads(
    name: str,
    make: Callable[[], pd.DataFrame],
    columns: Sequence[Column],
    key: str,
    label: str | None = None,
) -> None:
    """Offer what is on the screen as files, made when asked for.

    Files for people have the units, words and titles of the table; files for programs the names
    and base units of the report views.
    """
    wanted = [column.name for column in columns]
    # A file is made beside the page, where nobody knows whose it is.
    words = visitor.words()
    labels = file_titles(columns, words)
    ways: Mapping[str, Callable[[], bytes]] = {
        "csv_br": lambda: exports.csv_brazil(for_people(make(), columns, words), labels),
        "csv": lambda: exports.csv_international(make()[wanted]),
        "xlsx": lambda: exports.xlsx(for_people(make(), columns, words), labels, name),
        "parquet": lambda: exports.parquet(make()[wanted]),
    }
    with st.popover(
        label or t("download.button"), icon=":material/download:", key=f"{key}_popover"
    ):
        for way, write in ways.items():
            st.download_button(
                t(f"download.{way}"),
                data=write,
                file_name=f"{name}.{'csv' if way == 'csv_br' else way}",
                mime="application/octet-stream",
                key=f"{key}_{way}",
                on_click="ignore",
                type="tertiary",
            )


def for_people(frame: pd.DataFrame, columns: Sequence[Column], words: Words) -> pd.DataFrame:
    """The columns in the units and words of the table."""
    return pd.DataFrame(
        {column.name: _prepared(frame[column.name], column, words) for column in columns}
    )


def file_titles(columns: Sequence[Column], words: Words) -> dict[str, str]:
    """The titles of the table, with the unit where cells of a file have none."""
    return {
        column.name: words(column.label) + (" (s)" if column.kind == "duration" else "")
        for column in columns
    }


@contextmanager
def acting(done: str) -> Iterator[None]:
    """An act of an operator: says that it was done and draws the page anew, or why not."""
    try:
        yield
    except db.NoAnswer as failure:
        no_answer(failure)
    else:
        st.session_state["_done"] = done
        st.rerun()


def say_done() -> None:
    """Tell what the act before this run did."""
    if done := st.session_state.pop("_done", None):
        st.toast(done, icon=":material/check:")


def needs(role: visitor.Role) -> None:
    """Stop here unless the visitor has the role, and say whom to ask."""
    ranks = visitor.ROLES
    if ranks.index(visitor.role()) < ranks.index(role):
        st.info(t("permission.missing", role=t(f"role.{role}")), icon=":material/lock:")
        st.stop()


def facts(values: Mapping[str, str]) -> None:
    """A grid of names and values."""
    cells = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
        for name, value in values.items()
    )
    st.html(f'<dl class="ep-facts">{cells}</dl>')


def nothing_here(selection: Selection) -> None:
    """The period holds nothing: say so, and where the nearest data are."""
    st.info(nothing_in(selection), icon=":material/search_off:")
    _nearest(selection)
    st.button(t("empty.clear"), key="clear_filters", on_click=clear_filters)


def nothing_in(selection: Selection) -> str:
    """That nothing happened, when and where."""
    language, names = visitor.language(), data.charge_point_names()
    chosen = [names.get(identity, identity) for identity in selection.charge_points or []]
    where = plain(", ".join(chosen)) if chosen else t("empty.everywhere")
    first, last = (
        formats.day(day, language) for day in (selection.period.first, selection.period.last)
    )
    return t("empty.period", first=first, last=last, where=where)


def _nearest(selection: Selection) -> None:
    nearest = data.nearest_sessions(selection)
    for key in ("earlier", "later"):
        if pd.notna(nearest[key]):
            day = formats.local(nearest[key]).date()
            label = t(f"empty.{key}", day=formats.day(day, visitor.language()))
            st.button(label, key=f"nearest_{key}", on_click=_show_day, args=(day,))


def clear_filters() -> None:
    default = presets(today())["month"]
    st.session_state["de"], st.session_state["ate"] = default.first, default.last
    st.session_state["estacao"] = []


def _show_day(day: Any) -> None:
    st.session_state["de"] = st.session_state["ate"] = day


def first_run() -> None:
    """Nothing was ever received: how to begin."""
    st.info(t("first.title"), icon=":material/waving_hand:")
    st.markdown(t("first.steps"))
    st.code("ws://HOST:9000/ocpp/CHARGE_POINT_ID", language=None)
    st.code("eletroposto charge-point add CHARGE_POINT_ID\nmake demo", language="bash")


def state_text(state: str | None, words: Any = None) -> str:
    """An OCPP state in its own spelling, with its meaning."""
    return str((words or visitor.words()).glossed("state.", state or "unknown"))


def pretty_json(text: str | None) -> str:
    """JSON indented; anything else as it came."""
    try:
        return json.dumps(json.loads(text or ""), indent=2, ensure_ascii=False)[:20_000]
    except ValueError:
        return (text or "")[:20_000]


_WRITTEN = {"integer", "number", "kwh", "kw", "percent", "money", "cost", "duration", "measure"}


def _prepared(values: "pd.Series[Any]", column: Column, words: Words) -> "pd.Series[Any]":
    if column.kind in ("kwh", "kw"):  # to the Wh: no meter knows more
        return (values / 1000).astype(float).round(3)
    if column.kind == "cost":
        return values.astype(float).round(2)
    if column.kind in ("term", "glossed"):
        tell = words.terms if column.kind == "term" else words.glossed
        # A posto that is none has words of its own; most of what is unknown has not.
        none = words.known(f"{column.terms}none", None)
        return values.map(lambda v: none if formats.is_unknown(v) else tell(column.terms, str(v)))
    if column.kind == "state":
        return values.map(lambda state: f"{states.look(state).symbol} {state_text(state, words)}")
    if column.kind == "url":  # no javascript: links, whoever wrote them
        return values.map(lambda v: v if str(v).startswith(("http://", "https://")) else None)
    if column.kind == "text":
        return values.map(lambda v: v[:300] if isinstance(v, str) else v)
    return values


def _written(values: "pd.Series[Any]", frame: pd.DataFrame, column: Column) -> list[str]:
    if column.kind == "cost":
        words, lacking = visitor.words(), frame["unpriced_wh"].tolist()
        both = zip(values.tolist(), lacking, strict=True)
        return [formats.cost(value, wh, words) for value, wh in both]
    if column.kind == "measure":
        language = visitor.language()
        pairs = zip(values.tolist(), frame["unit"].tolist(), strict=True)
        return [formats.measure(value, unit, language, column.digits) for value, unit in pairs]
    return [*map(_writer(column, visitor.language()), values.tolist())]


def _writer(column: Column, language: Language) -> Callable[[Any], str]:
    if column.kind == "money":
        return lambda value: formats.money(value, language)
    if column.kind == "duration":
        return formats.duration
    digits = 0 if column.kind == "integer" else column.digits
    return lambda value: formats.number(value, language, digits)


def _config(column: Column, language: Language) -> Any:
    label = t(column.label)
    kinds = st.column_config
    if column.kind in ("instant", "second"):
        seconds = ":ss.SSS" if column.kind == "second" else ""
        return kinds.DatetimeColumn(
            label,
            format=formats.table_instant(language) + seconds,
            timezone=str(formats.ZONE),
            help=str(formats.ZONE),
        )
    if column.kind == "day":
        return kinds.DateColumn(label, format=formats.table_day(language))
    if column.kind == "url":
        return kinds.LinkColumn(label, display_text=t("table.open"), validate="^https?://")
    if column.kind in _WRITTEN:
        return kinds.NumberColumn(label)
    return kinds.TextColumn(label)
