"""The services of docker-compose.yml, with its commands and settings but without containers: export to feedback."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from compose_file import ROOT, Native
from serving_databases import PostgresServer

from pipelines.synthetic.export import synthesise

AIRFLOW = ("api-server", "scheduler", "dag-processor", "triggerer")
SERVICES = {"LocalExecutor": AIRFLOW, "CeleryExecutor": ("redis", *AIRFLOW, "worker")}
"""By executor the services that stay, in the order in which they start."""
AS_OF = "2025-12-31"
ENOUGH = 600.0
"""Seconds for Airflow's services to come up, and for a run, on a machine that is busy with other work."""


class Stack:
    """The running services and what they share."""

    def __init__(self, folder: Path, postgres: PostgresServer, executor: str) -> None:
        self.services = SERVICES[executor]
        self.home, self.exports, self.secrets = folder / "home", folder / "exports", folder / "secrets"
        self.home.mkdir()
        self.exports.mkdir()
        self.database = postgres.new_database()
        self._logs, self._broker = folder / "logs", folder / "broker"
        self._logs.mkdir()
        self._broker.mkdir()
        api, scheduler, redis, task_logs, trigger_logs = (_free_port() for _ in range(5))
        self._make_secrets(postgres.new_database(), redis)
        self.api = f"http://127.0.0.1:{api}"
        self._native = Native(
            {
                "/srv/uitkomst": str(self.home),
                "/run/secrets": str(self.secrets),
                "api-server:8080": f"127.0.0.1:{api}",
                "127.0.0.1:8080": f"127.0.0.1:{api}",
                "8080": str(api),
                "8974": str(scheduler),
                "redis-cli": f"redis-cli -p {redis}",
                "$HOSTNAME": socket.gethostname(),
            },
            {"EXECUTOR": executor},
        )
        # In containers each has a network of its own; here others may have these ports.
        self._ports = {
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(task_logs),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(trigger_logs),
        }
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def _make_secrets(self, airflow: str, redis: int) -> None:
        subprocess.run([sys.executable, ROOT / "scripts" / "make-secrets.py", self.secrets, "noord"], check=True)
        airflow = airflow.replace("+psycopg", "+psycopg2")
        self._change_secret("uitkomst_database_url", lambda _: self.database)
        self._change_secret("airflow_database_url", lambda _: airflow)
        self._change_secret("celery_result_backend", lambda _: f"db+{airflow}")
        self._change_secret("celery_broker_url", lambda url: url.replace("redis:6379", f"127.0.0.1:{redis}"))
        self._change_secret("redis_config", lambda text: f"{text}port {redis}\ndir {self._broker}\n")

    def _change_secret(self, name: str, change: Callable[[str], str]) -> None:
        path = self.secrets / name
        path.chmod(0o600)
        path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")

    def run(self, service: str) -> None:
        """Run a service that ends by itself."""
        assert self._start(service).wait(ENOUGH) == 0, self.log(service)

    def start(self, service: str) -> None:
        """Start a service that stays."""
        self._processes[service] = self._start(service)

    def _start(self, service: str) -> subprocess.Popen[bytes]:
        with (self._logs / f"{service}.log").open("wb") as log:
            return subprocess.Popen(
                self._native.command(service),
                cwd=ROOT,
                env=self._environment(service),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _environment(self, service: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("UITKOMST_", "AIRFLOW"))}
        return {**kept, **self._native.environment(service), **self._ports}

    def is_well(self, service: str) -> bool:
        """Whether the service lives and its health check says that it is well."""
        assert self._processes[service].poll() is None, self.log(service)
        check = self._native.health_check(service)
        answer = subprocess.run(check, cwd=ROOT, env=self._environment(service), capture_output=True, check=False)
        return answer.returncode == 0

    def log(self, service: str) -> str:
        """The end of what a service wrote."""
        return (self._logs / f"{service}.log").read_text(encoding="utf-8", errors="replace")[-3000:]

    def written(self) -> Iterator[Path]:
        """Every log of the services and of their tasks."""
        yield from self._logs.iterdir()
        yield from (path for path in (self.home / "airflow" / "logs").rglob("*") if path.is_file())

    def stop(self) -> None:
        """Stop what was started, and what that started."""
        for process in self._processes.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        for process in self._processes.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(20)


