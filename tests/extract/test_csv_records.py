"""CSV files of any content are split without losing a line, and the fast way finds what the careful way finds."""

import csv
import gzip
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.extract.csv_records import CsvDialect, CsvRecords, _record_by_record, _well_formed, read_csv_records

DIALECT = CsvDialect(";", '"', "utf-8")
LIMIT = 400
PIECES = st.sampled_from(
    [b'"', b'""', b";", b"a", b"1,5", b"\n", b"\r\n", b"\xc3\xa9", b"\xff", b" ", b"x;y;z\n", b"\r"]
)
CONTENTS = st.lists(PIECES, max_size=40).map(lambda pieces: b"a;b;c\n" + b"".join(pieces))
SOUND = st.lists(
    st.tuples(*[st.text(st.sampled_from('ab;"\n é'), max_size=6)] * 3).filter(lambda fields: any(fields)), max_size=12
)


def written(content: bytes, folder: Path) -> Path:
    path = folder / "x.csv"
    path.write_bytes(content)
    return path


def rows(records: CsvRecords) -> list[list[str]]:
    with records.path.open(encoding="utf-8-sig", newline="") as file:
        for _ in range(records.skip):
            file.readline()
        return list(csv.reader(file, delimiter=";", quotechar=records.quote or '"'))


@given(CONTENTS)
def test_every_line_of_any_content_is_accounted_for(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = written(content, Path(folder))
        found = read_csv_records(path, DIALECT, work=Path(folder), maximum_line_bytes=LIMIT)
        whole_file = [flaw for flaw in found.flaws if flaw.line is None]
        physical = content.count(b"\n") + (not content.endswith(b"\n"))
        counted = 1 + found.lines.size + len(found.flaws) + found.blank + found.continued
        assert whole_file == []
        assert counted == physical
        assert len(rows(found)) == found.lines.size
        assert all(len(row) == 3 for row in rows(found))


@given(SOUND, st.booleans())
def test_the_fast_way_and_the_careful_way_agree(fields: list[tuple[str, str, str]], returns: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            end = "\r\n" if returns else "\n"
            csv.writer(file, delimiter=";", lineterminator=end).writerows([("a", "b", "c"), *fields])
        fast = _well_formed(path, DIALECT, LIMIT)
        slow = _record_by_record(path, DIALECT, Path(folder), LIMIT)
        expected = [list(row) for row in fields]
        assert rows(slow) == expected
        assert slow.flaws == []
        if fast is not None:
            assert rows(fast) == expected
            assert fast.lines.tolist() == slow.lines.tolist()
            assert (fast.header, fast.continued) == (slow.header, slow.continued)


def test_a_clean_file_takes_the_fast_way_and_stays_where_it_is(tmp_path: Path) -> None:
    path = written(b'a;b\n1;"x\ny"\n2;z', tmp_path)
    found = read_csv_records(path, DIALECT, work=tmp_path, maximum_line_bytes=LIMIT)
    assert (found.path, found.skip, found.lines.tolist(), found.continued) == (path, 1, [2, 4], 1)


def test_a_broken_header_never_makes_a_header_of_a_patient(tmp_path: Path) -> None:
    path = written(b'Naam;"Gebo"ren\nVerzonnen;1950\n', tmp_path)
    found = read_csv_records(path, DIALECT, work=tmp_path, maximum_line_bytes=LIMIT)
    assert found.header == []
    assert [(flaw.line, flaw.rule_id) for flaw in found.flaws] == [(None, "CSV-QUOTE")]


@pytest.mark.parametrize("cut", [True, False])
def test_gzip_is_read_and_a_damaged_one_set_aside(cut: bool, tmp_path: Path) -> None:
    data = gzip.compress(b"a;b\n" + b"1;2\n" * 5000)
    path = written(data[: len(data) // 2] if cut else data, tmp_path)
    found = read_csv_records(path, DIALECT, work=tmp_path, maximum_line_bytes=LIMIT)
    assert [flaw.rule_id for flaw in found.flaws] == (["GZIP-DAMAGED"] if cut else [])
    assert found.lines.size == (0 if cut else 5000)
