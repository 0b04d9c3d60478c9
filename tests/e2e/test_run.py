"""A run as a user sees it: the program, its exit code, what it prints, and the reports that it leaves."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import ROOT


class Gate:
    """A folder with a checklist, and the gate run on it in a scrubbed environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": str(ROOT),
            "LANG": "C.UTF-8",
        }

    def write(self, *items: dict[str, Any], **top: Any) -> None:
        """Write a checklist with one section of these items."""
        section = {"id": "s", "title": "S", "items": [{"title": item["id"].upper(), **item} for item in items]}
        checklist = {"version": 1, "service": "shop", "sections": [section], **top}
        (self.folder / "prodgate.yml").write_text(json.dumps(checklist))

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start the program."""
        command = [sys.executable, "-m", "gate", *words]
        return subprocess.Popen(
            command, cwd=self.folder, env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def run(self, *words: str) -> tuple[int, str, str]:
        """Run the program to its end and return exit code, standard output and standard error."""
        started = self.start(*(words or ("run",)))
        out, err = started.communicate(timeout=120)
        return started.returncode, out, err

    @property
    def report(self) -> dict[str, Any]:
        """Read `report.json`."""
        return json.loads((self.folder / "prodgate-out" / "report.json").read_text())

    @property
    def statuses(self) -> dict[str, str]:
        """Return the status of each item."""
        items = [item for section in self.report["sections"] for item in section["items"]]
        return {item["id"]: item["outcome"]["status"] for item in items}


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    """Create a folder with a gate."""
    return Gate(tmp_path)


@pytest.fixture
def silent() -> Iterator[str]:
    """Yield the URL of a server that accepts connections and never responds."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(64)
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"


def there(name: str, **more: Any) -> dict[str, Any]:
    """Return an item that passes: its file exists."""
    return {"id": name, "file": {"path": "prodgate.yml", "exists": True}, **more}


def missing(name: str, **more: Any) -> dict[str, Any]:
    """Return an item that fails: its file does not exist."""
    return {"id": name, "file": {"path": "nothing", "exists": True}, **more}


REFUSED = {"api": {"url": "http://127.0.0.1:9", "ready": {"path": "/", "within": "1s"}}}


def test_go(gate: Gate) -> None:
    """Everything passes: exit code 0, and all the reports."""
    gate.write(there("a"), there("b"))
    code, out, _ = gate.run()
    assert (code, gate.statuses, gate.report["verdict"]["decision"]) == (0, {"a": "pass", "b": "pass"}, "GO")
    assert "GO" in out
    names = {path.name for path in (gate.folder / "prodgate-out").iterdir()}
    assert names >= {"report.json", "report.md", "report.html", "junit.xml"}


def test_no_go(gate: Gate) -> None:
    """A blocking item that fails: exit code 1, and the JUnit case `verdict` fails last."""
    gate.write(there("a"), missing("b"))
    code, _, _ = gate.run()
    suites = list(ET.parse(gate.folder / "prodgate-out" / "junit.xml").getroot().iter("testsuite"))
    last = list(suites[-1].iter("testcase"))[-1]
    assert (code, suites[-1].get("name"), last.get("name")) == (1, "verdict", "verdict")
    assert last.find("failure") is not None


def test_reservations(gate: Gate) -> None:
    """An advisory item that fails is a reservation: exit code 0."""
    gate.write(there("a"), missing("b", severity="advisory"))
    assert (gate.run()[0], gate.report["verdict"]["decision"]) == (0, "GO with reservations")


