"""Turns the numbers of a month into a page, a workbook or a table. Pure: no I/O here."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from html import escape
from typing import Any

from babel.dates import format_date, format_datetime
from babel.numbers import format_decimal
from openpyxl import Workbook
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.styles import Font

from flows.report_words import WORDS
from flows.scope import LOCAL

Row = Mapping[str, Any]

_LOCALES = {"pt": "pt_BR", "en": "en"}
_TOTALS = (
    "energy_wh",
    "ponta_wh",
    "intermediario_wh",
    "fora_ponta_wh",
    "unpriced_wh",
    "cost",
    "demand_cost",
    "sessions",
    "attempts",
    "idle_s",
    "technical_percent",
    "nevi_percent",
    "driver_success_percent",
    "occupancy_percent",
    "utilisation_percent",
    "energy_utilisation_percent",
    "peak_demand_w",
    "peak_demand_at",
    "faults",
    "mtbf_s",
    "mttr_s",
    "co2_avoided_kg",
)
_STYLE = """
body{font-family:system-ui,sans-serif;margin:2rem auto;max-width:60rem;color:#1b1b1b}
h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}
table{border-collapse:collapse;width:100%;font-size:.85rem}
td,th{border-bottom:1px solid #ccc;padding:.25rem .5rem;text-align:left}
td.number{text-align:right;font-variant-numeric:tabular-nums}
svg{width:100%;height:10rem}@media print{body{margin:0}}
"""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows and the columns they have, or would have if there were any."""

    columns: Sequence[str]
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Month:
    """What a monthly report says; charge_point None: the whole network."""

    first: date
    charge_point: str | None
    totals: Row
    days: Table
    connectors: Table
    sessions: Table
    outages: Table
    demand: Table = Table((), ())

    def summary(self) -> Iterator[tuple[str, Any]]:
        """Yield the totals in their order; the cost of demand only where a tariff has one."""
        priced = [row["demand_cost"] for row in self.demand.rows if row["demand_cost"] is not None]
        for name in _TOTALS:
            if name != "demand_cost":
                yield name, self.totals[name]
            elif priced:
                yield name, sum(priced)

    def tables(self) -> Sequence[tuple[str, Table]]:
        return (
            *((("demand", self.demand),) if self.demand.rows else ()),
            ("connectors", self.connectors),
            ("sessions", self.sessions),
            ("outages", self.outages),
        )


def html_page(month: Month, language: str) -> str:
    """Return the report as one page that needs nothing else, fit for printing."""
    words = WORDS[language]
    whose = month.charge_point or words["network"]
    when = format_date(month.first, "MMMM y", locale=_LOCALES[language])
    parts = [
        f"<h1>{escape(words['title'])}: {escape(whose)}, {escape(when)}</h1>",
        f"<h2>{escape(words['summary'])}</h2>",
        _summary(month, language),
        f"<h2>{escape(words['days'])}</h2>",
        _bars(month.days.rows, language),
    ]
    for name, table in month.tables():
        parts += [f"<h2>{escape(words[name])}</h2>", _table(table, language)]
    html_language = _LOCALES[language].replace("_", "-")
    return (
        f'<!DOCTYPE html><html lang="{html_language}"><head><meta charset="utf-8">'
        f"<title>{escape(words['title'])} {escape(whose)} {month.first:%Y-%m}</title>"
        f"<style>{_STYLE}</style></head><body>{''.join(parts)}</body></html>"
    )


def _label(name: str, language: str) -> str:
    key = "sessions_count" if name == "sessions" else name
    return WORDS[language].get(key, name)


def _summary(month: Month, language: str) -> str:
    rows = (
        f"<tr><th>{escape(_label(name, language))}</th>{_cell(name, value, language)}</tr>"
        for name, value in month.summary()
    )
    return f"<table>{''.join(rows)}</table>"


def _table(table: Table, language: str) -> str:
    if not table.rows:
        return "<p>-</p>"
    head = "".join(f"<th>{escape(_label(name, language))}</th>" for name in table.columns)
    body = "".join(
        f"<tr>{''.join(_cell(name, value, language) for name, value in row.items())}</tr>"
        for row in table.rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(name: str, value: Any, language: str) -> str:
    shown = escape(shown_as(name, value, language))
    is_number = isinstance(value, int | float) and not name.endswith("_id")
    return f'<td class="number">{shown}</td>' if is_number else f"<td>{shown}</td>"


def shown_as(name: str, value: Any, language: str) -> str:
    """Return a value as people read it; unknown is said, never shown as 0."""
    if value is None:
        return WORDS[language]["unknown"]
    if isinstance(value, datetime):
        local = value.astimezone(LOCAL)
        return str(format_datetime(local, "short", locale=_LOCALES[language]))
    value = in_unit(name, value)
    if name.endswith("_id") or not isinstance(value, int | float):
        return str(value)
    pattern = (
        "#,##0" if isinstance(value, int) else "#,##0.00" if name.endswith("cost") else "#,##0.0"
    )
    return str(format_decimal(value, pattern, locale=_LOCALES[language]))


def in_unit(name: str, value: Any) -> Any:
    """Turn Wh and W into thousands, seconds into hours."""
    if not isinstance(value, int | float):
        return value
    if name.endswith(("_wh", "_w")):
        return value / 1000
    return value / 3600 if name.endswith("_s") else value


def _bars(days: Sequence[Row], language: str) -> str:
    """Return a bar chart of the days as inline SVG, with the values as tooltips."""
    most = max((row["energy_wh"] or 0 for row in days), default=0) or 1
    width = 100 / max(1, len(days))
    bars = []
    for place, row in enumerate(days):
        height = 100 * (row["energy_wh"] or 0) / most
        tip = f"{row['day']:%d/%m}: {shown_as('energy_wh', row['energy_wh'], language)} kWh"
        bars.append(
            f'<rect x="{place * width:.2f}" y="{100 - height:.2f}" width="{width * 0.8:.2f}"'
            f' height="{height:.2f}" fill="#0072b2"><title>{escape(tip)}</title></rect>'
        )
    return (
        '<svg viewBox="0 0 100 100" preserveAspectRatio="none" role="img"'
        f' aria-label="{escape(WORDS[language]["days"])}">{"".join(bars)}</svg>'
    )


def workbook(month: Month, language: str) -> bytes:
    """Return the report as XLSX: a sheet per table, numbers as numbers, times local."""
    book = Workbook()
    book.remove(book.worksheets[0])
    title = WORDS[language]["summary"]
    summary = [
        {title: _label(name, language), "": in_unit(name, value)} for name, value in month.summary()
    ]
    _sheet(book, title, Table((title, ""), summary), language)
    _sheet(book, WORDS[language]["day"], month.days, language)
    for name, table in month.tables():
        _sheet(book, WORDS[language][name], table, language)
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def _sheet(book: Workbook, title: str, table: Table, language: str) -> None:
    sheet = book.create_sheet(title[:31])
    sheet.append([_label(name, language) for name in table.columns])
    for cell in sheet[1]:
        cell.font = Font(bold=True)
    for row in table.rows:
        sheet.append([_for_sheet(name, value) for name, value in row.items()])
    sheet.freeze_panes = "A2"


def _for_sheet(name: str, value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(LOCAL).replace(tzinfo=None)
    if isinstance(value, str):
        return _harmless(ILLEGAL_CHARACTERS_RE.sub("", value))  # what XLSX cannot hold
    return in_unit(name, value)


def _harmless(value: Any) -> Any:
    """Keep what a charge point sent from being taken for a formula by a spreadsheet."""
    is_formula = isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r"))
    return "'" + value if is_formula else value


def csv_table(table: Table) -> bytes:
    """Return a table as CSV (UTF-8, comma, header), times in UTC; unknown is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=table.columns)
    writer.writeheader()
    writer.writerows({name: _harmless(value) for name, value in row.items()} for row in table.rows)
    return text.getvalue().encode()
