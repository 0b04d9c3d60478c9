"""Test that the gate receives the pages of an Alertmanager, that nobody else does, and why a page is missing."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from msgspec import structs

from gate.alertmanager.config import parse_config
from gate.alertmanager.replacement import replaced
from gate.checks.base import CheckResult, ObservationError, errored
from gate.model import Status
from gate.staging.pages import PageInbox
from gate.staging.process import Process
from gate.staging.target import RunningTarget
from tests.support import images
from tests.support.alertmanager_files import COMPLETE
from tests.support.amtools import ALERTMANAGER
from tests.support.checks import check, context
from tests.support.paths import ROOT
from tests.support.services import answers, free_port

_WITHIN = 60.0
PRODUCTION = """
route:
  receiver: chat
  group_by: [alertname]
  group_wait: 1s
  group_interval: 1s
  routes:
    - {matchers: [severity=critical], receiver: pager}
    - {matchers: [severity=night], receiver: pager, mute_time_intervals: [always]}
inhibit_rules:
  - {source_matchers: [alertname=DatabaseDown], target_matchers: [alertname=Slow]}
time_intervals: [{name: always, time_intervals: [{}]}]
receivers:
  - {name: chat, slack_configs: [{api_url: "http://127.0.0.1:9/"}]}
  - {name: pager, pagerduty_configs: [{routing_key: key, url: "http://127.0.0.1:9/"}]}
"""


def wait_for(happened: Callable[[], object]) -> None:
    """Wait until something has happened."""
    end = time.monotonic() + _WITHIN
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.05)


def post(url: str, body: Any) -> bytes:
    """Send JSON to a server and return what it answers."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    connection.request("POST", parts.path, json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    content = response.read()
    connection.close()
    assert response.status == 200, content
    return content


@contextmanager
def alertmanager(folder: Path, config: bytes) -> Iterator[tuple[str, Process]]:
    """Run an Alertmanager with a configuration."""
    port = free_port()
    folder.mkdir(exist_ok=True)
    (folder / "alertmanager.yml").write_bytes(config)
    command = [str(ALERTMANAGER), "--config.file=alertmanager.yml", "--storage.path=data", "--cluster.listen-address=",
               "--enable-feature=event-recorder", f"--web.listen-address=127.0.0.1:{port}"]  # fmt: skip
    process = Process("alertmanager", command, {}, folder, secrets.token_hex(8), lambda pid: lambda: None)
    process.start()
    try:
        wait_for(lambda: answers(f"http://127.0.0.1:{port}/-/ready"))
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.terminate()


class Trap:
    """A port that counts who connects to it, and answers nothing."""

    def __init__(self) -> None:
        self.contacts = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                self._socket.accept()[0].close()
            except OSError:
                return
            self.contacts += 1

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()


def production(trap: Trap) -> bytes:
    """Return a configuration with every kind of receiver, each of which would contact the trap."""
    receiver = {kind: [{**entry, "send_resolved": True}] for kind, entry in COMPLETE.items()}
    text = json.dumps(
        {
            "global": {"http_config": {"proxy_url": "http://127.0.0.1:9"}},
            "route": {"receiver": "all", "group_wait": "0s", "group_interval": "1s"},
            "receivers": [{"name": "all", **receiver}],
            "tracing": {"endpoint": "127.0.0.1:9", "client_type": "http", "insecure": True, "sampling_fraction": 1.0},
            "event_recorder": {"webhook_outputs": [{"url": "http://127.0.0.1:9/"}]},
        }
    )
    return text.replace("127.0.0.1:9", f"127.0.0.1:{trap.port}").encode()


