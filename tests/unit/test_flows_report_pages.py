"""How numbers look in reports: units, languages, what is unknown, what could do harm."""

import io
from datetime import UTC, date, datetime

import pytest
from openpyxl import load_workbook

from flows.report_pages import _TOTALS, Month, Row, Table, csv_table, html_page, shown_as, workbook
from flows.report_words import WORDS


def table(*rows: Row) -> Table:
    return Table(list(rows[0]) if rows else ["a", "b"], rows)


def month(**changes: object) -> Month:
    about: dict[str, object] = {
        "first": date(2026, 10, 1),
        "charge_point": None,
        "totals": dict.fromkeys(_TOTALS),
        "days": table(
            {"day": date(2026, 10, 1), "energy_wh": None, "cost": None, "sessions": None}
        ),
        "connectors": table(),
        "sessions": Table(["charge_point", "energy_wh"], ()),
        "outages": table(),
    }
    return Month(**{**about, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name, value, pt, en",
    [
        ("energy_wh", 1_234_567.0, "1.234,6", "1,234.6"),
        ("peak_power_w", 45_000.0, "45,0", "45.0"),
        ("idle_s", 5_400.0, "1,5", "1.5"),
        ("cost", 1_234.5, "1.234,50", "1,234.50"),
        ("sessions", 1_234, "1.234", "1,234"),
        ("transaction_id", 1_234, "1234", "1234"),
        ("energy_wh", None, "não informado", "unknown"),
    ],
)
def test_values_are_shown_in_the_reader_s_language(name: str, value: object, pt: str, en: str):
    assert (shown_as(name, value, "pt"), shown_as(name, value, "en")) == (pt, en)


def test_times_are_local():
    at = datetime(2026, 10, 1, 15, 30, tzinfo=UTC)

    assert "12:30" in shown_as("started_at", at, "pt")


def test_both_languages_have_the_same_words():
    assert WORDS["pt"].keys() == WORDS["en"].keys()
    assert set(_TOTALS) - {"sessions"} <= WORDS["pt"].keys()


def test_a_month_without_data_is_a_page_that_says_so():
    page = html_page(month(), "pt")

    assert "outubro" in page.lower()
    assert "não informado" in page
    assert ">0<" not in page and "nan" not in page.lower()


def test_what_a_charge_point_sent_cannot_become_markup_or_a_formula():
    row = {"charge_point": "<script>", "stop_reason": "=HYPERLINK(1)", "flags": "a\x07b"}

    page = html_page(month(sessions=table(row)), "en")
    sheet = load_workbook(io.BytesIO(workbook(month(sessions=table(row)), "en")))["Sessions"]

    assert "<script>" not in page
    cells = [cell.value for cell in sheet[2]]
    assert cells == ["<script>", "'=HYPERLINK(1)", "ab"]


def test_a_formula_cannot_come_by_csv_either():
    text = csv_table(table({"a": "=1+1", "b": "@x", "c": -1.5, "d": "a-b"})).decode()

    assert text.splitlines() == ["a,b,c,d", "'=1+1,'@x,-1.5,a-b"]


def test_the_cost_of_demand_is_told_where_there_is_one():
    demand = table(
        {"site": None, "demand_cost": 1000.0},
        {"site": "A", "demand_cost": 234.5},
        {"site": "B", "demand_cost": None},
    )

    page = html_page(month(demand=demand), "pt")

    assert "Custo da demanda</th><td" in page and "1.234,50" in page
    assert "Demanda dos locais" in page
    assert "Custo da demanda" not in html_page(month(), "pt")


def test_a_table_as_csv_leaves_the_unknown_empty():
    text = csv_table(table({"a": 1.5, "b": None})).decode()

    assert text.splitlines() == ["a,b", "1.5,"]


def test_an_export_without_rows_has_its_header():
    sheet = load_workbook(io.BytesIO(workbook(month(), "en")))["Sessions"]

    assert csv_table(table()).decode().splitlines() == ["a,b"]
    assert [[cell.value for cell in row] for row in sheet.rows] == [
        ["Charge point", "Energy (kWh)"]
    ]
