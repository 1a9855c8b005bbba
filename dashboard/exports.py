"""Tables as files: what is on the screen, for spreadsheets and for programs."""

import io
from collections.abc import Mapping
from datetime import date, datetime

import pandas as pd
from openpyxl import Workbook
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.utils import get_column_letter

from dashboard.formats import ZONE

# A spreadsheet would run a text that begins like this as a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_SHEET_ROWS = 1_048_575  # of a workbook, below the titles


def csv_brazil(frame: pd.DataFrame, labels: Mapping[str, str]) -> bytes:
    """Semicolons, decimal commas, local time and a mark by which Excel knows UTF-8."""
    shown = readable(frame, labels)
    for name in [name for name in shown if shown[name].dtype == "object"]:
        shown[name] = shown[name].map(_brazilian_day)
    text: str = shown.to_csv(index=False, sep=";", decimal=",", date_format="%d/%m/%Y %H:%M:%S")
    return text.encode("utf-8-sig")


def _brazilian_day(value: object) -> object:
    """A day without a time: pandas writes those its own way."""
    is_day = isinstance(value, date) and not isinstance(value, datetime)
    return f"{value:%d/%m/%Y}" if is_day else value


def csv_international(frame: pd.DataFrame) -> bytes:
    """Commas, decimal points, UTC and the names of the report views."""
    text: str = _harmless(_flat(frame)).to_csv(index=False, date_format="%Y-%m-%dT%H:%M:%SZ")
    return text.encode()


def xlsx(frame: pd.DataFrame, labels: Mapping[str, str], sheet: str) -> bytes:
    """A workbook with one sheet, local time, true numbers."""
    return workbook({sheet: readable(frame, labels)})


def workbook(sheets: Mapping[str, pd.DataFrame]) -> bytes:
    """A workbook written row by row: it never stands in memory as cells.

    What is more than a sheet may hold goes on in another.
    """
    book = Workbook(write_only=True)
    for title, frame in sheets.items():
        _fill(book, title[:31] or "1", frame.iloc[:_SHEET_ROWS])
        for number, start in enumerate(range(_SHEET_ROWS, len(frame), _SHEET_ROWS), start=2):
            _fill(book, f"{title[:26]} {number}", frame.iloc[start : start + _SHEET_ROWS])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _fill(book: Workbook, title: str, frame: pd.DataFrame) -> None:
    page = book.create_sheet(title)
    page.freeze_panes = "A2"
    for number in range(1, len(frame.columns) + 1):
        page.column_dimensions[get_column_letter(number)].width = 20
    page.append(list(frame.columns))
    for row in frame.astype(object).where(frame.notna(), None).itertuples(index=False):
        page.append([_cell(value) for value in row])


def _cell(value: object) -> object:
    """Without the control characters no workbook may hold."""
    return ILLEGAL_CHARACTERS_RE.sub("", value) if isinstance(value, str) else value


def parquet(frame: pd.DataFrame) -> bytes:
    """UTC and the names of the report views."""
    content: bytes = _flat(frame).to_parquet(index=False)
    return content


def readable(frame: pd.DataFrame, labels: Mapping[str, str]) -> pd.DataFrame:
    """Local time without a zone, harmless texts, titles for names."""
    shown = _harmless(_flat(frame))
    for name in shown.select_dtypes("datetimetz").columns:
        shown[name] = shown[name].dt.tz_convert(ZONE).dt.tz_localize(None)
    return shown.rename(columns=dict(labels))


def _flat(frame: pd.DataFrame) -> pd.DataFrame:
    """Lists and dictionaries as text: no file format takes them alike."""
    flat = frame.copy()
    for name in flat.columns:
        if flat[name].map(lambda value: isinstance(value, (list, dict))).any():
            flat[name] = flat[name].map(lambda v: str(v) if isinstance(v, (list, dict)) else v)
    return flat


def _harmless(frame: pd.DataFrame) -> pd.DataFrame:
    for name in frame.columns:
        if frame[name].dtype == object or isinstance(frame[name].dtype, pd.StringDtype):
            frame[name] = frame[name].map(_guarded)
    return frame


def _guarded(value: object) -> object:
    return "'" + value if isinstance(value, str) and value.startswith(_FORMULA) else value
