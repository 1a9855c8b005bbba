"""The report of a month no flow has made yet: a page to print and a workbook."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from html import escape
from typing import Any

import pandas as pd

from dashboard import blocks, columns, exports, formats
from dashboard.i18n import Words


@dataclass(frozen=True, slots=True)
class Month:
    """Attributes:
    totals: As of ``data.energy.totals``.
    daily: As of ``data.energy.daily``.
    stations: As of ``data.stations.stations``.
    sessions: As of ``data.sessions.every_session``.
    until: The last day there is of a month that is not over.
    """

    first: date
    totals: Mapping[str, Any]
    daily: pd.DataFrame
    stations: pd.DataFrame
    sessions: pd.DataFrame
    until: date | None = None


# The state of a connector now is none of a month.
_STATIONS = tuple(column for column in columns.STATIONS if column.name != "state")
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1d2733}
body{max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.7rem;margin:0}h2{font-size:1.15rem;margin:2rem 0 .5rem}
dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(10rem,1fr));gap:.6rem 1.4rem}
dt{color:#56626f;font-size:.82rem}dd{margin:0;font-weight:600;font-size:1.1rem}
table{border-collapse:collapse;width:100%}th,td{padding:.3rem .6rem;border-bottom:1px solid #d8dee5}
th{text-align:left;color:#56626f;font-weight:600}td+td,th+th{text-align:right}
svg{width:100%;height:9rem}footer{margin-top:2rem;color:#56626f;font-size:.82rem}
@media print{body{margin:0}}
"""


def html(month: Month, words: Words, made_at: str) -> bytes:
    """A page that stands alone: no script, nothing fetched."""
    title = words("report.of", month=month_name(month.first, words))
    if month.until is not None:
        title += f" {words('report.until', day=formats.day(month.until, words.language))}"
    facts = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
        for name, value in figures(month.totals, words).items()
    )
    return (
        f'<!doctype html><html lang="{words.language}"><meta charset="utf-8">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style>"
        f"<h1>{escape(title)}</h1><dl>{facts}</dl>"
        f"<h2>{escape(words('overview.by_day'))} (kWh)</h2>{_bars(month.daily, words)}"
        f"<h2>{escape(words('stations.title'))}</h2>{_stations(month.stations, words)}"
        f"<footer>{escape(words('report.made', at=made_at))}</footer></html>"
    ).encode()


def workbook(month: Month, words: Words) -> bytes:
    """Sheets: days, stations, sessions; with the units, words and titles of the pages."""
    sheets = (
        ("column.day", month.daily, columns.DAYS),
        ("stations.title", month.stations, _STATIONS),
        ("sessions.title", month.sessions, columns.SESSIONS),
    )
    return exports.workbook(
        {
            words(key): exports.readable(
                blocks.for_people(frame, wanted, words), blocks.file_titles(wanted, words)
            )
            for key, frame, wanted in sheets
        }
    )


def figures(totals: Mapping[str, Any], words: Words) -> dict[str, str]:
    """The figures of a month as people read them. Totals as of ``data.energy.totals``."""
    language = words.language
    return {
        words("kpi.energy"): formats.energy(totals["energy_wh"], language, 0),
        words("kpi.sessions"): formats.number(totals["sessions"], language, 0),
        words("sessions.attempts"): formats.number(totals["attempts"], language, 0),
        words("kpi.availability"): formats.percent(totals["technical_percent"], language, 2),
        words("availability.nevi"): formats.percent(totals["nevi_percent"], language, 2),
        words("kpi.utilisation"): formats.percent(totals["utilisation_percent"], language),
        words("kpi.idle"): formats.duration(totals["idle_s"]),
        words("kpi.cost"): formats.cost(totals["cost"], totals["unpriced_wh"], words),
    }


def month_name(first: date, words: Words) -> str:
    return f"{first:%m/%Y}" if words.language == "pt" else f"{first:%Y-%m}"


def _bars(daily: pd.DataFrame, words: Words) -> str:
    """Bars as SVG, each with its value to hover or to be read aloud."""
    values = (daily["energy_wh"].fillna(0) / 1000).tolist()
    top = max([*values, 1e-9])
    bars = "".join(
        f'<rect x="{index * 10 + 1}" y="{100 - value / top * 96:.1f}" width="8"'
        f' height="{value / top * 96:.1f}" fill="#2b6cb0"><title>'
        f"{formats.day(day, words.language)}: {formats.number(value, words.language, 1, 'kWh')}"
        "</title></rect>"
        for index, (day, value) in enumerate(zip(daily["day"], values, strict=True))
    )
    width = max(len(values), 1) * 10
    return f'<svg viewBox="0 0 {width} 100" preserveAspectRatio="none" role="img">{bars}</svg>'


def _stations(frame: pd.DataFrame, words: Words) -> str:
    language = words.language
    titles = ("column.name", "column.energy", "column.sessions", "column.availability")
    head = "".join(f"<th>{escape(words(key))}</th>" for key in (*titles, "column.faults"))
    rows = "".join(
        f"<tr><td>{escape(str(row.name_))}</td>"
        f"<td>{formats.energy(row.energy_wh, language)}</td>"
        f"<td>{formats.number(row.sessions, language, 0)}</td>"
        f"<td>{formats.number(row.technical_percent, language, 2)}</td>"
        f"<td>{formats.number(row.faults, language, 0)}</td></tr>"
        for row in frame.rename(columns={"name": "name_"}).itertuples()
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
