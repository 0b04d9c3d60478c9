"""Compose files are read as Compose reads them, as far as the commit says what is in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.repositories import propose, write

DOCKERFILE = "FROM python:3\nEXPOSE 8000\n"
HEALTH = "healthcheck: {test: curl -f http://localhost:8000/health}"
APP = f"build: ., ports: ['8000:8000'], {HEALTH}"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("${SMTP_USER:-}", ""),
        ("${SMTP_USER-}", ""),
        ("${SMTP_USER:-mail}", "mail"),
        ("${SMTP_USER}", "prodgate"),
        ("${SMTP_USER:?set it}", "prodgate"),
        ("${SMTP_USER:+on}", ""),
        ("${COMMITTED:-other}", "here"),
        ("${COMMITTED:+on}", "on"),
        ("${EMPTY}", ""),
        ("${EMPTY:-filled}", "filled"),
        ("${EMPTY-filled}", ""),
        ("${SMTP_USER:-${COMMITTED}}", "here"),
        ("a $$b", "a $b"),
    ],
)
def test_variables_have_the_value_that_compose_gives_them(value: str, expected: str, tmp_path: Path) -> None:
    """A default that is empty stays empty, and a committed `.env` is read; only what nobody knows is invented."""
    compose = f"services: {{app: {{{APP}, environment: {{X_USER: '{value}'}}}}}}\n"
    write(tmp_path, {"compose.yml": compose, "Dockerfile": DOCKERFILE, ".env": "COMMITTED=here\nEMPTY=\n"})
    assert propose(tmp_path).environment("app")["X_USER"] == expected


def test_an_env_file_that_is_not_committed_is_not_read(tmp_path: Path) -> None:
    """Of somebody's own `.env` only the committed example counts."""
    compose = f"services: {{app: {{{APP}, env_file: .env}}}}\n"
    write(tmp_path, {"compose.yml": compose, "Dockerfile": DOCKERFILE, ".env.example": "A=example\nB='x # y' # z\n"})
    (tmp_path / ".env").write_text("A=my-own\n")
    proposal = propose(tmp_path)
    assert proposal.environment("app") == {"A": "example", "B": "x # y"}
    assert "my-own" not in proposal.text + proposal.workflow


def test_the_example_of_an_env_file_that_nobody_passes(tmp_path: Path) -> None:
    """An application that reads `.env` itself gets the variables of the example, which a person would copy."""
    compose = (
        f"services:\n  app: {{{APP}, environment: {{B: compose}}, depends_on: [db]}}\n  db: {{image: 'mysql:8'}}\n"
    )
    example = "DB_HOST=localhost\nDB_PASSWORD=\nB=example\nALLOWED_HOSTS=localhost,127.0.0.1\n"
    write(tmp_path, {"compose.yml": compose, "Dockerfile": DOCKERFILE, ".env.example": example})
    expected = {"DB_HOST": "db", "DB_PASSWORD": "prodgate", "B": "compose", "ALLOWED_HOSTS": "*"}
    assert propose(tmp_path).environment("app") == expected


@pytest.mark.parametrize(
    "files",
    [
        {"compose.yaml": f"services: {{web: {{{HEALTH}}}}}", "compose.override.yaml": "services: {web: {build: .}}"},
        {"compose.yml": "include: [ops/web.yml]", "ops/web.yml": f"services: {{web: {{build: .., {HEALTH}}}}}"},
        {
            "compose.yml": "include: [{path: ops/web.yml, project_directory: .}]",
            "ops/web.yml": f"services: {{web: {{build: ., {HEALTH}}}}}",
        },
        {
            "compose.yml": "services: {web: {extends: {file: common.yml, service: base}, build: .}}",
            "common.yml": f"services: {{base: {{{HEALTH}, image: a/b}}}}",
        },
        {"local.yml": f"services: {{web: {{build: ., {HEALTH}}}}}"},
        {"compose.yml": f"services: {{web: {{build: !override {{context: .}}, {HEALTH}, image: !reset null}}}}"},
        {"docker-compose.prod.yml": f"x-base: &base {{build: .}}\nservices: {{web: {{<<: *base, {HEALTH}}}}}"},
    ],
    ids=["override", "include", "project directory", "extends", "another name", "tags", "anchors"],
)
def test_files_are_merged(files: dict[str, str], tmp_path: Path) -> None:
    """A service may be spread over files and may be in a file of any name: it is built, and its health is asked."""
    proposal = propose(write(tmp_path, {**files, "Dockerfile": DOCKERFILE}))
    start = proposal.checklist.targets["web"].start
    assert start
    assert start.build == "."
    assert "path: /health" in proposal.text


