"""No hidden count can be read or worked out, and no more is hidden than the thresholds ask for."""

from __future__ import annotations

import numpy as np
import pytest
from delivery_tables import Numbers, with_margins
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from pipelines.deliver.definition import SmallCells
from pipelines.deliver.suppression import GROUP, TOTAL, Cell, Counts, hidden_cells, is_small

SMALL = SmallCells(minimum_denominator=10, minimum_count=3)
LARGE = (100, 50)
MONTHS = ("2026-01", "2026-02", "2026-03")


def proportions(cells: Numbers) -> dict[Cell, Counts]:
    return {cell: (events, size - events) for cell, (size, events) in with_margins(cells).items()}


def means(cells: Numbers) -> dict[Cell, Counts]:
    return {cell: (size,) for cell, (size, _) in with_margins(cells).items()}


def test_large_cells_are_all_published() -> None:
    assert hidden_cells(proportions({(h, m): LARGE for h in "abc" for m in MONTHS}), SMALL) == set()


def test_empty_cells_are_published_they_count_nobody() -> None:
    cells = {(h, m): LARGE for h in "abc" for m in MONTHS} | {("a", "2026-01"): (0, 0)}
    assert hidden_cells(proportions(cells), SMALL) == set()


def test_one_small_month_takes_the_smallest_month_with_it_in_two_institutions() -> None:
    cells = {(h, m): LARGE for h in "abc" for m in MONTHS}
    cells |= {("a", "2026-01"): (4, 3), ("a", "2026-03"): (60, 30), ("c", "2026-01"): (70, 30)}
    assert hidden_cells(proportions(cells), SMALL) == {
        ("a", "2026-01"), ("a", "2026-03"), ("c", "2026-01"), ("c", "2026-03")
    }  # fmt: skip


def test_a_single_institution_hides_itself_in_the_group_too() -> None:
    hidden = hidden_cells(means({("a", "2026-01"): (4, 0), ("a", "2026-02"): (50, 0)}), SMALL)
    assert {("a", "2026-01"), (GROUP, "2026-01")} <= hidden
    assert len(hidden) == 4


@pytest.mark.parametrize(
    ("counts", "small"),
    [((4, 5), True), ((5, 5), False), ((0, 9), True), ((0, 10), False), ((2, 50), True), ((3, 50), False),
     ((50, 2), True), ((50, 0), False), ((9,), True), ((10,), False), ((0, 0), False), ((0,), False)],
)  # fmt: skip
def test_thresholds(counts: Counts, small: bool) -> None:
    assert is_small(counts, SMALL) is small


def test_thresholds_of_zero_hide_nothing() -> None:
    off = SmallCells(minimum_denominator=0, minimum_count=0)
    assert hidden_cells(proportions({("a", "2026-01"): (1, 1), ("b", "2026-01"): (2, 1)}), off) == set()


@st.composite
def counted(draw: st.DrawFn) -> Numbers:
    institutions = "abcd"[: draw(st.integers(1, 4))]
    months = MONTHS[: draw(st.integers(1, 3))]
    size = st.one_of(st.integers(0, 15), st.integers(20, 60))
    cells: Numbers = {}
    for institution in institutions:
        for month in months:
            denominator = draw(size)
            if denominator or draw(st.booleans()):  # a month without patients may have no row at all
                cells[institution, month] = (denominator, draw(st.integers(0, denominator)))
    return cells or {("a", MONTHS[0]): (0, 0)}


@settings(max_examples=120, deadline=None)
@given(counted(), st.booleans())
def test_no_hidden_count_follows_from_the_published_ones(cells: Numbers, is_mean: bool) -> None:
    table = means(cells) if is_mean else proportions(cells)
    hidden = hidden_cells(table, SMALL)
    assert {cell for cell, counts in table.items() if is_small(counts, SMALL)} <= hidden
    for part in range(1 if is_mean else 2):
        for cell, (low, high) in attack(table, hidden, part).items():
            assert table[cell][part] == 0 or high - low >= 1, f"cell {cell} is {low}..{high}"


@settings(max_examples=60, deadline=None)
@given(counted(), st.randoms(use_true_random=False))
def test_what_is_hidden_does_not_depend_on_the_order_of_the_rows(cells: Numbers, random: np.random.Generator) -> None:
    table = proportions(cells)
    shuffled = list(table.items())
    random.shuffle(shuffled)  # type: ignore[arg-type]
    assert hidden_cells(dict(shuffled), SMALL) == hidden_cells(table, SMALL)


def attack(table: dict[Cell, Counts], hidden: set[Cell], part: int) -> dict[Cell, tuple[float, float]]:
    """What a reader can work out: the least and greatest count that fit, by linear programming."""
    unknown = sorted(hidden, key=str)
    equations, known = [], []
    for is_margin, line in [(TOTAL, 0), (GROUP, 1)]:
        for name in {cell[line] for cell in table}:
            signs = {c: (-1 if c[1 - line] == is_margin else 1) for c in table if c[line] == name}
            equations.append([signs.get(cell, 0) for cell in unknown])
            known.append(-sum(sign * table[c][part] for c, sign in signs.items() if c not in hidden))
    found = {}
    for index, cell in enumerate(unknown):
        goal = np.zeros(len(unknown))
        goal[index] = 1
        low = linprog(goal, A_eq=equations, b_eq=known, bounds=(0, None))
        high = linprog(-goal, A_eq=equations, b_eq=known, bounds=(0, None))
        assert low.status == 0
        found[cell] = (round(low.fun, 6), np.inf if high.status == 3 else round(-high.fun, 6))
    return found
