"""The outcome pipeline as an Airflow DAG: one mapped branch per institution, then results for all."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import Param, dag, get_current_context, task

RUNBOOK = """
### What it does
Takes the exports in the drop folder (`exports`, one sub-folder per institution) to indicator results, reports and
registry files below `home`. Every step replaces what it made before, so any task may be cleared and run again.

### When it fails
The last line of the task log is `CODE: what is wrong (where). What to do.` The codes are in `docs/errors.md`.

| task | usual cause | what to do |
|---|---|---|
| `find_exports` | drop folder missing or unreadable | mend the path or the permissions, clear the task |
| `land` | disk full, file being written | free space, clear the task |
| `map_zibs`, `validate` | an invalid mapping or expectation file | mend the file named, clear the task |
| `report`, `fit_gap`, `deliver` | disk full, a delivery changed by hand | see the code; nothing half is left |
| `tidy` | a run by hand works in the same `home` | it retries by itself |
| `load`, `evaluate` | lake or database busy or unreachable | it retries by itself; then check the database |

One institution that fails does not stop the others, but no result or delivery is made until all are in: nothing
incomplete is ever delivered. Logs hold no patient data.
"""


@dag(
    schedule=None,
    catchup=False,
    max_active_runs=1,
    tags=["uitkomsten", "zib"],
    doc_md=RUNBOOK,
    default_args={"owner": "data-engineering", "retries": 2, "retry_delay": timedelta(minutes=1)},
    params={
        "exports": Param("exports", type="string", description="The drop folder."),
        "home": Param("var", type="string", description="Where everything is kept."),
        "as_of": Param(None, type=["null", "string"], format="date", description="Reference date; empty for today."),
    },
)
def outcome_pipeline() -> None:
    """Exports to indicator results, reports and deliveries."""

    @task
    def find_exports() -> list[str]:
        from pipelines.airflow_steps import institutions

        return institutions(_params())

    @task(map_index_template="{{ institution }}")
    def land(institution: str) -> dict[str, str]:
        from pipelines.airflow_steps import land_institution

        _label(institution)
        return land_institution(_params(), institution)

    @task(map_index_template="{{ institution }}")
    def map_zibs(batch: dict[str, str]) -> dict[str, str]:
        from pipelines.airflow_steps import map_batch

        _label(batch["institution"])
        return map_batch(_params(), batch)

    @task(map_index_template="{{ institution }}")
    def validate(batch: dict[str, str]) -> dict[str, str]:
        from pipelines.airflow_steps import validate_batch

        _label(batch["institution"])
        return validate_batch(_params(), batch)

    @task(map_index_template="{{ institution }}", max_active_tis_per_dagrun=1)
    def load(batch: dict[str, str]) -> dict[str, int]:
        from pipelines.airflow_steps import load_batch

        _label(batch["institution"])
        return load_batch(_params(), batch)

    @task
    def evaluate(loaded: list[dict[str, int]]) -> None:
        from pipelines.airflow_steps import evaluate_all

        evaluate_all(_params())

    @task
    def report() -> list[str]:
        from pipelines.airflow_steps import write_reports

        return write_reports(_params())

    @task
    def fit_gap() -> list[str]:
        from pipelines.airflow_steps import write_fit_gap_report

        return write_fit_gap_report(_params())

    @task
    def deliver() -> list[str]:
        from pipelines.airflow_steps import deliver_all

        return deliver_all(_params())

    @task
    def tidy() -> None:
        from pipelines.airflow_steps import tidy as tidy_home

        tidy_home(_params())

    batches = land.expand(institution=find_exports())
    loaded = load.expand(batch=validate.expand(batch=map_zibs.expand(batch=batches)))
    evaluate(loaded) >> [report(), fit_gap(), deliver()] >> tidy()


def _params() -> dict[str, Any]:
    return dict(get_current_context()["params"])


def _label(institution: str) -> None:
    get_current_context()["institution"] = institution  # type: ignore[typeddict-unknown-key]


outcome_pipeline()
