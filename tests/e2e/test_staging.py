"""Targets that the gate starts or provisions: what it waits for, what it refuses, and what it says of their end."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gate.model import Report
from gate.report.serialization import from_json
from tests.support import engine, images
from tests.support.folder import Folder, until
from tests.support.services import answers, free_port
from tests.support.staging import SERVES, docker
from tests.support.web import make_authority, serving, trickle

on_engine = [pytest.mark.engine, pytest.mark.xdist_group("e2e-staging")]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Create a folder for a run."""
    return Folder(tmp_path)


@pytest.fixture
def image() -> str:
    """Build an image with Python."""
    engine.up()
    return images.base()


def target(folder: Folder, name: str) -> dict[str, Any]:
    """Return the state of a target in the report."""
    written = json.loads((folder.path / "out" / "report.json").read_text())
    (found,) = [each for each in written["targets"] if each["name"] == name]
    return dict(found)


def item(**check: Any) -> dict[str, Any]:
    """Return an item that requires the target `web`."""
    return {"id": "i", "title": "I", "requires": ["web"], **check}


def serve(port: int) -> list[str]:
    """Return the command of a web server."""
    return [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)]


def test_a_port_that_another_program_has(folder: Folder) -> None:
    """A process is not started where another program has its port: that one's answers would be taken for its own."""
    port = free_port()
    ready = {"tcp": port, "within": "30s"}
    with subprocess.Popen(serve(port), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as other:
        folder.write(item(tcp={"target": "web"}), web={"url": f"http://127.0.0.1:{port}", "ready": ready})
        assert folder.run()[0] == 0
        folder.write(item(tcp={"target": "web"}), web={"port": port, "start": {"command": serve(port)}, "ready": ready})
        code, said = folder.run()
        other.kill()
    assert code == 1, said
    assert "is already in use by another program" in said, said


@pytest.mark.parametrize(("head", "ready"), [(b"", False), (b"Content-Type: text/plain\r\n\r\n", True)])
def test_a_target_that_answers_without_end(folder: Folder, head: bytes, ready: bool) -> None:
    """A head that never ends is no answer: the target is not ready after its `within`. A body that does not is one."""
    with serving({"/live": trickle(b"HTTP/1.1 200 OK\r\n" + head)}) as web:
        checked = {"path": "/live", "within": "3s"}
        folder.write(item(file={"path": "prodgate.yml", "exists": True}), web={"url": web.url, "ready": checked})
        folder.run()
        assert target(folder, "web")["ready"] == ready


def test_the_log_of_a_target_whose_item_fails(folder: Folder) -> None:
    """The last words of a process are evidence of an item that fails, and of none that passes."""
    port = free_port()
    serves = f"{sys.executable} -m http.server --bind 127.0.0.1 {port}"
    script = folder.program("tells", "echo a telling line", f"exec {serves}")
    web = {"url": f"http://127.0.0.1:{port}", "start": {"command": script}, "ready": {"path": "/", "within": "30s"}}
    bad = item(http={"target": "web", "path": "/", "status": 418})
    good = {**item(http={"target": "web", "path": "/", "status": 200}), "id": "good"}
    folder.write(bad, good, web=web)
    assert folder.run()[0] == 1
    kept = [[each["path"] for each in outcome["evidence"]["artifacts"]] for outcome in folder.outcomes()]
    assert ["evidence/target.web.log" in paths for paths in kept] == [True, False]
    assert "a telling line" in (folder.path / "out" / "evidence" / "target.web.log").read_text()
    assert "a telling line" in target(folder, "web")["log"]
    folder.write(good, web=web)
    assert folder.run()[0] == 0
    assert target(folder, "web")["log"] == ""


def test_the_host_of_a_gate_that_is_on_it(folder: Folder) -> None:
    """A gate that runs in no container finds host.docker.internal at 127.0.0.1, and asks no router."""
    port = free_port()
    with subprocess.Popen(serve(port), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as other:
        url = f"http://host.docker.internal:{port}"
        folder.write(item(http={"target": "web", "path": "/", "status": 200}),
                     web={"url": url, "ready": {"path": "/", "within": "20s"}})  # fmt: skip
        code, said = folder.run()
        other.kill()
    assert code == 0, said


@pytest.mark.parametrize("path", ["/etc/hostname", "../secret"])
def test_provisioning_from_outside(folder: Folder, path: str) -> None:
    """Only files of the checkout are copied: another path is an error of the checklist."""
    web = {"container": "web", "provision": [{"copy": path, "to": "/srv"}]}
    folder.write(item(tcp={"target": "web", "port": 1}), web=web)
    code, said = folder.run("validate")
    assert code == 2, said
    assert "expected a path inside the checkout" in said, said


@pytest.mark.parametrize("address", ["unix:///nowhere.sock", "tcp://127.0.0.1:port"])
def test_no_engine(folder: Folder, address: str) -> None:
    """Where there is no engine nothing is started, and so nothing is left that could never be undone."""
    folder.environment["DOCKER_HOST"] = address
    in_image = {"id": "c", "title": "C", "command": {"image": "alpine", "run": "true"}}
    start = {"image": "alpine"}
    folder.write(item(tcp={"target": "web"}), in_image, web={"start": start, "ready": {"tcp": 80, "within": "5s"}})
    gate = folder.start()
    until(lambda: gate.poll() is not None or bool(folder.journals()))
    folder.kill(gate)
    code, said = folder.run("restore")
    assert code == 0, said
    assert "NOT reverted" not in said, said
    assert folder.journals() == [], said
    code, said = folder.run()
    assert (code, [outcome["status"] for outcome in folder.outcomes()], folder.journals()) == (1, ["skip", "error"], [])
    assert "there is no container engine here" in said


class TestContainers:
    """With an engine."""

    pytestmark = on_engine

    def run(self, folder: Folder, *items: dict[str, Any], **web: Any) -> str:
        """Run items on a container and return why it is not ready; "" if it is."""
        folder.write(*items, web=web)
        code, said = folder.run()
        assert folder.journals() == [], said
        return "" if code == 0 else said

    def test_one_that_exits_at_once(self, folder: Folder, image: str) -> None:
        """A container that exits is not waited for any longer, and its exit code is said."""
        start = {"image": image, "command": ["sh", "-c", "echo no database; exit 7"]}
        said = self.run(folder, item(tcp={"target": "web"}), start=start, ready={"tcp": 80, "within": "10m"})
        assert "it has exited with 7" in said
        assert "no database" in target(folder, "web")["log"]

    def test_a_folder_that_is_not_there(self, folder: Folder, image: str) -> None:
        """A folder to build from that is not there is named."""
        said = self.run(folder, item(tcp={"target": "web"}), start={"build": "nowhere"}, ready={"tcp": 80})
        assert "nowhere is not a folder of the checkout" in said

    def test_a_command_in_an_image_beside_what_was_started(self, folder: Folder, image: str) -> None:
        """A command with an image reaches what the gate has started, where there is no job's network."""
        connects = ["python3", "-c", "import socket; socket.create_connection(('web', 5432), 5)"]
        asks = item(command={"image": image, "run": connects})
        start = {"image": image, "command": list(SERVES)}
        assert self.run(folder, asks, start=start, port=5432, ready={"tcp": 5432, "within": "30s"}) == ""

    def test_a_reload_before_the_server_is_up(self, folder: Folder, image: str) -> None:
        """A container that does not answer yet is asked again to reload, as long as it may take to be ready."""
        (folder.path / "late.py").write_text(
            "import http.server, time\n"
            "class Handler(http.server.BaseHTTPRequestHandler):\n"
            " def do_POST(self): self.send_response(200); self.end_headers()\n"
            " do_GET = do_POST\n"
            "time.sleep(3)\n"
            "http.server.HTTPServer(('', 5432), Handler).serve_forever()\n"
        )
        wait = "until [ -f /srv/late.py ]; do sleep 0.1; done; exec python3 /srv/late.py"
        provision = [{"copy": "late.py", "to": "/srv", "post": "/-/reload"}]
        asks = item(tcp={"target": "web"})
        start = {"image": image, "command": ["sh", "-c", wait]}
        ready = {"path": "/", "within": "40s"}
        assert self.run(folder, asks, start=start, port=5432, provision=provision, ready=ready) == ""

    @pytest.mark.parametrize(("known", "why"), [(True, ""), (False, "certificate")])
    def test_a_reload_over_https(self, folder: Folder, image: str, known: bool, why: str) -> None:
        """A service container is asked to reload over HTTPS, once what it serves with is trusted."""
        authority = make_authority(folder.path)
        (folder.path / "tls.pem").write_bytes(authority.server.read_bytes())
        (folder.path / "serve.py").write_text(
            "import http.server, ssl\n"
            "class Handler(http.server.BaseHTTPRequestHandler):\n"
            " def do_POST(self): print('asked for', self.path); self.send_response(200); self.end_headers()\n"
            "context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\n"
            "context.load_cert_chain('/work/tls.pem')\n"
            "server = http.server.HTTPServer(('', 5432), Handler)\n"
            "server.socket = context.wrap_socket(server.socket, server_side=True)\n"
            "server.serve_forever()\n"
        )
        if known:
            folder.environment["SSL_CERT_FILE"] = str(authority.ca)
        docker("run", "-d", "--name", folder.word, "-p", "127.0.0.1::5432", "-v", f"{folder.path}:/work:ro",
               image, "python3", "-u", "/work/serve.py")  # fmt: skip
        try:
            port = docker("port", folder.word, "5432").rpartition(":")[2]
            provision = [{"copy": "serve.py", "to": "/srv", "post": "/-/reload"}]
            found = {"container": folder.word, "url": f"https://localhost:{port}", "provision": provision}
            said = self.run(folder, item(http={"target": "web", "path": "/", "status": 501}), **found,
                            ready={"tcp": 5432, "within": "3s"})  # fmt: skip
            asked = docker("exec", folder.word, "ls", "/srv"), "asked for /-/reload" in docker("logs", folder.word)
        finally:
            docker("rm", "-f", folder.word)
        assert asked == ("serve.py", known), said
        assert why in said, said
        assert ("/-/reload" in said) is not known, said

    def test_a_link_out_of_the_checkout(self, folder: Folder, image: str) -> None:
        """A symbolic link that leads out of the checkout is not copied."""
        (folder.path / "etc").symlink_to("/etc")
        start = {"image": image, "command": list(SERVES)}
        provision = [{"copy": "etc", "to": "/srv"}]
        said = self.run(folder, item(tcp={"target": "web", "port": 1}), start=start, provision=provision)
        assert "etc leads out of the checkout" in said


def reasons(folder: Folder) -> list[tuple[str, str]]:
    """Return the reasons of the verdict, each with its advice."""
    return [(str(each.message), str(each.advice or "")) for each in report(folder).verdict.reasons]


def report(folder: Folder) -> Report:
    """Read the report of a run."""
    path = folder.path / "out" / "report.json"
    return from_json(path.read_text(), path.name)


FILE = {"file": {"path": "prodgate.yml", "exists": True}}


def test_a_process_that_exits_says_why(folder: Folder) -> None:
    """The reason has the last error of the log, not the line behind it; the advice is about its start."""
    script = folder.program("breaks", "echo starting", "echo 'ERROR: no such flag --x' >&2", "echo bye", "exit 3")
    folder.write(item(**FILE), web={"start": {"command": script}, "ready": {"tcp": free_port(), "within": "30s"}})
    assert folder.run()[0] == 1
    ((why, advice),) = reasons(folder)
    assert why == "web is not ready: it has exited with 3: ERROR: no such flag --x (1 item)"
    assert "`start`" in advice
    assert "address" not in advice


@pytest.mark.parametrize("ready", [{"path": "/"}, {"tcp": 9}])
def test_a_port_that_refuses_is_named(folder: Folder, ready: dict[str, Any]) -> None:
    """That the time was over hides no refused connection; the advice for what others start is about its address."""
    folder.write(item(**FILE), web={"url": "http://127.0.0.1:9", "ready": {**ready, "within": "900ms"}})
    assert folder.run()[0] == 1
    ((why, advice),) = reasons(folder)
    assert "refused" in why, why
    assert "address" in advice, why


def test_a_log_tells_causes_apart(folder: Folder) -> None:
    """A failing item's reason has the last error in the log of a target that it names."""
    port = free_port()
    script = folder.program("tells", "echo 'FATAL: too many clients already'", shlex.join(serve(port)))
    web = {"url": f"http://127.0.0.1:{port}", "start": {"command": script}, "ready": {"path": "/", "within": "30s"}}
    folder.write(item(http={"target": "web", "path": "/", "status": 418}), web=web)
    assert folder.run()[0] == 1
    ((why, _),) = reasons(folder)
    assert "(log of web: FATAL: too many clients already)" in why


def test_the_rules_that_a_prometheus_refuses_come_first(folder: Folder) -> None:
    """The broken rule file comes before the Prometheus that exits because of it."""
    rules = folder.path / "broken.yml"
    rules.write_text("groups: [{name: g, rules: [{alert: A, expr: 'up =='}]}]")
    script = folder.program("prometheus", f"echo 'level=ERROR err=\"{rules}: 1:40: parse error\"'", "exit 2")
    web = {"start": {"command": script}, "ready": {"tcp": free_port(), "within": "30s"}}
    static = {"id": "rules", "title": "Rules", "alert_rules": {"file": "broken.yml", "valid": True}}
    folder.write(item(**FILE), static, web=web)
    assert folder.run()[0] == 1
    first, second = (why for why, _ in reasons(folder))
    assert first.startswith("Rules: broken.yml:1")
    assert second.startswith("web is not ready: it has exited with 2")


def test_a_target_after_one_that_fails(folder: Folder) -> None:
    """A check of a target that was not started for another one's sake is a FAIL, asks nothing, and names the cause."""
    port = free_port()
    migrate = {
        "start": {"command": folder.program("migrate", "exit 1")},
        "ready": {"tcp": free_port(), "within": "30s"},
    }
    with subprocess.Popen(serve(port), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as other:
        until(lambda: answers(f"http://127.0.0.1:{port}"))
        app = {"url": f"http://127.0.0.1:{port}", "start": {"command": ["sleep", "9"]}, "after": ["migrate"]}
        checks = [
            {"http": {"target": "app", "path": "/", "status": 200}, "within": "60s"},
            {"tcp": {"target": "app"}},
            {"metrics": {"target": "app", "valid": True}},
        ]
        items = [{"id": f"i{number}", "title": "I", **check} for number, check in enumerate(checks)]
        folder.write(*items, migrate=migrate, app=app)
        assert folder.run()[0] == 1
        other.kill()
    expected = "app is not ready: its dependency migrate is not ready: it has exited with 1"
    outcomes = [each.outcome for each in report(folder).items]
    found = [(outcome.status, str(outcome.message), outcome.evidence.attempts) for outcome in outcomes]
    assert found == [("fail", expected, 1)] * 3
    ((why, advice),) = reasons(folder)
    assert "(3 items)" in why
    assert "migrate" in advice


def test_nowhere_to_write_the_journal(folder: Folder) -> None:
    """Where the fault journal can't be written, the reason names the folder and says how to choose another."""
    for name in ("XDG_STATE_HOME", "RUNNER_TEMP"):
        folder.environment.pop(name, None)
    folder.environment["HOME"] = "/dev/null/home"
    folder.write(item(**FILE), web={"start": {"command": ["sleep", "9"]}, "port": 9})
    code, said = folder.run()
    ((why, advice),) = reasons(folder)
    assert code == 1
    assert "/dev/null/home" in why
    assert "XDG_STATE_HOME" in advice
    assert "Traceback" not in said


class TestNames:
    """Names that lead nowhere, or to several containers."""

    pytestmark = on_engine

    @pytest.fixture
    def network(self, image: str) -> Iterator[str]:
        """Two containers on a network of their own, both under the alias of the network's name."""
        name = f"prodgate-test-{uuid.uuid4().hex[:8]}"
        docker("network", "create", name)
        try:
            for which in ("a", "b"):
                alias = ["--network", name, "--network-alias", name]
                docker("run", "-d", "--name", f"{name}-{which}", *alias, image, "sleep", "600")
            yield name
        finally:
            docker("rm", "-f", f"{name}-a", f"{name}-b")
            docker("network", "rm", name)

    def test_a_name_on_a_network_that_is_not_shared(self, folder: Folder, network: str) -> None:
        """The advice for a name that does not resolve names the container that has it elsewhere, and its network."""
        url = f"http://{network}:80"
        folder.write(item(**FILE), web={"url": url, "ready": {"path": "/", "within": "1s"}})
        assert folder.run()[0] == 1
        ((why, advice),) = reasons(folder)
        assert "look-up failed" in why
        assert f"container: {network}-" in advice
        assert f"the network {network}" in advice

    def test_several_containers_of_one_name(self, folder: Folder, network: str) -> None:
        """Several containers of one alias are named, and the advice says how to choose; the choice is found."""
        folder.environment["PRODGATE_NETWORK"] = network
        folder.write(item(**FILE), web={"container": network})
        assert folder.run()[0] == 1
        ((why, advice),) = reasons(folder)
        assert f"{network}-a, {network}-b" in why
        assert "under `container`" in advice
        folder.write(item(**FILE), web={"container": f"{network}-b"})
        assert folder.run()[0] == 0
