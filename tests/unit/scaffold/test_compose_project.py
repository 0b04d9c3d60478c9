"""With `--compose` the services of the Compose project are targets as they are, and a step brings the project up."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from gate.__main__ import main
from gate.scaffold.files import documents
from tests.support.repositories import propose, write

COMPOSE = """services:
  web:
    build: ./web
    ports: ["8000:8000"]
    env_file: .env
    environment: {DATABASE_URL: "postgres://shop:${POSTGRES_PASSWORD:?}@db:5432/shop"}
    depends_on: {migrate: {condition: service_completed_successfully}, db: {condition: service_started}}
    entrypoint: /entry.sh
  migrate: {build: ./web, command: [python, migrate.py], depends_on: [db]}
  db:
    image: postgres:${PG_VERSION}
    ports: ["5432:5432"]
    environment: {POSTGRES_PASSWORD: "${POSTGRES_PASSWORD:?}"}
    volumes: ["./seed:/docker-entrypoint-initdb.d"]
  prometheus: {image: "prom/prometheus:v3.5.0", volumes: ["./ops:/etc/prometheus"]}
"""
APP = 'import psycopg\n@app.get("/healthz")\ndef healthz():\n    psycopg.connect().execute("SELECT 1")\n'
TESTS = """on: [push]
jobs:
  test:
    runs-on: ubuntu-latest
    services:
      db: {image: "postgres:17", env: {POSTGRES_PASSWORD: test}, ports: ["5432:5432"]}
    steps:
      - uses: actions/checkout@v4
      - run: pytest
"""
SHOP = {
    "compose.yml": COMPOSE,
    ".env.example": "A=1\n",
    "seed/a.sql": "SELECT 1;\n",
    "web/Dockerfile": "FROM python:3\nEXPOSE 8000\nRUN --mount=type=cache,target=/c true\n",
    "web/app.py": APP,
    "ops/prometheus.yml": "scrape_configs:\n  - {job_name: web, static_configs: [{targets: ['web:8000']}]}\n",
}
TESTED = {**SHOP, ".github/workflows/test.yml": TESTS, "test_app.py": "def test_a(): ...\n", "requirements.txt": ""}


def compose_steps(job: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the steps that call Compose."""
    return [step for step in job["steps"] if "docker compose" in step.get("run", "")]


def test_every_target_is_a_service(tmp_path: Path) -> None:
    """Nothing is started by the gate or the runner, and what the Compose file says is not repeated."""
    proposal = propose(write(tmp_path, SHOP), compose=True)
    targets = proposal.checklist.targets
    assert proposal.checklist.compose.file == ["compose.yml"]
    assert {name: target.service for name, target in targets.items()} == {
        name: name for name in ("web", "migrate", "db", "prometheus")
    }
    assert targets["migrate"].once
    assert targets["web"].after == ["migrate", "db"]
    assert [target.provision for target in targets.values()] == [[], [], [], []]
    assert "services" not in proposal.job
    assert "docker build" not in proposal.workflow
    assert "entrypoint" not in proposal.notes
    assert "seed" not in proposal.notes
    assert list(proposal.drills) == ["drills.db"]


def test_a_step_brings_the_project_up_and_another_one_removes_it(tmp_path: Path) -> None:
    """The first never fails the job: the gate reports what is not ready. The last runs whatever happened."""
    job = propose(write(tmp_path, SHOP), compose=True).job
    up, down = compose_steps(job)
    gate = next(number for number, step in enumerate(job["steps"]) if "prodgate-action" in step.get("uses", ""))
    assert up["run"].splitlines() == [
        "test -e .env || cp .env.example .env",
        "docker compose -f compose.yml up --detach --wait",
    ]
    assert up["continue-on-error"] is True
    assert down["if"] == "always()"
    assert down["run"] == "docker compose -f compose.yml down --volumes"
    assert job["steps"].index(up) < gate < job["steps"].index(down)


@pytest.mark.parametrize(
    ("value", "invented", "missing"),
    [
        ("${SMTP_PASSWORD}", True, False),
        ("${SMTP_PASSWORD:?set it}", True, False),
        ("$SMTP_PASSWORD", True, False),
        ("${SMTP_HOST}", False, True),
        ("${SMTP_HOST:-${SMTP_PORT:?}}", False, True),
        ("${SMTP_HOST:-mail}", False, False),
        ("${SMTP_HOST+on}", False, False),
        ("${COMMITTED}", False, False),
        ("$${SMTP_HOST}", False, False),
        (None, False, True),
    ],
)
def test_variables_that_nobody_sets(value: str | None, invented: bool, missing: bool, tmp_path: Path) -> None:
    """Names of credentials get a value in both steps; others are named, because no value can be made up."""
    text = yaml.safe_dump({"services": {"db": {"image": "postgres:17", "environment": {"SMTP_X": value}}}})
    proposal = propose(write(tmp_path, {"compose.yml": text, ".env": "COMMITTED=1\n"}), compose=True)
    expected = {"SMTP_PASSWORD": "prodgate"} if invented else {}
    assert [step.get("env", {}) for step in compose_steps(proposal.job)] == [expected, expected]
    assert ("nothing here has its value" in proposal.notes) is missing
    assert ("the Compose project: " in proposal.summary) is (invented or missing)


