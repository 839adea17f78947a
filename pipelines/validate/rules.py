"""The rules as a domain expert writes them: the YAML files of `expectations/`, read and checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, cast

import yaml

from pipelines.errors import TerminalError

CROSS_TABLE_FILE = "cross_table.yaml"
THRESHOLDS_FILE = "thresholds.yaml"
NOT_NULL = "expect_column_values_to_not_be_null"
_JUDGED = ("column", "column_A", "column_B")
_ROW_BY_ROW = ("expect_column_values_", "expect_column_pair_values_", "expect_column_value_lengths_")

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Rule:
    """What a rule says of itself: the `meta` of an expectation, or an entry of `cross_table.yaml`.

    Attributes:
        rule_id: stable code, unique within its file, for example ``BODY-WEIGHT-RANGE``.
        severity: rows that fail an ``error`` leave the accepted table; a ``warning`` only counts them.
        owner: who decides about the rule.
        source: where the rule comes from, or ``operationalisation`` when it is our own choice.
        reason: what is wrong, in English, without a value.
        sentence_nl: what is wrong, in one Dutch sentence for the hospital.
    """

    rule_id: str
    severity: Severity
    owner: str
    source: str
    reason: str
    sentence_nl: str


@dataclass(frozen=True, slots=True)
class Suite:
    """One Great Expectations suite with its rules.

    Attributes:
        table: the table it is about, also the file name and the suite's name.
        resource_type: FHIR type behind the table, for the quarantine.
        rules: in the order of the file; the first error rule a row fails is the one it is set aside for.
        expectations: the suite's expectations in Great Expectations' own shape, in the same order.
        meta: the suite's own meta, with `example_row` and `example_as_of`.
    """

    table: str
    resource_type: str
    rules: tuple[Rule, ...]
    expectations: tuple[Mapping[str, Any], ...]
    meta: Mapping[str, Any]

    @property
    def columns(self) -> list[str]:
        """The columns the rules read, in order of first use."""
        kwargs = [expectation["kwargs"] for expectation in self.expectations]
        return list(dict.fromkeys(name for each in kwargs for name in _columns_of(each)))

    @property
    def only_asked_whether_null(self) -> frozenset[str]:
        """The columns of which the rules read no value."""
        return frozenset(self.columns).difference(*(_columns_read(each) for each in self.expectations))

    @property
    def bindings(self) -> dict[str, str]:
        """Url of the value set by the derived column ``<x>_in_value_set``."""
        return {
            expectation["kwargs"]["column"]: expectation["meta"]["value_set"]
            for expectation in self.expectations
            if "value_set" in expectation["meta"]
        }


@dataclass(frozen=True, slots=True)
class Target:
    """Where a key may be found: a column of a table."""

    table: str
    column: str


@dataclass(frozen=True, slots=True)
class ReferenceRule:
    """A rule about a key that should name a row of another table of the same institution.

    Attributes:
        rule: what it says of itself.
        column: the key, of the same name in all tables.
        targets: the key should be in one of these.
        tables: the tables that have the key.
    """

    rule: Rule
    column: str
    targets: tuple[Target, ...]
    tables: tuple[str, ...]


def load_suites(expectations: Path) -> dict[str, Suite]:
    """The suites of a folder, by table.

    Raises:
        TerminalError: ``EXPECTATIONS-MISSING`` when the folder holds none, ``EXPECTATIONS-INVALID`` when a
            file is not a suite with complete rules.
    """
    files = [
        path for path in sorted(expectations.glob("*.yaml")) if path.name not in (CROSS_TABLE_FILE, THRESHOLDS_FILE)
    ]
    if not files:
        raise TerminalError(
            "EXPECTATIONS-MISSING",
            "no suite was found",
            where=str(expectations),
            remedy="Point to the folder that holds the expectation suites.",
        )
    return {path.stem: _load_suite(path, path.read_bytes()) for path in files}


def load_reference_rules(expectations: Path) -> list[ReferenceRule]:
    """The rules of `cross_table.yaml`; none when the file is absent.

    Raises:
        TerminalError: ``EXPECTATIONS-INVALID`` when the file is not of the documented shape.
    """
    path = expectations / CROSS_TABLE_FILE
    if not path.exists():
        return []
    try:
        return [
            ReferenceRule(
                rule=_rule(entry, path),
                column=entry["column"],
                targets=tuple(Target(each["table"], each["column"]) for each in entry["refers_to"]),
                tables=tuple(entry["tables"]),
            )
            for entry in read_mapping(path)["references"]
        ]
    except (KeyError, TypeError) as error:
        raise invalid(path, f"a rule lacks {error}") from None


@lru_cache(maxsize=256)
def _load_suite(path: Path, text: bytes) -> Suite:
    """The suite in a file with this content. Every step of a run asks for all suites, and YAML is slow to read."""
    content = _mapping(path, text)
    try:
        expectations = tuple(_with_datetimes(each) for each in content["expectations"])
        rules = tuple(_rule(each["meta"], path) for each in expectations)
        for rule, each in zip(rules, expectations, strict=True):
            _check_arguments(rule, each, path)
        suite = Suite(
            table=content["name"],
            resource_type=content["meta"]["resource_type"],
            rules=rules,
            expectations=expectations,
            meta=content["meta"],
        )
    except (KeyError, TypeError) as error:
        raise invalid(path, f"the suite lacks {error}") from None
    repeated = {rule.rule_id for rule in rules if [r.rule_id for r in rules].count(rule.rule_id) > 1}
    if repeated:
        raise invalid(path, f"rule_id {', '.join(sorted(repeated))} is used twice")
    if suite.table != path.stem:
        raise invalid(path, f"the suite's name is {suite.table!r}, not the file's name")
    return suite


def _rule(meta: Mapping[str, Any], path: Path) -> Rule:
    try:
        return Rule(
            rule_id=meta["rule_id"],
            severity=_one_of(meta["severity"], ("error", "warning")),
            owner=meta["owner"],
            source=meta["source"],
            reason=meta["reason"],
            sentence_nl=meta["sentence_nl"],
        )
    except (KeyError, ValueError) as error:
        raise invalid(path, f"rule {meta.get('rule_id', 'without rule_id')} lacks {error}") from None


def _check_arguments(rule: Rule, expectation: Mapping[str, Any], path: Path) -> None:
    """Refuses what Great Expectations takes, but this pipeline cannot."""
    kwargs = expectation["kwargs"]
    if not expectation["type"].startswith(_ROW_BY_ROW) or expectation["type"].endswith("_unique"):
        raise invalid(path, f"rule {rule.rule_id} does not judge row by row; tables are judged in chunks")
    if isinstance(kwargs.get("row_condition"), str):
        raise invalid(path, f"the row_condition of rule {rule.rule_id} is text; write it as a mapping")
    parameters = {each["$PARAMETER"] for each in kwargs.values() if isinstance(each, dict) and "$PARAMETER" in each}
    if parameters - {"as_of"}:
        raise invalid(path, f"rule {rule.rule_id} uses a parameter other than as_of")
    if str(kwargs.get("column", "")).endswith("_in_value_set") != ("value_set" in expectation["meta"]):
        raise invalid(path, f"rule {rule.rule_id} needs a value_set in its meta exactly when it reads _in_value_set")


def _one_of(value: Any, allowed: tuple[str, ...]) -> Any:
    if value not in allowed:
        raise ValueError(f"one of {', '.join(allowed)}")
    return value


def _columns_of(kwargs: Mapping[str, Any]) -> list[str]:
    """The column names in an expectation's arguments, those of its row condition included."""
    asked_for = [each["column"]["name"] for each in _comparisons(kwargs.get("row_condition"))]
    return [kwargs[key] for key in _JUDGED if key in kwargs] + asked_for


