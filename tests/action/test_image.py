"""The action as the runner runs it: its image, on a job's network, with real services beside it."""

from __future__ import annotations

import http.server
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import engine, images
from tests.support.paths import ROOT
from tests.support.runner.job import TOKEN, Job, Service

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("action-image")]

CHECKLIST = """\
version: 1
service: veza
environment: staging
targets:
  prometheus: {url: "http://prometheus:9090", ready: {path: /-/ready, within: 60s}}
  database: {container: postgres, ready: {tcp: 5432, within: 60s}}
sections:
  - id: up
    title: Up
    items:
      - id: up.prometheus
        title: Prometheus is ready
        requires: [prometheus]
        http: {target: prometheus, path: /-/ready, status: 200}
      - id: up.database
        title: The database listens
        requires: [database]
        tcp: {target: database, port: 5432}
      - id: up.readme
        title: A readme stands there
        file: {path: README.md, exists: true}
"""
HOSTILE = """\
version: 1
service: veza
environment: staging
targets:
  api: {url: "http://api:8000"}
sections:
  - id: s
    title: S
    items:
      - {id: s.hostile, title: Hostile, http: {target: api, path: /, status: 200, text: {contains: ready}}}
"""
SERVER = r"""
import http.server
BODY = (
    "::set-output name=go::true\n::set-output name=verdict::GO\r::error::owned\r\n##[error]owned\n"
    "::stop-commands::x\n::add-mask::e\n::save-state name=a::b\n  ::set-env name=A::b\ngo<<prodgate\ntrue\n"
).encode()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(500, "::error::owned")
        self.send_header("X-Evil", "##[error]owned")
        self.end_headers()
        self.wfile.write(BODY)
http.server.HTTPServer(("", 8000), Handler).serve_forever()
"""
ITEM = "{id: s.a, title: A, file: {path: prodgate.yml, exists: true}}"
SMALL = f"version: 1\nservice: a\nenvironment: b\nsections: [{{id: s, title: S, items: [{ITEM}]}}]\n"
WAITING = """\
version: 1
service: a
environment: b
sections:
  - id: s
    title: S
    items:
      - {id: s.wait, title: Waits, timeout: 100s, command: {shell: true, run: "touch started; sleep 100", exit: 0}}
"""


@pytest.fixture(scope="module")
def image() -> str:
    """Build the action's image."""
    engine.up()
    return images.action()


@pytest.fixture(scope="module")
def services(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Job]:
    """Start a job with PostgreSQL and Prometheus."""
    given = {
        "postgres": Service(images.service("postgres"), {"POSTGRES_PASSWORD": "s3cr3t"}),
        "prometheus": Service(images.service("prometheus"), ports=("9090",)),
    }
    with Job(tmp_path_factory.mktemp("job"), image, services=given) as job:
        (job.workspace / "README.md").write_text("# Veza\n")
        (job.workspace / "prodgate.yml").write_text(CHECKLIST)
        yield job


