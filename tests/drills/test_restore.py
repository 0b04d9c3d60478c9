"""What the gate runs ends with it: in time, with the run, and by `prodgate restore` after the run's death."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from gate.core.messages import Message, msg
from gate.drills.execution import DrillExecution
from gate.redaction.secrets import Redactor
from gate.staging.environment import StagingEnvironment
from gate.staging.revert import REVERT_FUNCTIONS
from tests.support.checks import context
from tests.support.folder import NOTICED, Folder
from tests.support.services import free_port

HOLDS: dict[str, Any] = {"command": {"run": "true"}}
NEVER: dict[str, Any] = {"within": "60s", "command": {"run": "false"}}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Create a folder for a run."""
    return Folder(tmp_path)


def accepts(port: int) -> bool:
    """Return whether a port accepts a connection."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def drill(id: str = "drill", **more: Any) -> dict[str, Any]:
    """Return a drill, updated with the arguments."""
    return {"id": id, "title": "Drill", "drill": {"steady": [HOLDS], "stays": "0s", **more}}


def own(folder: Folder, breaks: tuple[str, ...] = (), mends: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    """Return a fault of the user's own: shell lines that inject it, revert it and prove it."""
    command, undo = folder.program("breaks", "touch broken", *breaks), folder.program("mends", *mends, "rm -f broken")
    return {"run": {"command": command, "undo": undo, "proof": "test -e broken", **more}}


def sleeps(folder: Folder) -> str:
    """Return a shell line that leaves a process behind, which does not exit by itself."""
    return f"{sys.executable} -c 'import time; time.sleep(600)' {folder.word} &"


def test_a_process_that_hides_its_environment(folder: Folder) -> None:
    """A server that has overwritten its environment, as redis does for its title, is ended by `restore`, too."""
    port = free_port()
    redis = [shutil.which("redis-server") or "", "--port", str(port), "--save", "", "--loglevel", "warning"]
    target = {"start": {"command": redis}, "port": port, "ready": {"tcp": port, "within": "30s"}}
    item = {"id": "i", "title": "I", "requires": ["redis"], "command": {"run": "sh -c 'touch begun; sleep 60'"}}
    folder.write(item, redis=target)
    gate = folder.start()
    folder.wait_for("begun")
    folder.kill(gate)
    assert accepts(port)
    code, said = folder.run("restore")
    assert code == 0, said
    assert not accepts(port), said
    assert folder.journals() == [], said


def test_commands_of_items_are_ended(folder: Folder) -> None:
    """The command of an item, and one that left its group, are ended by `restore`."""
    apart = folder.program("apart", sleeps(folder))
    script = folder.program("long", f"setsid {apart}", "touch begun", "sleep 600")
    folder.write({"id": "i", "title": "I", "timeout": "10m", "command": {"run": script}})
    gate = folder.start()
    folder.wait_for("begun")
    folder.kill(gate)
    assert folder.left()
    code, said = folder.run("restore")
    assert (code, folder.left()) == (0, []), said


def test_a_daemon_without_an_environment(folder: Folder) -> None:
    """A daemon in a session of its own, without a parent and an environment, is ended by `restore`, too."""
    daemon = f"setsid env -i {sys.executable} -c 'import time; time.sleep(600)' {folder.word} &"
    folder.write(
        {
            "id": "i",
            "title": "I",
            "command": {"run": folder.program("starts", f"({daemon})", "touch begun", "sleep 600")},
        }
    )
    gate = folder.start()
    folder.wait_for("begun")
    folder.kill(gate)
    assert folder.left()
    code, said = folder.run("restore")
    assert (code, folder.left()) == (0, []), said


