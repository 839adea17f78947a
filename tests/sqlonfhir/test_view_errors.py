"""Every kind of invalid view is refused with a code and the path of the offending part, before any data is read."""

import math
from pathlib import Path
from typing import Any

import pytest
from view_running import Row, columns, compiled, rows_of, view_of

from pipelines.errors import TerminalError
from pipelines.sqlonfhir.run import load_view
from pipelines.sqlonfhir.views import ViewError

ID = {"name": "id", "path": "id"}
INVALID, UNSUPPORTED = "VIEW-INVALID", "VIEW-UNSUPPORTED"


def of_select(select: Any) -> Row:
    return {"resource": "Patient", "select": [select]}


def of_column(**column: Any) -> Row:
    return of_select({"column": [{"name": "it", "path": "gender"} | column]})


def of_constant(**constant: Any) -> Row:
    return view_of("Patient", {"column": columns(it="%it")}, constant=[{"name": "it"} | constant])


def tagged(path: str, name: str, value: Any, **column: Any) -> Row:
    return of_column(path=path, tag=[{"name": name, "value": value}], **column)


def expect(view: Any, where: str, code: str = INVALID) -> None:
    with pytest.raises(ViewError) as failure:
        compiled(view)
    assert (failure.value.code, failure.value.where) == (code, where)
    assert failure.value.exit_code == 2


@pytest.mark.parametrize(
    ("view", "where"),
    [
        (None, "$"),
        ([], "$"),
        ("Patient", "$"),
        ({}, "resource"),
        ({"select": [{"column": [ID]}]}, "resource"),
        ({"resource": 5, "select": [{"column": [ID]}]}, "resource"),
        ({"resource": "Nonsense", "select": [{"column": [ID]}]}, "resource"),
        ({"resource": "HumanName", "select": [{"column": [ID]}]}, "resource"),
        ({"resource": "Patient"}, "select"),
        ({"resource": "Patient", "select": []}, "select"),
        ({"resource": "Patient", "select": {}}, "select"),
        ({"resource": "Patient", "select": [5]}, "select"),
        ({"resource": "Patient", "select": [None]}, "select"),
        (of_select({}), "select"),
        (of_select({"unionAll": []}), "select"),
        (of_select({"column": {}}), "select[0].column"),
        (of_select({"column": ["id"]}), "select[0].column"),
        (of_select({"select": {}}), "select[0].select"),
        (of_select({"unionAll": {}}), "select[0].unionAll"),
        (of_select({"column": [ID], "forEcah": "name"}), "select[0]"),
        (of_select({"column": [ID], "forEach": 5}), "select[0].forEach"),
        (of_select({"column": [ID], "forEach": "$this"}), "select[0].forEach"),
        (of_select({"column": [ID], "forEach": "nmae"}), "select[0].forEach"),
        (of_select({"column": [ID], "forEachOrNull": "deceased"}), "select[0].forEachOrNull"),
        (of_select({"column": [ID], "select": [{"forEach": "name[", "column": [ID]}]}), "select[0].select[0].forEach"),
        (of_select({"column": [ID, ID]}), "select[0]"),
        (view_of("Patient", {"column": [ID]}, {"column": [ID]}), "select[1]"),
        (of_select({"column": [ID], "select": [{"column": [ID]}]}), "select[0]"),
        (of_select({"column": [ID], "unionAll": [{"column": [ID]}]}), "select[0]"),
        (of_select({"unionAll": [{"column": [ID]}, {"column": columns(other="id")}]}), "select[0].unionAll[1]"),
        (
            of_select({"unionAll": [{"column": columns(a="id", b="id")}, {"column": columns(b="id", a="id")}]}),
            "select[0].unionAll[1]",
        ),
    ],
)
def test_structure(view: Any, where: str) -> None:
    expect(view, where)


@pytest.mark.parametrize("name", [None, 5, ["it"], "", "1st", "_it", "a b", 'a"', "é", "a-b", "it\n"])
def test_column_names(name: Any) -> None:
    expect(of_column(name=name), "select[0].column[0].name")


def test_column_names_that_differ_in_case_only() -> None:
    expect(of_select({"column": columns(it="id", IT="gender")}), "select[0]")


