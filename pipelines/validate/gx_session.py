"""Great Expectations, used directly: one silent context for all tables of a batch.

Its results hold the failing values themselves unless it is told otherwise, so `PRIVACY` goes into every
validation. Its import takes seconds and it logs and draws progress bars, so it is imported when a session
starts and kept silent as long as the session lasts.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.errors import TerminalError
from pipelines.validate.rules import Suite

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations.core import ExpectationSuite, ExpectationSuiteValidationResult
    from great_expectations.datasource.fluent.interfaces import Batch

ROW = "row"
"""Name of the data frame's index: the row's position in the Arrow table. As an index it is also much faster
for Great Expectations to report than a column (measured: 0.5 s against 14 s for 200,000 failing rows)."""

PRIVACY: Mapping[str, Any] = {"exclude_unexpected_values": True, "unexpected_index_column_names": [ROW]}

# Great Expectations compares datetime64[ns] columns as a whole and others value by value (6x slower). What
# lies outside the range of ns is clamped: still before 1900 or after any as-of date, and still in order.
_EARLIEST, _LATEST = datetime(1678, 1, 1), datetime(2262, 1, 1)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one rule found in one table.

    Attributes:
        checked: how many rows had something to check.
        failed: how many of those failed.
        rows: positions of the failed rows, for a rule of severity ``error``; empty for a warning.
    """

    checked: int
    failed: int
    rows: tuple[int, ...] = ()


@contextmanager
def gx_session() -> Iterator[GxSession]:
    """A silent Great Expectations with one ephemeral context; logging and warnings are as before afterwards."""
    # Stopping what its loggers pass on, not their levels: one of them sets its own level when imported.
    logger, nowhere = logging.getLogger("great_expectations"), logging.NullHandler()
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(nowhere)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield GxSession()
    finally:
        logger.removeHandler(nowhere)
        logger.propagate = propagate


class GxSession:
    """Runs suites on tables. Make one with `gx_session`."""

    def __init__(self) -> None:
        import great_expectations as gx
        from great_expectations.data_context.types.base import ProgressBarsConfig

        context = gx.get_context(mode="ephemeral")
        context.enable_analytics(False)
        context.variables.progress_bars = ProgressBarsConfig(globally=False)
        asset = context.data_sources.add_pandas("batch").add_dataframe_asset("table")
        self._table = asset.add_batch_definition_whole_dataframe("whole")

    def run(self, suite: Suite, table: pa.Table, as_of: date) -> dict[str, Outcome]:
        """What each rule of a suite finds in a table, by rule_id and in the suite's order.

        All rules are first asked how many rows fail; only the error rules that failed are asked which.

        Raises:
            TerminalError: ``EXPECTATIONS-INVALID``, ``EXPECTATION-COLUMN-UNKNOWN`` or ``EXPECTATION-FAILED``
                when a rule cannot be evaluated on this table.
        """
        batch = self._table.get_batch(batch_parameters={"dataframe": _data_frame(suite, table)})
        parameters = {"as_of": datetime.combine(as_of, time.max)}
        counts = self._validate(batch, suite, suite.expectations, parameters, "BASIC")
        failed_errors = [
            expectation
            for rule, expectation in zip(suite.rules, suite.expectations, strict=True)
            if rule.severity == "error" and counts[rule.rule_id]["unexpected_count"]
        ]
        positions = self._validate(batch, suite, failed_errors, parameters, "COMPLETE")
        return {rule.rule_id: _outcome(counts[rule.rule_id], positions.get(rule.rule_id)) for rule in suite.rules}

    def _validate(
        self,
        batch: Batch,
        suite: Suite,
        expectations: Iterable[Mapping[str, Any]],
        parameters: dict[str, Any],
        result_format: str,
    ) -> dict[str, dict[str, Any]]:
        gx_suite = _gx_suite(suite.table, expectations)
        if not gx_suite.expectations:
            return {}
        result = batch.validate(
            gx_suite,
            result_format={"result_format": result_format, **PRIVACY},
            expectation_parameters=parameters,
        )
        return _results_by_rule(suite, result)


def _gx_suite(table: str, expectations: Iterable[Mapping[str, Any]]) -> ExpectationSuite:
    import great_expectations as gx
    from great_expectations.exceptions.exceptions import GreatExpectationsError
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    built = []
    for each in expectations:
        rule_id = each["meta"]["rule_id"]
        try:
            # Great Expectations copies the meta some fifty times per rule, so only the rule_id goes along.
            configuration = ExpectationConfiguration(each["type"], each["kwargs"], {"rule_id": rule_id})
            built.append(configuration.to_domain_obj())
        except (GreatExpectationsError, TypeError, ValueError):
            raise TerminalError(
                "EXPECTATIONS-INVALID",
                f"rule {rule_id} is no expectation that Great Expectations knows, or its arguments are wrong",
                where=f"{table}.yaml",
                remedy="Correct its type or kwargs; expectations/README.md has an example.",
            ) from None
    return gx.ExpectationSuite(name=table, expectations=built)


def _data_frame(suite: Suite, table: pa.Table) -> pd.DataFrame:
    """The columns the suite reads; dates as datetime64[ns], rows named by their position."""
    unknown = [name for name in suite.columns if name not in table.column_names]
    if unknown:
        raise TerminalError(
            "EXPECTATION-COLUMN-UNKNOWN",
            f"the suite reads column {', '.join(unknown)}, which the table does not have",
            where=suite.table,
            remedy="Correct the column name in the suite, or add the column to the ZIB's view.",
        )
    frame: pd.DataFrame = pa.table({name: _comparable(table[name]) for name in suite.columns}).to_pandas()
    frame.index.name = ROW
    return frame


def _comparable(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if not pa.types.is_temporal(column.type):
        return column
    moments = column.cast(pa.timestamp("us"))
    earliest, latest = (pa.scalar(moment, pa.timestamp("us")) for moment in (_EARLIEST, _LATEST))
    clamped = pc.min_element_wise(pc.max_element_wise(moments, earliest, skip_nulls=False), latest, skip_nulls=False)
    return clamped.cast(pa.timestamp("ns"))


def _results_by_rule(suite: Suite, result: ExpectationSuiteValidationResult) -> dict[str, dict[str, Any]]:
    results = {}
    for each in result.results:
        rule_id = (each.expectation_config.meta or {})["rule_id"] if each.expectation_config else ""
        if "unexpected_count" not in each.result:
            # The exception of the metric may quote a value, so only the rule is named.
            raise TerminalError(
                "EXPECTATION-FAILED",
                f"rule {rule_id} could not be evaluated",
                where=suite.table,
                remedy="Check that its expectation fits the type of its column.",
            )
        results[rule_id] = each.result
    return results


def _outcome(counts: Mapping[str, Any], positions: Mapping[str, Any] | None) -> Outcome:
    """`counts` and `positions` are the result dicts of Great Expectations for one rule."""
    rows = positions["unexpected_index_list"][0][ROW] if positions else []
    return Outcome(
        checked=counts["element_count"] - counts.get("missing_count", 0),
        failed=counts["unexpected_count"],
        rows=tuple(int(row) for row in rows),
    )
