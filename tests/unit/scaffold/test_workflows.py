"""Tests that run in a workflow already run as they do there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.repositories import propose, write

PUSH = "on: {push: {branches: [trunk]}, pull_request: {}}\n"
JOB = """env: {LEVEL: debug}
jobs:
  test:
    runs-on: ${{ matrix.os }}
    defaults: {run: {working-directory: backend}}
    strategy:
      matrix: {os: [windows-latest, ubuntu-latest], python: ["3.12", "3.13"], include: [{python: "3.13", new: 1}]}
    services:
      postgres: {image: "postgres:14", env: {POSTGRES_PASSWORD: p}, ports: ["5432:5432"]}
    env: {DATABASE_URL: "postgres://postgres:p@localhost/test"}
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with: {python-version: "${{ matrix.python }}", allow-prereleases: true}
      - {name: Lint, run: ruff check .}
      - {name: Install, run: pip install -e .}
      - {if: matrix.python == '3.13', run: pip install new}
      - {uses: codecov/codecov-action@v5}
      - name: Test
        env: {MORE: "${{ matrix.new }}x"}
        run: pytest -q
"""
PYTHON = {"backend/pyproject.toml": "[project]\nname='a'\n", "backend/test_a.py": ""}


def test_a_job_is_taken_with_all_that_it_needs(tmp_path: Path) -> None:
    """Steps, folder, services, environment and the first values of the matrix come along; linters and uploads don't."""
    proposal = propose(write(tmp_path, {".github/workflows/ci.yml": PUSH + JOB, **PYTHON}))
    environment = {"LEVEL": "debug", "DATABASE_URL": "postgres://postgres:p@localhost/test"}
    _, python, install, tests, *_ = proposal.job["steps"]
    assert python == {
        "uses": "actions/setup-python@v5", "with": {"python-version": "3.12", "allow-prereleases": "true"},
    }  # fmt: skip
    assert install == {
        "name": "Install", "working-directory": "backend", "env": environment, "run": "pip install -e .",
    }  # fmt: skip
    assert tests["env"] == {**environment, "MORE": "x"}
    assert tests["run"].startswith("code=0; pytest -q --junitxml=prodgate-tests.pytest.xml || code=$?;")
    assert proposal.job["services"]["postgres"]["ports"] == ["5432:5432"]
    assert "push: {branches: [trunk]}" in proposal.workflow
    assert "results: backend/prodgate-tests.pytest.xml" in proposal.text
    assert "As .github/workflows/ci.yml runs them" in proposal.text


@pytest.mark.parametrize(
    ("run", "tool"),
    [
        ("make test", "make"),
        ("go test -race ./...", "go"),
        ("npm run test:unit", "node"),
        ("yarn test", "node"),
        ("cargo test --all", "cargo"),
        ("./mvnw -B verify", "maven"),
        ("./gradlew check", "gradle"),
        ("bundle exec rspec", "ruby"),
        ("vendor/bin/phpunit", "phpunit"),
        ("dotnet test a.sln", "dotnet"),
        ("python manage.py test", "django"),
        ("uv run pytest", "pytest"),
        ("tox", "pytest"),
    ],
)
def test_commands_that_run_tests(run: str, tool: str, tmp_path: Path) -> None:
    """The usual test commands are known, and take the place of a guess."""
    job = f"jobs: {{test: {{runs-on: ubuntu-latest, steps: [{{run: '{run}'}}]}}}}\n"
    proposal = propose(write(tmp_path, {".github/workflows/ci.yml": PUSH + job}))
    assert [item.id for item in proposal.checklist.items] == [f"tests.{tool}"]


