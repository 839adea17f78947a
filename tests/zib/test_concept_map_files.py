"""Concept maps say what they mean once, and never lead back to where they start."""

from pathlib import Path

import pytest

from pipelines.errors import TerminalError
from pipelines.settings import PROJECT
from pipelines.zib.concept_maps import load_concept_maps

HEADER = "source_system,source_code,target_system,target_code,target_display,source\n"
CASES = {
    "without source": ("a,1,b,2,two,\n", "line 2: every column needs a value"),
    "another header": ("", "header"),
    "twice": ("a,1,b,2,two,x\na,1,b,2,zwei,x\n", "line 3: .*twice"),
    "a circle": ("a,1,b,2,two,x\nb,2,c,3,three,x\nc,3,a,1,one,x\n", "line 4: .*circle"),
    "itself": ("a,1,a,1,one,x\n", "line 2: .*circle"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_wrong_map_is_named_with_file_and_line(case: str, tmp_path: Path) -> None:
    text, message = CASES[case]
    (tmp_path / "m.csv").write_text((HEADER if text else "a,b\n") + text, encoding="utf-8")
    with pytest.raises(TerminalError, match=message) as caught:
        load_concept_maps(tmp_path)
    assert (caught.value.code, caught.value.where) == ("CONCEPT-MAP-INVALID", str(tmp_path / "m.csv"))


def test_codes_are_text_and_may_stand_for_several(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(HEADER + "a,007,b,80771000146107,two,x\na,007,c,3,three,x\n", encoding="utf-8")
    assert load_concept_maps(tmp_path)["a", "007"] == (("b", "80771000146107", "two"), ("c", "3", "three"))
    assert load_concept_maps(PROJECT / "mappings" / "codes" / "concept_maps")
