"""Everything that a command or target starts is found, frozen and ended, whatever it has shed; and nothing else is."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from gate.runtime.process_tree import (
    RUN_ID_VARIABLE,
    ProcessInfo,
    run_members,
    send_signal,
    tag_process_tree,
    terminate_processes,
)
from gate.runtime.processes import environment, run, start
from gate.staging.process import Process
from tests.support.folder import until
from tests.support.services import Postgres, postgres_prepared

# Forks twice into new sessions, closes all files and drops its environment, as daemons do.
DAEMON = """
import os, sys, time
for _ in range(2):
    if os.fork():
        os._exit(0)
    os.setsid()
os.closerange(0, 100)
os.execve("/bin/sleep", ["sleep", "{seconds}"], {{}})
"""
SHEDS = {
    "session": "setsid sleep {seconds} & sleep 0.2",
    "environment": "setsid env -i sleep {seconds} >/dev/null 2>&1 & sleep 0.2",
    "everything": "{python} daemon.py; sleep 0.2",
    "parent": "(setsid env -i sh -c 'sleep {seconds} & sleep {seconds}' >/dev/null 2>&1 &); sleep 0.2",
}


@pytest.fixture
def seconds(tmp_path: Path) -> Iterator[str]:
    """Yield an argument that identifies the `sleep` processes of this test, and require that none is left."""
    own = f"{70000 + os.getpid() % 10000}.{time.monotonic_ns() % 10**9}"
    (tmp_path / "daemon.py").write_text(DAEMON.format(seconds=own))
    yield own
    for pid in sleeping(own):
        os.kill(pid, signal.SIGKILL)


def sleeping(seconds: str) -> list[int]:
    """Return the living processes `sleep SECONDS`."""
    wanted = f"sleep\0{seconds}\0".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cmdline").read_bytes() == wanted:
                found.append(int(entry.name))
        except OSError:
            continue
    return found


@pytest.mark.parametrize("sheds", SHEDS)
@pytest.mark.parametrize("code", [0, 3])
def test_no_daemon_outlives_its_command(tmp_path: Path, seconds: str, sheds: str, code: int) -> None:
    """A daemon is ended with its command, however that ends."""
    script = SHEDS[sheds].format(seconds=seconds, python=sys.executable)
    done = run(
        ["sh", "-c", f"{script}; pgrep -fx 'sleep {seconds}'; exit {code}"],
        deadline=time.monotonic() + 60,
        cwd=tmp_path,
        env=environment({}),
    )
    assert done.returncode == code
    assert done.stdout.text().split(), "the daemon never ran"
    assert sleeping(seconds) == []


def test_no_daemon_outlives_the_time_of_its_command(tmp_path: Path, seconds: str) -> None:
    """A command that is ended at its deadline takes its daemons with it."""
    script = SHEDS["everything"].format(seconds=seconds, python=sys.executable)
    done = run(["sh", "-c", f"{script}; sleep 60"], deadline=time.monotonic() + 2, cwd=tmp_path, env=environment({}))
    assert (done.end_reason, sleeping(seconds)) == ("timeout", [])


def test_a_command_that_may_leave_something(tmp_path: Path, seconds: str) -> None:
    """What a command may leave behind goes on after it, and is ended with its run only if it was started for it."""
    script = SHEDS["everything"].format(seconds=seconds, python=sys.executable)

    def leave(more: dict[str, str]) -> None:
        start(
            ["sh", "-c", script],
            deadline=time.monotonic() + 60,
            cwd=tmp_path,
            env=environment(more),
            keep_background_processes=True,
        ).wait()

    leave({})
    leave({RUN_ID_VARIABLE: "this run"})
    leave({RUN_ID_VARIABLE: "another run"})
    assert len(sleeping(seconds)) == 3
    assert terminate_processes(lambda: run_members("this run"), (signal.SIGKILL,)) == []
    assert len(sleeping(seconds)) == 2


def test_commands_side_by_side(tmp_path: Path, seconds: str) -> None:
    """A command that ends ends nothing that another one has started."""
    slow = SHEDS["everything"].format(seconds=seconds, python=sys.executable)
    running = start(
        ["sh", "-c", f"{slow}; sleep 60"], deadline=time.monotonic() + 60, cwd=tmp_path, env=environment({})
    )
    until(lambda: sleeping(seconds))
    run(["sh", "-c", slow], deadline=time.monotonic() + 60, cwd=tmp_path, env=environment({}))
    assert len(sleeping(seconds)) == 1
    running.stop()
    running.wait()
    assert sleeping(seconds) == []


def test_a_number_that_is_another_process_now(seconds: str) -> None:
    """A signal goes to the process that was seen, and not to another one with its number."""
    with subprocess.Popen(["sleep", seconds]) as child:
        send_signal(ProcessInfo(child.pid, "S", os.getpid(), child.pid, child.pid, "1"), signal.SIGKILL)
        time.sleep(0.2)
        assert child.poll() is None
        child.kill()


def test_a_tag_survives_what_a_process_sheds(seconds: str) -> None:
    """A process is found by its tag alone: its group, session, parent and environment are those of nobody."""
    with subprocess.Popen(["/bin/sh", "-c", "read -r go; setsid env -i sleep $0 & wait", seconds],
                          stdin=subprocess.PIPE, start_new_session=True) as child:  # fmt: skip
        tree = tag_process_tree(child.pid, None)
        assert child.stdin is not None
        child.stdin.write(b"go\n")
        child.stdin.close()
        until(lambda: sleeping(seconds))
        child.kill()
    assert [process.pid for process in tree.members()] == sleeping(seconds) != []
    assert tree.terminate(signal.SIGTERM) == []


@contextmanager
def started(command: list[str], folder: Path) -> Iterator[Process]:
    """Start a target of the gate's own."""
    process = Process("target", command, {}, folder, secrets.token_hex(8), lambda pid: lambda: None)
    process.start()
    try:
        yield process
    finally:
        process.terminate()


