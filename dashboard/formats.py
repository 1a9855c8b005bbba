"""Numbers, money and instants as people of each language write them. Unknown is a dash, never 0."""

import math
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from dashboard.i18n import Language, Words

UNKNOWN = "—"
_LEAST_UNPRICED_WH = 50  # below is written as 0.0 kWh
ZONE = ZoneInfo("America/Sao_Paulo")
_BRAZILIAN = str.maketrans(",.", ".,")
_DAY = {"pt": "%d/%m/%Y", "en": "%Y-%m-%d"}
_TABLE_INSTANT = {"pt": "DD/MM/YYYY HH:mm", "en": "YYYY-MM-DD HH:mm"}
_TABLE_DAY = {"pt": "DD/MM/YYYY", "en": "YYYY-MM-DD"}
# Plotly wants the decimal sign first, then the thousands sign.
SEPARATORS = {"pt": ",.", "en": ".,"}


def is_unknown(value: object) -> bool:
    """Whether ``value`` is None, NaN or NaT."""
    return value is None or value != value


def number(value: float | None, language: Language, digits: int = 1, unit: str = "") -> str:
    if is_unknown(value) or value is None or not math.isfinite(value):
        return UNKNOWN
    # A rounded -0,0 reads as a mistake. A table has thousands of these: Babel takes seconds.
    text = f"{round(float(value), digits) + 0.0:,.{digits}f}"
    if language == "pt":
        text = text.translate(_BRAZILIAN)
    return f"{text} {unit}" if unit else text


def energy(wh: float | None, language: Language, digits: int = 1) -> str:
    """Wh shown as kWh."""
    return number(_thousandth(wh), language, digits, "kWh")


def power(w: float | None, language: Language, digits: int = 1) -> str:
    """W shown as kW."""
    return number(_thousandth(w), language, digits, "kW")


def percent(value: float | None, language: Language, digits: int = 1) -> str:
    return number(value, language, digits, "%")


def change(
    now: float | None, before: float | None, language: Language, are_percents: bool = False
) -> str | None:
    """The change with its sign, none where it rounds to 0; None where nothing can be compared.

    In percent of what was; where both are percents, in points.
    """
    if is_unknown(now) or is_unknown(before) or not before or now is None:
        return None
    by = round(now - before if are_percents else (now - before) / abs(before) * 100, 1)
    sign = "+" if by > 0 else "-" if by < 0 else ""
    return sign + number(abs(by), language, 1, "p.p." if are_percents else "%")


def money(value: float | None, language: Language, digits: int = 2) -> str:
    """Brazilian reais."""
    if is_unknown(value) or value is None:
        return UNKNOWN
    text = number(abs(value), language, digits)
    sign = "-" if round(value, digits) < 0 else ""
    return f"{sign}R$ {text}"


def cost(value: float | None, unpriced_wh: float | None, words: Words) -> str:
    """Money beside the energy it lacks the price of: a part must not pass for the whole."""
    text = money(value, words.language)
    if unpriced_wh is None or is_unknown(unpriced_wh) or unpriced_wh < _LEAST_UNPRICED_WH:
        return text
    if is_unknown(value):
        return words("unknown.no_tariff")
    return f"{text} ({words('kpi.unpriced', energy=energy(unpriced_wh, words.language))})"


def duration(seconds: float | None) -> str:
    if is_unknown(seconds) or seconds is None:
        return UNKNOWN
    whole = round(seconds)
    days, rest = divmod(whole, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, left = divmod(rest, 60)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min" if minutes else f"{left} s"


def local(moment: datetime) -> datetime:
    return moment.astimezone(ZONE)


def measure(value: float | None, unit: str | None, language: Language, digits: int = 1) -> str:
    """A number with its unit; seconds as people tell them."""
    if unit != "s" or is_unknown(value) or value is None:
        return number(value, language, digits, unit or "")
    return ("-" if value < 0 else "") + duration(abs(value))


def instant(moment: datetime | None, language: Language, seconds: bool = False) -> str:
    if is_unknown(moment) or moment is None:
        return UNKNOWN
    # Figures have hundreds of these: Babel would take a good part of a second.
    return local(moment).strftime(_DAY[language] + (" %H:%M:%S" if seconds else " %H:%M"))


def figures_until(started_at: datetime, duration_s: float | None) -> datetime | None:
    """Until when the figures of a running session count: those of the flows, which lag behind."""
    if is_unknown(duration_s) or duration_s is None:
        return None
    return started_at + timedelta(seconds=float(duration_s))


def clock(moment: datetime | None) -> str:
    return UNKNOWN if is_unknown(moment) or moment is None else f"{local(moment):%H:%M}"


def day(value: date | None, language: Language) -> str:
    if is_unknown(value) or value is None:
        return UNKNOWN
    return value.strftime(_DAY[language])


def age(since: datetime | None, now: datetime) -> str:
    """How long ago, in the largest fitting units."""
    if is_unknown(since) or since is None:
        return UNKNOWN
    return duration(max(now - since, timedelta()).total_seconds())


def table_instant(language: Language) -> str:
    """The pattern for a date column of a table."""
    return _TABLE_INSTANT[language]


def table_day(language: Language) -> str:
    return _TABLE_DAY[language]


def date_field(language: Language) -> str:
    """The pattern for an input field."""
    return _TABLE_DAY[language]


def _thousandth(value: float | None) -> float | None:
    return None if is_unknown(value) or value is None else value / 1000
