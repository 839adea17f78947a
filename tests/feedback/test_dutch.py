"""Numbers and dates read as a Dutch reader writes them."""

from __future__ import annotations

from datetime import date

import pytest

from pipelines.feedback.dutch import long_date, long_month, measured, number, percent


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [(1234567.0, 0, "1.234.567"), (1234.56, 1, "1.234,6"), (-0.5, 1, "\u22120,5"), (-0.04, 1, "0,0"), (0, 0, "0")],
)
def test_numbers_have_a_decimal_comma_and_a_real_minus(value: float, decimals: int, text: str) -> None:
    assert number(value, decimals) == text


@pytest.mark.parametrize(("fraction", "text"), [(0.016, "1,6%"), (0, "0,0%"), (1, "100,0%"), (0.0004, "0,0%")])
def test_fractions_read_as_percentages(fraction: float, text: str) -> None:
    assert percent(fraction) == text


def test_an_index_shows_three_decimals_and_points_one() -> None:
    assert measured(0.2213, "mean", "indexpunten") == "0,221"
    assert measured(27.04, "mean", "punten") == "27,0"
    assert measured(0.2213, "proportion", "%") == "22,1%"


def test_dates_are_in_words() -> None:
    assert long_date(date(2026, 3, 1)) == "1 maart 2026"
    assert long_month("2024-12") == "december 2024"
