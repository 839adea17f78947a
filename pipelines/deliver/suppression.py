"""Which cells to hide so that no small count can be read, or worked out by subtracting.

The published numbers of one indicator are a two-way table with margins: a row per institution and one for the
group of all institutions, a column per month and one for the total. Every row and every column is an equation
(the months add up to the total, the institutions to the group). Hidden cells can be worked out unless another
table of counts, none below zero, fits everything that is published. Such a table exists for a hidden cell
exactly when the cell lies on a cycle of hidden cells around which one patient can be shifted: Gusfield 1988,
SIAM J Comput 17:552-571. So each hidden cell is put on the cheapest such cycle, hiding the smallest cells.

What this does not cover: subtracting two deliveries of different dates, or two indicators with the same
patients; and a count of zero that follows from a published zero, which counts nobody.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from heapq import heappop, heappush
from itertools import count

from pipelines.deliver.definition import SmallCells

TOTAL = "total"
GROUP = None  # the row of all institutions together

Cell = tuple[str | None, str]  # (institution or GROUP, period)
Counts = tuple[int, ...]  # (numerator, the rest) of a proportion, else (denominator,)
_Node = tuple[str, str | None]


def hidden_cells(cells: Mapping[Cell, Counts], small: SmallCells) -> set[Cell]:
    """The cells of one indicator that must not be published.

    Args:
        cells: counts of every cell that would be published, margins included, adding up.
        small: the thresholds.
    """
    table = {cell: counts for cell, counts in cells.items() if sum(counts) > 0}
    hidden = {cell for cell, counts in table.items() if is_small(counts, small)}
    waiting = [(cell, part) for cell in _by_size(table, hidden) for part in range(len(table[cell]))]
    shielded: set[tuple[Cell, int]] = set()
    neighbours = _neighbours(table)
    while waiting:
        cell, part = waiting.pop()
        if (cell, part) in shielded or table[cell][part] == 0:
            continue
        cycle = _cheapest_cycle(cell, part, table, hidden, neighbours)
        shielded.update((member, part) for member in cycle)
        for member in sorted(cycle - hidden, key=str):
            hidden.add(member)
            waiting.extend((member, other) for other in range(len(table[member])))
    return hidden


def is_small(counts: Counts, small: SmallCells) -> bool:
    """True when a cell may not be published for its own counts; an empty cell counts nobody and may."""
    denominator = sum(counts)
    too_few = 0 < denominator < small.minimum_denominator
    return too_few or (len(counts) > 1 and any(0 < part < small.minimum_count for part in counts))


def _by_size(table: Mapping[Cell, Counts], cells: set[Cell]) -> list[Cell]:
    return sorted(cells, key=lambda cell: (-sum(table[cell]), str(cell)))


def _nodes(cell: Cell) -> tuple[_Node, _Node]:
    """The cell's row and column, as (from, to) of a shift that takes one patient out of the cell."""
    row, column = ("row", cell[0]), ("column", cell[1])
    is_margin = (cell[0] is GROUP) != (cell[1] == TOTAL)  # in both margins the signs cancel out
    return (column, row) if is_margin else (row, column)


def _neighbours(table: Mapping[Cell, Counts]) -> dict[_Node, list[Cell]]:
    found: dict[_Node, list[Cell]] = {}
    for cell in sorted(table, key=str):
        for node in _nodes(cell):
            found.setdefault(node, []).append(cell)
    return found


def _cheapest_cycle(
    cell: Cell,
    part: int,
    table: Mapping[Cell, Counts],
    hidden: set[Cell],
    neighbours: Mapping[_Node, list[Cell]],
) -> set[Cell]:
    """Cells around which one patient can be shifted out of `cell`, newly hiding the fewest (Dijkstra)."""
    target, start = _nodes(cell)
    order = count()  # settles ties, so that the same table always hides the same cells
    queue: list[tuple[int, int, _Node, tuple[Cell, ...]]] = [(0, next(order), start, (cell,))]
    seen: set[_Node] = set()
    while queue:
        cost, _, node, path = heappop(queue)
        if node == target:
            return set(path)
        if node in seen:
            continue
        seen.add(node)
        for step, onward in _steps(node, part, table, neighbours):
            if step != cell and onward not in seen:
                price = 0 if step in hidden else sum(table[step])
                heappush(queue, (cost + price, next(order), onward, (*path, step)))
    raise AssertionError("the counts do not add up")  # else the four margins of the cell are a cycle


def _steps(
    node: _Node, part: int, table: Mapping[Cell, Counts], neighbours: Mapping[_Node, list[Cell]]
) -> Iterator[tuple[Cell, _Node]]:
    """Cells of a row or column that can take up the shift, and the column or row it moves on to."""
    for cell in neighbours[node]:
        origin, end = _nodes(cell)
        if node == end:
            yield cell, origin  # one patient more: always possible
        elif table[cell][part] > 0:
            yield cell, end  # one patient less