def test_one_select_has_one_kind_of_unnesting() -> None:
    expect(of_select({"forEach": "name", "forEachOrNull": "name", "column": columns(it="use")}), "select[0]")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"path": "gender"}, {"path": "active"}),
        ({"path": "gender"}, {"path": "multipleBirth.ofType(integer)"}),
        ({"path": "gender"}, {"path": "gender", "collection": True}),
    ],
)
def test_branches_of_a_union_have_columns_of_one_type(first: Row, second: Row) -> None:
    branches = [{"column": [{"name": "it"} | column]} for column in (first, second)]
    expect(of_select({"unionAll": branches}), "select[0].unionAll[1]")


@pytest.mark.parametrize(
    "path",
    [
        None,
        5,
        "",
        "gender.",
        "name[",
        "nmae",
        "Gender",
        "Observation.id",
        "gender.use",
        "id.id",
        "name",
        "deceased",
        "contained",
        "deceased.count()",
        "deceased.ofType(string)",
        "deceased.ofType(Nonsense)",
        "deceased.ofType()",
        "deceased.ofType('boolean')",
        "%unknown",
        "name.where(use).family",
        "name.where(use = 'x', true).family",
        "name.where().family",
        "gender and active",
        "gender.not()",
        "name.not()",
        "gender + 1",
        "active + 'x'",
        "gender & 1",
        "name & 'x'",
        "gender * 2",
        "-gender",
        "-name.given",
        "name < 1",
        "active < 1",
        "name['x'].family",
        "name[1.5].family",
        "name[use].family",
        "name.given.join(1)",
        "name.given.join(%number)",
        "name.given.join(',', ',')",
        "name.join(',')",
        "extension(1).url",
        "extension(%number).url",
        "extension().url",
        "gender.extension('urn:x').nmae",
        "first(1)",
        "getResourceKey(Patient)",
        "name.getResourceKey()",
        "gender.getReferenceKey()",
        "link.other.getReferenceKey('Patient')",
        "link.other.getReferenceKey(Nonsense)",
        "5 mod 2",
        "gender in name.use",
        "iif(active)",
        "iif(active, 1, 'a')",
        "iif(active, name.given, 'a')",
        "iif(gender, 1, 2)",
        "iif(active, name.first(), name.first())",
        "{}",
    ],
)
def test_paths(path: Any) -> None:
    constant = [{"name": "number", "valueInteger": 0}]
    expect(of_column(path=path) | {"constant": constant}, "select[0].column[0].path")


@pytest.mark.parametrize(
    "path",
    [
        "birthDate.where($this = '2020').extension",
        "now()",
        "name.select(family)",
        "name.all(use = 'x')",
        "gender.upper()",
        "name = name",
        "name.given.where($this = 'x') = identifier",
        "(name.given | name.family).first()",
        "gender | active",
        "contained.ofType(Observation).code.text",
        " or ".join(["active"] * 5000),
    ],
)
def test_paths_outside_the_subset(path: str) -> None:
    expect(of_column(path=path), "select[0].column[0].path", UNSUPPORTED)


@pytest.mark.parametrize("paths", ["item", [], [5], ["item["], {"item": 1}])
def test_repeat_takes_a_list_of_paths(paths: Any) -> None:
    view = view_of("QuestionnaireResponse", {"repeat": paths, "column": columns(it="linkId")})
    expect(view, "select[0].repeat")


@pytest.mark.parametrize(
    "paths", [["item.first()"], ["$this"], ["item", "item.answer"], ["item.linkId"], ["extension"], ["item", "subject"]]
)
def test_repeat_goes_over_nested_elements_of_one_type(paths: list[str]) -> None:
    view = view_of("QuestionnaireResponse", {"repeat": paths, "column": columns(it="linkId")})
    expect(view, "select[0].repeat", UNSUPPORTED)


