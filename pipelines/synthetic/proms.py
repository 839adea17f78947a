"""Questionnaires a patient filled in: when, and with which answers.

A patient who takes part answers most moments. Scores improve after surgery by an amount that differs per
patient and per hospital. All levels and shares here are operationalisation, chosen to look like an
arthroplasty population; they are not estimates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random

from pipelines.synthetic.course import Course, Operation
from pipelines.synthetic.hospitals import Effects
from pipelines.synthetic.instruments import EQ5D, FUNCTION, HOOS_PS, KOOS_PS, NRS_PAIN, Instrument, Item
from pipelines.synthetic.moments import POST, PRE

ANSWERS_PRE = 0.90
ANSWERS_POST = {"3m": 0.85, "12m": 0.78}
INCOMPLETE_SHARE = 0.03
ABSENT_SHARE = 0.03
# Share of the improvement reached at each moment.
RECOVERED = {"pre": 0.0, "3m": 0.85, "12m": 1.0}

# Per item: the level before surgery and how much of it full recovery takes away.
_LEVELS: dict[str, dict[str, tuple[float, float]]] = {
    "hoos-ps": {
        "1_stairs": (2.3, 1.7), "2_bath_shower": (2.1, 1.6), "3_sit": (1.7, 1.3),
        "4_running": (3.2, 1.6), "5_turn_on_leg": (2.6, 1.8),
    },
    "koos-ps": {
        "1_rise_from_bed": (1.8, 1.1), "2_socks": (1.9, 1.1), "3_rise_from_chair": (1.9, 1.2),
        "4_pickup_from_floor": (2.0, 1.1), "5_turn_on_knee": (2.4, 1.3), "6_kneel": (3.3, 0.8),
        "7_staying_squat": (3.2, 0.9),
    },
    "nrs-pain": {"rest": (4.9, 4.1), "activity": (7.3, 5.7)},
    "eq-5d-5l": {
        "mobility": (3.1, 1.5), "self_care": (1.8, 0.6), "usual_activities": (2.8, 1.2),
        "pain_discomfort": (3.3, 1.5), "anxiety_depression": (1.5, 0.2), "vas": (65.0, -13.0),
    },
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Response:
    """One completed questionnaire. An item that was skipped is absent from `answers`."""

    instrument: Instrument
    on: date
    answers: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Patient:
    """How ill (in answer levels, mean 0) and how quick to recover (mean 1) this patient is; and whether the
    patient may skip an item."""

    severity: float
    recovery: float
    may_skip: bool


@dataclass(slots=True)
class _Accepted:
    """Responses that reach the export, kept such that each moment has one answer under any sound reading."""

    course: Course
    as_of: date
    responses: list[Response] = field(default_factory=list)

    def add(self, response: Response) -> None:
        """Keep the response unless it is too late, too early to tell, or as good as another one."""
        last = min(self.as_of, self.course.death or self.as_of)
        if response.on <= last and not self._undecided(response) and not self._rivalled(response):
            self.responses.append(response)

    def _undecided(self, response: Response) -> bool:
        """Within a window still open at `as_of`: a moment is delivered once its window has closed, for the
        closest response is not known before."""
        return any(
            window.holds((response.on - index.on).days) and index.on + timedelta(days=window.last) > self.as_of
            for index in self.course.primaries
            for window in POST.values()
        )

    def _rivalled(self, response: Response) -> bool:
        """On the same day as another response, or equally close to a target: no measure could choose."""
        rivals = [r for r in self.responses if r.instrument is response.instrument]
        if any(rival.on == response.on for rival in rivals):
            return True
        for index in self.course.primaries:
            for window in POST.values():
                days = (response.on - index.on).days
                others = [(rival.on - index.on).days for rival in rivals]
                ties = [d for d in others if window.holds(d) and window.distance(d) == window.distance(days)]
                if window.holds(days) and ties:
                    return True
        return False


def draw_responses(rng: Random, course: Course, effects: Effects, as_of: date) -> tuple[Response, ...]:
    """All PROM responses of one patient up to `as_of`, in order of date."""
    accepted = _Accepted(course, as_of)
    single = len(course.primaries) == 1
    for index in course.primaries:
        if rng.random() >= effects.participation:
            continue
        twice = rng.random() < 0.05
        patient = _Patient(rng.gauss(0, 0.45), max(0.0, rng.gauss(1, 0.25)), may_skip=single and not twice)
        for moment, days in _moments(rng, twice):
            on = index.on + timedelta(days=days)
            for response in _filled_in(rng, index, patient, effects, moment, on):
                accepted.add(response)
    return tuple(sorted(accepted.responses, key=lambda r: r.on))


def _moments(rng: Random, twice: bool) -> Iterator[tuple[str, int]]:
    """Moments answered, with the day from the operation; a few fall outside every window."""
    if rng.random() < ANSWERS_PRE:
        usual, unusual = rng.randrange(-42, -6), (PRE.first, 0, rng.randrange(-181, -42))
        pre = usual if rng.random() < 0.9 else rng.choice(unusual)
        yield "pre", pre
        if twice and pre - 60 >= PRE.first:
            yield "pre", pre - rng.randrange(20, 60)
    elif rng.random() < 0.3:
        yield "pre", PRE.first - rng.randrange(1, 60)
    for moment, spread in (("3m", 7), ("12m", 14)):
        window = POST[moment]
        if rng.random() < ANSWERS_POST[moment]:
            yield moment, min(window.last, max(window.first, round(rng.gauss(window.target, spread))))
        elif rng.random() < 0.2:
            yield moment, window.last + rng.randrange(1, 30)


def _filled_in(
    rng: Random, index: Operation, patient: _Patient, effects: Effects, moment: str, on: date
) -> Iterator[Response]:
    """The questionnaires of one moment: function of the joint, pain, and health."""
    for instrument in (FUNCTION[index.joint], NRS_PAIN, EQ5D):
        if rng.random() < ABSENT_SHARE:
            continue
        gain = patient.recovery * RECOVERED[moment] * _gain(instrument, effects)
        answers = {item.link_id: _answer(rng, instrument, item, patient, gain) for item in instrument.items}
        if patient.may_skip and rng.random() < INCOMPLETE_SHARE:
            del answers[rng.choice(instrument.items).link_id]
        yield Response(instrument, on, answers)


def _gain(instrument: Instrument, effects: Effects) -> float:
    gains = {
        HOOS_PS.key: effects.hip_function_gain,
        KOOS_PS.key: effects.knee_function_gain,
        NRS_PAIN.key: effects.pain_gain,
        EQ5D.key: effects.health_gain,
    }
    return gains[instrument.key]


def _answer(rng: Random, instrument: Instrument, item: Item, patient: _Patient, gain: float) -> int:
    """One answer: level before surgery, worse with severity, less what recovery took away, plus chance."""
    level, recovered = _LEVELS[instrument.key][item.link_id]
    if item.highest == 100:
        value = level - 14 * patient.severity - recovered * gain + rng.gauss(0, 10)
    else:
        width = (item.highest - item.lowest) / 4
        value = level + width * patient.severity - recovered * gain + rng.gauss(0, 0.55 * width)
    return min(item.highest, max(item.lowest, round(value)))
