"""What makes an accepted batch out of date: everything that mapping and validation read, and nothing else."""

from __future__ import annotations

import shutil
from itertools import pairwise
from pathlib import Path

from pipelines.chain import Chain
from pipelines.settings import Settings

PROJECT = Path(__file__).resolve().parents[2]
CODE = "coxarthrosis,1.0.0,{system},123,x,test\n"

# Each line is added to its file, one after the other; whether accepted rows rest on it.
CHANGES = [
    ("expectations/zib_patient.yaml", "\n# another rule\n", True),
    ("mappings/zib/2020/zib_patient.json", "\n", True),
    ("mappings/zib/value_sets/README.md", "\nanother value set\n", True),
    ("mappings/proms/mrs/1.0.yaml", "\n# https://example.org/fhir/Questionnaire/another\n", True),
    ("mappings/codes/coxarthrosis.csv", CODE.format(system="urn:oid:1.2.3.4.5"), True),
    ("mappings/proms/mrs/1.0.yaml", "\n# another explanation\n", False),
    ("mappings/codes/coxarthrosis.csv", CODE.format(system="http://snomed.info/sct"), False),
    ("mappings/fitgap.yaml", "\n# another limit\n", False),
]


def test_rows_are_accepted_again_when_what_they_rest_on_changed(tmp_path: Path) -> None:
    for folder in ("mappings", "expectations"):
        shutil.copytree(PROJECT / folder, tmp_path / folder)
    used = Settings(mappings=tmp_path / "mappings", expectations=tmp_path / "expectations", pseudonym_key="k" * 64)
    versions = [Chain(tmp_path, used).rules_version]
    for place, text, _ in CHANGES:
        with (tmp_path / place).open("a", encoding="utf-8") as file:
            file.write(text)
        versions.append(Chain(tmp_path, used).rules_version)
    changed = [before != after for before, after in pairwise(versions)]
    assert changed == [counts for _, _, counts in CHANGES]
