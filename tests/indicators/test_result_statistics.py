"""What `indicator_result` says about cases that were made by hand: periods, strata, intervals, comparison, case mix."""

from __future__ import annotations

import random
from datetime import date
from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from result_tables import Case, fill, small_set

from pipelines.indicators.definitions import OutcomeSet
from pipelines.indicators.results import summarise

AS_OF = date(2025, 3, 20)
JANUARY, FEBRUARY, LAST_MAY = date(2025, 1, 10), date(2025, 2, 1), date(2024, 5, 31)
Key = tuple[str, str, str, str, str]


def results(outcome_set: OutcomeSet, cases: list[Case], models: Any = None) -> dict[Key, dict[str, Any]]:
    """Rows by institution, kind of period, period, stratifier and stratum."""
    connection = duckdb.connect()
    fill(connection, outcome_set, cases)
    summarise(connection, outcome_set, AS_OF, models)
    names = ("institution", "period_kind", "period", "stratifier", "stratum")
    rows = connection.sql("FROM indicator_result").to_arrow_table().to_pylist()
    found = {tuple(row[name] for name in names): row for row in rows}
    assert len(found) == len(rows), "one row per institution, period and stratum"
    return found


def yes_and_no(institution: str, day: date, yes: int, no: int, **fields: Any) -> list[Case]:
    return [Case(institution, day, numerator=n < yes, **fields) for n in range(yes + no)]


def test_a_case_counts_in_its_month_quarter_year_total_and_in_twelve_rolling_years() -> None:
    found = results(small_set("share"), yes_and_no("A", LAST_MAY, 1, 3) + yes_and_no("A", JANUARY, 2, 0))
    everyone = {key[1:3]: (row["numerator"], row["denominator"]) for key, row in found.items()}
    assert everyone[("month", "2024-05")] == (1, 4)
    assert everyone[("quarter", "2024-Q2")] == (1, 4)
    assert everyone[("quarter", "2025-Q1")] == (2, 2)
    assert everyone[("year", "2024")] == (1, 4)
    assert everyone[("total", "total")] == (3, 6)
    rolling = {period: counts for (kind, period), counts in everyone.items() if kind == "rolling_12_months"}
    assert min(rolling) == "2024-05"
    assert max(rolling) == "2025-03", "no period beyond the reference date"
    assert rolling["2025-01"] == (3, 6)
    assert rolling["2024-12"] == (1, 4)


def test_a_patient_per_calendar_year_has_no_months() -> None:
    found = results(small_set("share", cohort="yearly"), yes_and_no("A", date(2024, 1, 1), 1, 1))
    assert {key[1] for key in found} == {"year", "total"}


def test_what_is_not_included_is_counted_and_a_row_without_a_date_only_in_the_total() -> None:
    cases = [Case("A", JANUARY, status) for status in ("pending", "missing", "missing", "outside")]
    found = results(small_set("share"), [*cases, Case("A", None, "excluded")])
    month, total = found[("A", "month", "2025-01", "all", "all")], found[("A", "total", "total", "all", "all")]
    for row, excluded in ((month, 0), (total, 1)):
        assert (row["pending"], row["missing"], row["outside"], row["excluded"]) == (1, 2, 1, excluded)
        assert (row["denominator"], row["value"], row["ci_low"]) == (0, None, None)


def test_strata_add_up_to_everyone() -> None:
    cases = yes_and_no("A", JANUARY, 2, 1, sex="vrouw") + yes_and_no("A", JANUARY, 0, 2, sex="man")
    found = results(small_set("share", stratifiers=("sex",)), cases)
    women, men, everyone = (
        found[("A", "total", "total", *stratum)] for stratum in (("sex", "vrouw"), ("sex", "man"), ("all", "all"))
    )
    assert (women["numerator"], women["denominator"]) == (2, 3)
    assert (men["numerator"], men["denominator"]) == (0, 2)
    assert (everyone["numerator"], everyone["denominator"]) == (2, 5)


