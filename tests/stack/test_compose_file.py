"""docker-compose.yml: valid, pinned, with health checks, without root, and with secrets from files only."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_file import COMPOSE, ONE_SHOT, OWN_IMAGE, ROOT, SERVICES

# The schema of the compose specification, as the package check-jsonschema ships it with its licence.
SCHEMA = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
LONG_RUNNING = sorted(set(SERVICES) - ONE_SHOT)
OWN = sorted(name for name, service in SERVICES.items() if service["image"] == OWN_IMAGE)
PINNED = re.compile(r"[\w./-]+:v?\d+\.\d+[\w.-]*(@sha256:[0-9a-f]{64})?")
SECRET = re.compile(r"password|secret|_key|token|pseudonym|url|backend|conn", re.IGNORECASE)


def validate(path: Path) -> int:
    return subprocess.run([*SCHEMA, str(path)], capture_output=True, check=False).returncode


def test_the_file_fits_the_compose_specification(tmp_path: Path) -> None:
    assert validate(ROOT / "docker-compose.yml") == 0
    wrong = json.loads(json.dumps(COMPOSE))
    wrong["services"]["scheduler"]["helthcheck"] = {}
    (tmp_path / "wrong.yml").write_text(yaml.safe_dump(wrong), encoding="utf-8")
    assert validate(tmp_path / "wrong.yml") == 1


def test_the_whole_stack_is_there() -> None:
    airflow = {"api-server", "scheduler", "dag-processor", "triggerer", "worker"}
    assert set(SERVICES) == airflow | {"prepare", "postgres", "redis", "dashboard", "sftp"}
    assert {name for name, service in SERVICES.items() if service.get("profiles") == ["celery"]} == {"worker", "redis"}
    assert re.match(r"postgres:1[78]\.", SERVICES["postgres"]["image"])


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_image_is_pinned_and_no_service_is_root(name: str) -> None:
    service = SERVICES[name]
    assert PINNED.fullmatch(service["image"]), service["image"]
    assert service["user"].split(":")[0] not in ("", "0", "root")
    assert not service.get("privileged")


def test_the_image_of_our_own_has_the_version_of_the_project_and_is_built_from_the_lock() -> None:
    (version,) = re.findall(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert f"uitkomststroom:{version}" == OWN_IMAGE
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    (base,) = re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)
    assert PINNED.fullmatch(base)
    assert "uv sync --frozen --no-dev" in dockerfile
    assert re.findall(r"^USER (\S+)", dockerfile, re.MULTILINE)[-1:] == ["uitkomst"]
    assert "secrets" in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_every_service_that_stays_has_a_health_check_and_comes_back(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    assert check["test"][0] in ("CMD", "CMD-SHELL")
    assert len(check["test"]) > 1
    assert check["interval"]
    assert SERVICES[name]["restart"] == "unless-stopped"


def test_every_secret_comes_from_a_file_that_the_script_makes(tmp_path: Path) -> None:
    make = [sys.executable, str(ROOT / "scripts" / "make-secrets.py"), str(tmp_path / "secrets"), "noord", "zuid"]
    subprocess.run(make, check=True)
    made = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "secrets").iterdir()}
    assert {name: definition["file"] for name, definition in COMPOSE["secrets"].items()} == {
        name: f"${{SECRETS:-./secrets}}/{name}" for name in made
    }
    assert (tmp_path / "secrets").stat().st_mode & 0o077 == 0
    assert [user["username"] for user in json.loads(made["sftp_users"])["users"]] == ["noord", "zuid"]
    subprocess.run(make, check=True)
    assert {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "secrets").iterdir()} == made


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_no_secret_stands_in_an_environment_and_every_one_that_is_read_is_mounted(name: str) -> None:
    service = SERVICES[name]
    for variable, value in service.get("environment", {}).items():
        if SECRET.search(variable) and not variable.endswith("EXECUTION_API_SERVER_URL"):
            assert value.startswith(("/run/secrets", "cat /run/secrets/")), variable
    read = set(re.findall(r"/run/secrets/(\w+)", json.dumps(service)))
    assert read <= set(service.get("secrets", []))
    assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"])
    assert "env_file" not in service


def commands(service: dict[str, Any]) -> list[list[str]]:
    kind, *check = service.get("healthcheck", {"test": ["CMD"]})["test"]
    return [service["command"], check[0].split() if kind == "CMD-SHELL" else check]


@pytest.mark.parametrize("name", OWN)
def test_every_script_that_is_called_exists_and_may_run(name: str) -> None:
    for words in commands(SERVICES[name]):
        if words:
            script = ROOT / words[0]
            assert script.is_file(), words
            assert script.stat().st_mode & 0o111


def test_airflow_knows_every_command_and_option_that_is_used() -> None:
    """Parsed by Airflow's own parser, in one process because its import takes seconds."""
    used = [
        [word for word in words[1:] if word != "$$HOSTNAME"]
        for name in OWN
        for words in commands(SERVICES[name])
        if words and words[0] == "scripts/airflow.sh"
    ]
    used = [words[: words.index("|")] if "|" in words else words for words in used]
    code = (
        "import json, sys; from airflow.cli.cli_parser import get_parser\n"
        "parser = get_parser()\n"
        "[parser.parse_args(words) for words in json.loads(sys.argv[1])]\n"
        "try: parser.parse_args(['schedular'])\n"
        "except SystemExit: print('all known')"
    )
    parsed = subprocess.run(
        [sys.executable, "-c", code, json.dumps(used)], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert parsed.stdout.splitlines()[-1:] == ["all known"], parsed.stderr[-2000:]
    assert len(used) == 8


def test_the_dashboard_serves_the_reports_and_nothing_else_of_home() -> None:
    (mount,) = SERVICES["dashboard"]["volumes"]
    assert (mount["source"], mount["volume"], mount["read_only"]) == ("home", {"subpath": "reports"}, True)


def test_only_sftp_is_reachable_from_other_machines() -> None:
    for name, service in SERVICES.items():
        for port in service.get("ports", []):
            assert name == "sftp" or port.startswith("127.0.0.1:"), name
