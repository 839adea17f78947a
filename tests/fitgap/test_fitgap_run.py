"""A run as a whole: empty lake, comparison, planted gaps, what the pages and files hold, and the command."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from fitgap_lake import AS_OF, MAPPINGS, Operation, Person, Response, deliver, run, verdict

from pipelines import cli
from pipelines.chain import Chain
from pipelines.errors import TerminalError
from pipelines.extract.exports import find_exports
from pipelines.fitgap.criteria import load_criteria
from pipelines.fitgap.report import write_fit_gap
from pipelines.fitgap.run import load_fit_gap, run_fit_gap, store, with_comparison
from pipelines.indicators.requirements import load_concepts, requirements
from pipelines.proms.instruments import load_instruments
from pipelines.synthetic.export import synthesise

Content = dict[str, Any]
SECRET = "f00dcafe"
SETS = sorted(path.parent.name for path in (MAPPINGS / "outcome_sets").glob("*/set.yaml"))


def test_an_empty_lake_is_ready_for_nothing_and_says_why(tmp_path: Path) -> None:
    content = run(tmp_path)
    (own,) = content["institutions"]
    assert {each["status"] for each in own["indicators"]} == {"not"}
    assert {each["cause_nl"] for each in own["indicators"]} == {"Er zijn geen verrichtingen ontvangen."}
    assert own["tests"][0]["registrable"]["conclusion"] == "not"
    pages = write_fit_gap(content, tmp_path / "out")
    assert [page.name for page in pages] == ["index.html", "nog geen instelling.html"]


@pytest.mark.parametrize("name", SETS)
def test_without_data_every_indicator_of_every_set_says_what_it_misses_first(tmp_path: Path, name: str) -> None:
    fit_gap = load_fit_gap(MAPPINGS, [name])
    content = run_fit_gap(tmp_path, fit_gap, as_of=AS_OF, versions={}, on_progress=lambda done, total: None)
    (own,) = content["institutions"]
    assert len(own["indicators"]) == len(fit_gap.sets[0].indicators)
    for each in own["indicators"]:
        assert each["status"] == "not", each["indicator"]
        assert re.fullmatch(r"Er zijn geen [^.]+ ontvangen\.", each["cause_nl"]), each["indicator"]


def test_an_institution_of_which_nothing_reached_the_lake_is_named(tmp_path: Path) -> None:
    deliver(tmp_path, Operation("o1"))
    (tmp_path / "batches" / "b" / "batch").mkdir(parents=True)
    content = run(tmp_path)
    assert [each["institution"] for each in content["institutions"]] == ["a", "b"]
    assert verdict(content, "hip-revision-1y", "b")["cause_nl"] == "Er zijn geen verrichtingen ontvangen."


def test_without_questionnaires_only_the_indicators_that_need_them_wait(tmp_path: Path) -> None:
    deliver(tmp_path, *_hospital(20))
    content = run(tmp_path)
    assert verdict(content, "hip-mortality-30d")["status"] == "ready"
    found = verdict(content, "hip-eq5d-change-3m")
    assert (found["status"], found["cause_nl"]) == ("not", "Er zijn geen antwoorden op vragenlijsten ontvangen.")


def test_the_same_lake_gives_the_same_run_to_the_last_bit(tmp_path: Path) -> None:
    deliver(tmp_path, *_hospital(20))
    first, second = run(tmp_path), run(tmp_path)
    assert first == second
    assert re.fullmatch(r"2025-12-31-[0-9a-f]{8}", first["run"])


def test_a_comparison_names_what_changed_and_nothing_else(tmp_path: Path) -> None:
    dateless = [Operation(f"late {number}", day=None) for number in range(30)]
    deliver(tmp_path, *_hospital(20), *dateless)
    earlier = run(tmp_path)
    store(tmp_path, earlier)
    mended = [Operation(row.key) for row in dateless]
    deliver(tmp_path, *mended, landed=datetime(2025, 3, 31, tzinfo=UTC))
    later = with_comparison(tmp_path, run(tmp_path), None)
    changed = {each["indicator"]: (each["before"], each["after"]) for each in later["comparison"]["indicators"]}
    assert changed["hip-mortality-30d"] == ("not", "ready")
    dates = "zib_procedure.start_date@primary-total-hip-arthroplasty:completed"
    shares = {(each["element"], each["check"]): each for each in later["comparison"]["elements"]}
    assert (shares[dates, "filled"]["before"], shares[dates, "filled"]["after"]) == (0.4, 1.0)
    assert ("zib_procedure.procedure_code", "filled") not in shares
    assert later["comparison"]["run"] == earlier["run"]
    assert with_comparison(tmp_path, later, earlier["run"])["comparison"] == later["comparison"]


def test_a_run_that_is_not_kept_cannot_be_compared_with(tmp_path: Path) -> None:
    with pytest.raises(TerminalError, match="FITGAP-RUN-UNKNOWN"):
        with_comparison(tmp_path, run(tmp_path), "2020-01-01-00000000")


def test_pages_hold_no_key_no_value_of_a_patient_and_no_small_percentage(tmp_path: Path) -> None:
    people = [Person(f"{SECRET}{number}", death=date(2024, 3, 9)) for number in range(4)]
    operations = [
        Operation(f"{SECRET}-op-{number}", f"{SECRET}{number}", day=date(2024, 3, 4) if number else None)
        for number in range(4)
    ]
    local = Operation(f"{SECRET}-local", system="urn:oid:1.2.3.456", code="GEHEIM-77")
    answer = Response(f"{SECRET}-r", f"{SECRET}1", answer=7.25, questionnaire="http://geheim.example/lijst")
    deliver(tmp_path, *people, *operations, local, answer)
    content = run(tmp_path)
    pages = write_fit_gap(content, tmp_path / "out")
    texts = [page.read_text(encoding="utf-8") for page in pages] + [json.dumps(content)]
    for planted in (SECRET, "2024-03-0", "GEHEIM", "1.2.3.456", "7.25", "7,25", "geheim.example"):
        assert not [planted for text in texts if planted in text]
    assert "75,0%" not in "".join(texts), "3 of 4 dates is a percentage over too few"
    assert "te weinig" in texts[1]


def test_pages_ask_nothing_of_the_network(tmp_path: Path) -> None:
    deliver(tmp_path, *_hospital(20))
    for page in write_fit_gap(run(tmp_path), tmp_path / "out"):
        html = page.read_text(encoding="utf-8")
        assert not re.findall(r"(?:src|href)\s*=\s*[\"'](?:https?:)?//", html)
        assert not re.findall(r"url\(|@import|<script", html)
        assert "{{" not in html


Change = Callable[[Content], Content | None]


def _without_system(resource: Content) -> Content:
    return {**resource, "code": {"coding": [{"code": "x"}]}}


def _own_code(resource: Content) -> Content:
    return {**resource, "code": {"coding": [{"system": "urn:oid:2.16.840.1.113883.2.4.99", "code": "HEUP"}]}}


def _only_a_year(resource: Content) -> Content:
    return {**resource, "performedDateTime": resource["performedDateTime"][:4]}


def _without_side(resource: Content) -> Content:
    return {name: value for name, value in resource.items() if name != "bodySite"}


def _other_questionnaire(resource: Content) -> Content:
    return {**resource, "questionnaire": "http://leverancier.example/lijst"}


PLANTED: dict[str, tuple[str, Change, str, str]] = {
    "no-system": ("Procedure", _without_system, "hip-revision-1y", "zib_procedure:accepted"),
    "own-codes": ("Procedure", _own_code, "hip-revision-1y", "zib_procedure.procedure_code:system"),
    "only-years": (
        "Procedure", _only_a_year, "hip-mortality-30d",
        "zib_procedure.start_date@primary-total-hip-arthroplasty:completed:filled",
    ),
    "no-side": (
        "Procedure", _without_side, "hip-revision-1y",
        "zib_procedure.laterality_snomed_code@primary-total-hip-arthroplasty:completed:filled",
    ),
    "own-questionnaires": (
        "QuestionnaireResponse", _other_questionnaire, "hip-prom-response-3m",
        "prom_answer.questionnaire@hoos-ps:recognised",
    ),
    "no-responses": ("QuestionnaireResponse", lambda _: None, "hip-prom-response-3m", "prom_answer:present"),
    "no-procedures": ("Procedure", lambda _: None, "hip-mortality-30d", "zib_procedure:present"),
}  # fmt: skip


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Content:
    """Copies of one synthetic hospital, each with a gap planted in its export, through the chain; and one without."""
    folder = tmp_path_factory.mktemp("planted")
    synthesise(folder / "made", hospitals=1, patients=120, seed=5, as_of=AS_OF)
    (made,) = (path for path in (folder / "made").iterdir() if path.is_dir())
    for name in [*PLANTED, "sound"]:
        shutil.copytree(made, folder / "exports" / name)
    for name, (type_, change, _, _) in PLANTED.items():
        _rewrite(folder / "exports" / name / f"{type_}.ndjson", change)
    chain = Chain.at(folder / "home")
    now = datetime(2026, 1, 5, tzinfo=UTC)
    for export in find_exports(folder / "exports"):
        chain.process(export, now=now)
    return chain.fit_gap(AS_OF, sets=["knie-heupartrose"])


@pytest.mark.parametrize("name", PLANTED)
def test_the_gap_planted_in_an_export_is_named(planted: Content, name: str) -> None:
    _, _, indicator, key = PLANTED[name]
    assert key in {gap["key"] for gap in verdict(planted, indicator, name)["gaps"]}
    assert key not in {gap["key"] for gap in verdict(planted, indicator, "sound")["gaps"]}


def test_what_validation_set_aside_is_the_cause_not_that_nothing_was_received(planted: Content) -> None:
    gaps = verdict(planted, "hip-revision-1y", "no-system")["gaps"]
    # What only the case mix asks is not there either, and does not hide it.
    assert [gap["key"] for gap in gaps if gap["key"].startswith("zib_procedure")] == ["zib_procedure:accepted"]
    assert gaps[0]["cause_nl"].startswith("Van de verrichtingen is 0,0% aanvaard")
    assert verdict(planted, "hip-revision-1y", "no-procedures")["cause_nl"] == "Er zijn geen verrichtingen ontvangen."


def test_a_planted_gap_leaves_the_other_indicators_as_they_are(planted: Content) -> None:
    assert verdict(planted, "hip-mortality-30d", "own-questionnaires")["status"] in ("ready", "partly")
    gaps = {name: verdict(planted, "hip-mortality-30d", name)["gaps"] for name in ("no-responses", "sound")}
    assert [gap["key"] for gap in gaps["no-responses"]] == [gap["key"] for gap in gaps["sound"]]


def test_the_tests_of_a_set_fail_where_the_gap_is(planted: Content) -> None:
    own = {each["institution"]: each["tests"][0] for each in planted["institutions"]}
    assert own["no-system"]["exchangeable"]["conclusion"] == "not"
    assert own["only-years"]["registrable"]["conclusion"] == "not"
    assert own["own-codes"]["exchangeable"]["conclusion"] == "not"
    # Made-up hospitals record no priority of admissions, which readmission asks: partly, never more than that.
    assert own["sound"]["registrable"]["conclusion"] in ("ready", "partly")
    assert own["sound"]["exchangeable"]["conclusion"] == "ready"


def test_the_command_writes_pages_and_json_and_keeps_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    deliver(tmp_path / "home", *_hospital(20))
    arguments = ["fit-gap", "--home", str(tmp_path / "home"), "--as-of", "2025-12-31", "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", ["uitkomst", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    kept = list((tmp_path / "home" / "fitgap").glob("*.json"))
    assert [path.name for path in sorted((tmp_path / "out").iterdir())] == ["a.html", "fit-gap.json", "index.html"]
    assert json.loads(kept[0].read_bytes()) == json.loads((tmp_path / "out" / "fit-gap.json").read_bytes())
    assert kept[0].stem in capsys.readouterr().out


def test_an_unknown_outcome_set_is_refused_with_the_names_that_exist() -> None:
    with pytest.raises(TerminalError, match=r"OUTCOME-SET-UNKNOWN.*knie-heupartrose"):
        load_fit_gap(MAPPINGS, ["hartfalen"])


def test_a_criterion_that_is_left_out_is_an_error(tmp_path: Path) -> None:
    text = (MAPPINGS / "fitgap.yaml").read_text(encoding="utf-8")
    (tmp_path / "fitgap.yaml").write_text(text.replace("  coded:\n", "  gecodeerd:\n"), encoding="utf-8")
    with pytest.raises(TerminalError, match="FITGAP-CRITERIA"):
        load_criteria(tmp_path / "fitgap.yaml")


def test_every_indicator_has_requirements_and_concepts_come_from_the_catalogue(tmp_path: Path) -> None:
    (tmp_path / "elements.csv").write_text(
        "concept,zib,zib_version,element,name_en,table,columns,left_out\n"
        "NL-CM:14.1.2,Procedure,5.2,x,ProcedureStartDate,zib_procedure,start_date start_date_text,\n",
        encoding="utf-8",
    )
    fit_gap = load_fit_gap(MAPPINGS, [])
    for outcome_set in fit_gap.sets:
        instruments = load_instruments(MAPPINGS / "proms")
        needs = requirements(outcome_set, instruments, fit_gap.roles, load_concepts(tmp_path / "elements.csv"))
        assert {need.indicator for need in needs} == {each.id for each in outcome_set.indicators}
        dated = {need.concept for need in needs if (need.table, need.columns[0]) == ("zib_procedure", "start_date")}
        assert dated <= {"NL-CM:14.1.2"}
        assert dated or outcome_set.id != "knie-heupartrose"


def _hospital(patients: int) -> list[Operation | Person]:
    people = [Person(f"p{number}", death=date(2024, 4, 1) if number == 1 else None) for number in range(patients)]
    return [*people, *[Operation(f"o {person.key}", person.key) for person in people]]


def _rewrite(path: Path, change: Change) -> None:
    resources = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    changed = [new for resource in resources if (new := change(resource)) is not None]
    path.write_text("".join(json.dumps(resource) + "\n" for resource in changed), encoding="utf-8")