def test_the_group_is_everyone_and_each_case_weighs_the_same() -> None:
    found = results(small_set("share"), yes_and_no("A", JANUARY, 1, 9) + yes_and_no("B", JANUARY, 1, 0))
    assert {row["group_value"] for key, row in found.items() if key[1] == "total"} == {2 / 11}


def test_a_wilson_interval_of_a_published_example() -> None:
    """81 of 263: 0.2553 to 0.3662 (Newcombe 1998, doi 10.1002/(SICI)1097-0258(19980430)17:8<857, table I)."""
    row = results(small_set("share"), yes_and_no("A", JANUARY, 81, 182))[("A", "total", "total", "all", "all")]
    assert (round(row["ci_low"], 4), round(row["ci_high"], 4)) == (0.2553, 0.3662)


def test_a_mean_has_a_t_interval_and_one_case_has_none() -> None:
    cases = [Case("A", JANUARY, value=float(value)) for value in (1, 2, 3)] + [Case("B", JANUARY, value=5.0)]
    found = results(small_set("mean"), cases)
    row = found[("A", "total", "total", "all", "all")]
    half = 4.302652729911275 / np.sqrt(3)  # t quantile with 2 degrees of freedom, standard deviation 1
    assert row["value"] == 2.0
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((2 - half, 2 + half))
    assert found[("B", "total", "total", "all", "all")]["ci_low"] is None


def test_a_median_is_of_the_values_themselves_and_the_group_has_its_own() -> None:
    cases = [Case("A", JANUARY, value=float(value)) for value in (1, 2, 30)] + [
        Case("B", FEBRUARY, value=float(value)) for value in (4, 5, 6, 7)
    ]
    found = results(small_set("median"), cases)
    row = found[("A", "total", "total", "all", "all")]
    assert (row["value"], row["group_value"]) == (2.0, 5.0)
    assert found[("B", "month", "2025-02", "all", "all")]["value"] == 5.5


def test_a_count_is_the_number_of_cases_and_the_group_their_mean_per_institution() -> None:
    cases = [Case("A", JANUARY)] * 3 + [Case("B", JANUARY)]
    row = results(small_set("count"), cases)[("A", "year", "2025", "all", "all")]
    assert (row["value"], row["group_value"]) == (3.0, 2.0)


def test_a_cumulative_incidence_is_one_minus_kaplan_meier() -> None:
    """Of four, one has the event at day 10; one is censored at day 5; so 1 - 2/3 at the horizon."""
    cases = [
        Case("A", LAST_MAY, numerator=event, value=float(days))
        for days, event in ((10, True), (5, False), (365, False), (365, False))
    ]
    row = results(small_set("survival"), cases)[("A", "total", "total", "all", "all")]
    assert row["value"] == pytest.approx(1 / 3)
    assert (row["numerator"], row["denominator"]) == (1, 4)
    assert row["ci_low"] < 1 / 3 < row["ci_high"]


def test_few_cases_are_not_ranked_and_too_little_difference_is_not_either() -> None:
    few = results(small_set("share"), yes_and_no("A", JANUARY, 1, 8) + yes_and_no("B", JANUARY, 5, 4))
    alike = results(small_set("share"), yes_and_no("A", JANUARY, 20, 80) + yes_and_no("B", JANUARY, 21, 79))
    apart = results(small_set("share"), yes_and_no("A", JANUARY, 20, 480) + yes_and_no("B", JANUARY, 300, 200))
    verdicts = [{row["comparable"] for key, row in found.items() if key[1] == "total"} for found in (few, alike, apart)]
    assert verdicts == [{"too_few_cases"}, {"too_unreliable"}, {"suitable"}]
    assert [apart[(name, "total", "total", "all", "all")]["rank"] for name in ("A", "B")] == [1, 2]
    assert {row["rank"] for found in (few, alike) for row in found.values()} == {None}


