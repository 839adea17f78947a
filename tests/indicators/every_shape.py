"""The outcome set of `every_shape.yaml`, and patients made for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pyarrow as pa
import yaml

from pipelines.formulae.charlson import load_charlson
from pipelines.indicators.definitions import Indicator, OutcomeSet, SetFile
from pipelines.indicators.references import in_order
from pipelines.indicators.stories import columns_read
from pipelines.indicators.table_roles import TableRoles, load_table_roles
from pipelines.indicators.value_sets import Code, ValueSet

HERE = Path(__file__).resolve().parent
ROLES = load_table_roles(HERE.parents[1] / "mappings" / "table_roles.yaml")
START = date(2024, 3, 20)
LEFT, RIGHT, BOTH = "7771000", "24028007", "51440002"

_PLAIN = {
    "version": "1", "title_nl": "t", "title_en": "t", "description_nl": "d", "kind": "outcome", "registry": "none",
    "direction": "neither", "unit": "%", "suppression_threshold": 1, "benchmarks": [], "source": "none: made up",
    "operationalisation": [],
}  # fmt: skip
_UNIT = {"every-op": "procedure", "first": "patient", "yearly": "patient_year"}


@cache
def every_shape() -> OutcomeSet:
    """The set, its indicators with the statistic that their measure allows."""
    content = yaml.safe_load((HERE / "every_shape.yaml").read_text(encoding="utf-8"))
    header = SetFile.model_validate(content["header"])
    indicators = [_indicator(one) for one in content["indicators"]]
    sets = {name: ValueSet(name, "1", tuple(Code(s, c, c, "none") for s, c in codes))
            for name, codes in content["value_sets"].items()}  # fmt: skip
    sets["completed-code"] = ValueSet("completed-code", "1", (Code("s", "completed", "completed", "none"),))
    return OutcomeSet(
        id=header.id, version=header.version, title_nl="", title_en="", description_nl="", events=dict(header.events),
        cohorts=header.cohorts, variables=header.variables, moments=header.moments, proms=header.proms, sources=[],
        operationalisation=[], indicators=tuple(in_order(indicators)), value_sets=sets,
        charlson=load_charlson(HERE.parents[1] / "mappings" / "codes"),
    )  # fmt: skip


def _indicator(one: dict[str, Any]) -> Indicator:
    shape, measure = one["measure"]["shape"], one["measure"]
    statistic = "proportion"
    if shape == "time_to_event":
        statistic = "cumulative_incidence"
    elif shape == "share_of_volume" and "part" not in measure:
        statistic = "count"
    elif (
        (shape == "value" and not {"target", "target_by_sex"} & set(measure))
        or (shape == "duration" and "target" not in measure)
        or (shape == "change_between" and "at_least" not in measure)
    ):
        statistic = "mean"
    unit = _UNIT.get(one["cohort"], "procedure")
    return Indicator.model_validate({**_PLAIN, "statistic": statistic, "unit_of_counting": unit, **one})


@dataclass
class World:
    """Rows by table, as dicts of columns; `codings` by institution and id: the codings behind it."""

    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    codings: dict[tuple[str, str], list[tuple[str, str]]] = field(default_factory=dict)

    def add(self, table: str, **columns: Any) -> None:
        self.tables.setdefault(table, []).append(columns)

    def coded(self, institution: str, *codings: tuple[str, str]) -> str | None:
        """The id of a list of codings."""
        if not codings:
            return None
        name = "+".join(f"{system}|{code}" for system, code in codings)
        self.codings[institution, name] = list(codings)
        return name


_SCORE = dict.fromkeys(
    ("institution", "patient_key", "resource_key", "instrument", "instrument_version", "score", "direction",
     "missing_reason", "status", "answered_by", "scored_by"), "VARCHAR",
) | {"scored_date": "DATE", "value": "DOUBLE"}  # fmt: skip


def fill(
    connection: duckdb.DuckDBPyConnection, world: World, outcome_set: OutcomeSet, roles: dict[str, TableRoles]
) -> None:
    """Create the tables of a world in a connection."""
    tables = columns_read(outcome_set, roles) | {"prom_score": _SCORE}
    for table, columns in tables.items():
        _create(connection, table, columns, world.tables.get(table, []))
    codings = [
        {"institution": institution, "codings_id": name, "position": place, "system": system, "code": code}
        for (institution, name), found in world.codings.items()
        for place, (system, code) in enumerate(found)
    ]
    columns = dict.fromkeys(("institution", "codings_id", "system", "code"), "VARCHAR") | {"position": "BIGINT"}
    _create(connection, "zib_coding", columns, codings)


def _create(
    connection: duckdb.DuckDBPyConnection, table: str, columns: dict[str, str], rows: list[dict[str, Any]]
) -> None:
    texts = {name: [None if (v := row.get(name)) is None else str(v) for row in rows] for name in columns}
    staged = pa.table({name: pa.array(values, pa.string()) for name, values in texts.items()})
    connection.register("staged", staged)
    typed = ", ".join(f'"{name}"::{kind} AS "{name}"' for name, kind in columns.items())
    connection.execute(f"CREATE OR REPLACE TABLE {table} AS SELECT {typed} FROM staged")
    connection.unregister("staged")


# Around every edge of the windows of the set, so that most rows sit on one. 31 March 2024 (day 11) has 23 hours.
EDGES = sorted({edge + off for edge in (-30, -10, -5, 0, 5, 10, 11, 15, 20, 30, 40) for off in (-1, 0, 1)})
_CLOCKS = [(22, 30), (23, 0), (23, 30), (0, 0), (0, 15), (1, 30), (2, 30), (3, 30), (12, 0)]
_ICD10 = "http://hl7.org/fhir/sid/icd-10"
_DIAGNOSES = [
    [], [(_ICD10, "I21.0")], [(f"{_ICD10}-nl", "E11.9")], [(_ICD10, "E11.2")], [(_ICD10, "C78"), ("x", "I50")],
    [("x", "C78")],
]  # fmt: skip
_OFFSETS = [timezone(timedelta(hours=h)) for h in (-5, 0, 1, 2, 3)]


def moment(random: Random, day: int) -> str | None:
    """A day as a source may write it."""
    on = START + timedelta(days=day)
    kind = random.random()
    if kind < 0.45:
        return on.isoformat()
    if kind < 0.9:
        hour, minute = random.choice(_CLOCKS)
        at = datetime(on.year, on.month, on.day, hour, minute, tzinfo=random.choice(_OFFSETS))
        return at.isoformat().replace("+00:00", "Z") if random.random() < 0.5 else at.isoformat()
    if kind < 0.93:
        return f"{on:%Y-%m-%dT}{random.choice(('12:00:00', '23:59:00'))}"
    if kind < 0.965:
        return f"{on:%Y-%m}"
    if kind < 0.98:
        return f"{on:%Y}"
    return random.choice([None, None, "onbekend", "2024-02-30"])


def add_patient(random: Random, world: World, institution: str, patient: str) -> None:
    """A patient with a handful of rows in every table, and most of what can be wrong with them."""

    def day() -> int:
        return random.choice(EDGES)

    def key(kind: str, number: int) -> str:
        return f"{patient}-{kind}{number}"

    def owner() -> str | None:
        return None if random.random() < 0.02 else patient

    _add_record(random, world, institution, patient)
    world.add("zib_health_professional_role", institution=institution, resource_key=key("r", 0),
              specialty_codings_id=world.coded(institution, ("s", random.choice(["mdl", "gp"]))))  # fmt: skip
    for n in range(random.choice([1, 2, 3, 4])):
        _add_procedure(random, world, institution, key("p", n), owner(),
                       moment(random, random.choice([0, 0, 1, day()])),
                       random.choice(["op", "op", "op2"]), key("r", 0), moment(random, day()))  # fmt: skip
    for n in range(random.choice([0, 1, 2, 3])):
        code = random.choice(["redo", "redo", "other", "op"])
        _add_procedure(random, world, institution, key("q", n), owner(), moment(random, day()), code,
                       random.choice([key("r", 0), "nobody", None]), None)  # fmt: skip
    for n in range(random.choice([0, 1, 1, 2, 3])):
        start = random.choice([-1, 0, 0, day()])
        world.add(
            "zib_encounter", institution=institution, resource_key=key("e", n), patient_key=owner(),
            status=random.choice(["finished", "finished", "in-progress", "entered-in-error"]),
            class_codings_id=world.coded(institution, ("s", random.choice(["IMP", "IMP", "AMB"]))),
            priority_codings_id=world.coded(institution, ("s", random.choice(["EM", "R"]))),
            destination_codings_id=world.coded(institution, *random.choice([[], [("s", "away")], [("s", "home")]])),
            start_text=moment(random, start),
            end_text=random.choice([None, *(moment(random, start + random.choice([0, 1, 5, 12])) for _ in range(5))]),
        )  # fmt: skip
    for n in range(random.choice([0, 2, 3, 5])):
        value = random.choice([None, 2.0, 3.0, 5.0, 5.0, 7.5, 9.0])
        world.add(
            "zib_laboratory_test_result", institution=institution, resource_key=key("l", n), patient_key=owner(),
            status=random.choice(["final", "final", "final", "preliminary", "entered-in-error", None]),
            test_codings_id=world.coded(
                institution, *random.choice([[("x", "y"), ("s", "test")], [("s", "test")], [("s", "z")]])),
            value=value, value_converted=value, value_comparator=random.choice([None, None, None, None, "<"]),
            effective_text=moment(random, day()),
        )  # fmt: skip
    for n in range(random.choice([0, 1, 2])):
        world.add("zib_body_weight", institution=institution, resource_key=key("w", n), patient_key=owner(),
                  status="final", weight_kg=random.choice([60.0, 80.0, 90.0]),
                  effective_text=moment(random, day()))  # fmt: skip
        world.add("zib_body_height", institution=institution, resource_key=key("h", n), patient_key=owner(),
                  status="final", height_cm=random.choice([160.0, 180.0, None]),
                  effective_text=moment(random, day()))  # fmt: skip
    for n in range(random.choice([0, 1, 1, 2])):
        start = random.choice([-500, -400, -200, day()])
        world.add(
            "zib_problem", institution=institution, resource_key=key("d", n), patient_key=owner(),
            verification_status=random.choice(["confirmed", None, "entered-in-error"]),
            problem_codings_id=world.coded(
                institution, ("s", random.choice(["dx", "dx", "dy"])), *random.choice(_DIAGNOSES)),
            recorded_date_text=moment(random, day()),
            laterality_snomed_code=random.choice([None, LEFT]), onset_date_text=moment(random, start),
            abatement_date_text=random.choice([None, moment(random, start + 100), moment(random, day())]),
        )  # fmt: skip
    for n in range(random.choice([0, 2, 4])):
        on = START + timedelta(days=day())
        value = random.choice([None, 1.0, 2.0, 3.0, 4.5])
        world.add(
            "prom_score", institution=institution, resource_key=key("s", n), patient_key=patient,
            instrument=random.choice(["hoos-ps", "hoos-ps", "koos-ps"]), instrument_version="1", score="score",
            direction="higher_is_worse", scored_date=random.choice([on, on, on, on, None]), value=value,
            missing_reason="item missing" if value is None else None, status="completed", answered_by="patient",
            scored_by="uitkomststroom",
        )  # fmt: skip


def _add_record(random: Random, world: World, institution: str, patient: str) -> None:
    """No patient record, one, or two that may disagree."""
    for n in range(random.choice([0, 1, 1, 1, 1, 1, 1, 1, 2])):
        dies = random.random()
        text = moment(random, random.choice([*EDGES, 1, 3, 8])) if dies < 0.35 else None
        world.add(
            "zib_patient", institution=institution, resource_key=f"{patient}-x{n}", patient_key=patient,
            gender=random.choice(["female", "female", "male", "male", "unknown", "other", None]),
            birth_date_text=random.choice(
                ["1974-03-20", "1974-03-21", "1944-04", "1949", "1950-02-28", "2000-01-01", None]),
            deceased=random.choice([True, None]) if dies < 0.4 else random.choice([None, None, False]),
            death_date_text=text,
        )  # fmt: skip


def _add_procedure(random: Random, world: World, institution: str, key: str, patient: str | None, text: str | None,
                   code: str, performer: str | None, end: str | None) -> None:  # fmt: skip
    world.add(
        "zib_procedure", institution=institution, resource_key=key, patient_key=patient,
        status=random.choice(["completed"] * 6 + ["preparation", "in-progress", "entered-in-error"]),
        procedure_codings_id=world.coded(institution, (random.choice(["s", "s", "s", "t"]), code)),
        laterality_snomed_code=random.choice([LEFT, LEFT, RIGHT, BOTH, None]), start_text=text,
        end_text=random.choice([None, end]), performer_key=performer,
        body_site_codings_id=world.coded(institution, *random.choice([[], [("s", "knee")], [("s", "toe")]])),
        body_site_snomed_code=random.choice([None, None, "hip", "toe"]),
    )  # fmt: skip


def make_world(seed: int, patients: int) -> World:
    """A world of so many patients in two hospitals; keys of patients return in the other hospital."""
    random, world = Random(seed), World()
    for number in range(patients):
        add_patient(random, world, f"H{number % 2}", f"P{number // 2:04}")
    return world


def utc(text: str) -> datetime:
    """An instant with an offset, in UTC."""
    return datetime.fromisoformat(text).astimezone(UTC)
