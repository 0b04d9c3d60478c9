"""Who judges if Prometheus takes a file: promtool beside the gate, promtool in the target's container, or the gate."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gate.checks.base import CheckResult, ObservationError
from gate.model import Status
from gate.staging.container import Container, find_service_container
from gate.staging.docker_client import docker_client
from gate.staging.target import RunningTarget
from tests.support import engine, images
from tests.support.checks import check, context
from tests.support.promtools import Promtool, installed
from tests.support.services import prometheus_running
from tests.support.web import Reply, serving

# The newest promtool that is installed, and what it refuses although the gate takes it.
NEWEST_TOOL = max(installed(), key=lambda tool: tool.release.version)
VERSION = str(NEWEST_TOOL.release)
GOOD = "groups: [{name: g, rules: [{alert: A, expr: up == 0}]}]\n"
FLAGS = b'{"enable-feature":"promql-experimental-functions,x","agent":"false"}'
BAD = "groups:\n- name: g\n  rules:\n  - {alert: A, expr: 'up =='}\n"
# Debian's promtool is built without Azure, which the gate knows.
NO_AZURE = """scrape_configs: [{job_name: a, static_configs: [{targets: [a]}]}]
remote_write:
- {url: x, azuread: {managed_identity: {client_id: 00000000-0000-0000-0000-000000000000}}}
"""
TOO_DEEP = "groups: [{name: g, rules: [{record: a, expr: '" + "(" * 120 + "1" + ")" * 120 + "'}]}]\n"


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Put the newest promtool on the PATH, and nothing else that is called so."""
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "promtool").symlink_to(NEWEST_TOOL.path)
    monkeypatch.setenv("PATH", f"{folder}:/bin")


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Have no promtool on the PATH."""
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "sh").symlink_to("/bin/sh")
    monkeypatch.setenv("PATH", str(folder))


def judged(kind: str, root: Path, text: str, *, url: str = "", **fields: object) -> CheckResult:
    """Return what a check says of a file with this text."""
    (root / "file.yml").write_text(text)
    wish = {"valid": True} if kind == "alert_rules" else {"job": "a"}
    made = check(kind, file="file.yml", **wish, **fields)
    return made.judge(made.observe(context(root, limit=60, **({"prometheus": url} if url else {}))))


@pytest.mark.usefixtures("beside")
@pytest.mark.parametrize(
    ("kind", "text", "status", "reason"),
    [
        ("alert_rules", GOOD, Status.PASS, "1 groups with 1 alerts, file.yml: as expected"),
        ("alert_rules", BAD, Status.FAIL, "file.yml:4:22: A: The expression does not parse at character 6"),
        ("alert_rules", TOO_DEEP, Status.PASS, "1 groups with 0 alerts"),
        ("scrape_config", NO_AZURE, Status.FAIL, "file.yml:3:1: yaml: unmarshal errors: line 3: field azuread"),
        ("scrape_config", "scrape_configs: [{job_name: a}]\n", Status.FAIL, "The job a has no targets"),
    ],
)  # fmt: skip
def test_promtool_on_the_path_decides(tmp_path: Path, kind: str, text: str, status: Status, reason: str) -> None:
    """What promtool of that version takes is valid, and what it refuses is not; the message names it."""
    found = judged(kind, tmp_path, text, version=VERSION)
    assert found.status is status
    assert reason in str(found.message)
    assert f"judged by promtool {VERSION}." in str(found.message) or "no targets" in reason


@pytest.mark.usefixtures("beside")
@pytest.mark.parametrize(("version", "judge"), [("2.50", "2.50"), ("3.99", "3.14"), ("2.99", "2.99")])
def test_another_version_is_not_asked(tmp_path: Path, version: str, judge: str) -> None:
    """A promtool of another version than the one that the checklist names has no say."""
    found = judged("alert_rules", tmp_path, TOO_DEEP, version=version)
    assert found.status is Status.FAIL
    assert str(found.message).endswith(f"judged by prodgate (rules of Prometheus {judge})")


@pytest.mark.usefixtures("beside")
def test_without_a_version_the_same_major_is_asked(tmp_path: Path) -> None:
    """Where nobody says which Prometheus runs, the promtool beside the gate is the best hint."""
    assert NEWEST_TOOL.release.version >= (3, 0)
    assert f"judged by promtool {VERSION}." in str(judged("alert_rules", tmp_path, GOOD).message)


@pytest.mark.usefixtures("nowhere")
def test_without_promtool_the_gate_judges(tmp_path: Path) -> None:
    """The gate's own reading judges by the newest rules that it knows."""
    found = judged("scrape_config", tmp_path, NO_AZURE)
    assert found.status is Status.PASS
    assert str(found.message).endswith("judged by prodgate (rules of Prometheus 3.14)")