def test_what_is_no_compose_file(tmp_path: Path) -> None:
    """A file with `services:` of another program is not taken for one."""
    symfony = "services:\n  _defaults: {autowire: true}\n  App\\Mailer: {class: App\\Mailer}\n"
    proposal = propose(write(tmp_path, {"config/services.yaml": symfony, ".gitlab-ci.yml": "services: [postgres]\n"}))
    assert proposal.checklist.targets == {}


def test_reset_removes_a_key_of_an_earlier_file(tmp_path: Path) -> None:
    """`!reset` in the override takes the ports away, so that the health check names the only port."""
    base = f"services: {{web: {{build: ., ports: ['9000:9000'], {HEALTH}}}}}"
    files = {"compose.yml": base, "compose.override.yml": "services: {web: {command: [run], ports: !reset []}}"}
    proposal = propose(write(tmp_path, {**files, "Dockerfile": "FROM x\n"}))
    start = proposal.checklist.targets["web"].start
    assert start
    assert (start.command, proposal.checklist.targets["web"].port) == (["run"], 8000)


@pytest.mark.parametrize(
    ("dockerfile", "check", "port"),
    [
        ("EXPOSE 8008/tcp 8448/tcp\nHEALTHCHECK CMD curl http://localhost:8448/health\n", "", 8448),
        ("EXPOSE 8008\n", "healthcheck: {test: [CMD, wget, 'http://127.0.0.1:9000/live']}", 9000),
        ("EXPOSE 8008 8448\n", "expose: ['8448']", 8448),
        ("ARG PORT=7000\nEXPOSE $PORT\n", "", 7000),
        ("EXPOSE ${PORT:-7001}\n", "", 7001),
        ('CMD ["gunicorn", "--bind", "0.0.0.0:7002", "app"]\n', "", 7002),
        ("ENV PORT=7003\n", "", 7003),
    ],
)
def test_the_port_is_the_one_that_answers(dockerfile: str, check: str, port: int, tmp_path: Path) -> None:
    """The health check's port counts, then the Compose file's, then the Dockerfile's, then that of its command."""
    files = {"compose.yml": f"services: {{web: {{build: ., {check}}}}}", "Dockerfile": f"FROM x\n{dockerfile}"}
    proposal = propose(write(tmp_path, {**files, "app.py": '@app.get("/healthz")\ndef health(): ...\n'}))
    assert proposal.checklist.targets["web"].port == port


def test_a_health_check_that_is_a_script(tmp_path: Path) -> None:
    """A script of the repository says what it requests."""
    files = {
        "Dockerfile": "FROM x\nHEALTHCHECK CMD ./docker/check.py\n",
        "docker/check.py": 'base = "http://localhost:8000"\nurl = f"http://localhost:8000{prefix}/api/status/"\n',
        "compose.yml": "services: {web: {build: .}}",
    }
    proposal = propose(write(tmp_path, files))
    assert "{target: web, path: /api/status/, status: 200}" in proposal.text


@pytest.mark.parametrize(
    ("image", "files", "built"),
    [
        ("ghcr.io/acme/web:latest", {"Dockerfile": DOCKERFILE}, "."),
        ("acme/shop:1", {"shop/Dockerfile": DOCKERFILE, "other/Dockerfile": DOCKERFILE}, "shop"),
        (
            "acme/shop:${TAG}",
            {
                "a/Dockerfile": DOCKERFILE,
                "b/Dockerfile": DOCKERFILE,
                ".github/workflows/image.yml": "jobs: {a: {steps: [{uses: docker/build-push-action@v6,"
                " with: {context: b, tags: 'docker.io/acme/shop:1'}}]}}",
            },
            "b",
        ),
        ("acme/shop:1", {"a/Dockerfile": DOCKERFILE, "b/Dockerfile": DOCKERFILE}, None),
        ("acme/shop:1", {}, None),
        ("nginx:1", {"Dockerfile": DOCKERFILE}, None),
    ],
    ids=["root", "folder", "workflow", "two", "none", "foreign"],
)
def test_what_is_judged_is_the_commit(image: str, files: dict[str, str], built: str | None, tmp_path: Path) -> None:
    """A released image beside its Dockerfile is built; without one it is named, and no item is about it."""
    compose = f"services:\n  web:\n    image: '{image}'\n    ports: ['8000:8000']\n    {HEALTH}\n"
    proposal = propose(write(tmp_path, {"compose.yml": compose, **files}))
    if built:
        start = proposal.checklist.targets["web"].start
        assert start
        assert start.build == built
    else:
        assert "target: web" not in proposal.text
        assert image == "nginx:1" or "the service web: acme/shop:1 is a release" in proposal.notes


