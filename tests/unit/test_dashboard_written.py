"""The quick way to write a table's cells says what the slow way of pandas says."""

from io import BytesIO
from typing import Any

import pandas as pd
import pyarrow as pa
from streamlit.elements.lib.pandas_styler_utils import marshall_styler
from streamlit.proto.ArrowData_pb2 import ArrowData

from dashboard.written import written

FRAME = pd.DataFrame({"name": ["CP 1", "CP 2"], "energy_wh": [1234.5, float("nan")]})
WRITERS = {"energy_wh": lambda value: "—" if value != value else f"{value:,.1f} Wh"}
WRITTEN = {name: [write(value) for value in FRAME[name]] for name, write in WRITERS.items()}


def texts(styler: Any) -> list[dict[str, str]]:
    """The texts Streamlit sends to the browser."""
    sent = ArrowData()
    marshall_styler(sent, styler, "a")
    rows = pa.ipc.open_stream(BytesIO(sent.styler.display_values)).read_all().to_pylist()
    return [{name: row[name] for name in FRAME} for row in rows]


def test_the_browser_gets_the_texts() -> None:
    assert texts(written(FRAME, WRITTEN)) == [
        {"name": "CP 1", "energy_wh": "1,234.5 Wh"},
        {"name": "CP 2", "energy_wh": "—"},
    ]


def test_they_are_those_of_pandas() -> None:
    assert texts(written(FRAME, WRITTEN)) == texts(FRAME.style.format(WRITERS))
