"""Numbers, dates and fixed words as a Dutch reader expects them: 1.234,5 and 1,6% and 1 maart 2026."""

from __future__ import annotations

from datetime import date

_MONTHS = (
    "januari", "februari", "maart", "april", "mei", "juni", "juli", "augustus", "september", "oktober",
    "november", "december",
)  # fmt: skip
_SHORT_MONTHS = ("jan", "feb", "mrt", "apr", "mei", "jun", "jul", "aug", "sep", "okt", "nov", "dec")
_SWAP = str.maketrans({",": ".", ".": ",", "-": "\u2212"})
_INDEX_UNIT = "indexpunten"  # an index runs from about 0 to 1, so it needs more decimals

SHARES = ("proportion", "cumulative_incidence")
"""The statistics that are a share of the cases."""

SCORE_NAMES = {"score": "", "index": "index", "vas": "VAS", "rest": "in rust", "activity": "bij activiteit"}
MOMENT_NAMES = {"pre": "vooraf", "3m": "3 maanden", "12m": "12 maanden"}


def number(value: float, decimals: int = 0) -> str:
    """`1234.5` with one decimal as `1.234,5`; a negative number with a real minus sign."""
    text = f"{value:,.{decimals}f}"
    return (text.lstrip("-") if float(text.replace(",", "")) == 0 else text).translate(_SWAP)


def percent(fraction: float) -> str:
    """`0.016` as `1,6%`."""
    return number(fraction * 100, 1) + "%"


def decimals_of(unit: str) -> int:
    """Decimals in which a mean of this unit is shown."""
    return 3 if unit == _INDEX_UNIT else 1


def measured(value: float, kind: str, unit: str) -> str:
    """A result as a reader sees it: a chance as a percentage, a count whole, a mean or median as a bare number."""
    if kind in SHARES:
        return percent(value)
    return number(value, 0 if kind == "count" else decimals_of(unit))


def long_date(day: date) -> str:
    """`1 maart 2026`."""
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


def long_month(period: str) -> str:
    """`2026-03` as `maart 2026`."""
    year, month = period.split("-")
    return f"{_MONTHS[int(month) - 1]} {year}"


def short_month(period: str) -> str:
    """`2026-03` as `mrt 2026`."""
    year, month = period.split("-")
    return f"{_SHORT_MONTHS[int(month) - 1]} {year}"