def test_a_target_that_never_comes(gate: Gate) -> None:
    """Items that require it are skipped with the reason, those that do not fail; all are one reason."""
    asks = {"http": {"target": "api", "path": "/", "status": 200}}
    gate.write({"id": "a", "requires": ["api"], **asks}, {"id": "b", **asks}, targets=REFUSED)
    assert (gate.run()[0], gate.statuses) == (1, {"a": "skip", "b": "fail"})
    (reason,) = gate.report["verdict"]["reasons"]
    assert reason["items"] == ["a", "b"]
    items = gate.report["sections"][0]["items"]
    shown = [(item["outcome"]["evidence"]["asked"], item["outcome"]["evidence"]["reproduce"]) for item in items]
    assert shown == [("GET http://127.0.0.1:9/", "curl -sS -i http://127.0.0.1:9/")] * 2
    assert (gate.folder / "prodgate-out/report.md").read_text().count("curl -sS -i http://127.0.0.1:9/") >= 2


def test_needs(gate: Gate) -> None:
    """An item whose needed item did not pass is skipped, whatever the order in the file, and named under its cause."""
    gate.write(there("a", needs=["b"]), missing("b"), there("c", needs=["a"]))
    assert (gate.run()[0], gate.statuses) == (1, {"a": "skip", "b": "fail", "c": "skip"})
    (reason,) = gate.report["verdict"]["reasons"]
    assert sorted(reason["items"]) == ["a", "b", "c"]


def test_order(gate: Gate) -> None:
    """The reports keep the checklist's order, whoever is done first."""
    slow = {"id": "a", "command": {"run": ["sleep", "0.5"], "exit": 0}}
    gate.write(slow, there("b"), there("c"))
    gate.run()
    assert list(gate.statuses) == ["a", "b", "c"]


def test_deadline(gate: Gate, silent: str) -> None:
    """The overall deadline ends the run at once, and what did not run is no pass."""
    asks = {"http": {"url": silent, "status": 200}, "timeout": "60s"}
    gate.write({"id": "a", **asks}, there("b", needs=["a"]), there("c"))
    began = time.monotonic()
    code, _, _ = gate.run("run", "--deadline", "2s")
    assert (code, gate.statuses) == (1, {"a": "error", "b": "error", "c": "pass"})
    assert gate.report["ended"] == "deadline"
    assert time.monotonic() - began < 40
    (reason,) = gate.report["verdict"]["reasons"]
    assert reason["items"] == ["a", "b"]
    text = (gate.folder / "prodgate-out/report.md").read_text()
    assert text.count("The run reached its overall deadline") == 3
    assert "Raise the run's deadline" in text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_cancelled(gate: Gate, silent: str, number: int) -> None:
    """Ctrl-C and SIGTERM end the run at once, with all reports and exit code 130."""
    gate.write({"id": "a", "http": {"url": silent, "status": 200}, "timeout": "60s"}, there("b"))
    started = gate.start("run")
    assert started.stderr is not None
    assert "b" in started.stderr.readline()
    started.send_signal(number)
    started.communicate(timeout=40)
    assert (started.returncode, gate.statuses) == (130, {"a": "error", "b": "pass"})
    assert (gate.folder / "prodgate-out" / "junit.xml").exists()


def test_only(gate: Gate) -> None:
    """`--only` runs the items that it names; an unknown name is an error with the nearest one."""
    gate.write(there("first"), missing("second"))
    assert (gate.run("run", "--only", "first")[0], gate.statuses) == (0, {"first": "pass"})
    assert [held["message"]["args"]["count"] for held in gate.report["verdict"]["reservations"]] == [1]
    code, _, err = gate.run("run", "--only", "frist")
    assert code == 2
    assert "did you mean 'first'?" in err


def test_waiver(gate: Gate) -> None:
    """A waiver in force lets an item fail, and the GO says when it ends."""
    waiver = {"item": "b", "owner": "team", "reason": "issue 412", "expires": "2099-01-01"}
    gate.write(there("a"), missing("b"), waivers=[waiver])
    assert (gate.run()[0], gate.report["verdict"]["until"]) == (0, "2099-01-01")


