"""The pages of all rules in `docs/validation/`, made from `expectations/` so that they cannot fall behind.

`python -m pipelines.validate.handbook docs/validation expectations` writes them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from pipelines.validate.rules import Rule, load_reference_rules, load_suites

_INDEX, _REFERENCES = "README.md", "references.md"


def pages(expectations: Path) -> dict[str, str]:
    """Markdown by file name: one page per suite, one for the rules over more than one table, and an index."""
    suites = load_suites(expectations)
    references = load_reference_rules(expectations)
    made = {
        f"{name}.md": f"# {name}\n\n{suite.meta['about']} Zib: {suite.meta['zib']};"
        f" profile {suite.meta['profile']}.\n\n{_table(suite.rules)}"
        for name, suite in suites.items()
    }
    made[_REFERENCES] = (
        "# References between tables\n\nA key should name a row of another table; which ones: "
        "`expectations/cross_table.yaml`.\n\n" + _table(each.rule for each in references)
    )
    lines = ["# All rules", "", "Made by `python -m pipelines.validate.handbook docs/validation expectations`.", ""]
    lines += ["| table | errors | warnings |", "|---|---|---|"]
    for name, suite in suites.items():
        lines.append(_index_row(name, f"{name}.md", suite.rules))
    lines.append(_index_row("references between tables", _REFERENCES, [each.rule for each in references]))
    made[_INDEX] = "\n".join(lines) + "\n"
    return made


def _index_row(name: str, page: str, rules: Iterable[Rule]) -> str:
    severities = [rule.severity for rule in rules]
    return f"| [{name}]({page}) | {severities.count('error')} | {severities.count('warning')} |"


def _table(rules: Iterable[Rule]) -> str:
    lines = [
        "| rule | severity | what is wrong | to the hospital | source | owner |",
        "|---|---|---|---|---|---|",
    ]
    for rule in rules:
        cells = (f"`{rule.rule_id}`", rule.severity, rule.reason, rule.sentence_nl, rule.source, rule.owner)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def write_pages(folder: Path, expectations: Path) -> None:
    """Replace the pages in a folder."""
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.md"):
        old.unlink()
    for name, text in pages(expectations).items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_pages(Path(sys.argv[1]), Path(sys.argv[2]))
