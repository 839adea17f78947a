"""What a ViewDefinition gives: unnesting, row numbers, functions, keys and our own tags."""

import json
from pathlib import Path
from typing import Any

import pytest
from view_running import Row, columns, rows_of, value_of, view_of

PATIENT: Row = {
    "resourceType": "Patient",
    "id": "p1",
    "active": True,
    "gender": "female",
    "birthDate": "1960-05",
    "multipleBirthInteger": 2,
    "name": [
        {"use": "official", "family": "Jansen", "given": ["Anna", "Bea"]},
        {"use": "usual", "given": ["An"]},
    ],
    "telecom": [],
    "extension": [
        {"url": "urn:a", "valueString": "first"},
        {"url": "urn:b", "valueCodeableConcept": {"coding": [{"code": "x", "system": "urn:s"}]}},
        {"url": "urn:a", "valueString": "second"},
    ],
    "link": [{"other": {"reference": "Patient/p9"}, "type": "seealso"}],
}
EMPTY: Row = {"resourceType": "Patient", "id": "p2"}


# Unnesting


def test_for_each_leaves_out_resources_without_the_element_and_for_each_or_null_keeps_them(tmp_path: Path) -> None:
    names = {"forEach": "name", "column": columns(use="use")}
    key = {"column": columns(id="id")}
    rows = rows_of(tmp_path, view_of("Patient", key, names), [PATIENT, EMPTY])
    assert rows == [{"id": "p1", "use": "official"}, {"id": "p1", "use": "usual"}]
    names = {"forEachOrNull": "name", "column": columns(use="use")}
    rows = rows_of(tmp_path, view_of("Patient", key, names), [PATIENT, EMPTY])
    assert rows == [{"id": "p1", "use": "official"}, {"id": "p1", "use": "usual"}, {"id": "p2", "use": None}]


def test_selects_beside_each_other_multiply_and_nested_ones_follow_their_parent(tmp_path: Path) -> None:
    view = view_of(
        "Patient",
        {
            "forEach": "name",
            "column": columns(use="use"),
            "select": [{"forEach": "given", "column": columns(given="$this")}],
        },
        {"forEach": "extension.where(url = 'urn:a')", "column": columns(said="value.ofType(string)")},
    )
    rows = rows_of(tmp_path, view, [PATIENT])
    assert sorted((r["use"], r["given"], r["said"]) for r in rows) == [
        ("official", "Anna", "first"),
        ("official", "Anna", "second"),
        ("official", "Bea", "first"),
        ("official", "Bea", "second"),
        ("usual", "An", "first"),
        ("usual", "An", "second"),
    ]


def test_a_union_within_a_for_each_within_a_union(tmp_path: Path) -> None:
    inner = {
        "forEach": "name",
        "unionAll": [
            {"column": columns(kind="'family'", text="family")},
            {"forEach": "given", "column": columns(kind="'given'", text="$this")},
            {"forEachOrNull": "period", "column": columns(kind="'since'", text="start")},
        ],
    }
    view = view_of(
        "Patient",
        {"column": columns(id="id")},
        {"unionAll": [{"column": columns(kind="'gender'", text="gender")}, inner]},
    )
    rows = rows_of(tmp_path, view, [PATIENT, EMPTY])
    assert sorted((r["id"], r["kind"], r["text"] or "-") for r in rows) == [
        ("p1", "family", "-"),
        ("p1", "family", "Jansen"),
        ("p1", "gender", "female"),
        ("p1", "given", "An"),
        ("p1", "given", "Anna"),
        ("p1", "given", "Bea"),
        ("p1", "since", "-"),
        ("p1", "since", "-"),
        ("p2", "gender", "-"),
    ]


def test_columns_beside_a_union_are_repeated(tmp_path: Path) -> None:
    view = view_of(
        "Patient",
        {
            "forEach": "name",
            "column": columns(use="use"),
            "select": [{"column": columns(family="family")}],
            "unionAll": [{"column": columns(n="1")}, {"column": columns(n="2")}],
        },
    )
    assert sorted(map(repr, rows_of(tmp_path, view, [PATIENT]))) == sorted(
        repr({"use": use, "family": family, "n": n})
        for use, family in (("official", "Jansen"), ("usual", None))
        for n in (1, 2)
    )