def test_a_wrong_checklist(gate: Gate) -> None:
    """A wrong checklist: its errors, exit code 2, and nothing was run."""
    (gate.folder / "prodgate.yml").write_text("version: 1\nservise: x\n")
    code, out, err = gate.run()
    assert (code, out) == (2, "")
    assert "prodgate.yml:2:1: unknown key 'servise'" in err
    assert "Traceback" not in err
    assert not (gate.folder / "prodgate-out").exists()


@pytest.mark.parametrize(
    "words",
    [["run", "--file", "no.yml"], ["run", "--deadline", "3"], ["nonsense"], ["render", "no.json", "--format", "md"],
     ["run", "--baseline", "no.json"], ["validate", "--no-such-option"],
     ["run", "--out", ""], ["run", "--deadline", "99999999999h"], ["run", "--workers", "0"], ["plan", "--workers=-1"],
     ["prove", "--workers", "two"]],
    ids=" ".join,
)  # fmt: skip
def test_a_wrong_call(gate: Gate, words: list[str]) -> None:
    """A wrong call: exit code 2, and no traceback."""
    gate.write(there("a"))
    code, _, err = gate.run(*words)
    assert code == 2
    assert "Traceback" not in err
    assert err != ""


@pytest.mark.parametrize(
    ("streams", "codes"),
    [
        (">&-", (0, 1)),
        ("2>&-", (0, 1)),
        ("<&- >&- 2>&-", (0, 1)),
        (">/dev/full", (3, 1)),
        ("2>/dev/full", (0, 1)),
        ("2>&1 >/dev/null | true", (0, 1)),
        ("| true", (3, 1)),
    ],
)
def test_where_nobody_listens(gate: Gate, streams: str, codes: tuple[int, int]) -> None:
    """A standard error that is closed, full or without a reader changes no verdict; nor does a closed standard output.

    A GO that could not be written to standard output is not one.
    """
    for made, code in zip((there, missing), codes, strict=True):
        gate.write(made("a"))
        # The gate's own exit code, also from within a pipe; it begins when the reader of the pipe is gone.
        call = f"{{ sleep 0.5; {sys.executable} -m gate run; echo $? >code; }} {streams}; exit $(cat code)"
        command = call if "|" in streams else f"exec {sys.executable} -m gate run {streams}"
        done = subprocess.run(command, shell=True, cwd=gate.folder, env=gate.environment, timeout=60, check=False)
        assert (done.returncode, gate.report["verdict"]["decision"]) == (code, "NO-GO" if code == 1 else "GO")


@pytest.mark.parametrize("encoding", ["ascii", "iso-8859-1", "utf-16"])
@pytest.mark.parametrize("words", [["run"], ["explain", "a"], ["plan"], ["validate"]], ids=" ".join)
def test_a_terminal_with_few_characters(gate: Gate, encoding: str, words: list[str]) -> None:
    """Text that the encoding of the terminal does not have changes nothing but itself."""
    gate.write(there("a", title="d\u00e9j\u00e0 \u20ac"))
    environment = {**gate.environment, "PYTHONIOENCODING": encoding}
    command = [sys.executable, "-m", "gate", *words]
    done = subprocess.run(command, cwd=gate.folder, env=environment, timeout=60, capture_output=True, check=False)
    said = (done.stdout + done.stderr).decode(encoding)
    assert done.returncode == 0, said
    assert "Traceback" not in said, said
    assert said, said


STALE = {
    "report.json",
    "report.md",
    "report.html",
    "junit.xml",
    "predicate.json",
    "statement.intoto.json",
}


@pytest.mark.parametrize(
    ("then", "words", "code"),
    [
        ("servise: x", [], 2),
        ("", ["--baseline", "no.json"], 2),
        ("", ["--only", "no"], 2),
        ("", ["--policy", "base"], 2),
        ("", ["--no-such-option"], 2),
    ],
)
def test_an_old_go_does_not_outlive_its_run(gate: Gate, then: str, words: list[str], code: int) -> None:
    """A run that ends without a verdict leaves no report of the run before it."""
    gate.write(there("a"))
    assert gate.run()[0] == 0
    out = gate.folder / "prodgate-out"
    assert {path.name for path in out.iterdir()} >= STALE
    if then:
        (gate.folder / "prodgate.yml").write_text(then)
    gate.environment["GITHUB_ACTIONS"] = "true"  # elsewhere a misspelt option leaves the last report alone
    assert gate.run("run", *words)[0] == code
    assert STALE & {path.name for path in out.iterdir()} == set()
    assert (out / "SHA256SUMS").read_bytes() == b""