def descendants(pid: int) -> dict[int, str]:
    """Return a process and its descendants with their states, by ps(1)."""
    done = subprocess.run(["ps", "-eo", "pid=,ppid=,stat="], capture_output=True, text=True, check=True)
    rows = [(int(a), int(b), stat) for a, b, stat in (line.split() for line in done.stdout.splitlines())]
    found = {pid}
    while more := {number for number, parent, _ in rows if parent in found} - found:
        found |= more
    return {number: stat for number, _, stat in rows if number in found}


@pytest.fixture(scope="module")
def prepared() -> Iterator[Postgres]:
    """Create the data of a PostgreSQL that is not started yet."""
    with postgres_prepared() as service:
        yield service


def answers(service: Postgres) -> bool:
    """Return whether it accepts a connection."""
    try:
        psycopg.connect(service.dsn, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def asks(connection: psycopg.Connection[tuple[int]]) -> tuple[threading.Thread, list[bool]]:
    """Start a query on an open connection."""
    done: list[bool] = []
    thread = threading.Thread(target=lambda: (connection.execute("SELECT 1"), done.append(True)), daemon=True)
    thread.start()
    return thread, done


def test_a_paused_postgresql(prepared: Postgres) -> None:
    """Every process of a PostgreSQL is stopped, those with sessions of their own too, and goes on afterwards."""
    with started(list(prepared.command), prepared.folder) as process:
        until(lambda: answers(prepared))
        with psycopg.connect(prepared.dsn) as connection:
            connection.execute("SELECT 1")
            leader = min(each.pid for each in process.members)
            process.pause()
            states = descendants(leader)
            assert len(states) > 4
            assert {stat[0] for stat in states.values()} == {"T"}
            assert process.count_paused() == (len(states), len(states))
            thread, done = asks(connection)
            time.sleep(1)
            assert not done
            process.resume()
            thread.join(30)
            assert done
        assert process.count_paused()[0] == 0


@pytest.mark.parametrize("end_it", [Process.kill, Process.stop, Process.terminate])
def test_an_ended_postgresql(prepared: Postgres, end_it: Callable[[Process], None]) -> None:
    """No process of a PostgreSQL survives it."""
    with started(list(prepared.command), prepared.folder) as process:
        until(lambda: answers(prepared))
        pids = set(descendants(min(each.pid for each in process.members)))
        assert len(pids) > 4
        end_it(process)
        assert process.members == []
    left = {int(entry.name) for entry in Path("/proc").glob("[0-9]*")}
    assert {pid for pid in pids & left if b"postgres" in Path(f"/proc/{pid}/cmdline").read_bytes()} == set()


@pytest.mark.parametrize("sheds", SHEDS)
def test_daemons_of_a_target(tmp_path: Path, seconds: str, sheds: str) -> None:
    """A daemon of a target is paused, resumed and ended with it."""
    script = SHEDS[sheds].format(seconds=seconds, python=sys.executable)
    with started(["sh", "-c", f"{script}; sleep 60"], tmp_path) as process:
        until(lambda: sleeping(seconds))
        process.pause()
        stopped, count = process.count_paused()
        assert stopped == count > 1
        assert {stat[0] for pid in sleeping(seconds) for stat in [descendants(pid)[pid]]} == {"T"}
        process.resume()
        assert {stat[0] for pid in sleeping(seconds) for stat in [descendants(pid)[pid]]} == {"S"}
        process.kill()
        assert sleeping(seconds) == []


def test_a_target_that_forks_all_the_time(tmp_path: Path) -> None:
    """A target that starts one process after the other is paused as a whole, and stays so."""
    with started(["sh", "-c", "while :; do (sleep 0.01 & sleep 0.01); done"], tmp_path) as process:
        time.sleep(0.5)
        process.pause()
        before = process.members
        time.sleep(0.5)
        stopped, count = process.count_paused()
        assert stopped == count > 0
        assert {each.pid for each in process.members} == {each.pid for each in before}
