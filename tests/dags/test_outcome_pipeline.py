"""The DAG: it parses lightly, keeps the house rules, and runs for real in Airflow."""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

from pipelines.synthetic.export import synthesise

ROOT = Path(__file__).resolve().parents[2]
DAG_FILE = ROOT / "dags" / "outcome_pipeline.py"
HEAVY = ("great_expectations", "pandas", "duckdb", "pyarrow", "deltalake", "fhir", "sqlalchemy.orm")


def environment(home: Path) -> dict[str, str]:
    return {**os.environ, "UITKOMST_HOME": str(home), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def run_python(code: str, home: Path) -> str:
    process = subprocess.run(
        [sys.executable, "-c", code], env=environment(home), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr[-2000:]
    return process.stdout


def test_parsing_imports_nothing_heavy(tmp_path: Path) -> None:
    code = f"""
import sys, runpy
import airflow.sdk
before = set(sys.modules)
runpy.run_path({str(DAG_FILE)!r})
print([name for name in {HEAVY!r} if name in sys.modules and name not in before])
"""
    assert run_python(code, tmp_path).strip().splitlines()[-1] == "[]"


def test_every_task_has_an_owner_and_the_dag_a_runbook(tmp_path: Path) -> None:
    code = f"""
import json, runpy
from airflow.sdk import DAG
namespace = runpy.run_path({str(DAG_FILE)!r})
dag = namespace["outcome_pipeline"]()
print(json.dumps({{
    "owners": sorted({{task.owner for task in dag.tasks}}),
    "retries": min(task.retries for task in dag.tasks),
    "tags": sorted(dag.tags),
    "tasks": sorted(dag.task_ids),
    "runbook": dag.doc_md or "",
}}))
"""
    facts = json.loads(run_python(code, tmp_path).strip().splitlines()[-1])
    assert facts["owners"] == ["data-engineering"]
    assert facts["retries"] >= 1
    assert facts["tags"]
    assert [task for task in facts["tasks"] if f"`{task}`" not in facts["runbook"]] == []


def test_a_real_run_makes_results_reports_and_a_delivery(tmp_path: Path) -> None:
    exports, home = tmp_path / "exports", tmp_path / "home"
    truth = synthesise(exports, hospitals=2, patients=40, seed=3, defect_share=0.01)
    conf = json.dumps({"exports": str(exports), "home": str(home), "as_of": "2025-12-31"})
    for arguments in (["db", "migrate"], ["dags", "test", "outcome_pipeline", "--conf", conf]):
        process = subprocess.run(
            [ROOT / "scripts" / "airflow.sh", *arguments],
            env=environment(home),
            capture_output=True,
            text=True,
            check=False,
        )
        assert process.returncode == 0, (process.stdout + process.stderr)[-3000:]
    log = process.stdout + process.stderr
    assert "state=success, run_type" in log
    assert sorted(path.stem for path in home.glob("reports/knie-heupartrose/z*.html")) == [
        i.institution for i in truth.institutions
    ]
    assert len(list(home.glob("deliveries/*/*/*/manifest.json"))) == 1
    with sqlite3.connect(home / "uitkomst.db") as connection:
        (batches,) = connection.execute("SELECT count(*) FROM batch WHERE state = 'loaded'").fetchone()
        revisions = connection.execute(
            "SELECT institution, denominator FROM indicator_result"
            " WHERE indicator = 'hip-revision-1y' AND period = 'total'"
        ).fetchall()
    assert batches == 2
    assert dict(revisions) == {i.institution: i.expected["hip-revision-1y"].denominator for i in truth.institutions}
    for identifier in _patient_identifiers(exports):
        assert identifier not in log


def test_a_missing_drop_folder_fails_the_run_with_what_to_do(tmp_path: Path) -> None:
    code = """
from pipelines.airflow_steps import institutions
from airflow.sdk.exceptions import AirflowFailException
try:
    institutions({"exports": "nowhere", "home": "home"})
except AirflowFailException as error:
    print(error)
"""
    assert run_python(code, tmp_path).strip().splitlines()[-1].startswith("EXPORT-MISSING: ")


def _patient_identifiers(exports: Path) -> list[str]:
    lines = [
        line for path in exports.glob("*/Patient.ndjson") for line in path.read_text(encoding="utf-8").splitlines()
    ]
    patients = [json.loads(line) for line in lines]
    return [identifier["value"] for patient in patients for identifier in patient["identifier"]]