@pytest.mark.parametrize(
    ("job", "note"),
    [
        ("runs-on: windows-latest, steps: [{run: pytest}]", "it runs on windows-latest"),
        ("runs-on: ubuntu-latest, container: python, steps: [{run: pytest}]", "it runs in a container of its own"),
        ("runs-on: ubuntu-latest, steps: [{run: 'A=${{ secrets.A }} pytest'}]", "it needs secrets"),
    ],
)
def test_a_job_that_can_not_run_here_is_named(job: str, note: str, tmp_path: Path) -> None:
    """Its tests are left out with the reason, and are guessed instead."""
    proposal = propose(write(tmp_path, {".github/workflows/ci.yml": f"{PUSH}jobs: {{test: {{{job}}}}}\n", **PYTHON}))
    assert f".github/workflows/ci.yml: the tests of its job test: {note}" in proposal.notes
    assert "No workflow runs them: the command is a guess" in proposal.text


def test_a_workflow_of_releases_is_no_test(tmp_path: Path) -> None:
    """What does not run for a commit says nothing about one."""
    text = "on: {release: {}}\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: pytest}]}}\n"
    assert "tests.pytest" not in propose(write(tmp_path, {".github/workflows/release.yml": text})).text


def test_the_same_tests_for_coverage_run_once(tmp_path: Path) -> None:
    """A second job that measures coverage of the same tests is named."""
    job = PUSH + "jobs: {test: {runs-on: ubuntu-latest, steps: [{run: %s}]}}\n"
    files = {
        ".github/workflows/a-coverage.yml": job % "coverage run -m pytest",
        ".github/workflows/tests.yml": job % "pytest",
    }
    proposal = propose(write(tmp_path, files))
    assert [item.id for item in proposal.checklist.items] == ["tests.pytest"]
    assert "the tests of .github/workflows/a-coverage.yml, job test: another job runs them, too" in proposal.notes


def test_a_script_of_several_lines_fails_with_its_first_failure(tmp_path: Path) -> None:
    """Lines are joined, so that a later one that passes does not hide an earlier one that failed."""
    script = "bundle exec rspec\nbundle exec rspec slow"
    job = f"jobs: {{test: {{runs-on: ubuntu-latest, steps: [{{run: {script!r}}}]}}}}\n".replace(
        "'bundle", '"bundle'
    ).replace("slow'", 'slow"')
    steps = propose(write(tmp_path, {".github/workflows/ci.yml": PUSH + job})).job["steps"]
    tests = next(step for step in steps if step.get("name", "").startswith("Tests"))
    assert tests["run"].startswith("bundle exec rspec && bundle exec rspec slow && verdict=ok")


def test_services_of_tests_and_of_staging_do_not_collide(tmp_path: Path) -> None:
    """Two databases of one name are two services, and only that of the tests has the port which they know."""
    compose = (
        "services:\n  postgres: {image: 'postgres:17', ports: ['5432:5432'], environment: {POSTGRES_PASSWORD: x}}\n"
    )
    proposal = propose(write(tmp_path, {".github/workflows/ci.yml": PUSH + JOB, "compose.yml": compose, **PYTHON}))
    services = proposal.job["services"]
    assert services["postgres-tests"]["ports"] == ["5432:5432"]
    assert (services["postgres"]["image"], services["postgres"].get("ports")) == ("postgres:17", None)


def test_the_database_of_the_tests_is_that_of_the_application(tmp_path: Path) -> None:
    """Without a Compose file, what the tests use is what the application needs: a drill is proposed."""
    code = {"Dockerfile": "FROM x\nEXPOSE 80\n", "app.py": '@app.get("/readyz")\ndef ready():\n    db.ping()\n'}
    proposal = propose(write(tmp_path, {".github/workflows/ci.yml": PUSH + JOB, **PYTHON, **code}))
    assert list(proposal.drills) == ["drills.postgres"]


def test_more_suites_than_ten_are_named(tmp_path: Path) -> None:
    """The eleventh suite is not lost silently."""
    files = {f"s{number:02}/{name}": "" for number in range(12) for name in ("go.mod", "a_test.go")}
    proposal = propose(write(tmp_path, files))
    assert len(proposal.checklist.items) == 10
    assert "the tests of s11 (go): more than 10 suites" in proposal.notes