def test_a_stratum_or_a_month_is_never_ranked() -> None:
    cases = yes_and_no("A", JANUARY, 20, 480) + yes_and_no("B", JANUARY, 300, 200)
    found = results(small_set("share", stratifiers=("sex",)), cases)
    for key, row in found.items():
        if key[1] == "month" or key[3] != "all":
            assert (row["comparable"], row["rank"]) == ("not_compared", None)


def older(institution: str, count: int, rng: random.Random, share_old: float) -> list[Case]:
    """Cases of whom the old have the event in 30%, the young in 10%, wherever they are."""
    cases = []
    for _ in range(count):
        old = rng.random() < share_old
        numerator = rng.random() < (0.3 if old else 0.1)
        cases.append(Case(institution, JANUARY, numerator=numerator, age=">=70" if old else "<50"))
    return cases


def test_case_mix_explains_a_difference_that_is_only_the_patients() -> None:
    rng = random.Random(7)
    cases = older("OLD", 4000, rng, 0.8) + older("YOUNG", 4000, rng, 0.2)
    found = results(small_set("share", case_mix=("age",)), cases)
    old, young = (found[(name, "total", "total", "all", "all")] for name in ("OLD", "YOUNG"))
    assert old["value"] > 1.5 * young["value"], "without adjustment the hospital of the old looks worse"
    for row in (old, young):
        assert row["oe_low"] < 1 < row["oe_high"]
        assert row["oe"] == pytest.approx(1, abs=0.05)
    assert old["expected"] + young["expected"] == pytest.approx(old["numerator"] + young["numerator"], rel=1e-6)


def test_a_case_mix_model_with_too_few_events_is_refused_and_said() -> None:
    connection, outcome_set = duckdb.connect(), small_set("share", case_mix=("age",))
    cases = yes_and_no("A", JANUARY, 3, 50) + yes_and_no("A", JANUARY, 3, 50, age=">=70")
    fill(connection, outcome_set, cases)
    (adjustment,) = summarise(connection, outcome_set, AS_OF)
    assert adjustment.model is None
    assert adjustment.problem == "too few events for this case mix: 10 are needed"
    assert connection.execute("SELECT max(expected), max(oe) FROM indicator_result").fetchone() == (None, None)


def test_a_stored_model_gives_the_same_expected_numbers_as_when_it_was_fitted() -> None:
    connection, outcome_set = duckdb.connect(), small_set("share", case_mix=("age",))
    cases = older("A", 500, random.Random(1), 0.5) + older("B", 500, random.Random(2), 0.3)
    fill(connection, outcome_set, cases)
    (first,) = summarise(connection, outcome_set, AS_OF)
    fitted = connection.sql("FROM indicator_result ORDER BY ALL").fetchall()
    assert first.model is not None
    assert first.quality is not None
    summarise(connection, outcome_set, AS_OF, {"the-indicator": type(first.model).from_dict(first.model.to_dict())})
    assert connection.sql("FROM indicator_result ORDER BY ALL").fetchall() == fitted


@given(
    st.lists(
        st.tuples(st.sampled_from("ABC"), st.dates(date(2024, 1, 1), AS_OF), st.floats(-1000, 1000), st.booleans()),
        min_size=1, max_size=30,
    ),
    st.randoms(use_true_random=False),
    st.sampled_from(["share", "mean", "median", "survival"]),
)  # fmt: skip
@settings(deadline=None, max_examples=40)
def test_the_order_of_the_cases_changes_nothing_to_the_last_bit(
    rows: list[tuple[str, date, float, bool]], rng: random.Random, measure: str
) -> None:
    cases = [
        Case(institution, day, numerator=yes, value=abs(value) if measure == "survival" else value, age=str(yes))
        for institution, day, value, yes in rows
    ]
    shuffled = cases.copy()
    rng.shuffle(shuffled)
    outcome_set = small_set(measure, stratifiers=("age",))
    assert results(outcome_set, cases) == results(outcome_set, shuffled)