def made_since(began: int, folder: Path) -> bool:
    """Return whether a file of item `a` was written there after a time in nanoseconds; files may go meanwhile."""
    with suppress(FileNotFoundError):
        return any(path.stat().st_mtime_ns > began for path in folder.glob("a.*"))
    return False


def test_an_old_go_does_not_outlive_a_killed_run(gate: Gate, silent: str) -> None:
    """A run that is killed leaves no report, and the next one keeps its own evidence only."""
    gate.write(there("a"), {"id": "b", "http": {"url": silent, "status": 200}, "timeout": "60s"})
    assert gate.run("run", "--only", "a")[0] == 0
    began, out = time.time_ns(), gate.folder / "prodgate-out"
    started = gate.start("run")
    while not made_since(began, out / "evidence"):
        time.sleep(0.05)
    started.kill()
    started.communicate()
    assert STALE & {path.name for path in out.iterdir()} == set()
    assert (gate.run("run", "--only", "a")[0], gate.run("verify", "prodgate-out")[0]) == (0, 0)


def test_a_baseline_may_stand_where_the_reports_go(gate: Gate) -> None:
    """The last report can be the baseline of the next."""
    gate.write(there("a"))
    gate.run()
    assert gate.run("run", "--baseline", "prodgate-out/report.json")[0] == 0
    assert gate.report["changes"]["baseline_decision"] == "GO"


def test_reports_that_cannot_be_written(gate: Gate) -> None:
    """A GO whose reports could not be written is no GO: exit code 3."""
    gate.write({"id": "a", "command": {"shell": True, "run": "rm -rf prodgate-out; touch prodgate-out"}})
    code, _, err = gate.run()
    assert code == 3
    assert "Traceback" not in err


def test_no_secret_leaves(gate: Gate) -> None:
    """A secret of the environment is in no report and on no stream, wherever a check shows it."""
    gate.environment |= {"SHOP_PASSWORD": "hunter22hunter", "JWT_SECRET": "s3cr3ts3cr3t"}
    shows = {"run": "echo $SHOP_PASSWORD ${JWT_SECRET:-}; exit 1", "shell": True, "exit": 0}
    shows["run"] = shows["run"].replace("${", "$${")
    gate.write(
        {"id": "a", "command": shows}, {"id": "b", "command": {**shows, "output": {"contains": "hunter22hunter"}}}
    )
    _, out, err = gate.run()
    files = [path.read_bytes() for path in (gate.folder / "prodgate-out").rglob("*") if path.is_file()]
    everything = b"".join(files) + out.encode() + err.encode()
    assert [secret for secret in (b"hunter22hunter", b"s3cr3ts3cr3t") if secret in everything] == []


def test_plain_lines(gate: Gate) -> None:
    """Where there is no terminal, there is no colour: one line an item."""
    gate.write(there("a"), missing("b"))
    _, out, err = gate.run()
    assert "\x1b" not in out + err
    assert len(err.splitlines()) == 2


def test_same_input_same_verdict(gate: Gate) -> None:
    """Two runs differ in times and durations only."""
    gate.write(there("a"), missing("b"), there("c", needs=["b"]))
    gate.run()
    first = _timeless(gate.report)
    gate.run()
    assert first == _timeless(gate.report)


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        times = ("started", "finished", "duration", "sha256", "artifacts")
        return {key: _timeless(entry) for key, entry in value.items() if key not in times}
    return [_timeless(entry) for entry in value] if isinstance(value, list) else value