def test_nobody_else_is_contacted(tmp_path: Path) -> None:
    """Of every kind of receiver, only the gate is notified; nothing of production's file is contacted."""
    trap = Trap()
    alert = [{"labels": {"alertname": "Any"}}]
    with alertmanager(tmp_path / "production", production(trap)) as (url, _):
        post(f"{url}/api/v2/alerts", alert)
        wait_for(lambda: trap.contacts)
    trap.close()
    trap = Trap()
    inbox = PageInbox(parse_config(production(trap)), "alertmanager.yml", "127.0.0.1")
    with alertmanager(tmp_path / "gate", inbox.document) as (url, _):
        post(f"{url}/api/v2/alerts", alert)
        kinds = {kind.removesuffix("_configs") for kind in COMPLETE}
        wait_for(lambda: {notification.integration for notification in inbox.received} == kinds)
        post(
            f"{url}/api/v2/alerts", [{**alert[0], "startsAt": "2020-01-01T00:00:00Z", "endsAt": "2020-01-02T00:00:00Z"}]
        )
        wait_for(lambda: len([one for one in inbox.received if one.alerts[0].status == "resolved"]) == len(kinds))
    assert trap.contacts == 0
    inbox.close()
    trap.close()


def test_replacement_names_no_other_address() -> None:
    """The configuration that is loaded has no address but the gate's own, and keeps what decides."""
    written = replaced(parse_config(production_text()), "http://gate:1/token").decode()
    assert written.count("http") == written.count("http://gate:1/token/") == 2
    made, before = parse_config(written.encode()), parse_config(production_text())
    assert made.route.routes[0].matchers == before.route.routes[0].matchers
    assert [route.group_wait for route in made.route.walk()] == [route.group_wait for route in before.route.walk()]
    assert made.intervals == before.intervals
    assert [rule.source for rule in made.inhibit_rules] == [rule.source for rule in before.inhibit_rules]
    assert [r.sends_resolved for r in made.receivers] == [r.sends_resolved for r in before.receivers]


def production_text() -> bytes:
    """Return the configuration of production."""
    return PRODUCTION.encode()