def test_a_path_through_lists_is_flat(tmp_path: Path) -> None:
    view = view_of("Patient", {"forEach": "name.given", "column": columns(i="%rowIndex", given="$this")})
    assert rows_of(tmp_path, view, [PATIENT]) == [
        {"i": 0, "given": "Anna"},
        {"i": 1, "given": "Bea"},
        {"i": 2, "given": "An"},
    ]


def test_the_row_index_counts_within_its_own_for_each(tmp_path: Path) -> None:
    view = view_of(
        "Patient",
        {"column": columns(top="%rowIndex")},
        {
            "forEach": "name",
            "column": columns(name="%rowIndex"),
            "select": [
                {"forEach": "given", "column": columns(given="%rowIndex", text="$this")},
                {"forEachOrNull": "period", "column": columns(period="%rowIndex")},
            ],
        },
    )
    rows = [tuple(r.values()) for r in rows_of(tmp_path, view, [PATIENT])]
    assert rows == [(0, 0, 0, "Anna", 0), (0, 0, 1, "Bea", 0), (0, 1, 0, "An", 0)]


def test_only_resources_of_its_own_type_and_that_meet_every_condition(tmp_path: Path) -> None:
    other = {"resourceType": "Observation", "id": "o1", "status": "final", "code": {}}
    view = view_of("Patient", {"column": columns(id="id")}, where=[{"path": "active"}, {"path": "gender = 'female'"}])
    inactive = PATIENT | {"id": "p3", "active": False}
    assert rows_of(tmp_path, view, [PATIENT, other, EMPTY, inactive]) == [{"id": "p1"}]


def test_one_resource_gives_one_row_for_each_column_order_as_written(tmp_path: Path) -> None:
    view = view_of("Patient", {"select": [{"column": columns(z="id")}]}, {"column": columns(a="gender")})
    assert [list(row) for row in rows_of(tmp_path, view, [PATIENT])] == [["z", "a"]]


# Paths


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("Patient.gender", "female"),
        ("name.where(use = 'usual').given.first()", "An"),
        ("name.where(given.exists($this = 'Bea')).use", "official"),
        ("name.where(use = 'old').given.first()", None),
        ("name[1].use", "usual"),
        ("name[5].use", None),
        ("name.given[2]", "An"),
        ("name.given.last()", "An"),
        ("name.given.count()", 3),
        ("name.given.join('-')", "Anna-Bea-An"),
        ("name.given.join()", "AnnaBeaAn"),
        ("name.suffix.join(',')", None),
        ("name.family.exists()", True),
        ("telecom.exists()", False),
        ("telecom.empty()", True),
        ("name.exists(family = 'Jansen')", True),
        ("active.not()", False),
        ("deceased.exists()", False),
        ("multipleBirth.exists()", True),
        ("multipleBirth.ofType(integer)", 2),
        ("multipleBirth.ofType(integer) * 3 - 1", 5),
        ("multipleBirth.ofType(integer) / 4", 0.5),
        ("multipleBirth.ofType(integer) / 0", None),
        ("-multipleBirth.ofType(integer)", -2),
        ("multipleBirth.ofType(boolean)", None),
        ("birthDate & '!' & gender", "1960-05!female"),
        ("gender + name.where(use = 'usual').family", None),
        ("gender & name.where(use = 'usual').family", "female"),
        ("gender = 'male' or active", True),
        ("gender = 'male' and active", False),
        ("gender = 'female' xor active", False),
        ("gender = 'male' implies telecom.exists()", True),
        ("gender != 'male'", True),
        ("gender = 1", False),
        ("extension('urn:a').value.ofType(string).first()", "first"),
        ("extension('urn:b').value.ofType(CodeableConcept).coding.where(system = 'urn:s').code.first()", "x"),
        ("extension('urn:none').value.ofType(string)", None),
        ("extension(%url).value.ofType(string).last()", "second"),
        ("(name.where(use = 'usual').family | gender).first()", "female"),
        ("(deceased.ofType(dateTime) | birthDate).first()", "1960-05"),
        ("(gender | birthDate).first()", "female"),
        ("iif(gender = 'female', 'v', gender)", "v"),
        ("iif(gender = 'male', 'm', gender)", "female"),
        ("iif(deceased.ofType(boolean), 'dead', birthDate)", "1960-05"),
        ("name.first().iif(use = 'official', family, use)", "Jansen"),
        ("iif(active, 1, 2)", 1),
        ("iif(deceased.ofType(boolean), 1)", None),
        ("(name.given | 'Cas').count()", 4),
        ("(name.given | 'An').count()", 3),
        ("(multipleBirth.ofType(integer) | 2).count()", 1),
        ("%missing", "it's %url"),
        ("'\\u0041\\'\\n'", "A'\n"),
        ("@1960-05 = birthDate", True),
        ("link.other.getReferenceKey(Patient) = getResourceKey()", False),
    ],
)
def test_path(tmp_path: Path, path: str, expected: Any) -> None:
    view = view_of(
        "Patient",
        {"column": columns(it=path)},
        constant=[{"name": "url", "valueUri": "urn:a"}, {"name": "missing", "valueString": "it's %url"}],
    )
    (row,) = rows_of(tmp_path, view, [PATIENT])
    assert row["it"] == expected
    assert type(row["it"]) is type(expected)


