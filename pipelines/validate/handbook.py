"""The table of all rules in `docs/validation.md`, made from `expectations/` so that it cannot fall behind.

`python -m pipelines.validate.handbook docs/validation.md expectations` writes it into the page.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from pipelines.errors import TerminalError
from pipelines.validate.rules import Rule, load_reference_rules, load_suites

BEGIN = "<!-- rules: made by `python -m pipelines.validate.handbook docs/validation.md expectations` -->"
END = "<!-- end of rules -->"


def rule_tables(expectations: Path) -> str:
    """All rules as Markdown: one table per suite, and one for the rules over more than one table."""
    sections = [
        f"### {name}\n\n{suite.meta['about']} Zib: {suite.meta['zib']}; profile {suite.meta['profile']}.\n\n"
        + _table(suite.rules)
        for name, suite in load_suites(expectations).items()
    ]
    references = [each.rule for each in load_reference_rules(expectations)]
    sections.append(f"### More than one table\n\n{_table(references)}")
    return "\n\n".join(sections)


def with_rule_tables(page: str, expectations: Path) -> str:
    """The page with the part between its markers replaced by `rule_tables`.

    Raises:
        TerminalError: ``HANDBOOK-MARKERS-MISSING`` when the page does not hold both markers.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise TerminalError(
            "HANDBOOK-MARKERS-MISSING",
            "the page does not mark where the rules go",
            where="docs/validation.md",
            remedy=f"Put these two lines back: {BEGIN} and {END}",
        )
    return f"{before}{BEGIN}\n\n{rule_tables(expectations)}\n\n{END}{after}"


def _table(rules: Iterable[Rule]) -> str:
    lines = [
        "| rule | severity | what is wrong | to the hospital | source | owner |",
        "|---|---|---|---|---|---|",
    ]
    for rule in rules:
        cells = (f"`{rule.rule_id}`", rule.severity, rule.reason, rule.sentence_nl, rule.source, rule.owner)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    target, source = Path(sys.argv[1]), Path(sys.argv[2])
    target.write_text(with_rule_tables(target.read_text(encoding="utf-8"), source), encoding="utf-8")