def test_ports_of_the_tests_services_are_taken_from_the_project(tmp_path: Path) -> None:
    """Two containers cannot publish one port, and two on one network must not share a name."""
    proposal = propose(write(tmp_path, TESTED), compose=True)
    assert proposal.checklist.compose.file == ["compose.yml", "compose.prodgate.yml"]
    assert list(proposal.job["services"]) == ["db-tests"]
    document = next(iter(documents(proposal.override)))
    assert list(document["services"]) == ["db"]
    assert "    ports: !reset []\n" in proposal.override
    assert "networks" not in document
    assert "compose    compose.yml, compose.prodgate.yml" in proposal.summary


def test_a_project_that_needs_no_override(tmp_path: Path) -> None:
    """Without a service of the workflow no port is published twice."""
    assert propose(write(tmp_path, SHOP), compose=True).override == ""


def test_the_network_of_the_job_is_the_default_network(tmp_path: Path) -> None:
    """The override names it by a variable, which both steps set."""
    proposal = propose(write(tmp_path, TESTED), job_network=True)
    document = next(iter(documents(proposal.override)))
    assert document["networks"] == {"default": {"name": "${JOB_NETWORK:?}", "external": True}}
    networks = [step["env"]["JOB_NETWORK"] for step in compose_steps(proposal.job)]
    assert networks == ["${{ job.container.network }}"] * 2


def test_an_override_and_a_folder(tmp_path: Path) -> None:
    """Compose is given the override beside the file by name; what is included it finds itself."""
    files = {
        "deploy/compose.yaml": "include: [more.yml]\nservices: {db: {image: 'postgres:17'}}\n",
        "deploy/compose.override.yaml": "services: {db: {environment: {A: b}}}\n",
        "deploy/more.yml": "services: {cache: {image: 'redis:7'}}\n",
    }
    proposal = propose(write(tmp_path, files), compose=True)
    assert proposal.checklist.compose.file == ["deploy/compose.yaml", "deploy/compose.override.yaml"]
    assert sorted(proposal.checklist.targets) == ["cache", "db"]


def test_a_prometheus_that_compose_does_not_start(tmp_path: Path) -> None:
    """One that the runner starts would not reach the project, unless the job's network is the project's."""
    compose = COMPOSE.replace("  prometheus", "  other")
    files = {**TESTED, "compose.yml": compose.replace("prom/prometheus:v3.5.0", "redis:7")}
    root = write(tmp_path, files)
    assert "prometheus" not in propose(root, compose=True).checklist.targets
    assert propose(root, job_network=True).checklist.targets["prometheus"].container == "prometheus"


def test_the_command_keeps_files_and_names_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The override is written beside the checklist, once, and is no Compose project for a second run."""
    root = write(tmp_path, TESTED)
    assert main(["init", "--compose", "--job-network", str(root)]) == 0
    assert f"{root / 'compose.prodgate.yml'}: written" in capsys.readouterr().out
    written = (root / "compose.prodgate.yml").read_text()
    mine = written.replace("ports: !reset []", "image: postgres:18")
    write(root, {"compose.prodgate.yml": mine})
    assert main(["init", "--compose", str(root)]) == 0
    assert f"{root / 'compose.prodgate.yml'}: kept, it exists already" in capsys.readouterr().out
    assert (root / "compose.prodgate.yml").read_text() == mine
    assert "other Compose projects" not in propose(root).notes


@pytest.mark.parametrize(
    ("files", "options", "problem"),
    [
        ({"Dockerfile": "FROM x\n"}, ["--compose"], "no Compose file was found; leave out --compose"),
        (TESTED, ["--job-network"], "--job-network: --compose is missing"),
        (SHOP, ["--compose", "--job-network"], "--job-network: the workflow has no `services:`"),
    ],
)
def test_what_does_not_fit(
    files: dict[str, str], options: list[str], problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is written if an option does not fit the repository."""
    root = write(tmp_path, files)
    assert main(["init", *options, str(root)]) == 2
    assert problem in capsys.readouterr().err
    assert not (root / "prodgate.yml").exists()


def test_the_name_of_a_file_is_no_expression(tmp_path: Path) -> None:
    """GitHub replaces expressions in a script before the shell sees them."""
    name = "compose ${{ secrets.X }} $(touch x).yml"
    proposal = propose(write(tmp_path, {name: "services: {db: {image: 'postgres:17'}}\n"}), compose=True)
    assert proposal.checklist.compose.file == [name]
    assert "${{ secrets.X }}" not in proposal.workflow
    up, _ = compose_steps(proposal.job)
    assert shlex.split(up["run"].replace("${{ '${{' }}", "${{"))[:4] == ["docker", "compose", "-f", name]