def test_no_value_is_null_whatever_is_asked_of_it(tmp_path: Path) -> None:
    paths = ("gender", "name.family.first()", "active", "active.not()", "gender = 'x'", "gender != 'x'", "name[0].use")
    view = view_of("Patient", {"column": columns(**{f"c{i}": path for i, path in enumerate(paths)})})
    assert set(rows_of(tmp_path, view, [EMPTY])[0].values()) == {None}


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("valueString", "x", "x"),
        ("valueInteger", 5, 5),
        ("valueDecimal", 1.5, 1.5),
        ("valueBoolean", False, False),
        ("valueCode", "final", "final"),
        ("valueDate", "2024-05-01", "2024-05-01"),
        ("valuePositiveInt", 3, 3),
    ],
)
def test_constants_keep_their_type(tmp_path: Path, name: str, value: Any, expected: Any) -> None:
    view = view_of("Patient", {"column": columns(it="%it")}, constant=[{"name": "it", name: value}])
    (row,) = rows_of(tmp_path, view, [EMPTY])
    assert (row["it"], type(row["it"])) == (expected, type(expected))


def test_choice_elements_of_a_list(tmp_path: Path) -> None:
    components = [{"valueQuantity": {"value": 120}}, {"valueString": "niet gemeten"}, {"valueQuantity": {"value": 80}}]
    observation = {"resourceType": "Observation", "id": "o", "component": components}
    view = view_of(
        "Observation",
        {"forEach": "component", "column": columns(n="value.ofType(Quantity).value", s="value.ofType(string)")},
    )
    assert rows_of(tmp_path, view, [observation]) == [
        {"n": 120.0, "s": None},
        {"n": None, "s": "niet gemeten"},
        {"n": 80.0, "s": None},
    ]
    assert value_of(tmp_path, "component.value.ofType(Quantity).value", observation, collection=True) == [120.0, 80.0]


def test_a_collection_is_a_list_also_of_one_or_none(tmp_path: Path) -> None:
    assert value_of(tmp_path, "name.given", PATIENT, collection=True) == ["Anna", "Bea", "An"]
    assert value_of(tmp_path, "gender", PATIENT, collection=True) == ["female"]
    assert value_of(tmp_path, "name.given", EMPTY, collection=True) == []
    assert value_of(tmp_path, "gender", EMPTY, collection=True) == []


# Keys