def test_a_fault_that_nobody_has_taken_back(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a drill left in place is reverted at the end of the run; if that fails, the journal stays for `restore`."""
    monkeypatch.setenv("XDG_STATE_HOME", str(folder.path / "state"))
    mends = folder.program("mends", "test ! -e stuck && rm broken")
    (folder.path / "broken").touch()
    (folder.path / "stuck").touch()
    notes: list[str] = []
    for stuck in (True, False):
        with StagingEnvironment(
            {},
            root=folder.path,
            run_id=f"run{stuck}",
            secrets=Redactor(),
            cancelled=threading.Event(),
            log_progress=notes.append,
        ) as stage:
            stage.journal.record_intent("run_command", command=[mends], folder=str(folder.path), timeout=10.0)
        assert (folder.journals() != [], bool(notes), (folder.path / "broken").exists()) == (stuck, stuck, stuck)
        notes.clear()
        (folder.path / "stuck").unlink(missing_ok=True)
        code, said = folder.run("restore")
        assert (code, "reverted: run runTrue" in said, folder.journals()) == (0, stuck, []), said
        (folder.path / "broken").touch()


def test_a_reader_of_the_progress_that_goes_away(folder: Folder) -> None:
    """A drill whose progress nobody reads any more, as with `2>&1 | tee log` on Ctrl-C, reverts its fault."""
    sees = {"within": "5s", "command": {"run": "sleep 1"}}
    folder.write(drill(fault=own(folder, mends=("touch undone",)), observe=[sees]))
    reader, writer = os.pipe()
    command = [sys.executable, "-m", "gate", "run", "--out", "out"]
    gate = subprocess.Popen(command, cwd=folder.path, env=folder.environment, stdout=subprocess.DEVNULL, stderr=writer)
    os.close(writer)
    os.read(reader, 1)
    os.close(reader)
    assert gate.wait(60) in (0, 1)
    assert (folder.path / "undone").exists()
    assert not (folder.path / "broken").exists()
    assert folder.left() == []


class RecordingInjector:
    """A fault that goes wrong in one of its parts with an error that nobody expects."""

    def __init__(self, part: str) -> None:
        self.part = part
        self.done: list[str] = []

    def _do(self, part: str) -> Message:
        self.done.append(part)
        if part == self.part:
            raise RuntimeError("can't start new thread")
        return msg("done")

    def inject(self) -> Message:
        """Inject nothing, or break as configured."""
        return self._do("inject")

    def change_to(self, fault: object) -> Message:
        """Change nothing."""
        return msg("done")

    def wait(self) -> Message:
        """Wait for nothing, or break as configured."""
        return self._do("wait")

    def revert(self) -> Message:
        """Revert nothing, or break as configured."""
        return self._do("revert")


@pytest.mark.parametrize("part", ["inject", "wait", "revert"])
def test_an_error_that_nobody_expects(tmp_path: Path, part: str) -> None:
    """Whatever happens between a fault and its revert, it is reverted; a revert that breaks is reported as such."""
    injector = RecordingInjector(part)
    observation = DrillExecution(
        context=context(tmp_path),
        label=msg("a fault"),
        injector=injector,
        steady=[],
        observe=[],
        throughout=[],
        recover=[],
        stable_for=0.0,
        extra_invariants=list,
    ).run()
    assert injector.done[-1] == "revert"
    broken = observation.not_reverted if part == "revert" else (observation.ended or (None, None))[1]
    assert "can't start new thread" in str(broken)


def test_a_run_that_is_still_alive(folder: Folder) -> None:
    """`restore` says that a run is alive, and lets it be; with `--end` it ends it after a while, and restores."""
    folder.write(drill(fault=own(folder, ("touch begun",), ("touch undone",)), observe=[NEVER]))
    gate = folder.start()
    folder.wait_for("begun")
    gate.send_signal(signal.SIGSTOP)
    code, said = folder.run("restore")
    assert code == 0, said
    assert "is still alive" in said, said
    assert not (folder.path / "undone").exists(), said
    code, said = folder.run("restore", "--end", "1s")
    assert code == 0, said
    assert (folder.path / "undone").exists(), said
    assert folder.left() == [], said
    assert gate.wait(10) == -signal.SIGKILL
    gate.communicate()


def test_a_script_is_ended_before_anything_is_put_back(folder: Folder) -> None:
    """After SIGKILL, `restore` ends the script and what it started: nothing breaks staging after the restoration."""
    script = folder.program("breaks", sleeps(folder), "touch begun", "sleep 600")
    folder.write(drill(script={"command": script}))
    gate = folder.start()
    folder.wait_for("begun")
    folder.kill(gate)
    assert folder.left()
    code, said = folder.run("restore")
    assert (code, folder.left()) == (0, []), said


def test_a_script_that_takes_too_long(folder: Folder) -> None:
    """A script is ended after its time with all that it started. Whether staging is as it was, nobody knows then."""
    script = folder.program("slow", sleeps(folder), "sleep 600")
    folder.write(drill(script={"command": script, "timeout": "1s"}))
    code, said = folder.run()
    (outcome,) = folder.outcomes()
    assert (code, outcome["status"], outcome["cause"]) == (1, "fail", "unrestored:None"), said
    assert [line for line in folder.left() if folder.word in line] == []
    assert "timed out after" in outcome["evidence"]["answer"]


@pytest.mark.parametrize("kind", ["script", "run"])
def test_the_deadline_ends_a_drills_commands(folder: Folder, kind: str) -> None:
    """A script, and the command of `run`, do not outlast the run's deadline, and `undo` is run after it."""
    lines = (sleeps(folder), "touch begun", "sleep 600")
    fault = own(folder, lines, ("touch undone",), timeout="10m")
    script = {"script": {"command": folder.program("slow", *lines)}}
    folder.write(drill(**(script if kind == "script" else {"fault": fault, "observe": [NEVER]})))
    folder.run("run", "--out", "out", "--deadline", "3s")
    assert (folder.path / "begun").exists()
    assert (folder.path / "undone").exists() == (kind == "run")
    assert [line for line in folder.left() if folder.word in line] == []


def test_a_second_ctrl_c_of_a_terminal(folder: Folder) -> None:
    """A terminal sends SIGINT to the whole group, also while `undo` is under way: that is run to its end."""
    fault = own(folder, ("touch begun",), ("touch undoing", "sleep 2", "touch undone"))
    folder.write(drill(fault=fault, observe=[NEVER]))
    gate = folder.start(start_new_session=True)
    folder.wait_for("begun")
    os.killpg(gate.pid, signal.SIGINT)
    folder.wait_for("undoing")
    os.killpg(gate.pid, signal.SIGINT)
    said, _ = gate.communicate(timeout=60)
    assert (folder.path / "undone").exists(), said
    assert (folder.left(), gate.returncode) == ([], 130), said


def test_the_time_that_an_undo_has(folder: Folder) -> None:
    """`undo` has the fault's `timeout`: one that takes longer was not done, also for `restore`."""
    fault = own(folder, mends=("test -e patient || sleep 600",), timeout="3s")
    folder.write(drill(fault=fault, observe=[{"within": "1s", **HOLDS}]))
    assert folder.run()[0] == 1
    (outcome,) = folder.outcomes()
    assert outcome["cause"].startswith("unrestored")
    code, said = folder.run("restore")
    assert code == 3
    assert "timed out after" in said
    assert len(folder.journals()) == 1
    (folder.path / "patient").touch()
    assert (folder.run("restore")[0], folder.left()) == (0, [])


def test_what_a_command_of_run_leaves(folder: Folder) -> None:
    """What breaks staging from the background is not ended before `undo` has run, and is with the run."""
    proof = folder.program("proof", 'kill -0 "$(cat pid)"')
    fault = own(folder, (sleeps(folder), "echo $! >pid"), ("rm pid",), proof=proof)
    folder.write(drill(fault=fault, observe=[{"within": "1s", "command": {"run": proof}}]))
    code, said = folder.run()
    assert (code, folder.left()) == (0, []), said


def test_what_an_undo_brings_back(folder: Folder) -> None:
    """A service that `undo` starts in the background goes on after the run."""
    fault = own(folder, mends=(f"{sleeps(folder)[:-1]} >/dev/null 2>&1 &", "echo $! >pid"))
    folder.write(drill(fault=fault, observe=[{"within": "5s", **NOTICED}]))
    code, said = folder.run()
    left = folder.left()
    os.kill(int((folder.path / "pid").read_text()), signal.SIGKILL)
    assert (code, len(left)) == (0, 1), said


def test_a_process_that_a_script_paused(folder: Folder) -> None:
    """A process in `touches` that a script has paused, or ended, goes on afterwards."""
    port = free_port()
    serves = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port), "--directory", "."]
    target = {"start": {"command": serves}, "port": port, "ready": {"tcp": port, "within": "30s"}}
    url = f"http://127.0.0.1:{port}"
    answers = {"within": "10s", "http": {"target": "web", "path": "/prodgate.yml", "status": 200}}
    for number in ("STOP", "KILL"):
        script = folder.program("breaks", f"pkill -{number} -f 'http.server .* {port} '")
        item = drill(script={"command": script, "touches": ["web"]}, steady=[answers])
        folder.write({**item, "requires": ["web"]}, web={"url": url, **target})
        code, said = folder.run()
        assert (code, folder.left()) == (0, []), said


