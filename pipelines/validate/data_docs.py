"""Great Expectations' own site of a batch, built from the stored counts.

Its pages load scripts, styles and pictures from the internet; those are taken out, so that opening a page asks
nothing from the network. What is left is the text and tables of Great Expectations with a style of our own.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pipelines.validate.checks import Check
from pipelines.validate.gx_session import gx_session
from pipelines.validate.rules import Suite, load_suites

if TYPE_CHECKING:
    from great_expectations.core import ExpectationSuiteValidationResult
    from great_expectations.data_context.data_context.abstract_data_context import AbstractDataContext

_SITE = "uitkomststroom"
_SCRIPT = re.compile(r"<script\b.*?</script>", re.DOTALL | re.IGNORECASE)
_REMOTE = re.compile(r"<(?:link|img)\b[^>]*https?://[^>]*>", re.IGNORECASE)
_LINK = re.compile(r"<a\b[^>]*https?://[^>]*>(.*?)</a>", re.DOTALL | re.IGNORECASE)
_STYLE = """<style>
body { font: 15px/1.5 system-ui, sans-serif; color: #2f3d4a; margin: 0 auto; max-width: 1120px; padding: 16px; }
table { border-collapse: collapse; width: 100%; } th, td { border-bottom: 1px solid #dde3ea; padding: 6px 10px;
text-align: left; vertical-align: top; overflow-wrap: anywhere; } ul { padding-left: 20px; } .modal, .d-none,
.popover, footer, .cloud-footer { display: none; } a { color: #0b5394; }
.fa-check-circle::before { content: "\\2713"; color: #14573a; } .fa-times::before { content: "\\2717"; color: #8f2d0c; }
</style>"""


def write_data_docs(content: Mapping[str, Any], expectations: Path, out: Path) -> Path:
    """Write the site of one batch into the folder `out`, in place of what is there; gives its first page.

    Args:
        content: what `checks.json` holds. Tables without rows have no page.
    """
    suites = load_suites(expectations)
    checks: dict[str, dict[str, Check]] = {}
    for each in content["checks"]:
        check = Check.from_dict(each)
        checks.setdefault(check.table, {})[check.rule_id] = check
    shutil.rmtree(out, ignore_errors=True)
    with gx_session() as session:
        context = session.context
        for name in list(context.get_site_names()):
            context.delete_data_docs_site(name)
        context.add_data_docs_site(_SITE, cast(Any, _site(out)))
        for table, counts in content["tables"].items():
            if counts["rows"]:
                _add_result(context, suites[table], checks[table], content["batch"])
        context.build_data_docs()
    shutil.rmtree(out / "static", ignore_errors=True)
    for page in out.rglob("*.html"):
        page.write_text(_offline(page.read_text(encoding="utf-8")), encoding="utf-8")
    return out / "index.html"


def _site(out: Path) -> dict[str, Any]:
    return {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(out)},
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder", "show_cta_footer": False},
    }


def _add_result(
    context: AbstractDataContext, suite: Suite, checks: Mapping[str, Check], batch: Mapping[str, Any]
) -> None:
    import great_expectations as gx
    from great_expectations.core.run_identifier import RunIdentifier
    from great_expectations.data_context.types.resource_identifiers import (
        ExpectationSuiteIdentifier,
        ValidationResultIdentifier,
    )
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    configurations = {
        each["meta"]["rule_id"]: ExpectationConfiguration(
            each["type"], dict(each["kwargs"]), {"rule_id": each["meta"]["rule_id"], "notes": each["meta"]["reason"]}
        )
        for each in suite.expectations
        if each["meta"]["rule_id"] in checks
    }
    context.suites.add(
        gx.ExpectationSuite(name=suite.table, expectations=[each.to_domain_obj() for each in configurations.values()])
    )
    landed_at = datetime.fromisoformat(batch["landed_at"])
    key = ValidationResultIdentifier(
        expectation_suite_identifier=ExpectationSuiteIdentifier(suite.table),
        run_id=RunIdentifier(run_name=batch["institution"], run_time=landed_at),
        batch_identifier=batch["batch_id"],
    )
    context.validation_results_store.add(key, _result(suite, configurations, checks, landed_at, batch))


def _result(
    suite: Suite,
    configurations: Mapping[str, Any],
    checks: Mapping[str, Check],
    landed_at: datetime,
    batch: Mapping[str, Any],
) -> ExpectationSuiteValidationResult:
    from great_expectations import __version__
    from great_expectations.core import ExpectationSuiteValidationResult, ExpectationValidationResult

    results = [  # a rule that had nothing to check has no result, so that it cannot be read as passed
        ExpectationValidationResult(
            success=checks[rule_id].failed == 0, expectation_config=configuration, result=_counts(checks[rule_id])
        )
        for rule_id, configuration in configurations.items()
        if checks[rule_id].checked
    ]
    successful = sum(bool(each.success) for each in results)
    return ExpectationSuiteValidationResult(
        success=successful == len(results),
        results=results,
        suite_name=suite.table,
        statistics={
            "evaluated_expectations": len(results),
            "successful_expectations": successful,
            "unsuccessful_expectations": len(results) - successful,
            "success_percent": 100.0 * successful / len(results) if results else None,
        },
        meta={
            "great_expectations_version": __version__,
            "run_id": {"run_name": batch["institution"], "run_time": landed_at.isoformat()},
            "active_batch_definition": {"datasource_name": "batch", "data_asset_name": suite.table},
        },
    )


def _counts(check: Check) -> dict[str, Any]:
    """As Great Expectations counts them."""
    missing = check.rows - check.checked
    return {
        "element_count": check.rows,
        "missing_count": missing,
        "missing_percent": 100.0 * missing / check.rows,
        "unexpected_count": check.failed,
        "unexpected_percent": 100.0 * check.failed / check.checked,
    }


def _offline(html: str) -> str:
    """The page without anything that a browser would fetch or run."""
    without = _REMOTE.sub("", _SCRIPT.sub("", html))
    return _LINK.sub(r"\1", without).replace("</head>", f"{_STYLE}</head>", 1)