def test_prove(gate: Gate) -> None:
    """`prove` names the item that it has not seen fail, and exits with 1 for it."""
    gate.write(there("good"), {"id": "bad", "timeout": "300ms", "command": {"run": "sleep 30"}})
    code, out, _ = gate.run("prove")
    assert code == 1
    assert "UNPROVEN  bad" in out
    assert "good" not in out


def test_plan_touches_nothing(gate: Gate) -> None:
    """`plan` says how long a run takes at worst, and leaves no file."""
    gate.write(there("a", within="30s"), targets=REFUSED)
    code, out, _ = gate.run("plan")
    assert code == 0
    assert "Nothing was run" in out
    assert [path.name for path in gate.folder.iterdir()] == ["prodgate.yml"]


@pytest.mark.parametrize("wrong", [{"timeout": "0s"}, {"within": "0s"}, {"command": {"shell": True, "run": " \n# x"}}])
def test_what_could_not_be_tried_is_no_checklist(gate: Gate, wrong: dict[str, Any]) -> None:
    """An item with no time, or with a script that does nothing, is an error of the checklist."""
    gate.write({"id": "a", "command": {"run": "true"}, **wrong})
    code, _, err = gate.run()
    assert code == 2
    assert "prodgate.yml:1:" in err


def test_no_command_is_no_success(gate: Gate) -> None:
    """A call without a command says what there is, and is wrong: a script whose variable is empty is no GO."""
    started = gate.start()
    out, err = started.communicate(timeout=60)
    assert (started.returncode, out) == (2, "")
    assert "validate" in err


def test_a_log_obeys_no_service(gate: Gate) -> None:
    """Control characters of what was observed do not reach the terminal."""
    gate.write({"id": "a", "command": {"shell": True, "run": "printf '\\033[31mred\\007'; exit 3"}})
    code, out, err = gate.run()
    assert code == 1
    assert "red" in err
    assert "\x1b" not in out + err
    assert "\x07" not in out + err


def test_a_target_that_nobody_asked_is_not_called_ready(gate: Gate) -> None:
    """A target without `ready` is taken as it is, and the report says so."""
    gate.write(
        {"id": "a", "requires": ["gone"], "command": {"run": "true"}}, targets={"gone": {"url": "http://127.0.0.1:1"}}
    )
    gate.run()
    (target,) = gate.report["targets"]
    assert "does not say when it is ready" in json.dumps(target["message"])


def test_nowhere_to_write_is_found_before_anything_is_run(gate: Gate) -> None:
    """A folder of reports that can't be one is a wrong call: nothing was run for a report that nobody gets."""
    gate.write({"id": "a", "command": {"run": "touch ran"}})
    (gate.folder / "taken").write_text("a file")
    code, _, err = gate.run("run", "--out", "taken/here")
    assert code == 2
    assert "taken/here: the reports can't be written" in err
    assert not (gate.folder / "ran").exists()


class Counting(BaseHTTPRequestHandler):
    """Answers after a while, and counts how many requests are under way at once."""

    lock, under_way, most = threading.Lock(), 0, 0

    def do_GET(self) -> None:
        """Count requests under way, and respond late."""
        with Counting.lock:
            Counting.under_way += 1
            Counting.most = max(Counting.most, Counting.under_way)
        time.sleep(0.1)
        with Counting.lock:
            Counting.under_way -= 1
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


@pytest.mark.parametrize("workers", [1, 3])
def test_so_many_are_asked_at_a_time(tmp_path: Path, workers: int) -> None:
    """As many as there are workers, and never more, although the evidence of others is still being kept."""
    Counting.most = 0
    with ThreadingHTTPServer(("127.0.0.1", 0), Counting) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        gate = Gate(tmp_path)
        url = f"http://127.0.0.1:{server.server_port}"
        gate.write(*({"id": f"s.{number}", "http": {"url": url, "status": 200}} for number in range(12)))
        code, _, err = gate.run("run", "--workers", str(workers))
        server.shutdown()
    assert (code, Counting.most) == (0, workers), err