@pytest.mark.parametrize(
    ("where", "place", "code"),
    [
        ({}, "where", INVALID),
        ([5], "where", INVALID),
        ([{}], "where[0].path", INVALID),
        ([{"path": 5}], "where[0].path", INVALID),
        ([{"path": "active"}, {"path": "gender"}], "where[1].path", INVALID),
        ([{"path": "nmae.exists()"}], "where[0].path", INVALID),
        ([{"path": "now() = birthDate"}], "where[0].path", UNSUPPORTED),
    ],
)
def test_conditions(where: Any, place: str, code: str) -> None:
    expect(view_of("Patient", {"column": [ID]}, where=where), place, code)


@pytest.mark.parametrize(
    ("constant", "where"),
    [
        ({}, "constant[0]"),
        ({"name": None, "valueString": "x"}, "constant[0]"),
        ({"valueString": "x", "valueCode": "y"}, "constant[0]"),
        ({"valueCoding": {"code": "x"}}, "constant[0].valueCoding"),
        ({"valueString": None}, "constant[0].valueString"),
        ({"value": "x"}, "constant[0].value"),
        ({"valueInteger": "5"}, "constant[0].valueInteger"),
        ({"valueInteger": 1.5}, "constant[0].valueInteger"),
        ({"valueString": 5}, "constant[0].valueString"),
        ({"valueBoolean": "true"}, "constant[0].valueBoolean"),
        ({"valueDecimal": math.inf}, "constant[0].valueDecimal"),
        ({"valueDecimal": math.nan}, "constant[0].valueDecimal"),
    ],
)
def test_constants(constant: Row, where: str) -> None:
    expect(of_constant(**constant), where)


@pytest.mark.parametrize("constants", [{}, [5], ["x"]])
def test_constants_are_a_list_of_objects(constants: Any) -> None:
    expect(view_of("Patient", {"column": [ID]}, constant=constants), "constant")


@pytest.mark.parametrize(
    ("view", "code"),
    [
        (tagged("birthDate", "ansi/type", "BLOB"), UNSUPPORTED),
        (tagged("birthDate", "ansi/type", 5), INVALID),
        (tagged("multipleBirth.ofType(integer)", "ansi/type", "DATE"), INVALID),
        (tagged("active", "ansi/type", "DATE"), INVALID),
        (tagged("name.given", "ansi/type", "DATE", collection=True), INVALID),
        (tagged("gender", "canonical", "host"), INVALID),
        (tagged("active", "canonical", "url"), INVALID),
        (tagged("gender", "pseudonym", 5), INVALID),
        (tagged("gender", "pseudonym", None), INVALID),
        (tagged("name.given", "pseudonym", "name", collection=True), INVALID),
    ],
)
def test_our_tags(view: Row, code: str) -> None:
    expect(view, "select[0].column[0].tag[0]", code)


@pytest.mark.parametrize("tag", [{}, [5], "x"])
def test_tags_are_a_list_of_objects(tag: Any) -> None:
    expect(of_column(tag=tag), "select[0].column[0].tag")


def test_text_that_looks_like_a_placeholder_is_text(tmp_path: Path) -> None:
    where = [{"path": "id = '{{relation}}'"}]
    view = view_of("Patient", {"column": columns(it="'{{relation}}'")}, where=where)
    found = rows_of(tmp_path, view, [{"resourceType": "Patient", "id": "{{relation}}"}])
    assert found == [{"it": "{{relation}}"}]


def test_several_values_where_one_is_wanted(tmp_path: Path) -> None:
    patient = {"resourceType": "Patient", "id": "1", "name": [{"family": "a"}, {"family": "b"}]}
    with pytest.raises(TerminalError) as failure:
        rows_of(tmp_path, of_column(path="name.family"), [patient])
    assert failure.value.code == "VIEW-NOT-SINGLE"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", INVALID),
        (b"{", INVALID),
        (b"\xff", INVALID),
        (b"[" * 200_000, UNSUPPORTED),
    ],
)
def test_files_that_hold_no_view(tmp_path: Path, content: bytes, code: str) -> None:
    path = tmp_path / "view.json"
    path.write_bytes(content)
    with pytest.raises(ViewError) as failure:
        load_view(path)
    assert failure.value.code == code


def test_a_view_that_is_not_there(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.json", tmp_path):
        with pytest.raises(TerminalError) as failure:
            load_view(path)
        assert failure.value.code == "FILE-MISSING"
