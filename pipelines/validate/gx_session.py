"""Great Expectations, used directly: one silent context for all tables of a batch.

Its results hold the failing values themselves unless it is told otherwise, so `PRIVACY` goes into every
validation. Its import takes seconds and it logs and draws progress bars, so it is imported when a session
starts or ahead of that, and kept silent as long as import and session last.
"""

from __future__ import annotations

import gc
import logging
import threading
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.errors import TerminalError
from pipelines.validate.rules import NOT_NULL, Suite
from pipelines.validate.workspace import ROW as POSITION

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations.core import ExpectationSuiteValidationResult
    from great_expectations.expectations.expectation import Expectation
    from great_expectations.validator.v1_validator import Validator

ROW = "row"
"""Name of the data frame's index: the row's position in the Arrow table. As an index it is also much faster
for Great Expectations to report than a column (measured: 0.5 s against 14 s for 200,000 failing rows)."""

PRIVACY: Mapping[str, Any] = {
    "exclude_unexpected_values": True,
    "unexpected_index_column_names": [ROW],
    "return_unexpected_index_query": False,
}

# Great Expectations compares datetime64[ns] columns as a whole and others value by value (6x slower). What
# lies outside the range of ns is clamped: still before 1900 or after any as-of date, and still in order.
_EARLIEST, _LATEST = datetime(1678, 1, 1), datetime(2262, 1, 1)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one rule found in one chunk of a table.

    Attributes:
        rows: how many rows it was asked about: those its row condition holds for.
        checked: how many of those had something to check.
        failed: how many of those failed.
        failed_rows: positions of the failed rows, when they were asked for.
    """

    rows: int
    checked: int
    failed: int
    failed_rows: tuple[int, ...] = ()


_LOADING = threading.Lock()


def load_great_expectations() -> None:
    """Import Great Expectations, unless that was done; where another thread is about it, wait for that."""
    with _LOADING, _silent_log():
        collecting = gc.isenabled()
        gc.disable()  # nearly all of what is made stays, so that to look through it again and again is in vain
        try:
            import great_expectations  # noqa: F401
        finally:
            if collecting:
                gc.enable()


@contextmanager
def gx_session() -> Iterator[GxSession]:
    """A silent Great Expectations with one ephemeral context; logging and warnings are as before afterwards."""
    load_great_expectations()
    with _silent_log(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield GxSession()


@contextmanager
def _silent_log() -> Iterator[None]:
    # Stopping what its loggers pass on, not their levels: one of them sets its own level when imported.
    logger, nowhere = logging.getLogger("great_expectations"), logging.NullHandler()
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(nowhere)
    try:
        yield
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
        self.context = context
        self._suites: dict[str, dict[str, Expectation]] = {}
        self._table = asset.add_batch_definition_whole_dataframe("whole")

    def run(
        self, suite: Suite, chunk: pa.Table, as_of: date, *, enough_examples: Collection[str] = ()
    ) -> dict[str, Outcome]:
        """What each rule of a suite finds in a chunk of a table, by rule_id and in the suite's order.

        All rules are first asked how many rows fail. Of those that failed, the errors are asked which rows, and the
        warnings too, unless there are `enough_examples` of them. A rule whose column is empty in the whole chunk is
        not asked: it has nothing to check.

        Args:
            chunk: the columns the suite reads and the position of each row, as `frames.frame_sql` gives them.

        Raises:
            TerminalError: ``EXPECTATIONS-INVALID`` or ``EXPECTATION-FAILED`` when a rule cannot be evaluated on this
                table.
        """
        from great_expectations.validator.v1_validator import Validator

        if suite.table not in self._suites:
            self._suites[suite.table] = _expectations(suite)
        built = self._suites[suite.table]
        asked = {rule_id: each for rule_id, each in built.items() if not _has_nothing_to_check(each, chunk)}
        # One validator for both questions: each new one takes a fingerprint of the whole data frame.
        validator = Validator(self._table, batch_parameters={"dataframe": _data_frame(chunk)})
        parameters = {"as_of": datetime.combine(as_of, time.max)}
        counts = _validate(validator, suite, asked.values(), parameters, "BASIC")
        wanted = [
            asked[rule.rule_id]
            for rule in suite.rules
            if rule.rule_id in asked
            and counts[rule.rule_id]["unexpected_count"]
            and (rule.severity == "error" or rule.rule_id not in enough_examples)
        ]
        positions = _validate(validator, suite, wanted, parameters, "COMPLETE")
        nothing = {"element_count": chunk.num_rows, "missing_count": chunk.num_rows, "unexpected_count": 0}
        return {
            rule.rule_id: _outcome(counts.get(rule.rule_id, nothing), positions.get(rule.rule_id))
            for rule in suite.rules
        }


def _validate(
    validator: Validator,
    suite: Suite,
    expectations: Iterable[Expectation],
    parameters: dict[str, Any],
    result_format: str,
) -> dict[str, dict[str, Any]]:
    import great_expectations as gx

    gx_suite = gx.ExpectationSuite(name=suite.table, expectations=list(expectations))
    if not gx_suite.expectations:
        return {}
    validator.result_format = {"result_format": result_format, **PRIVACY}
    return _results_by_rule(suite, validator.validate_expectation_suite(gx_suite, parameters))


def _expectations(suite: Suite) -> dict[str, Expectation]:
    """The expectations of a suite by rule_id."""
    from great_expectations.exceptions.exceptions import GreatExpectationsError
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    built = {}
    for each in suite.expectations:
        rule_id = each["meta"]["rule_id"]
        try:
            # Great Expectations copies the meta some fifty times per rule, so only the rule_id goes along.
            configuration = ExpectationConfiguration(each["type"], dict(each["kwargs"]), {"rule_id": rule_id})
            built[rule_id] = configuration.to_domain_obj()
        except (GreatExpectationsError, TypeError, ValueError):
            raise TerminalError(
                "EXPECTATIONS-INVALID",
                f"rule {rule_id} is no expectation that Great Expectations knows, or its arguments are wrong",
                where=f"{suite.table}.yaml",
                remedy="Correct its type or kwargs; expectations/README.md has an example.",
            ) from None
    return built


def _has_nothing_to_check(expectation: Expectation, chunk: pa.Table) -> bool:
    """Whether a column that the expectation judges is empty throughout (and it is not about being empty)."""
    if expectation.expectation_type == NOT_NULL:
        return False
    judged = [getattr(expectation, name, None) for name in ("column", "column_A", "column_B")]
    return any(name is not None and chunk[name].null_count == chunk.num_rows for name in judged)


def _data_frame(chunk: pa.Table) -> pd.DataFrame:
    """Dates as datetime64[ns], rows named by their position."""
    import pandas as pd

    from pipelines.validate.conditions import RememberingFrame

    columns = [name for name in chunk.column_names if name != POSITION]
    frame = RememberingFrame.of(pa.table({name: _comparable(chunk[name]) for name in columns}).to_pandas())
    frame.index = pd.Index(chunk[POSITION].to_numpy(), name=ROW)
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
    failed_rows = positions["unexpected_index_list"][0][ROW] if positions else []
    return Outcome(
        rows=counts["element_count"],
        checked=counts["element_count"] - counts.get("missing_count", 0),
        failed=counts["unexpected_count"],
        failed_rows=tuple(int(row) for row in failed_rows),
    )
