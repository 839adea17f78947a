"""Every reason for quarantine has advice."""

import re
from pathlib import Path

from pipelines.quarantine_advice import REMEDIES, load_advice
from pipelines.settings import PROJECT


def test_every_reason_for_quarantine_has_a_remedy() -> None:
    page = (PROJECT / "docs" / "errors.md").read_text(encoding="utf-8")
    section = page.partition("## Reasons for quarantine")[2].partition("## Skipped")[0]
    codes = {
        code for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for code in re.findall(r"`([^`]+)`", row)
    }
    advice = load_advice(Path(PROJECT / "expectations"))
    assert len(codes) > 20
    assert sorted(codes - set(advice)) == []
    assert sorted(set(REMEDIES) - codes) == []
    assert all(each.remedy for each in advice.values())