def test_a_service_that_only_a_profile_starts(tmp_path: Path) -> None:
    """`docker compose up` does not start it, so neither does the gate; it is named."""
    compose = f"services:\n  app: {{{APP}}}\n  seed: {{build: ., profiles: [seed], ports: ['1:1']}}\n"
    proposal = propose(write(tmp_path, {"compose.yml": compose, "Dockerfile": DOCKERFILE}))
    assert list(proposal.checklist.targets) == ["app"]
    assert "the service seed of compose.yml: only a profile starts it" in proposal.notes


def test_settings_that_a_target_does_not_have_are_named(tmp_path: Path) -> None:
    """A service that needs them will probably fail first, and the summary says so."""
    compose = f"services: {{app: {{{APP}, entrypoint: [./run], user: '1000'}}}}\n"
    proposal = propose(write(tmp_path, {"compose.yml": compose, "Dockerfile": DOCKERFILE}))
    assert "of the service app: entrypoint, user, which a target does not have" in proposal.notes
    assert "Probably the first to fail: the target app: its entrypoint, user of compose.yml" in proposal.summary


def test_an_endpoint_belongs_to_the_service_whose_dockerfile_is_nearest(tmp_path: Path) -> None:
    """Two services are built from the root: each endpoint is that of the Dockerfile beside the code."""
    compose = """services:
  one: {build: {context: ., dockerfile: one/Dockerfile}, ports: ["8001:8001"]}
  two: {build: {context: ., dockerfile: two/Dockerfile}, ports: ["8002:8002"]}
"""
    code = {
        f"{name}/app.py": f'@app.get("/{path}")\ndef health(): ...\n'
        for name, path in [("one", "healthz"), ("two", "livez")]
    }
    proposal = propose(write(tmp_path, {"compose.yml": compose, "one/Dockerfile": "", "two/Dockerfile": "", **code}))
    assert "{target: one, path: /healthz, status: 200}" in proposal.text
    assert "{target: two, path: /livez, status: 200}" in proposal.text


def test_a_service_that_has_to_end_is_no_server(tmp_path: Path) -> None:
    """A migration that others wait for is not waited for as for a port."""
    compose = """services:
  migrate: {build: ., command: alembic upgrade head, depends_on: [db]}
  app:
    build: .
    ports: ["8000:8000"]
    depends_on: {migrate: {condition: service_completed_successfully}}
    healthcheck: {test: curl -f http://localhost:8000/health}
  db: {image: "postgres:17", environment: {POSTGRES_PASSWORD: p}}
"""
    proposal = propose(write(tmp_path, {"compose.yml": compose, "Dockerfile": DOCKERFILE}))
    migrate = proposal.checklist.targets["migrate"]
    assert migrate.once
    assert (migrate.ready, migrate.after) == (None, ["db"])
    assert "migrate" in proposal.checklist.targets["app"].after


@pytest.mark.parametrize(
    "compose",
    [
        "services: [",
        "services: {a: {build: &a {context: *a}}}",
        "services: {a: 1}",
        "a: &a [*a]\nservices: {b: {build: *a}}",
        "services: {a: {extends: {service: a}, image: x}}",
        "include: [compose.yml]\nservices: {a: {image: 'redis:7'}}",
    ],
)
def test_files_that_can_not_be_read_break_nothing(compose: str, tmp_path: Path) -> None:
    """Broken, recursive and endless files leave a checklist that validates."""
    assert propose(write(tmp_path, {"compose.yml": compose, "Dockerfile": DOCKERFILE})).checklist.items
