"""Files say what the screen says, and none of them runs anything."""

import io
from datetime import date

import pandas as pd
import pytest
from openpyxl import load_workbook

from dashboard import columns, exports, month_report
from dashboard.blocks import Column, for_people
from dashboard.i18n import Words

FRAME = pd.DataFrame(
    {
        "at": pd.to_datetime(["2026-11-22T02:30:00Z"]),
        "tag": pd.Series(["=HYPERLINK(1)"], dtype=object),
        "energy_wh": [1234.5],
        "cost": [float("nan")],
    }
)
LABELS = {"at": "Início", "tag": "Etiqueta", "energy_wh": "Energia", "cost": "Custo"}


def test_the_brazilian_csv_opens_in_brazilian_excel():
    text = exports.csv_brazil(FRAME, LABELS).decode("utf-8-sig")

    assert text.splitlines() == [
        "Início;Etiqueta;Energia;Custo",
        "21/11/2026 23:30:00;'=HYPERLINK(1);1234,5;",
    ]


def test_the_brazilian_csv_writes_days_as_brazilians_do():
    days = pd.DataFrame({"month": pd.Series([date(2026, 11, 1), None], dtype=object)})

    text = exports.csv_brazil(days, {"month": "Mês"}).decode("utf-8-sig")

    assert text.splitlines() == ["Mês", "01/11/2026", '""']


def test_files_for_people_have_no_more_digits_than_a_meter_and_a_purse():
    frame = pd.DataFrame(
        {"energy_wh": [383_421.538333416, None], "cost": [241.45225126733783, None]}
    ).assign(unpriced_wh=2.9e-10)
    wanted = (Column("energy_wh", "column.energy_kwh", "kwh", 2), Column("cost", "x", "cost"),
              Column("unpriced_wh", "x", "kwh", 2))  # fmt: skip

    shown = for_people(frame, wanted, Words("pt"))

    assert shown.iloc[0].tolist() == [383.422, 241.45, 0]
    assert shown.iloc[1, :2].isna().all()


def test_more_rows_than_a_sheet_holds_go_on_in_another(monkeypatch):
    monkeypatch.setattr(exports, "_SHEET_ROWS", 2)

    content = exports.xlsx(pd.DataFrame({"a": [1, 2, 3, 4, 5]}), {}, "nevi-sessoes")

    sheets = pd.read_excel(io.BytesIO(content), sheet_name=None)
    assert {name: list(sheet["a"]) for name, sheet in sheets.items()} == {
        "nevi-sessoes": [1, 2], "nevi-sessoes 2": [3, 4], "nevi-sessoes 3": [5],
    }  # fmt: skip


def test_the_international_csv_has_utc_and_the_names_of_the_views():
    text = exports.csv_international(FRAME).decode()

    assert text.splitlines() == [
        "at,tag,energy_wh,cost",
        "2026-11-22T02:30:00Z,'=HYPERLINK(1),1234.5,",
    ]


def test_a_control_character_does_not_break_a_workbook():
    reopened = pd.read_excel(io.BytesIO(exports.xlsx(pd.DataFrame({"a": ["x\x07y"]}), {}, "x")))

    assert list(reopened["a"]) == ["xy"]


def test_the_workbook_reopens_equal_and_without_formulas():
    reopened = pd.read_excel(io.BytesIO(exports.xlsx(FRAME, LABELS, "x")))

    assert list(reopened.columns) == list(LABELS.values())
    assert reopened["Energia"].iloc[0] == 1234.5
    assert reopened["Etiqueta"].iloc[0] == "'=HYPERLINK(1)"
    assert pd.isna(reopened["Custo"].iloc[0])


def test_parquet_reopens_equal():
    reopened = pd.read_parquet(io.BytesIO(exports.parquet(FRAME)))

    assert reopened["energy_wh"].tolist() == [1234.5]
    assert reopened["at"].iloc[0] == FRAME["at"].iloc[0]


@pytest.mark.parametrize("beginning", ["=", "+", "-", "@"])
def test_no_cell_begins_like_a_formula(beginning):
    frame = pd.DataFrame({"tag": pd.Series([beginning + "1+1"], dtype=object)})

    assert exports.csv_brazil(frame, {}).decode("utf-8-sig").splitlines()[1].startswith("'")


def test_the_month_report_stands_alone():
    """No script, nothing fetched, names from outside as text."""
    words = Words("pt")
    totals = dict.fromkeys(
        ("energy_wh", "sessions", "technical_percent", "nevi_percent", "utilisation_percent",
         "idle_s", "cost", "unpriced_wh", "attempts"), 1.0,
    )  # fmt: skip
    daily = pd.DataFrame({"day": [pd.Timestamp("2026-11-01").date()], "energy_wh": [1000.0]})
    stations = pd.DataFrame(
        {"name": ["<script>alert(1)</script>"], "energy_wh": [1000.0], "sessions": [1],
         "technical_percent": [99.0], "faults": [0]}
    )  # fmt: skip
    month = month_report.Month(daily["day"][0], totals, daily, stations, pd.DataFrame())

    page = month_report.html(month, words, "22/11/2026 06:00").decode()

    assert "<script" not in page
    assert "http" not in page
    assert "Relatório de 11/2026" in page


def test_the_workbook_of_a_month_is_in_the_units_and_words_of_its_reader():
    day = pd.DataFrame(
        {"day": [pd.Timestamp("2026-11-01").date()], "energy_wh": [1500.0], "sessions": [1],
         "cost": [2.0], "unpriced_wh": [0.0], "idle_s": [60.0], "technical_percent": [99.0],
         "utilisation_percent": [5.0]}
    )  # fmt: skip
    stations = pd.DataFrame({column.name: [None] for column in columns.STATIONS}, dtype=float)
    sessions = pd.DataFrame(
        {column.name: pd.Series([None], dtype=float) for column in columns.SESSIONS}
    ).assign(stop_reason="Local", is_attempt=False, energy_wh=2500.0)
    month = month_report.Month(day["day"][0], {}, day, stations, sessions)

    book = load_workbook(io.BytesIO(month_report.workbook(month, Words("pt"))))

    days, _, rows = book.worksheets
    assert [cell.value for cell in days[1]][:2] == ["Dia", "Energia (kWh)"]
    assert days["B2"].value == 1.5
    titles = [cell.value for cell in rows[1]]
    assert rows.cell(2, titles.index("Energia (kWh)") + 1).value == 2.5
    assert (
        rows.cell(2, titles.index("Motivo do fim") + 1).value == "Local – encerrada no eletroposto"
    )
    assert rows.cell(2, titles.index("Conta como") + 1).value == "sessão"
