"""From frames to figures: what is drawn, in which language, and nothing from outside as markup."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from dashboard.charts import energy, places, sequence, sessions, states, style
from dashboard.i18n import Words

PT, EN = Words("pt"), Words("en")
START = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)  # midnight in Belém
PLACES = {"A": 1, "B": 2, "C": 3}
NO_GAPS = pd.DataFrame({"started_at": [], "ended_at": []})
NO_PHASES = pd.DataFrame({"at": [], "measurand": [], "value": []})
NO_STATUSES = pd.DataFrame({"at": [], "status": []})


def session_rows(*energies: float | None) -> pd.DataFrame:
    """Newest first, as the page gets them."""
    count = len(energies)
    return pd.DataFrame(
        {
            "charge_point": ["A"] * count,
            "name": ["A"] * count,
            "connector_id": [1] * count,
            "transaction_id": range(count, 0, -1),
            "started_at": pd.to_datetime(
                [START + timedelta(hours=count - number) for number in range(count)]
            ),
            "energy_wh": pd.Series(energies, dtype="float64"),
            "energy_source": ["none" if energy is None else "register" for energy in energies],
        }
    )


def readings(**columns: list[float]) -> pd.DataFrame:
    count = len(next(iter(columns.values())))
    every = {
        name: pd.Series([float("nan")] * count)
        for name in ("power_w", "power_offered_w", "soc_percent", "voltage_v", "current_a",
                     "temperature_c", "power_min_w", "power_max_w")
    }  # fmt: skip
    at = pd.to_datetime([START + timedelta(minutes=number) for number in range(count)])
    return pd.DataFrame({"at": at, **every, **columns})


def test_figure_4_has_a_bar_per_session_in_order_of_time():
    figure = sessions.energy_bars(session_rows(3000, 2000, 1000), PT, PLACES)

    [bars] = figure.data
    assert list(bars.y) == [1, 2, 3]
    assert [facts[0] for facts in bars.customdata] == [1, 2, 3]


def test_an_estimated_energy_is_hatched():
    rows = session_rows(1000, 2000).assign(energy_source=["integral", "register"])

    [bars] = sessions.energy_bars(rows, PT, PLACES).data

    assert list(bars.marker.pattern.shape) == ["", "/"]


def test_a_session_of_unknown_energy_has_a_mark_and_no_bar_of_zero():
    bars, marks = sessions.energy_bars(session_rows(None, 1000), EN, PLACES).data

    assert pd.isna(bars.y[1])
    assert list(marks.x) == [1]
    assert marks.name == EN("sessions.no_energy")


def test_what_was_never_sent_has_no_panel():
    figure = sessions.curves(
        readings(power_w=[1000.0, 2000.0]), NO_PHASES, NO_GAPS, NO_STATUSES, EN
    )

    assert [trace.name for trace in figure.data] == [EN("session.power")]


def test_curves_share_one_local_time_axis():
    figure = sessions.curves(
        readings(power_w=[1000.0, 2000.0], soc_percent=[50.0, 51.0]),
        NO_PHASES, NO_GAPS, NO_STATUSES, PT,
    )  # fmt: skip

    power, soc = figure.data
    assert power.x[0] == soc.x[0] == pd.Timestamp("2026-11-20 00:00")
    assert (power.xaxis, soc.xaxis) == (None, None)
    assert list(power.y) == [1, 2]


def test_a_gap_breaks_the_line_and_is_shaded():
    gap = pd.DataFrame(
        {
            "started_at": [pd.Timestamp(START)],
            "ended_at": [pd.Timestamp(START) + pd.Timedelta("40s")],
        }
    )

    figure = sessions.curves(readings(power_w=[1000.0, 2000.0]), NO_PHASES, gap, NO_STATUSES, PT)

    assert [pd.isna(value) for value in figure.data[0].y] == [False, True, False]
    assert [shape.type for shape in figure.layout.shapes] == ["rect"]


def test_frames_that_tell_one_quantity_each_are_lines_all_the_same():
    """Power and SoC come in frames of their own, seconds apart, each its own bucket."""
    hole = float("nan")
    frame = readings(
        power_w=[1000.0, hole, 2000.0, hole],
        soc_percent=[hole, 50.0, hole, 51.0],
        power_offered_w=[hole, 7000.0, hole, 7000.0],
    )

    drawn = sessions.curves(frame, NO_PHASES, NO_GAPS, NO_STATUSES, EN).data

    assert {trace.name: list(trace.y) for trace in drawn} == {
        EN("session.power_offered"): [7, 7], EN("session.power"): [1, 2],
        EN("session.soc"): [50, 51],
    }  # fmt: skip


def test_the_curve_of_demand_begins_at_the_peak_and_keeps_to_its_hours():
    frame = pd.DataFrame({"hours": [0.25, 10.0, 8760.0], "demand_w": [180e3, 150e3, 100e3]})

    [curve] = energy.duration(frame, None, PT).data

    assert curve.line.shape == "vh"  # each point ends a step
    assert list(curve.x) == [0, 0.25, 10, 8760]
    assert list(curve.y) == [180, 180, 150, 100]


def test_status_changes_stand_on_the_curves():
    change = pd.DataFrame({"at": [pd.Timestamp(START)], "status": ["Charging"]})

    figure = sessions.curves(readings(power_w=[1.0, 2.0]), NO_PHASES, NO_GAPS, change, PT)

    assert figure.layout.shapes[0].type == "line"
    assert "Charging" in figure.layout.annotations[0].hovertext


def test_dates_on_axes_are_numbers_in_the_order_of_the_language():
    frame = pd.DataFrame(
        {"day": [date(2026, 1, 2)], "charge_point": ["A"], "name": ["A"], "energy_wh": [1.0]}
    )

    def ticks(words: Words) -> str:
        stops = energy.by_day(frame, words, {date(2026, 1, 3)}, PLACES).layout.xaxis.tickformatstops
        return " ".join(stop.value for stop in stops)

    assert "%d/%m" in ticks(PT)
    assert "%m-%d" in ticks(EN)
    assert "%b" not in ticks(PT) + ticks(EN)


@pytest.mark.parametrize(("words", "separators"), [(PT, ",."), (EN, ".,")])
def test_numbers_on_axes_have_the_separators_of_the_language(words, separators):
    assert style.base(words.language, 100).layout.separators == separators


def test_the_day_that_is_not_over_is_hatched():
    today = date(2026, 11, 22)
    frame = pd.DataFrame(
        {"day": [date(2026, 11, 21), today], "charge_point": ["A"] * 2, "name": ["A"] * 2,
         "energy_wh": [1000.0, 500.0]}
    )  # fmt: skip

    [bars] = energy.by_day(frame, PT, {today}, PLACES).data

    assert list(bars.marker.pattern.shape) == ["", "/"]


def test_a_charge_point_has_the_same_colour_in_every_figure():
    """Also where another one drew more, and where the first is left out."""
    today = date(2026, 11, 22)
    days = pd.DataFrame(
        {"day": [today] * 3, "charge_point": ["C", "A", None], "name": ["Z", "X", None],
         "energy_wh": [3000.0, 1000.0, 9000.0]}
    )  # fmt: skip
    rows = session_rows(1000, 2000).assign(charge_point=["C", "B"], name=["Z", "Y"])

    by_day = {bar.name: bar.marker.color for bar in energy.by_day(days, PT, {today}, PLACES).data}
    drawn = sessions.energy_bars(rows, PT, PLACES).data
    bars = {bar.name: bar.marker.color[0] for bar in drawn}

    assert by_day["Z"] == bars["Z"]
    assert len({by_day["Z"], by_day["X"], bars["Y"], by_day[PT("chart.others")]}) == 4


def test_bars_of_figure_4_are_equally_wide():
    """Whatever the distance between the sessions of one charge point is."""
    rows = session_rows(*[1000] * 6).assign(charge_point=["A", "A", "B", "A", "A", "B"])

    widths = {bar.width for bar in sessions.energy_bars(rows, PT, PLACES).data}

    assert len(widths) == 1
    assert 0.5 < widths.pop() < 1


def test_sessions_of_many_charge_points_are_one_trace_in_their_colours():
    names = [f"CP{number}" for number in range(60)]
    rows = session_rows(*[1000] * 60).assign(charge_point=names, name=names)

    [bars] = sessions.energy_bars(rows, PT, {name: at for at, name in enumerate(names, 1)}).data

    assert list(bars.marker.color) == [
        style.charge_point_color(place) for place in range(60, 0, -1)
    ]


def test_energy_without_a_tariff_is_drawn_too():
    frame = pd.DataFrame(
        {"day": [date(2026, 11, 20), date(2026, 11, 21)], "ponta_wh": [0.0, 1000.0],
         "intermediario_wh": [0.0, 0.0], "fora_ponta_wh": [0.0, 0.0], "none_wh": [7000.0, 0.0],
         "energy_wh": [7000.0, 1000.0]}
    )  # fmt: skip

    bars = {bar.name: list(bar.y) for bar in energy.days(frame, PT, "day").data}

    assert bars == {PT("posto.ponta"): [0, 1], PT("posto.none"): [7, 0]}


def test_the_week_has_every_hour_and_leaves_the_unknown_empty():
    frame = pd.DataFrame({"weekday": [1], "hour": [8], "energy_wh": [2500.0]})

    [heat] = energy.week(frame, PT).data

    assert heat.z.shape == (7, 24)
    assert heat.z[0][8] == 2.5
    assert pd.isna(heat.z[6][0])


def test_markup_in_a_name_is_drawn_as_text():
    rows = session_rows(1000).assign(name="<b>x</b><a href='http://e.example'>y</a>")

    figure = sessions.energy_bars(rows, PT, PLACES)

    assert "<b>x" not in figure.data[0].name
    assert "<a" not in figure.data[0].customdata[0][1]


def test_the_map_fetches_nothing():
    """Only kinds of traces that need no tiles, outlines or fonts from elsewhere."""
    frame = pd.DataFrame(
        {"name": ["A"], "state": ["Available"], "latitude": [-1.4], "longitude": [-48.4]}
    )

    assert {trace.type for trace in places.network(frame, PT).data} == {"scatter"}


def test_the_timeline_has_a_bar_per_interval_and_a_row_per_connector():
    at = pd.Timestamp(START)
    frame = pd.DataFrame(
        {
            "connector_id": [1, 1, 2],
            "started_at": [at, at + pd.Timedelta("1h"), at],
            "ended_at": [at + pd.Timedelta("1h"), at + pd.Timedelta("2h"), at],
            "state": ["Available", "offline", "Available"],
            "error_code": [None, None, None],
        }
    )

    figure = states.timeline(frame, PT)

    assert {trace.name for trace in figure.data} == {
        "○ Available – livre",
        "⌀ offline – sem contato",
    }
    assert list(figure.layout.yaxis.categoryarray) == ["Conector 2", "Conector 1"]


def frames(*rows: Mapping[str, object]) -> pd.DataFrame:
    at = pd.Timestamp(START)
    every = {"received_at": at, "answered_at": at, "direction": "in", "message_type": 2,
             "message_id": "1", "omitted": 0, "dropped": 0}  # fmt: skip
    return pd.DataFrame([{**every, **row} for row in rows])


def arrows(row: Mapping[str, object], with_tags: bool = True) -> list[Any]:
    return sequence.arrows(frames(row), PT, with_tags=with_tags)


START_FRAME = {
    "action": "StartTransaction",
    "raw": '[2,"1","StartTransaction",{"idTag":"SECRET-1","meterStart":37705867}]',
    "answer": '[3,"1",{"transactionId":9,"idTagInfo":{"status":"Accepted"}}]',
}


def test_a_mean_of_several_readings_has_a_band_that_reaches_their_peak():
    """Broken where readings are missing, as the line is."""
    frame = readings(
        power_w=[1000.0, 2000.0, 3000.0, 3000.0],
        power_min_w=[500.0, 1500.0, 2500.0, 3000.0],
        power_max_w=[1500.0, 2500.0, 7000.0, 3000.0],
    )
    gap = pd.DataFrame({"started_at": [frame["at"][1]], "ended_at": [frame["at"][2]]})

    figure = sessions.curves(frame, NO_PHASES, gap, NO_STATUSES, EN)

    [band] = [trace for trace in figure.data if trace.fill == "toself"]
    assert list(band.y) == [1.5, 2.5, 1.5, 0.5, None, 7.0, 3.0, 3.0, 2.5, None]
    assert len(band.x) == len(band.y)


def test_readings_that_stand_alone_need_no_band():
    frame = readings(power_w=[1000.0], power_min_w=[1000.0], power_max_w=[1000.0])

    figure = sessions.curves(frame, NO_PHASES, NO_GAPS, NO_STATUSES, EN)

    assert [trace.fill for trace in figure.data] == [None]


def test_the_sequence_shows_call_and_answer_in_order():
    call, answer = arrows(START_FRAME)

    assert (call.label, call.to_right, call.is_answer) == (
        "StartTransaction (meterStart 37.705.867 Wh)", True, False,
    )  # fmt: skip
    assert (answer.label, answer.to_right, answer.is_answer) == (
        "StartTransaction.conf (Accepted, #9)", False, True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "raw", "label"),
    [(3, '[3,"1",{"status":"Unlocked"}]', "UnlockConnector.conf (Unlocked)"),
     (4, '[4,"1","NotSupported","",{}]', "UnlockConnector CALLERROR (NotSupported)")],
)  # fmt: skip
def test_the_answer_to_a_command_is_an_answer_with_its_status(kind, raw, label):
    row = {"action": "UnlockConnector", "raw": raw, "answer": None, "message_type": kind}

    [answer] = arrows(row)

    assert (answer.label, answer.to_right, answer.is_answer) == (label, True, True)


def test_identifiers_of_people_are_masked_for_viewers():
    masked = arrows(START_FRAME, with_tags=False)[0].detail

    assert "SECRET-1" not in masked
    assert "meterStart" in masked


def test_left_out_readings_are_counted():
    row = {
        "action": "MeterValues",
        "raw": '[2,"1","MeterValues",{}]',
        "answer": None,
        "omitted": 54,
    }

    figure = sequence.diagram(frames(row), EN, with_tags=True)

    assert "54 more MeterValues" in str(figure.layout.annotations)


@pytest.mark.parametrize("raw", ["", "nonsense", "[2]", "{}", "[2,1,2,[]]", "null"])
def test_an_unreadable_frame_is_drawn_all_the_same(raw):
    row = {"action": None, "raw": raw, "answer": None, "message_type": None}

    assert sequence.diagram(frames(row), PT, with_tags=True).layout.annotations


def test_days_of_two_periods_are_named_in_the_order_of_the_language():
    frame = pd.DataFrame({"day": [date(2026, 1, 2)], "energy_wh": [1.0]})

    told = [energy.compared(frame, frame, words).data[0].customdata[0] for words in (PT, EN)]

    assert told == ["02/01/2026", "2026-01-02"]