class Ageing(BaseHTTPRequestHandler):
    """Exposes how often `/work` was asked, and answers a Prometheus's scrape."""

    worked = 0

    def do_GET(self) -> None:
        """Respond with a metric, and count what other paths request."""
        if self.path == "/work":
            Ageing.worked += 1
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(f"# TYPE worked_total counter\nworked_total {Ageing.worked}\n".encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


def test_an_item_sees_nothing_older_than_what_it_needs(tmp_path: Path) -> None:
    """A scrape, an exposition in a file and a rule file that were read before what an item needs are read again."""
    gate = Gate(tmp_path)
    rules = "groups: [{name: g, rules: [{alert: A, expr: up == 0}ANOTHER]}]"
    (tmp_path / "rules.yml").write_text(rules.replace("ANOTHER", ""))
    (tmp_path / "metrics.txt").write_text("worked_total 0\n")
    with ThreadingHTTPServer(("127.0.0.1", 0), Ageing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        another = rules.replace("ANOTHER", ", {alert: B, expr: up == 1}")
        more = f"echo '{another}' > rules.yml; echo worked_total 1 > metrics.txt"

        def looks(phase: str, value: int, **needs: Any) -> list[dict[str, Any]]:
            return [
                {
                    "id": f"{phase}.scrape",
                    "metrics": {"target": "api", "name": "worked_total", "value": value},
                    **needs,
                },
                {
                    "id": f"{phase}.file",
                    "metrics": {"file": "metrics.txt", "name": "worked_total", "value": value},
                    **needs,
                },
                {"id": f"{phase}.rules", "alert_rules": {"file": "rules.yml", "alerts": value + 1}, **needs},
            ]

        before = looks("before", 0)
        work = [
            {"id": "asks", "needs": [item["id"] for item in before], "http": {"url": f"{url}/work", "status": 200}},
            {"id": "writes", "needs": ["asks"], "command": {"run": ["sh", "-c", more], "exit": 0}},
        ]
        gate.write(*before, *work, *looks("after", 1, needs=["writes"]), targets={"api": {"url": url}})
        code, _, err = gate.run()
        server.shutdown()
    assert (code, set(gate.statuses.values())) == (0, {"pass"}), err


FEW_THREADS = """
import sys, threading

start = threading.Thread.start

def limited(thread):
    if threading.active_count() >= int(sys.argv[1]):
        raise RuntimeError("can't start new thread")
    return start(thread)

threading.Thread.start = limited
from gate.__main__ import entry_point
entry_point(["run", "--deadline", "20s", "--workers", "4"])
"""


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 14, 100])
def test_a_machine_that_starts_few_threads(gate: Gate, limit: int) -> None:
    """Where threads can't be started every item has an outcome, and what was not asked is an ERROR; nothing hangs."""
    listening = {"command": [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "0"]}
    gate.write(*(there(f"i{number}") for number in range(12)), there("z", requires=["p"]),
               targets={"p": {"start": listening, "port": 1}})  # fmt: skip
    command = [sys.executable, "-c", FEW_THREADS, str(limit)]
    done = subprocess.run(command, cwd=gate.folder, env=gate.environment, capture_output=True, text=True, timeout=60)
    passed = set(gate.statuses.values()) == {"pass"}
    assert (len(gate.statuses), done.returncode) == (13, 0 if passed else 1), done.stderr
    assert passed is (limit == 100), gate.statuses


def test_a_deadline_that_passes_where_no_thread_starts(gate: Gate, silent: str) -> None:
    """The overall deadline needs no thread."""
    gate.write({"id": "a", "http": {"url": silent, "status": 200, "limit": "1KiB"}, "timeout": "50s"})
    code, _, _ = gate.run("run", "--deadline", "1s")
    assert (code, gate.report["ended"]) == (1, "deadline")
