"""What indicators need: one example of every shape, and promises that hold for any definition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import yaml
from fitgap_lake import MAPPINGS
from hypothesis import given
from hypothesis import strategies as st

from pipelines.fitgap.run import load_fit_gap
from pipelines.indicators.data_requirements import codes_used, data_requirements
from pipelines.indicators.definitions import Cohort, Indicator, OutcomeSet, load_outcome_set
from pipelines.indicators.elements import (
    CHECKS,
    Requirement,
    Responses,
    Role,
    Selected,
    all_rows_in,
    element_name,
    selections_in,
)
from pipelines.indicators.events import AnyEvent, AnyKindOfEvent, Comparison, ComputedEvent, RowEvent, ScoreEvent
from pipelines.indicators.references import events_named
from pipelines.indicators.requirements import load_concepts, requirements
from pipelines.indicators.selections import Rows, rows_of
from pipelines.indicators.shapes import (
    Condition,
    Duration,
    EventWithin,
    FollowUpEnd,
    Measure,
    ShareOfVolume,
    TimeToEvent,
    ValueInWindow,
    Window,
    statistics_of,
)
from pipelines.indicators.table_roles import load_table_roles
from pipelines.proms.instruments import load_instruments

HERE = Path(__file__).parent
ROLES = load_table_roles(MAPPINGS / "table_roles.yaml")
GOLDEN = yaml.safe_load((HERE / "every-shape-requirements.yaml").read_text(encoding="utf-8"))
INSTRUMENTS = load_instruments(MAPPINGS / "proms")


@cache
def every_shape() -> OutcomeSet:
    return load_outcome_set(HERE / "every-shape", MAPPINGS / "codes", INSTRUMENTS, ROLES)


def needs_of(outcome_set: OutcomeSet, indicator: str) -> list[Requirement]:
    return [n for n in requirements(outcome_set, INSTRUMENTS, ROLES, {}) if n.indicator == indicator]


def test_the_examples_hold_every_shape_and_every_role() -> None:
    assert {each.id for each in every_shape().indicators} == set(GOLDEN)
    shapes = {each.measure.shape for each in every_shape().indicators}
    assert shapes == {each.model_fields["shape"].annotation.__args__[0] for each in Measure.__origin__.__args__}
    assert {line.split()[0] for lines in GOLDEN.values() for line in lines} == {str(role) for role in CHECKS}


@pytest.mark.parametrize("indicator", GOLDEN)
def test_an_indicator_needs_exactly_this(indicator: str) -> None:
    found = [
        f"{need.role} {'must' if need.mandatory else 'may'} {need.element}"
        for need in needs_of(every_shape(), indicator)
    ]
    assert found == GOLDEN[indicator]


def test_without_case_mix_and_strata_data_an_indicator_can_be_computed() -> None:
    """The same indicator without variables has the same mandatory elements."""
    for indicator in every_shape().indicators:
        plain = indicator.model_copy(update={"case_mix": [], "stratifiers": []})
        bare = replace(
            every_shape(), indicators=tuple(plain if i is indicator else i for i in every_shape().indicators)
        )
        mandatory = {need.element for need in needs_of(every_shape(), indicator.id) if need.mandatory}
        assert mandatory == {need.element for need in needs_of(bare, indicator.id) if need.mandatory}


_RANGE = st.builds(Comparison, at_least=st.sampled_from([1.0, 2.0]))
_CODES = st.sampled_from(["primary-total-hip-arthroplasty", "revision-hip-arthroplasty", "coxarthrosis"])
_TABLES = ["zib_procedure", "zib_encounter", "zib_laboratory_test_result", "zib_medication_use", "zib_body_weight"]


@st.composite
def _events(draw: st.DrawFn) -> dict[str, AnyKindOfEvent]:
    """Events in which later ones are made of earlier ones, so that they never go round."""
    found: dict[str, AnyKindOfEvent] = {
        "start": RowEvent(title_nl="begin", table="zib_procedure", codes=draw(_CODES)),
        "weight": RowEvent(title_nl="gewicht", table="zib_body_weight", value=draw(st.none() | _RANGE)),
        "died": RowEvent(title_nl="overlijden", table="zib_patient"),
    }
    for number in range(draw(st.integers(1, 5))):
        found[f"e{number}"] = draw(_event(sorted(found)))
    return found


@st.composite
def _event(draw: st.DrawFn, earlier: Sequence[str]) -> AnyKindOfEvent:
    match draw(st.sampled_from(["row", "score", "any", "computed"])):
        case "score":
            score = draw(st.sampled_from([("nrs-pain", "activity"), ("eq-5d-5l", "index")]))
            return ScoreEvent(title_nl="score", instrument=score[0], score=score[1], value=draw(st.none() | _RANGE))
        case "any":
            return AnyEvent(title_nl="een van", any_of=draw(st.lists(st.sampled_from(earlier), min_size=2, max_size=3)))
        case "computed":
            return ComputedEvent(title_nl="berekend", formula="ckd_epi_2021", inputs=["weight"])
        case _:
            table = draw(st.sampled_from(_TABLES))
            roles = ROLES[table]
            linked = draw(st.sampled_from([name for name in earlier if name != "died"]))
            return RowEvent(
                title_nl="rij",
                table=table,
                codes=draw(st.none() | _CODES) if roles.codings else None,
                status=draw(st.none() | st.just(["completed"])),
                where=draw(st.none() | st.just([{"x_codings_id": "coxarthrosis"}, {"y": "laterality"}])),
                linked={"x_key": linked} if draw(st.booleans()) else {},
                value=draw(st.none() | _RANGE) if roles.value else None,
                at=draw(st.sampled_from(["start", "end"])) if roles.end_text else "start",
            )


@st.composite
def _outcome_set(draw: st.DrawFn) -> OutcomeSet:
    events = draw(_events())
    name, window = st.sampled_from(sorted(events)), Window(from_day=0, to_day=9)
    valued = [n for n, e in events.items() if isinstance(e, ScoreEvent)] or ["weight"]
    conditions = st.lists(
        st.builds(Condition, rule=st.just("r"), title_nl=st.just("r"), event=name, window=st.just(window))
    )
    around = {"window": st.just(window), "same_side": st.booleans()}
    value = {"event": st.sampled_from(valued), "window": st.just(window), "pick": st.just("last")}
    lasting = {"since": name, "until": name, "window": st.just(window), "unit": st.just("days")}
    until = {"event": name, "horizon_days": st.just(9), "censored_by": st.lists(name, max_size=2)}
    measures: list[st.SearchStrategy[Measure]] = [
        st.builds(EventWithin, shape=st.just("event_within"), event=name, **around),
        st.builds(ValueInWindow, shape=st.just("value"), **value),
        st.builds(Duration, shape=st.just("duration"), **lasting),
        st.builds(TimeToEvent, shape=st.just("time_to_event"), **until),
        st.builds(ShareOfVolume, shape=st.just("share_of_volume"), part=name),
    ]
    measure = draw(st.one_of(measures))
    values = {each.id: each for each in every_shape().indicators}["event-within"].model_dump()
    indicator = Indicator.model_validate(
        values
        | {"id": "random", "measure": measure, "statistic": statistics_of(measure)[0], "cohort": "c"}
        | {"denominator": None, "exclusions": draw(conditions), "case_mix": [], "stratifiers": []}
        | {"follow_up_ends": draw(st.lists(st.builds(FollowUpEnd, event=name, means=st.just("missing")), max_size=1))}
    )
    cohort = Cohort(title_nl="c", index="start", counts="each_day")
    return replace(
        every_shape(), events=events, cohorts={"c": cohort}, variables={}, value_sets={}, indicators=(indicator,)
    )


def _is_needed(event: AnyKindOfEvent, outcome_set: OutcomeSet, needs: Sequence[Requirement]) -> bool:
    match event:
        case RowEvent(table="zib_patient"):
            return any(need.role == Role.DEATH for need in needs)
        case RowEvent():
            rows = rows_of(event, outcome_set.events, ROLES)
            return any(rows in _mentioned(need) for need in needs)
        case ScoreEvent():
            scopes = [need.scope for need in needs if isinstance(need.scope, Responses)]
            return any(event.instrument in each.instruments and each.score == event.score for each in scopes)
        case _:
            return True  # its parts are named as well


def _mentioned(need: Requirement) -> set[Rows]:
    return set(all_rows_in(selections_in(need.scope)))


@given(_outcome_set())
def test_every_event_that_an_indicator_names_is_required(outcome_set: OutcomeSet) -> None:
    (indicator,) = outcome_set.indicators
    needs = needs_of(outcome_set, "random")
    for name in events_named(outcome_set, indicator):
        assert _is_needed(outcome_set.events[name], outcome_set, needs), name


@given(_outcome_set())
def test_an_element_is_listed_once_after_all_it_builds_on_and_its_name_says_which_it_is(
    outcome_set: OutcomeSet,
) -> None:
    needs = needs_of(outcome_set, "random")
    assert len({need.element for need in needs}) == len(needs)
    places = {(need.table, need.columns[0], need.scope) for need in needs}
    assert len({element_name(table, [column], scope) for table, column, scope in places}) == len(places)
    seen: set[str] = set()
    for need in needs:
        assert set(need.builds_on) <= seen
        seen.add(need.element)


def test_two_sets_that_need_the_same_share_the_element() -> None:
    fit_gap = load_fit_gap(MAPPINGS, ["knie-heupartrose"])
    own = {need.element: need.scope for need in requirements(every_shape(), INSTRUMENTS, ROLES, {})}
    both = [need for need in fit_gap.needs if need.element in own]
    assert {"zib_procedure.start_date@primary-total-hip-arthroplasty:completed"} <= {need.element for need in both}
    assert all(need.scope == own[need.element] for need in both)


def test_the_plain_list_has_concepts_codes_with_their_version_and_statuses() -> None:
    concepts = load_concepts(MAPPINGS / "zib" / "2020" / "elements.csv")
    plain = data_requirements(every_shape(), "share-of-volume", INSTRUMENTS, ROLES, concepts)
    index = [each for each in plain if each.role == Role.INDEX_EVENT and each.column == "procedure_code"]
    assert [(each.zib, each.resource, each.concept, each.statuses, each.mandatory) for each in index] == [
        ("Procedure", "Procedure", concepts["zib_procedure", "procedure_code"], ("completed",), True)
    ] * 2
    assert [[(v.name, v.version) for v in each.value_sets] for each in index] == [
        [(name, every_shape().value_sets[name].version)]
        for name in ("primary-total-hip-arthroplasty", "primary-total-knee-arthroplasty")
    ]
    assert all(code.code for each in index for value_set in each.value_sets for code in value_set.codes)


def test_codes_of_alternatives_linked_events_details_and_parts_are_used() -> None:
    used = {each.id: [v.name for v in codes_used(every_shape(), each.id)] for each in every_shape().indicators}
    assert used["duration"] == ["coxarthrosis", "primary-total-hip-arthroplasty"]
    assert used["time-to-event"] == [
        "coxarthrosis", "gonarthrosis", "primary-total-hip-arthroplasty", "revision-hip-arthroplasty",
    ]  # fmt: skip
    assert set(used["event-within"]) <= set(used["all-or-none"])
    with pytest.raises(KeyError):
        codes_used(every_shape(), "absent")


def test_every_element_of_the_real_sets_is_selected_by_what_it_says() -> None:
    """A scope over several tables names each of them, so no two elements are measured under one name."""
    needs = load_fit_gap(MAPPINGS, []).needs
    scopes: dict[str, set[object]] = {}
    for need in needs:
        scopes.setdefault(need.element, set()).add((need.table, need.scope))
    assert [element for element, each in scopes.items() if len(each) > 1] == []
    assert any(isinstance(need.scope, Selected) for need in needs)
