"""`uitkomst score`: files of answers, with the mistakes that people make in them."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.errors import TerminalError

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "../shared/reference/proms/vectors"
runner = CliRunner()


def score(tmp_path: Path, instrument: str, text: str, *options: str) -> tuple[list[dict[str, str]], str]:
    """The rows that `uitkomst score` writes, and what it prints for a person to mend."""
    answers, out = tmp_path / "answers.csv", tmp_path / "scores.csv"
    answers.write_bytes(text.encode())
    result = runner.invoke(app, ["score", instrument, str(answers), "--out", str(out), *options])
    error = str(result.exception) if isinstance(result.exception, TerminalError) else ""
    assert result.exception is None or error, result.exception
    if not out.exists():
        return [], error
    with out.open(encoding="utf-8") as file:
        return list(csv.DictReader(file)), result.stderr + error


def test_other_columns_pass_through_and_aliases_are_known(tmp_path: Path) -> None:
    rows, problems = score(tmp_path, "EQ-5D", "id,MO,SC,UA,PD,AD,note\na,2,1,1,1,1,x\nb,5,5,5,5,5,\n")
    assert [(r["id"], r["note"], r["index"]) for r in rows] == [("a", "x", "0.918"), ("b", "", "-0.446")]
    assert rows[0]["reasons"] == "vas: item missing"
    assert problems == ""


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("\ufeffid;stool_frequency;abdominal_pain\r\n1;2,4;1\r\n", "semicolons, a mark and decimal commas"),
        ("id\tstool_frequency\tabdominal_pain\n1\t2.4\t1\n", "tabs"),
        ('"id","stool_frequency","abdominal_pain"\n"1"," 2.4 ","1"\n', "quotes and blanks"),
        ("ABDOMINAL_PAIN,Stool_Frequency,id\n1,2.4,1\n", "another order and capitals"),
    ],
)
def test_a_file_may_be_written_in_several_ways(tmp_path: Path, text: str, what: str) -> None:
    rows, problems = score(tmp_path, "pro2-cd", text)
    assert float(rows[0]["weighted"]) == pytest.approx(9.8), what
    assert problems == ""


@pytest.mark.parametrize("cell", ["", "NA", "NaN", "null"])
def test_an_empty_cell_is_a_missing_answer(tmp_path: Path, cell: str) -> None:
    rows, problems = score(tmp_path, "mrs", f"id,mrs\n1,{cell}\n2,3\n")
    assert [(r["score"], r["reasons"]) for r in rows] == [("", "score: item missing"), ("3", "")]
    assert problems == ""


MISTAKES = [
    ("outside the range", "id,rest,activity\n1,3,4\n2,11,4\n3,1,1\n", "row 3, item rest: is not an allowed answer"),
    ("not whole", "id,rest,activity\n1,3,4\n2,2.5,4\n3,1,1\n", "row 3, item rest: is not an allowed answer"),
    ("a text", "id,rest,activity\n1,3,4\n2,veel,4\n3,1,1\n", "row 3, item rest: is not a number"),
    ("infinity", "id,rest,activity\n1,3,4\n2,inf,4\n3,1,1\n", "row 3, item rest: is not a number"),
    ("an item that is there twice", "id,rest,activity,rest\n1,3,4,\n2,2,4,3\n3,1,1,1\n",
     "row 3, item rest: is there twice, with different answers"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "text", "named"), MISTAKES, ids=[case[0] for case in MISTAKES])
def test_a_wrong_answer_is_named_with_row_item_and_allowed_answers_and_the_others_are_scored(
    tmp_path: Path, what: str, text: str, named: str
) -> None:
    rows, problems = score(tmp_path, "nrs-pain", text)
    assert [(r["rest"], r["activity"]) for r in rows] == [("3", "4"), ("", "4"), ("1", "1")]
    assert named in problems
    assert "whole numbers from 0 to 10" in problems
    assert "PROM-ANSWERS: 1 answers in 1 of 3 rows" in problems
    assert "veel" not in problems, "an answer of a patient is never printed"


def test_coded_answers_name_the_codes(tmp_path: Path) -> None:
    header = "1a,1b,3a,3b,3c,3d,3e,3f,5\n"
    rows, problems = score(
        tmp_path, "ibd-control", header + "yes,Yes,no,no,no,no,no,no,90\nyes,2,no,no,no,no,no,no,90\n"
    )
    assert [r["ibd_control_8"] for r in rows] == ["16", ""]
    assert "row 3, item 1b: is not an allowed answer; allowed: yes, not_sure, no" in problems


def test_many_mistakes_are_counted_not_all_printed(tmp_path: Path) -> None:
    _, problems = score(tmp_path, "mrs", "mrs\n" + "9\n" * 50)
    assert problems.count("row ") == 20
    assert "and 30 more" in problems


@pytest.mark.parametrize(
    ("instrument", "text", "options", "code"),
    [
        ("womac", "q1\n1\n", [], "PROM-INSTRUMENT"),
        ("promis-physical-function-4a", "PFA11\n1\n", [], "PROM-VERSION"),
        ("promis-physical-function-8b", "PFA11\n1\n", ["--version", "2.0"], "PROM-VERSION"),
        ("mrs", "rankin score\n1\n", [], "PROM-FILE"),
        ("mrs", "id,mrs\n1,2\n1,2,3\n", [], "PROM-FILE"),
        ("mrs", "", [], "PROM-FILE"),
    ],
)
def test_a_file_that_cannot_be_scored_is_one_error(
    tmp_path: Path, instrument: str, text: str, options: list[str], code: str
) -> None:
    rows, problems = score(tmp_path, instrument, text, *options)
    assert rows == []
    assert problems.startswith(code)


def test_a_file_that_is_not_there_is_one_error(tmp_path: Path) -> None:
    result = runner.invoke(app, ["score", "mrs", str(tmp_path / "no.csv"), "--out", str(tmp_path / "out.csv")])
    assert isinstance(result.exception, TerminalError)
    assert result.exception.code == "FILE-MISSING"


def test_a_file_without_rows_gives_a_file_without_rows(tmp_path: Path) -> None:
    assert score(tmp_path, "mrs", "id,mrs\n") == ([], "")
    assert (tmp_path / "scores.csv").read_text(encoding="utf-8").startswith('"id","score","reasons"')


def test_a_file_that_was_scored_before_keeps_its_columns(tmp_path: Path) -> None:
    rows, _ = score(tmp_path, "mrs", "mrs,score\n2,7\n")
    assert (rows[0]["score_given"], rows[0]["score"]) == ("7", "2")


def test_promis_gives_t_score_standard_error_and_response_pattern(tmp_path: Path) -> None:
    text = "EDDEP04,EDDEP06,EDDEP29,EDDEP41\n1,1,1,1\n5,5,5,5\n"
    rows, _ = score(tmp_path, "promis-depression-4a", text, "--response-pattern")
    assert [(r["t_score"], r["t_score_se"], r["t_score_pattern"]) for r in rows] == [
        ("41", "6.2", "41"),
        ("79.4", "3.6", "79.4"),
    ]


VECTORS = [("EQ-5D-5L", "eq5d5l_nl_sample_R", {"u": "index"}), ("QLQ-C30", "eortc_qlq_c30", {}),
           ("QLQ-BR23", "eortc_qlq_br23", {}), ("QLQ-PAN26", "eortc_qlq_pan26", {})]  # fmt: skip


@pytest.mark.parametrize(("instrument", "file", "names"), VECTORS, ids=[case[1] for case in VECTORS])
def test_files_scored_with_r(tmp_path: Path, instrument: str, file: str, names: dict[str, str]) -> None:
    path = REFERENCE / f"{file}.csv"
    if not path.exists():
        pytest.skip("the reference material ../shared is not here")
    rows, problems = score(tmp_path, instrument, path.read_text(encoding="utf-8"))
    with path.open(encoding="utf-8") as lines:
        expected = list(csv.DictReader(lines))
    assert problems == ""
    for row, record in zip(rows, expected, strict=True):
        for name, value in record.items():
            ours = row.get(names.get(name, name))
            if name != "id" and not name.startswith("q") and name not in ("MO", "SC", "UA", "PD", "AD"):
                assert (ours == "") == (value == "NA"), name
                assert value == "NA" or round(float(ours or "nan"), 10) == float(value), name


def test_the_instruments_are_listed_and_shown() -> None:
    listed = runner.invoke(app, ["proms", "list"]).stdout
    assert "eortc-qlq-c30" in listed
    assert "promis-physical-function-4a   2.0" in listed
    shown = runner.invoke(app, ["proms", "show", "oks"]).stdout
    for said in ("q1: usual pain; whole numbers from 0 to 4", "missing: at_least 10", "Keurentjes 2014", "licence"):
        assert said in shown