def _columns_read(expectation: Mapping[str, Any]) -> set[str]:
    """The columns of which an expectation needs the value, not just whether there is one."""
    kwargs = expectation["kwargs"]
    judged = [] if expectation["type"] == NOT_NULL else [kwargs[key] for key in _JUDGED if key in kwargs]
    comparisons = _comparisons(kwargs.get("row_condition"))
    return {*judged, *(each["column"]["name"] for each in comparisons if each["type"] != "nullity")}


def _comparisons(condition: Any) -> Iterator[Mapping[str, Any]]:
    """The conditions on one column that a row condition is made of."""
    if isinstance(condition, Mapping):
        if "column" in condition:
            yield condition
        for each in condition.get("conditions", []):
            yield from _comparisons(each)


def _with_datetimes(value: Any) -> Any:
    """Dates of the YAML as datetimes at midnight: date columns are validated as timestamps."""
    if isinstance(value, dict):
        return {key: _with_datetimes(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_with_datetimes(each) for each in value]
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime.combine(value, time.min)
    return value


def read_mapping(path: Path) -> dict[str, Any]:
    return _mapping(path, path.read_bytes())


def _mapping(path: Path, text: bytes) -> dict[str, Any]:
    try:
        content = yaml.load(text.decode("utf-8"), Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError):
        raise invalid(path, "the file is not YAML") from None
    if not isinstance(content, dict):
        raise invalid(path, "the file is not a mapping")
    return cast(dict[str, Any], content)


def invalid(path: Path, what: str) -> TerminalError:
    return TerminalError(
        "EXPECTATIONS-INVALID",
        what,
        where=str(path),
        remedy="Correct the file; expectations/README.md has its shape.",
    )