class World:
    """A running Alertmanager that notifies the gate."""

    def __init__(self, url: str, process: Process, inbox: PageInbox) -> None:
        self.url, self.inbox = url, inbox
        self.target = RunningTarget("alertmanager", base_url=url, host="127.0.0.1", process=process, inbox=inbox)

    def page(self, alert: str, receiver: str = "pager", **fields: Any) -> CheckResult:
        """Return the result of one attempt."""
        world = structs.replace(context(alertmanager=self.url), targets={"alertmanager": self.target})
        made = check("page", target="alertmanager", alert=alert, receiver=receiver, **fields)
        try:
            return made.judge(made.observe(world))
        except ObservationError as error:
            return errored(error.message)

    def fire(self, name: str, **labels: str) -> None:
        """Send an alert."""
        post(f"{self.url}/api/v2/alerts", [{"labels": {"alertname": name, **labels}}])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Run an Alertmanager for all causes."""
    inbox = PageInbox(parse_config(production_text()), "alertmanager.yml", "127.0.0.1")
    with alertmanager(tmp_path_factory.mktemp("alertmanager"), inbox.document) as (url, process):
        yield World(url, process, inbox)
    inbox.close()


def test_not_routed(world: World) -> None:
    """The receivers that the alert is routed to are named."""
    world.fire("Disk", severity="warning")
    result = world.page("Disk")
    assert str(result.message).endswith("is not routed to pager but to chat")


def test_arrives(world: World) -> None:
    """The notification is the proof, and is kept as it arrived."""
    world.fire("DatabaseDown", severity="critical")
    wait_for(lambda: world.page("DatabaseDown").status is Status.PASS)
    result = world.page("DatabaseDown", only=True, labels={"severity": "critical"})
    assert result.status is Status.PASS
    assert json.loads(result.attachments[0].content)["receiver"] == "pager"
    assert world.page("DatabaseDown", annotations={"runbook": "x"}).status is Status.FAIL


def test_inhibited(world: World) -> None:
    """The alert that inhibits is named."""
    world.fire("DatabaseDown", severity="critical")
    world.fire("Slow", severity="critical")
    wait_for(lambda: "inhibited by" in str(world.page("Slow").message))
    assert str(world.page("Slow").message) == 'no page: inhibited by {alertname="DatabaseDown", severity="critical"}'


def test_silenced(world: World) -> None:
    """The silence is named, with who made it and why."""
    silence = {"matchers": [{"name": "alertname", "value": "Quiet", "isRegex": False, "isEqual": True}],
               "startsAt": "2020-01-01T00:00:00Z", "endsAt": "2099-01-01T00:00:00Z", "createdBy": "ops",
               "comment": "maintenance"}  # fmt: skip
    number = json.loads(post(f"{world.url}/api/v2/silences", silence))["silenceID"]
    world.fire("Quiet", severity="critical")
    wait_for(lambda: "silenced by" in str(world.page("Quiet").message))
    assert f'silenced by {number} (alertname="Quiet"), ops: maintenance' in str(world.page("Quiet").message)


def test_muted(world: World) -> None:
    """The time interval is named."""
    world.fire("Late", severity="night")
    assert "muted by the time interval always" in str(world.page("Late").message)


def test_never_received(world: World) -> None:
    """Without a Prometheus to ask, the reason is that nothing was received."""
    assert str(world.page("Nothing").message) == "no page: Alertmanager has not received the alert"


def test_receivers_that_notify_nobody() -> None:
    """A receiver that does not exist, or has no integration, is found without an alert."""
    config = parse_config(b"route: {receiver: none}\nreceivers: [{name: none}]")
    inbox = PageInbox(config, "a.yml", "127.0.0.1")
    empty = World("http://127.0.0.1:9", None, inbox)  # type: ignore[arg-type]
    assert "has no receiver pager; it has none" in str(empty.page("A").message)
    assert "has no integration: it notifies nobody" in str(empty.page("A", receiver="none").message)
    inbox.close()


def test_delivery_fails(tmp_path: Path) -> None:
    """The error of the delivery is the reason, as Alertmanager logs it."""
    inbox = PageInbox(parse_config(production_text()), "alertmanager.yml", "127.0.0.1")
    with alertmanager(tmp_path, inbox.document) as (url, process):
        world = World(url, process, inbox)
        inbox.close()
        world.fire("DatabaseDown", severity="critical")
        wait_for(lambda: "delivery failed with" in str(world.page("DatabaseDown").message))
        assert "connection refused" in str(world.page("DatabaseDown").message)


@pytest.mark.parametrize(("wait", "late"), [("40s", True), ("10s", False)])
def test_group_wait_is_found_beforehand(tmp_path: Path, wait: str, late: bool) -> None:
    """`plan` and `validate` name the route whose `group_wait` is longer than the drill waits."""
    (tmp_path / "alertmanager.yml").write_text(PRODUCTION.replace("group_wait: 1s", f"group_wait: {wait}"))
    page = {"target": "alertmanager", "alert": "A", "receiver": "pager", "labels": {"severity": "critical"}}
    drill = {"steady": [{"command": {"run": "true"}}], "fault": {"stop": "api"},
             "observe": [{"within": "20s", "page": page}]}  # fmt: skip
    checklist = {
        "version": 1,
        "service": "s",
        "targets": {"api": {"start": {"command": "true"}, "port": 1}, "alertmanager": {
            "start": {"command": "true"}, "pages": {"config": "alertmanager.yml"}}},
        "sections": [{"id": "s", "title": "S", "items": [{"id": "i", "title": "I", "drill": drill}]}],
    }  # fmt: skip
    (tmp_path / "prodgate.yml").write_text(json.dumps(checklist))
    for command in ("validate", "plan"):
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
        done = subprocess.run([sys.executable, "-m", "gate", command], cwd=tmp_path, env=environment,
                              capture_output=True, text=True, check=False)  # fmt: skip
        problem = "alertmanager.yml:8:1: group_wait 40.0 s is longer than `within: 20.0 s` of the page of A in i"
        assert (done.returncode, problem in done.stderr) == ((2, True) if late else (0, False)), done.stderr


def test_strangers_cannot_page() -> None:
    """A request without the secret path, or that is not a notification, is refused and not kept."""
    inbox = PageInbox(parse_config(production_text()), "a.yml", "127.0.0.1")
    parts = urlsplit(inbox.url)
    good = json.dumps({"alerts": [{"status": "firing", "labels": {"alertname": "A"}}]})
    own = f"{parts.path}/0/slack"
    refused = [("/x/0/slack", good), (f"{parts.path}/9/slack", good)]
    for path, body in [*refused, (own, "{}"), (own, "[" * 100_000), (own, '{"alerts": [5]}')]:
        connection = http.client.HTTPConnection("127.0.0.1", parts.port, timeout=20)
        connection.request("POST", path, body)
        assert connection.getresponse().status == 404
        connection.close()
    assert inbox.received == ()
    post(f"{inbox.url}/0/slack", json.loads(good))
    assert [notification.receiver for notification in inbox.received] == ["chat"]
    inbox.close()


def test_found_container_gets_its_file_back(tmp_path: Path) -> None:
    """A found container notifies the gate; after the run was killed, `restore` puts its own configuration back."""
    name, network = f"prodgate-pages-{os.getpid()}", f"prodgate-pages-{os.getpid()}"
    docker("network", "create", network)
    docker("run", "-d", "--name", name, "--network", network, images.service("alertmanager"))
    try:
        (tmp_path / "alertmanager.yml").write_text(PRODUCTION)
        (tmp_path / "prodgate.yml").write_text(json.dumps(_found(name)))
        before = configuration(name)
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(ROOT),
                       "PRODGATE_NETWORK": network}  # fmt: skip
        command = [sys.executable, "-m", "gate"]
        run = subprocess.Popen([*command, "run"], cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)
        wait_for((tmp_path / "begun").exists)
        assert "pager" in configuration(name)
        run.send_signal(signal.SIGKILL)
        run.wait()
        assert configuration(name) != before
        subprocess.run([*command, "restore"], cwd=tmp_path, env=environment, check=True, capture_output=True)
        assert configuration(name) == before
        assert list((tmp_path / ".local" / "state" / "prodgate").glob("*")) == []
    finally:
        docker("rm", "-f", name)
        docker("network", "rm", network)


def _found(name: str) -> dict[str, Any]:
    target = {"container": name, "port": 9093, "ready": {"path": "/-/ready"},
              "pages": {"config": "alertmanager.yml", "to": "/etc/alertmanager/alertmanager.yml"}}  # fmt: skip
    body = json.dumps([{"labels": {"alertname": "Any", "severity": "critical"}}])
    send = {"target": "alertmanager", "method": "POST", "path": "/api/v2/alerts", "body": body, "status": 200,
            "headers": {"Content-Type": "application/json"}}  # fmt: skip
    page = {"target": "alertmanager", "alert": "Any", "receiver": "pager"}
    items = [
        {"id": "send", "title": "An alert fires", "requires": ["alertmanager"], "http": send},
        {"id": "page", "title": "It arrives", "needs": ["send"], "within": "60s", "page": page},
        {"id": "begun", "title": "It goes on", "needs": ["page"], "timeout": "90s",
         "command": {"run": "sh -c 'touch begun; sleep 60'"}},
    ]  # fmt: skip
    return {"version": 1, "service": "s", "targets": {"alertmanager": target},
            "sections": [{"id": "s", "title": "S", "items": items}]}  # fmt: skip


def docker(*words: str) -> str:
    """Run docker and return what it prints."""
    return subprocess.run(["docker", *words], check=True, capture_output=True, text=True).stdout


def configuration(name: str) -> str:
    """Return the configuration file of the container."""
    return docker("exec", name, "cat", "/etc/alertmanager/alertmanager.yml")