@pytest.mark.usefixtures("beside")
def test_an_unknown_flag_leaves_the_judgement_to_the_gate(tmp_path: Path) -> None:
    """What a flag allows that promtool cannot be given is not judged by promtool."""
    text = "groups: [{name: g, rules: [{record: a, expr: 'a + fill(0) b'}]}]\n"
    flags = ["promql-binop-fill-modifiers"]
    found = judged("alert_rules", tmp_path, text, version=VERSION, flags=flags)
    assert "judged by prodgate" in str(found.message)
    functions = "groups: [{name: g, rules: [{record: a, expr: 'limitk(1, up)'}]}]\n"
    found = judged("alert_rules", tmp_path, functions, version=VERSION, flags=["promql-experimental-functions"])
    assert found.status is Status.PASS
    assert f"judged by promtool {VERSION}." in str(found.message)
    assert judged("alert_rules", tmp_path, functions, version=VERSION, flags=[]).status is Status.FAIL


@pytest.mark.usefixtures("beside")
def test_files_of_another_machine_are_not_looked_for(tmp_path: Path) -> None:
    """A path outside of the checkout is no reason to refuse: only the machine of Prometheus has it."""
    text = "rule_files: [/nowhere/rules.yml]\nscrape_configs: [{job_name: a, static_configs: [{targets: [a]}]}]\n"
    found = judged("scrape_config", tmp_path, text, version=VERSION)
    assert found.status is Status.PASS
    assert "not looked at: /nowhere/rules.yml" in str(found.message)
    (tmp_path / "rules.yml").write_text(BAD)
    found = judged("scrape_config", tmp_path, text.replace("[/no", "[rules.yml, /no"), version=VERSION)
    assert found.status is Status.FAIL
    assert str(found.message).startswith("rules.yml:4:22: A: The expression does not parse")


@pytest.mark.usefixtures("beside")
def test_agent_mode(tmp_path: Path) -> None:
    """Prometheus in agent mode takes no rules, for promtool as for the gate."""
    text = "rule_files: []\nscrape_configs: [{job_name: a, static_configs: [{targets: [a]}]}]\n"
    assert judged("scrape_config", tmp_path, text, version=VERSION, flags=["agent"]).status is Status.PASS
    (tmp_path / "rules.yml").write_text(GOOD)
    text = text.replace("[]", "[rules.yml]", 1)
    assert judged("scrape_config", tmp_path, text, version=VERSION).status is Status.PASS
    for version in (VERSION, "3.99"):
        found = judged("scrape_config", tmp_path, text, version=version, flags=["agent"])
        assert str(found.message).startswith("file.yml:1:1: Prometheus in agent mode takes no 'rule_files'")


@pytest.mark.usefixtures("nowhere")
def test_the_running_version_and_flags_count(tmp_path: Path) -> None:
    """A target is asked for its version and its feature flags, unless the checklist gives them."""
    replies = {
        "/api/v1/status/buildinfo": Reply(200, b'{"status":"success","data":{"version":"2.53.1"}}'),
        "/api/v1/status/flags": Reply(200, b'{"status":"success","data":' + FLAGS + b"}"),
    }  # fmt: skip
    sorted_rule = "groups: [{name: g, rules: [{record: a, expr: 'sort_by_label(up, \"a\")'}]}]\n"
    with serving(replies) as web:
        asked = {"url": web.url, "target": "prometheus"}
        found = judged("alert_rules", tmp_path, sorted_rule, **asked)  # type: ignore[arg-type]
        assert found.status is Status.PASS
        assert "(rules of Prometheus 2.53)" in str(found.message)
        assert judged("alert_rules", tmp_path, sorted_rule, flags=[], **asked).status is Status.FAIL  # type: ignore[arg-type]
        utf8 = "groups: [{name: g, labels: {a.b: c}, rules: []}]\n"
        assert judged("alert_rules", tmp_path, utf8, **asked).status is Status.FAIL  # type: ignore[arg-type]
        assert judged("alert_rules", tmp_path, utf8, version="3.5", **asked).status is Status.PASS  # type: ignore[arg-type]


