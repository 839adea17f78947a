"""Funnels: equal to FunnelPlotR, to the published formulae, and with about 5% false alarms."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_vectors import numbers, rows_of
from scipy import stats

from pipelines.statistics.funnel import (
    STANDARDISED,
    DataType,
    FunnelLimits,
    dispersion,
    exact_limits,
    funnel_limits,
    joint_ratio,
    positions,
    standard_errors,
    z_scores,
)

INPUTS = {
    DataType.PR: "input_PR",
    DataType.SR_SHMI: "input_SR",
    DataType.SR_CQC: "input_SR",
    DataType.RC: "input_RC",
}
ALL = pytest.mark.parametrize("data_type", list(DataType))

# patients, 95% lower, upper, 99.8% lower, upper around 0.0765756921264481. Source: FunnelPlotR 0.6.0 @9020d49.
PROPORTION = [
    (12, 0.0, 0.285114717991433, 0.0, 0.441157481835999),
    (35, 0.013106503498862, 0.186094717029902, 0.000368983481629117, 0.265708107208001),
    (127, 0.0369482351878088, 0.128978512890913, 0.0203877946859092, 0.164403205061925),
    (109, 0.0343870952426655, 0.133643147904073, 0.0174241987640036, 0.172553513314871),
]
# expected events and the limits of observed over expected, from the unit tests of FunnelPlotR.
STANDARD_RATIO = [
    (15, 0.5596924, 1.649348, 0.3862650, 2.082907),
    (20, 0.6108260, 1.544419, 0.4479107, 1.902094),
    (30, 0.6746958, 1.427562, 0.5289724, 1.702771),
]


def array(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)


@pytest.mark.parametrize(
    ("data_type", "target", "rows", "accuracy"),
    [
        (DataType.PR, 0.0765756921264481, PROPORTION, 1e-9),
        (DataType.SR_SHMI, 1.0, STANDARD_RATIO, 1e-6),
        (DataType.SR_CQC, 1.0, STANDARD_RATIO, 1e-6),
    ],
)
def test_limits_equal_those_that_funnelplotr_publishes(
    data_type: DataType, target: float, rows: list[tuple[float, ...]], accuracy: float
) -> None:
    sizes, *expected = (array(*column) for column in zip(*rows, strict=True))
    for found, bound in zip(astuple(funnel_limits(target, sizes, data_type)), expected, strict=True):
        assert found == pytest.approx(bound, abs=accuracy)


def groups(data_type: DataType) -> tuple[np.ndarray, np.ndarray]:
    rows = rows_of(INPUTS[data_type])
    return numbers(rows, "num"), numbers(rows, "den")


@pytest.mark.parametrize("data_type", list(INPUTS))
def test_over_dispersion_equals_every_vector(data_type: DataType) -> None:
    published = next(row for row in rows_of("funnelplotr_meta") if row["case"] == data_type)
    found = dispersion(data_type, *groups(data_type))
    assert found.phi == pytest.approx(float(published["phi"]), abs=1e-12)
    assert found.tau2 == pytest.approx(float(published["tau2"]), abs=1e-14)
    assert found.groups == int(published["n"])
    assert joint_ratio(data_type, *groups(data_type)) == pytest.approx(float(published["target"]), abs=1e-12)


@pytest.mark.parametrize("data_type", [DataType.PR, DataType.SR_SHMI, DataType.RC])
@pytest.mark.parametrize("adjusted", [False, True])
def test_every_institution_has_the_limits_of_funnelplotr(data_type: DataType, adjusted: bool) -> None:
    rows = rows_of(f"funnelplotr_{data_type}")
    numerators, denominators = groups(data_type)
    tau2 = dispersion(data_type, numerators, denominators).tau2 if adjusted else 0.0
    limits = funnel_limits(joint_ratio(data_type, numerators, denominators), denominators, data_type, tau2)
    names = ["LCL95", "UCL95", "LCL99", "UCL99"] if not adjusted else ["OD95LCL", "OD95UCL", "OD99LCL", "OD99UCL"]
    for found, name in zip(astuple(limits), names, strict=True):
        assert found == pytest.approx(numbers(rows, name), rel=1e-12, abs=1e-12)
    assert z_scores(data_type, numerators, denominators) == pytest.approx(numbers(rows, "Uzscore"), abs=1e-12)


@pytest.mark.parametrize("data_type", [DataType.PR, DataType.SR_SHMI, DataType.RC])
def test_the_outliers_of_funnelplotr_are_the_outliers(data_type: DataType) -> None:
    rows = rows_of(f"funnelplotr_{data_type}")
    numerators, denominators = groups(data_type)
    tau2 = dispersion(data_type, numerators, denominators).tau2
    limits = funnel_limits(joint_ratio(data_type, numerators, denominators), denominators, data_type, tau2)
    where = positions(numbers(rows, "rr"), limits)
    assert (where != "within").tolist() == [row["outlier95"] == "1" for row in rows]
    assert np.char.endswith(where, "998").tolist() == [row["outlier998"] == "1" for row in rows]


def test_adjusted_cqc_limits_follow_the_published_formula() -> None:
    # (1 +- z sqrt(1 / (4 E) + tau2))^2: Spiegelhalter 2005, and Y = sqrt(O / E) with s = 1 / (2 sqrt E) in FunnelPlotR.
    limits = funnel_limits(1.0, array(25.0), DataType.SR_CQC, tau2=0.03)
    assert limits.upper_95[0] == pytest.approx((1 + 1.959964 * 0.2) ** 2)
    assert limits.lower_95[0] == pytest.approx((1 - 1.959964 * 0.2) ** 2)
    assert funnel_limits(1.0, array(1.0), DataType.SR_CQC, tau2=1.0).lower_998[0] == 0.0


@pytest.mark.parametrize("data_type", [DataType.PR, DataType.SR_CQC])
@pytest.mark.parametrize(("target", "size"), [(0.05, 40), (0.3, 117), (0.9, 25)])
def test_exact_limits_lie_where_the_interpolated_distribution_reaches_p(
    data_type: DataType, target: float, size: int
) -> None:
    law = stats.binom(size, target) if data_type is DataType.PR else stats.poisson(size * target)
    limits = exact_limits(target, array(size), data_type)
    for limit, p in zip(astuple(limits), (0.025, 0.975, 0.001, 0.999), strict=True):
        count = limit[0] * size
        below, above = np.floor(count), np.ceil(count)
        if count > 0:
            reached = np.interp(count, [below, above], [law.cdf(below), law.cdf(above)])
            assert reached == pytest.approx(p, abs=1e-9)
        else:
            assert law.cdf(0) >= p


def test_a_ratio_of_counts_and_half_a_patient_have_no_exact_limits() -> None:
    with pytest.raises(ValueError, match="no exact limits"):
        exact_limits(1.1, array(20), DataType.RC)
    with pytest.raises(ValueError, match="whole number"):
        exact_limits(0.1, array(20.5))


@pytest.mark.parametrize(
    ("data_type", "target", "size"), [(DataType.PR, 0.1, 0.0), (DataType.PR, 1.2, 5.0), (DataType.SR_SHMI, 1.0, 0.004)]
)
def test_impossible_denominators_and_targets_are_refused(data_type: DataType, target: float, size: float) -> None:
    with pytest.raises(ValueError, match=r"denominator|target"):
        funnel_limits(target, array(size), data_type)


def target_of(data_type: DataType) -> float:
    return 0.2 if data_type is DataType.PR else 1.0


@ALL
@given(st.floats(0, 0.3))
@settings(max_examples=20, deadline=None)
def test_the_funnel_narrows_with_size_and_widens_with_over_dispersion(data_type: DataType, tau2: float) -> None:
    sizes = np.arange(5.0, 900.0, 5.0)
    target = target_of(data_type)
    limits = funnel_limits(target, sizes, data_type, tau2)
    for lower, upper in ((limits.lower_95, limits.upper_95), (limits.lower_998, limits.upper_998)):
        assert (np.diff(upper) <= 1e-12).all()
        assert (np.diff(lower) >= -1e-12).all()
        assert ((lower < target) & (target < upper)).all()
    assert (limits.lower_998 <= limits.lower_95).all()
    assert (limits.upper_998 >= limits.upper_95).all()
    wider = funnel_limits(target, sizes, data_type, tau2 + 0.1)
    if tau2 > 0:
        assert (wider.upper_95 >= limits.upper_95).all()
        assert (wider.lower_95 <= limits.lower_95).all()


COUNTS = st.lists(
    st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), min_size=2, max_size=30
)


@ALL
@given(COUNTS.filter(lambda rows: any(row[0] for row in rows)), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_the_order_of_institutions_changes_nothing(data_type: DataType, rows: list[tuple[int, int]], random) -> None:  # type: ignore[no-untyped-def]
    shuffled = random.sample(rows, len(rows))
    found, again = (dispersion(data_type, *np.array(some, dtype=np.float64).T) for some in (rows, shuffled))
    assert found == again
    assert found.tau2 >= 0
    assert np.isfinite(found.phi) or found.groups == 0, "no events is no infinity"


def test_a_proportion_and_its_complement_tell_the_same() -> None:
    events, patients = array(3, 18, 40, 7), array(60, 110, 300, 21)
    found, mirrored = (dispersion(DataType.PR, count, patients) for count in (events, patients - events))
    assert found.phi == pytest.approx(mirrored.phi)
    assert found.tau2 == pytest.approx(mirrored.tau2)
    limits, other = (funnel_limits(target, patients) for target in (0.12, 0.88))
    assert limits.upper_95 == pytest.approx(1 - other.lower_95)


# Around a proportion of 10% in a hundred patients: who stands out, and how far.
POSITIONS = [
    ("as everyone", 0.10, "within"),
    ("more, within chance", 0.15, "within"),
    ("more than 95% allows", 0.17, "above_95"),
    ("more than 99.8% allows", 0.25, "above_998"),
    ("fewer than 95% allows", 0.04, "below_95"),
    ("fewer than 99.8% allows", 0.01, "below_998"),
    ("unknown", float("nan"), "within"),
]


@pytest.mark.parametrize(("what", "value", "position"), POSITIONS, ids=[row[0] for row in POSITIONS])
def test_position(what: str, value: float, position: str) -> None:
    assert positions(array(value), funnel_limits(0.1, array(100))).tolist() == [position]


def test_a_value_on_a_limit_lies_within_it() -> None:
    limits = FunnelLimits(array(0.1), array(0.3), array(0.05), array(0.4))
    assert positions(array(0.3), limits).tolist() == ["within"]
    assert positions(array(0.4), limits).tolist() == ["above_95"]


@pytest.mark.parametrize("proportion", [0.05, 0.1, 0.3, 0.5])
def test_false_alarms_of_95_percent_limits_by_enumeration(proportion: float) -> None:
    """Over hospitals of 50 to 600 patients, near 5%: all possible counts, no simulation."""
    rates = [false_alarm_rate(DataType.PR, proportion, size) for size in range(50, 601, 7)]
    assert np.mean(rates) == pytest.approx(0.05, abs=0.01)


def false_alarm_rate(data_type: DataType, target: float, size: int) -> float:
    counts = np.arange(size + 1.0)
    limits = funnel_limits(target, np.full(counts.shape, float(size)), data_type)
    outside = positions(counts / size, limits) != "within"
    return float(stats.binom.pmf(counts, size, target)[outside].sum())


@pytest.mark.parametrize("data_type", sorted(STANDARDISED))
def test_false_alarms_of_standardised_ratios_by_enumeration(data_type: DataType) -> None:
    rates = []
    for expected in np.arange(10.0, 80.0, 1.3):
        counts = np.arange(300.0)
        limits = funnel_limits(1.0, np.full(counts.shape, expected), data_type)
        outside = positions(counts / expected, limits) != "within"
        rates.append(stats.poisson.pmf(counts, expected)[outside].sum())
    assert np.mean(rates) == pytest.approx(0.045, abs=0.01), "a little under 5%: the limits are exact"


def test_standard_errors_of_ratios_of_counts_are_those_of_the_delta_method() -> None:
    # Var log(A / B) = 1 / A + 1 / B; the half events of FunnelPlotR hardly matter for large counts.
    error = standard_errors(DataType.RC, array(400.0), array(500.0))
    assert error[0] == pytest.approx((1 / 400 + 1 / 500) ** 0.5, rel=0.002)


def test_limits_of_the_delta_method_use_the_counts_that_the_target_leads_to() -> None:
    # A hospital of 100 that performs as the target of 1.6 counts 160: sqrt(160 / 160.5^2 + 100 / 100.5^2).
    error = (160 / 160.5**2 + 100 / 100.5**2) ** 0.5
    limits = funnel_limits(1.6, array(100), DataType.RC_DELTA)
    assert limits.upper_95[0] == pytest.approx(1.6 * np.exp(1.959964 * error))
    assert limits.lower_998[0] == pytest.approx(1.6 * np.exp(-3.090232 * error))