@pytest.mark.parametrize(
    ("reference", "any_type", "patients"),
    [
        ("Patient/p9", "p9", "p9"),
        ("Patient/p9/_history/3", "p9", "p9"),
        ("https://example.org/fhir/Patient/p9", "p9", "p9"),
        ("https://example.org/fhir/Patient/p9/_history/a.b-1", "p9", "p9"),
        ("RelatedPerson/r1", "r1", None),
        ("https://example.org/Patient/RelatedPerson/r1", "r1", None),
        ("#contained", None, "Patient.p2#contained"),
        (
            "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0",
            None,
            "0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0",
        ),
        ("urn:oid:2.16.840.1", None, "2.16.840.1"),
        ("urn:isbn:2", None, None),
        ("Patient/", None, None),
        ("Patient", None, None),
        ("Patient/p9/extra", None, None),
        ("Patient/a b", None, None),
        ("", None, None),
    ],
)
def test_reference_keys(tmp_path: Path, reference: str, any_type: str | None, patients: str | None) -> None:
    patient = EMPTY | {"link": [{"other": {"reference": reference}, "type": "refer"}]}
    assert value_of(tmp_path, "link.other.getReferenceKey()", patient) == any_type
    assert value_of(tmp_path, "link.other.getReferenceKey(Patient)", patient) == patients


def test_a_reference_key_is_the_key_of_the_resource_it_points_to(tmp_path: Path) -> None:
    other = EMPTY | {"id": "p9"}
    (of_reference,) = rows_of(
        tmp_path, view_of("Patient", {"column": columns(key="link.other.getReferenceKey()")}), [PATIENT]
    )
    (of_resource,) = rows_of(tmp_path, view_of("Patient", {"column": columns(key="getResourceKey()")}), [other])
    assert of_reference == of_resource


# Our own tags


@pytest.mark.parametrize(
    ("text", "day", "moment"),
    [
        ("2024-05-01", "2024-05-01", "2024-05-01 00:00:00"),
        ("2024-05-01T23:30:00+02:00", "2024-05-01", "2024-05-01 23:30:00"),
        ("2024-05-01T23:30:00.123Z", "2024-05-01", "2024-05-01 23:30:00"),
        ("2024-05", None, None),
        ("2024", None, None),
        ("2024-02-30", None, None),
    ],
)
def test_dates_are_read_as_written_without_moving_them_to_another_zone(
    tmp_path: Path, text: str, day: str | None, moment: str | None
) -> None:
    patient = EMPTY | {"deceasedDateTime": text}
    path = "deceased.ofType(dateTime)"
    assert value_of(tmp_path, path, patient, tag=[{"name": "ansi/type", "value": "DATE"}]) == day
    assert value_of(tmp_path, path, patient, tag=[{"name": "ansi/type", "value": "TIMESTAMP"}]) == moment


@pytest.mark.parametrize(
    ("canonical", "url", "version"),
    [
        ("urn:q|1.0", "urn:q", "1.0"),
        ("urn:q", "urn:q", None),
        ("urn:q|", "urn:q", None),
        ("|1", None, "1"),
    ],
)
def test_a_canonical_is_split(tmp_path: Path, canonical: str, url: str | None, version: str | None) -> None:
    response = {"resourceType": "QuestionnaireResponse", "id": "q", "questionnaire": canonical}
    for part, expected in (("url", url), ("version", version)):
        found = value_of(tmp_path, "questionnaire", response, tag=[{"name": "canonical", "value": part}])
        assert found == expected


def test_a_pseudonym_shows_nothing_of_the_identifier(tmp_path: Path) -> None:
    patients = [EMPTY | {"identifier": [{"value": number}]} for number in ("999990019", "999990020", "999990019")]
    column = {"name": "it", "path": "identifier.value.first()", "tag": [{"name": "pseudonym", "value": "bsn"}]}
    rows = rows_of(tmp_path, view_of("Patient", {"column": [column]}), [*patients, EMPTY])
    first, second, third, none = (row["it"] for row in rows)
    assert first == third != second
    assert none is None
    assert len(first) == 32
    assert "99999" not in json.dumps(rows)


def test_tags_of_others_are_left_alone(tmp_path: Path) -> None:
    assert value_of(tmp_path, "gender", PATIENT, tag=[{"name": "spark/type", "value": "x"}]) == "female"