class Operator:
    """What an operator does in Airflow, over its public interface."""

    def __init__(self, stack: Stack) -> None:
        self._api = stack.api
        password = json.loads((stack.secrets / "airflow_passwords").read_text(encoding="utf-8"))["admin"]
        self._token = self._call("POST", "/auth/token", {"username": "admin", "password": password})["access_token"]

    def knows(self, dag: str) -> bool:
        """Whether the DAG was parsed and stored."""
        try:
            self._call("GET", f"/api/v2/dags/{dag}")
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return False
            raise
        return True

    def start(self, dag: str, conf: dict[str, str]) -> str:
        """Start a run of a DAG; gives its id."""
        return str(
            self._call("POST", f"/api/v2/dags/{dag}/dagRuns", {"conf": conf, "logical_date": None})["dag_run_id"]
        )

    def state(self, dag: str, run: str) -> str:
        """The state of a run."""
        return str(self._call("GET", f"/api/v2/dags/{dag}/dagRuns/{run}")["state"])

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"}
        if path.startswith("/api"):
            headers["Authorization"] = f"Bearer {self._token}"
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._api + path, content, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return dict(json.load(answer))


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for(what: str, condition: Callable[[], Any], stack: Stack) -> None:
    end = time.monotonic() + ENOUGH
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not in time\n" + "\n".join(stack.log(service) for service in stack.services))
        time.sleep(0.5)


@pytest.fixture(params=SERVICES)
def stack(request: pytest.FixtureRequest, tmp_path: Path, postgres: PostgresServer) -> Iterator[Stack]:
    if request.param == "CeleryExecutor" and shutil.which("redis-server") is None:
        pytest.skip("redis-server is not here: scripts/install-redis.sh installs it")
    stack = Stack(tmp_path, postgres, request.param)
    stack.run("prepare")
    try:
        for service in stack.services:
            stack.start(service)
        yield stack
    finally:
        stack.stop()


@pytest.mark.slow
def test_an_export_that_is_dropped_shows_in_the_feedback_tables(stack: Stack, tmp_path: Path) -> None:
    truth = synthesise(tmp_path / "made", hospitals=1, patients=40, seed=3, defect_share=0.01)
    (hospital,) = (path for path in (tmp_path / "made").iterdir() if path.is_dir())
    for service in stack.services:
        wait_for(f"{service} is well", lambda service=service: stack.is_well(service), stack)
    operator = Operator(stack)
    wait_for("the DAG is parsed", lambda: operator.knows("outcome_pipeline"), stack)
    shutil.move(hospital, stack.exports / hospital.name)
    conf = {"exports": str(stack.exports), "home": str(stack.home), "as_of": AS_OF}
    run = operator.start("outcome_pipeline", conf)
    wait_for("a feedback row", lambda: feedback(stack) or operator.state("outcome_pipeline", run) == "failed", stack)
    expected = {name: each.denominator for name, each in truth.institutions[0].expected.items() if each.denominator}
    assert feedback(stack) == {(hospital.name, name): count for name, count in expected.items()}
    wait_for("the run ends", lambda: operator.state("outcome_pipeline", run) in ("success", "failed"), stack)
    assert operator.state("outcome_pipeline", run) == "success"
    assert (stack.home / "reports" / f"{hospital.name}.html").exists()
    assert_private(stack, hospital.name)


def feedback(stack: Stack) -> dict[tuple[str, str], int]:
    engine = sa.create_engine(stack.database)
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT institution, indicator, denominator FROM indicator_result WHERE period = 'total'"
        ).fetchall()
    engine.dispose()
    return {(institution, indicator): denominator for institution, indicator, denominator in rows}


def assert_private(stack: Stack, hospital: str) -> None:
    """Neither a secret nor a patient's identifier is in any log of any service or task."""
    lines = (stack.exports / hospital / "Patient.ndjson").read_bytes().splitlines()
    patients = [json.loads(line) for line in lines if line.startswith(b"{")]
    words = {identifier["value"] for patient in patients for identifier in patient.get("identifier", [])}
    words |= {path.read_text(encoding="utf-8") for path in stack.secrets.iterdir() if path.suffix == ""}
    words |= set(json.loads((stack.secrets / "airflow_passwords").read_text(encoding="utf-8")).values())
    assert len(words) > 30
    for path in stack.written():
        text = path.read_text(encoding="utf-8", errors="replace")
        assert not any(word in text for word in words), path.name
