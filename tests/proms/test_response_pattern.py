"""Response-pattern (EAP) scoring against the published summed-score tables and against numerical integration.

A summed-score table is the mean of the pattern scores of all patterns with that sum, weighted by how likely each is.
So pattern scores have to give back, sum by sum, the published table that they were not made from.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from pipelines.proms.engine import MISSING, score_answers
from pipelines.proms.instruments import Instrument, load_instruments
from pipelines.proms.response_pattern import GRID, category_probabilities, expected_t_scores
from pipelines.proms.scales import ResponsePattern, SumThenTable

INSTRUMENTS = load_instruments(Path(__file__).resolve().parents[2] / "mappings" / "proms")
FORMS = [i for i in INSTRUMENTS if any(isinstance(rule, ResponsePattern) for rule in i.scores)]
SHORT = [i for i in FORMS if len(i.items) == 4]


def rules(instrument: Instrument) -> tuple[SumThenTable, ResponsePattern]:
    table, pattern = instrument.scores
    assert isinstance(table, SumThenTable)
    assert isinstance(pattern, ResponsePattern)
    return table, pattern


@pytest.mark.parametrize("instrument", FORMS, ids=lambda i: i.id)
def test_item_parameters_give_the_published_table(instrument: Instrument) -> None:
    """Lord-Wingersky: the likelihood of every sum, item by item; then its EAP."""
    table, pattern = rules(instrument)
    likelihood = {0: np.ones_like(GRID)}
    for slope, *thresholds in pattern.parameters.values():
        longer: dict[int, np.ndarray] = {}
        for total, chance in likelihood.items():
            for answer, probability in enumerate(category_probabilities(slope, thresholds), start=1):
                longer[total + answer] = longer.get(total + answer, 0) + chance * probability
        likelihood = longer
    for total, published in table.table.items():
        weights = likelihood[total] * norm.pdf(GRID)
        assert round(50 + 10 * float(weights @ GRID / weights.sum()), 1) == published


@pytest.mark.parametrize("instrument", SHORT, ids=lambda i: i.id)
def test_pattern_scores_average_to_the_published_table(instrument: Instrument) -> None:
    table, pattern = rules(instrument)
    patterns = np.array(list(itertools.product(range(5), repeat=4)))
    scores, _ = expected_t_scores(list(patterns.T), list(pattern.parameters.values()))
    chances = np.ones((len(patterns), len(GRID)))
    for column, (slope, *thresholds) in zip(patterns.T, pattern.parameters.values(), strict=True):
        chances *= category_probabilities(slope, thresholds)[column]
    weight = chances @ (norm.pdf(GRID) / norm.pdf(GRID).sum())
    totals = patterns.sum(axis=1) + 4
    for total, published in table.table.items():
        of_sum = totals == total
        assert round(float(np.average(scores[of_sum], weights=weight[of_sum])), 1) == published


@pytest.mark.parametrize("answers", [(0, 0, 0, 0), (1, 2, 0, 3), (4, 4, 4, 4), (2, -1, 2, 1)])
def test_a_pattern_score_is_the_posterior_mean(answers: tuple[int, ...]) -> None:
    """Against adaptive integration of the posterior on the interval of the grid."""
    _, pattern = rules(SHORT[0])
    parameters = list(pattern.parameters.values())

    def posterior(theta: float) -> float:
        density = float(norm.pdf(theta))
        for answer, (slope, *thresholds) in zip(answers, parameters, strict=True):
            above = [1.0, *(1 / (1 + np.exp(-slope * (theta - b))) for b in thresholds), 0.0]
            density *= 1.0 if answer < 0 else above[answer] - above[answer + 1]
        return density

    mass = quad(posterior, -4.5, 4.5)[0]
    mean = quad(lambda theta: theta * posterior(theta), -4.5, 4.5)[0] / mass
    variance = quad(lambda theta: (theta - mean) ** 2 * posterior(theta), -4.5, 4.5)[0] / mass
    (score,), (error,) = expected_t_scores([np.array([a]) for a in answers], parameters)
    assert score == pytest.approx(50 + 10 * mean, abs=0.02)
    assert error == pytest.approx(10 * variance**0.5, abs=0.02)


def test_a_form_with_missing_items_is_scored_from_four_answers_on() -> None:
    instrument = next(i for i in FORMS if i.id == "promis-fatigue-8a")
    rows = {name: np.array([3.0, 3.0, 3.0]) for name in rules(instrument)[1].items}
    for name in list(rows)[:4]:
        rows[name][1:] = MISSING
    rows[list(rows)[4]][2] = MISSING
    table, pattern = score_answers(instrument, rows, 3, response_pattern=True)
    assert np.isnan(table.value).tolist() == [False, True, True]
    assert np.isnan(pattern.value).tolist() == [False, False, True]
    assert pattern.se is not None
    assert pattern.se[1] > pattern.se[0]
