"""The drop folder: institutions, file names, and what is no file."""

import os
import re
from pathlib import Path

import pytest

from pipelines.errors import TerminalError
from pipelines.extract.exports import ExportFile, find_exports, masked

LINE = '{"resourceType":"Patient","id":"1"}\n'


def filled(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(LINE, encoding="utf-8")
    return folder


def test_every_sub_folder_is_an_institution(tmp_path: Path) -> None:
    exports = find_exports(filled(tmp_path, "noord/Patient.ndjson", "noord/2024/x.json", "zuid/y.ndjson.gz"))
    assert [(e.institution, [f.name for f in e.files]) for e in exports] == [
        ("noord", ["Patient.ndjson", "2024/x.json"]),
        ("zuid", ["y.ndjson.gz"]),
    ]


def test_a_folder_without_sub_folders_is_one_institution(tmp_path: Path) -> None:
    (export,) = find_exports(filled(tmp_path / "noord", "Patient.ndjson"))
    assert (export.institution, [f.name for f in export.files]) == ("noord", ["Patient.ndjson"])


def test_a_single_file_belongs_to_the_folder_it_is_in(tmp_path: Path) -> None:
    (export,) = find_exports(filled(tmp_path / "noord", "Patient.ndjson") / "Patient.ndjson")
    assert (export.institution, [f.name for f in export.files]) == ("noord", ["Patient.ndjson"])


def test_hidden_files_and_folders_are_left_alone(tmp_path: Path) -> None:
    (export,) = find_exports(filled(tmp_path, "noord/x.ndjson", "noord/.hidden.ndjson", "noord/.git/y.ndjson"))
    assert [f.name for f in export.files] == ["x.ndjson"]


@pytest.mark.parametrize(
    ("name", "is_fhir"),
    [
        ("a.ndjson", True),
        ("a.NDJSON.GZ", True),
        ("a.jsonl", True),
        ("a.json", True),
        ("a.json.gz~2", True),
        ("export~1.ndjson", True),
        ("a.xml", False),
        ("a.csv.gz", False),
        ("ndjson", False),
        ("a.ndjson~", False),
        ("a.ndjson.bak", False),
    ],
)
def test_the_suffix_says_whether_a_file_holds_fhir(name: str, is_fhir: bool) -> None:
    assert ExportFile(name, Path(name)).is_fhir is is_fhir


@pytest.mark.parametrize(
    "name",
    [
        "Patient.ndjson",
        "2024/Observation.ndjson.gz",
        "patienten_2024.csv",
        "lab-export.txt",
        "a.b/x.json",
        "a~2.json",
    ],
)
def test_a_name_of_known_words_is_shown(tmp_path: Path, name: str) -> None:
    (export,) = find_exports(filled(tmp_path, f"noord/{name}"))
    assert [(f.name, f.original) for f in export.files] == [(name, name)]


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("Jansen_999911120_1950-02-03.json", ".json"),
        ("patient_1234567.json", ".json"),
        ("9999.11.120.ndjson.gz", ".ndjson.gz"),
        ("1950-02-03.csv", ".csv"),
        ("Jansen/Patient.ndjson", ".ndjson"),
        ("Patient.jansen", ""),
        ("Patient_é.json", ".json"),
    ],
)
def test_a_name_that_may_be_of_a_patient_is_replaced(tmp_path: Path, name: str, suffix: str) -> None:
    (file,) = find_exports(filled(tmp_path, f"noord/{name}"))[0].files
    assert re.fullmatch(rf"file-1-[0-9a-f]{{6}}{re.escape(suffix)}", file.name)
    assert file.original == name
    assert name not in repr(file).replace(str(file.path), "")


def test_names_stay_unique(tmp_path: Path) -> None:
    names = ("999990019.ndjson", "999990020.ndjson", "#.ndjson~2", "p_99999001/999990032_lab.json")
    filled(tmp_path / "noord", *names)
    (export,) = find_exports(tmp_path)
    assert len({f.name for f in export.files}) == len({f.path for f in export.files}) == len(names)
    assert "99999" not in "".join(f.name for f in export.files)


def test_a_name_that_is_no_utf8_is_shown_escaped(tmp_path: Path) -> None:
    folder = filled(tmp_path / "noord", "a.ndjson")
    with open(os.fsencode(folder) + b"/\xff.ndjson", "wb") as file:  # noqa: PTH123
        file.write(LINE.encode())
    (export,) = find_exports(tmp_path)
    assert [f.name for f in export.files] == ["a.ndjson", export.files[1].name]
    assert export.files[1].name.startswith("file-2-")
    assert export.files[1].original == "\\udcff.ndjson"
    assert export.files[1].path.read_bytes() == LINE.encode()


def test_what_is_no_file_becomes_an_empty_file_and_never_blocks(tmp_path: Path) -> None:
    folder = filled(tmp_path / "noord", "a.ndjson", "sub/b.ndjson")
    (folder / "l.ndjson").symlink_to("l.ndjson")
    (folder / "g.ndjson").symlink_to("nowhere")
    (folder / "sub" / "above").symlink_to("..")
    os.mkfifo(folder / "p.ndjson")
    (export,) = find_exports(tmp_path)
    sizes = {f.name: f.path.stat().st_size for f in export.files}
    assert sizes == {"a.ndjson": len(LINE), "sub/b.ndjson": len(LINE)} | dict.fromkeys(
        ("l.ndjson", "g.ndjson", "p.ndjson"), 0
    )


def test_a_folder_named_as_a_file_is_a_folder(tmp_path: Path) -> None:
    (export,) = find_exports(filled(tmp_path, "noord/x.ndjson/y.ndjson"))
    assert [f.name for f in export.files] == ["x.ndjson/y.ndjson"]


def test_an_institution_named_by_a_code_of_eight_digits_keeps_it_and_a_bsn_is_masked(tmp_path: Path) -> None:
    exports = find_exports(filled(tmp_path, "00000001/a.ndjson", "00000002/a.ndjson", "kliniek 999990019/a.ndjson"))
    assert [e.institution for e in exports] == ["00000001", "00000002", "kliniek #"]


def code_of(root: Path) -> TerminalError:
    with pytest.raises(TerminalError) as failure:
        find_exports(root)
    assert "999990019" not in str(failure.value)
    return failure.value


def test_a_missing_folder(tmp_path: Path) -> None:
    assert code_of(tmp_path / "999990019").code == "EXPORT-MISSING"


def test_a_folder_below_a_file(tmp_path: Path) -> None:
    assert code_of(filled(tmp_path, "x.ndjson") / "x.ndjson" / "y").code == "EXPORT-MISSING"


def test_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "999990019").mkdir()
    assert code_of(tmp_path / "999990019").code == "EXPORT-EMPTY"


def test_two_institutions_that_look_alike_are_not_merged(tmp_path: Path) -> None:
    assert code_of(filled(tmp_path, "999990019/a.ndjson", "999990020/a.ndjson")).code == "EXPORT-AMBIGUOUS"


def test_an_unreadable_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path, "noord/x.ndjson")

    def refuse(path: object) -> None:
        raise PermissionError(13, "Permission denied", f"{tmp_path}/noord/999990019")

    monkeypatch.setattr(os, "scandir", refuse)
    assert code_of(tmp_path).code == "EXPORT-UNREADABLE"


def test_masking_leaves_short_numbers() -> None:
    assert masked("lab_2024_1234567.json") == "lab_2024_1234567.json"