class Answers(http.server.BaseHTTPRequestHandler):
    """What a step of the job started on the runner's host."""

    def do_GET(self) -> None:
        """Respond 200 without a body."""
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Log nothing."""


def test_the_runners_host(services: Job) -> None:
    """A URL whose host is `host.docker.internal` reaches a server that a step started on the runner's host."""
    server = http.server.ThreadingHTTPServer(("", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://host.docker.internal:{server.server_port}"
        item = "{id: s.a, title: A, requires: [api], http: {target: api, path: /, status: 200}}"
        text = SMALL.replace(ITEM, item) + f"targets: {{api: {{url: '{url}', ready: {{path: /, within: 20s}}}}}}\n"
        (services.workspace / "host.yml").write_text(text)
        stage = services.main(file="host.yml")
    finally:
        server.shutdown()
        server.server_close()
    assert (stage.conclusion, stage.outputs["passed"]) == ("success", "1"), stage.log.text


def test_go(services: Job) -> None:
    """With everything up it is a GO: exit code, outputs, reports, summary, and a post step that has nothing to do."""
    stage = services.main()
    assert stage.conclusion == "success", stage.log.text
    assert {**stage.outputs, "report": "", "junit": "", "json": ""} == {
        "verdict": "GO",
        "go": "true",
        "passed": "3",
        "failed": "0",
        "errors": "0",
        "skipped": "0",
        "waived": "0",
        "total": "3",
        "rate": "100",
        "report": "",
        "junit": "",
        "json": "",
    }
    for name in ("report", "junit", "json"):
        assert (services.workspace / stage.outputs[name]).stat().st_size > 0
    assert "GO" in stage.commands.summary
    assert stage.log.annotations == []
    assert services.post().conclusion == "success"


def test_every_output_is_declared(services: Job) -> None:
    """The step sets the outputs that `action.yml` has, no other and no fewer."""
    assert sorted(services.main(only="up.readme").outputs) == sorted(services.manifest.outputs)


def test_no_go(services: Job) -> None:
    """A service that is away is a NO-GO: the step fails, says so everywhere, and leads to the line."""
    (services.workspace / "away.yml").write_text(
        "version: 1\ntargets: {prometheus: {url: 'http://prometheus:1', ready: {within: 1s}}}\n"
    )
    stage = services.main(file="prodgate.yml\naway.yml", out="reports/of prometheus", language="fr")
    assert (stage.code, stage.conclusion) == (1, "failure")
    assert (stage.outputs["verdict"], stage.outputs["go"]) == ("NO-GO", "false")
    assert stage.outputs["json"] == "reports/of prometheus/report.json"
    report = json.loads((services.workspace / stage.outputs["json"]).read_text())
    assert report["language"] == "fr"
    (error,) = [found for found in stage.log.annotations if found.name == "error"]
    assert error.properties["title"].startswith("up.prometheus")
    assert "NO-GO" in stage.commands.summary


def test_a_wrong_checklist(image: str, tmp_path: Path) -> None:
    """A wrong checklist exits with 2, names file and line, and leaves outputs that nobody can take for a GO."""
    with Job(tmp_path, image) as job:
        (job.workspace / "prodgate.yml").write_text(SMALL.replace("exists", "exsits"))
        stage = job.main()
    assert stage.code == 2
    assert stage.outputs == {"verdict": "", "go": "false"}
    assert "prodgate.yml:4:" in stage.log.text
    assert "exsits" in stage.log.text


@pytest.mark.parametrize(
    "inputs", [{"file": "none.yml"}, {"deadline": "soon"}, {"language": "de"}, {"only": "nothing"}, {"file": "--help"}]
)
def test_wrong_inputs(image: str, tmp_path: Path, inputs: dict[str, str]) -> None:
    """An input that cannot be is told, and exits with 2: never with the code of a verdict, or of success."""
    with Job(tmp_path, image) as job:
        (job.workspace / "prodgate.yml").write_text(SMALL)
        stage = job.main(**inputs)
    assert stage.code == 2, stage.log.text
    assert "Traceback" not in stage.log.text
    assert stage.outputs.get("go", "false") == "false"


def test_a_hostile_service(image: str, tmp_path: Path) -> None:
    """Nothing that a service answers is a command, an output, a mask or an annotation of its own."""
    given = {"api": Service(images.base(), command=("python3", "-c", SERVER))}
    with Job(tmp_path, image, services=given) as job:
        (job.workspace / "prodgate.yml").write_text(HOSTILE)
        stage = job.main()
    assert (stage.code, stage.log.failures, stage.commands.errors) == (1, [], []), stage.log.text
    assert (stage.log.outputs, stage.log.state, stage.log.masks, stage.log.stopped) == ({}, {}, [], None)
    assert stage.outputs["go"] == "false"
    assert [found.name for found in stage.log.annotations] == ["error"]
    assert stage.log.annotations[0].properties["title"].startswith("s.hostile")


def test_on_itself(services: Job) -> None:
    """The checklists of the action's own CI say GO and NO-GO, as that workflow expects."""
    shutil.copytree(ROOT / ".github", services.workspace / ".github")
    shutil.copy(ROOT / "action.yml", services.workspace)
    go = services.main(file=".github/prodgate.yml")
    assert (go.conclusion, go.outputs["verdict"], go.outputs["failed"]) == ("success", "GO", "0")
    no_go = services.main(file=".github/prodgate.yml\n.github/prodgate.no-go.yml", out="prodgate-no-go")
    assert (no_go.conclusion, no_go.outputs["verdict"], no_go.outputs["go"]) == ("failure", "NO-GO", "false")


def test_code_under_test_is_not_imported(image: str, tmp_path: Path) -> None:
    """Modules of the workspace and Python's variables of the workflow do not reach the gate."""
    with Job(tmp_path, image, env={"PYTHONPATH": "/github/workspace", "PYTHONSTARTUP": "json.py"}) as job:
        (job.workspace / "prodgate.yml").write_text(SMALL)
        for name in ("json", "gate", "yaml", "sitecustomize"):
            (job.workspace / f"{name}.py").write_text("raise SystemExit(0)\n")
        stage = job.main()
    assert stage.outputs["total"] == "1"


def test_cancelled(image: str, tmp_path: Path) -> None:
    """A cancelled step ends before the runner kills it, writes its report, and its outputs are no GO."""
    with Job(tmp_path, image) as job:
        (job.workspace / "prodgate.yml").write_text(WAITING)
        stage = job.main_cancelled_once(lambda: (job.workspace / "started").exists())
    assert (stage.conclusion, stage.code) == ("cancelled", 130)
    assert (stage.outputs["verdict"], stage.outputs["go"]) == ("NO-GO", "false")
    assert "NO-GO" in stage.commands.summary


def test_no_secret_leaves(services: Job) -> None:
    """The token and the job's own secrets stand in no line that is said and in no report, without the runner's help."""
    stage = services.main()
    written = [path.read_text() for path in (services.workspace / "prodgate-out").iterdir() if path.is_file()]
    texts = ["\n".join(stage.log.raw), stage.commands.summary, *written]
    assert [text for text in texts if TOKEN in text or "s3cr3t" in text] == []
