"""What a report says about a PROM score over time: before the operation, at 3 and at 12 months."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

import pandas as pd

from pipelines.feedback.charts import trajectory_chart
from pipelines.feedback.dutch import MOMENT_NAMES, SCORE_NAMES, number
from pipelines.feedback.indicator_view import Figure, Row, records
from pipelines.proms.instruments import Instrument

MINIMUM_PATIENTS = 10  # operationalisation: no primary source found for n<10; the indicators use 10 as well

_DIRECTION = {"higher_is_better": "hoger is beter", "higher_is_worse": "hoger is slechter"}


def view_trajectories(
    institution: str, trajectories: pd.DataFrame, instruments: Sequence[Instrument]
) -> dict[str, list[Figure]]:
    """A figure per joint, instrument and score that the institution has answers of.

    Args:
        trajectories: `institution`, `joint`, `instrument`, `score`, `moment` (pre, 3m, 12m), `n`, `mean`,
            `ci_low`, `ci_high`, `group_mean`.

    Returns:
        Figures by joint, the joints in alphabetical order.
    """
    own = records(trajectories[trajectories["institution"] == institution])
    by_id = {instrument.id: instrument for instrument in instruments}
    figures: dict[str, list[Figure]] = {}
    for (joint, instrument, score), rows in _by_score(own):
        figures.setdefault(joint, []).append(_figure(joint, by_id[instrument], score, rows))
    return figures


def _by_score(rows: Sequence[Row]) -> Iterator[tuple[tuple[str, str, str], list[Row]]]:
    def score(row: Row) -> tuple[str, str, str]:
        return str(row["joint"]), str(row["instrument"]), str(row["score"])

    for key, group in groupby(sorted(rows, key=score), key=score):
        by_moment = {str(row["moment"]): row for row in group}
        yield key, [_named(moment, by_moment[moment]) for moment in MOMENT_NAMES if moment in by_moment]


def _named(moment: str, row: Row) -> Row:
    return row | {"moment": MOMENT_NAMES[moment]}


def _figure(joint: str, instrument: Instrument, score: str, rows: Sequence[Row]) -> Figure:
    direction = next(rule.direction for rule in instrument.scores if rule.score == score)
    name = ": ".join(part for part in (instrument.title_nl, SCORE_NAMES[score]) if part)
    decimals = 3 if score == "index" else 1
    spec = trajectory_chart(rows, MINIMUM_PATIENTS, decimals)
    return Figure(
        id=f"{joint}-{instrument.id}-{score}",
        caption=name,
        remark=_DIRECTION[direction],
        description=f"{name}. " + " ".join(_in_words(row, decimals) for row in rows),
        note=_patients(rows) if spec else f"Te weinig gegevens: minder dan {MINIMUM_PATIENTS} patiënten.",
        spec=spec,
    )


def _in_words(row: Mapping[str, object], decimals: int) -> str:
    size, mean = int(str(row["n"])), row["mean"]
    if size < MINIMUM_PATIENTS or mean is None:
        return f"{row['moment']}: te weinig gegevens."
    group = row["group_mean"]
    compared = "" if group is None else f", groep {number(float(str(group)), decimals)}"
    return f"{row['moment']}: {number(float(str(mean)), decimals)}{compared}."


def _patients(rows: Sequence[Row]) -> str:
    counts = (f"{row['moment']} {number(row['n'])}" for row in rows)
    return f"Aantal patiënten: {', '.join(counts)}."