@pytest.mark.parametrize("version", ["2.24.0", "unknown"])
def test_a_server_that_is_not_prometheus_cannot_be_judged_for(tmp_path: Path, version: str) -> None:
    """A version that the gate does not know is an error, not a pass."""
    reply = Reply(200, f'{{"status":"success","data":{{"version":"{version}"}}}}'.encode())
    with (
        serving({"/api/v1/status/buildinfo": reply}) as web,
        pytest.raises(ObservationError, match="does not report a version of Prometheus that prodgate knows"),
    ):
        judged("alert_rules", tmp_path, GOOD, url=web.url, target="prometheus")


@pytest.mark.parametrize("tool", installed(), ids=lambda tool: str(tool.release))
def test_a_running_prometheus_is_asked(tmp_path: Path, tool: Promtool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prometheus of every version reports its version and flags; the promtool of its version judges."""
    monkeypatch.setenv("PATH", f"{Path(tool.path).parent}:/usr/bin:/bin")
    features = ["--enable-feature=promql-experimental-functions,exemplar-storage"]
    program = str(Path(tool.path).with_name("prometheus"))
    with prometheus_running("scrape_configs: []\n", program=program, options=features) as service:
        found = judged("alert_rules", tmp_path, TOO_DEEP, url=service.url, target="prometheus")
    assert found.status is Status.PASS
    assert f"judged by promtool {tool.release}." in str(found.message)


@pytest.fixture(scope="module")
def in_container() -> Iterator[Container]:
    """Provide the container of a Prometheus."""
    engine.up()
    handle = docker_client().containers.run(images.service("prometheus"), detach=True)
    try:
        handle.reload()
        yield find_service_container(str(handle.name))
    finally:
        handle.remove(force=True, v=True)


@pytest.mark.engine
@pytest.mark.usefixtures("nowhere")
def test_promtool_in_the_targets_container_decides(tmp_path: Path, in_container: Container) -> None:
    """It is run there, with the files of the checkout and those of the container, and leaves nothing behind."""
    address = in_container.addresses[0]
    running = RunningTarget("prometheus", "container", base_url=f"http://{address}:9090", containers=(in_container,))
    (tmp_path / "ops").mkdir()
    (tmp_path / "ops/rules.yml").write_text(BAD)
    (tmp_path / "ops/prometheus.yml").write_text(
        "rule_files: [rules.yml, /etc/prometheus/no.yml]\nscrape_configs: [{job_name: a}]\n"
    )
    here = context(tmp_path, limit=60, prometheus=running.base_url)
    here.targets["prometheus"] = running  # type: ignore[index]
    end = time.monotonic() + 60
    found = None
    while found is None and time.monotonic() < end:
        made = check("scrape_config", file="ops/prometheus.yml", job="a", target="prometheus")
        try:
            found = made.judge(made.observe(here))
        except ObservationError:
            time.sleep(0.2)  # it is starting
    assert found is not None
    assert found.status is Status.FAIL
    assert str(found.message).startswith("ops/rules.yml:4:22: A: The expression does not parse")
    assert str(found.message).endswith(" in prometheus")
    (tmp_path / "ops/rules.yml").write_text(GOOD)
    found = made.judge(made.observe(here))
    assert "/etc/prometheus/no.yml" in str(found.message)
    assert found.status is Status.FAIL
    rules = check("alert_rules", file="ops/rules.yml", valid=True, target="prometheus")
    message = str(rules.judge(rules.observe(here)).message)
    assert message.startswith("1 groups with 1 alerts, ops/rules.yml: as expected; judged by promtool ")
    assert in_container.handle.exec_run(["ls", "-A", "/tmp"]).output == b""