def test_a_paused_process_without_a_port(folder: Folder) -> None:
    """A process of which no port is known can be paused: the kernel says so, and that it goes on."""
    worker = {"start": {"command": ["sleep", "600"]}}
    folder.write({**drill(fault={"pause": "worker"}, observe=[{"within": "5s", **NOTICED}]), "requires": ["worker"]},
                 worker=worker)  # fmt: skip
    code, said = folder.run()
    assert (code, folder.left()) == (0, []), said


def test_a_fault_that_was_refused(folder: Folder) -> None:
    """Where nothing was done, nothing has to be taken back: an ERROR, and the next drill runs."""
    fault = own(folder, mends=("exit 1",), proof="true")
    folder.write(drill(fault=fault, observe=[NEVER]), drill("next", script={"command": "touch second"}))
    folder.run()
    assert [outcome["status"] for outcome in folder.outcomes()] == ["error", "pass"]
    assert (folder.path / "second").exists()
    assert folder.left() == []


def test_journal_of_a_previous_version_is_restored(folder: Folder) -> None:
    """The names of revert actions are stored on disk: a journal that another version wrote is reverted and removed."""
    (folder.path / "broken").touch()
    arguments: dict[str, dict[str, Any]] = {
        "run_command": {"command": ["rm", "broken"], "folder": str(folder.path), "timeout": 10.0},
        "end_group": {"group": 2**22 + 1, "started": "1", "machine": "another"},
        "end_processes": {"run_id": "earlier"},
    }
    lines = [{"run": "earlier", "container": None, "gate": {"group": 2**22 + 1, "started": "1", "machine": "another"}}]
    lines += [
        {"act": number, "undo": name, "what": what, "settles": 0.0, "at": 0.0}
        for number, (name, what) in enumerate(arguments.items(), 1)
    ]
    journals = folder.path / "state" / "prodgate"
    journals.mkdir(parents=True)
    journals.joinpath("earlier.journal").write_text("".join(json.dumps(line) + "\n" for line in lines))
    code, output = folder.run("restore")
    assert code == 0, output
    assert folder.journals() == []
    assert not (folder.path / "broken").exists()


def test_names_in_the_journal_never_change() -> None:
    """A journal of any version can be restored."""
    assert list(REVERT_FUNCTIONS) == [
        "start_container",
        "unpause_container",
        "connect_container",
        "remove_container",
        "let_go",
        "run_command",
        "end_group",
        "end_processes",
        "remove_labelled",
        "remove_file",
        "restore_file",
        "set_cpu_quota",
        "leave_network",
        "take_down_project",
    ]
