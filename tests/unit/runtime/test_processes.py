"""Commands end in time, with all that they started, and can neither block the gate nor fill its memory."""

from __future__ import annotations

import re
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gate.runtime.processes import BoundedOutput, CompletedCommand, environment, run, start
from tests.support.paths import ROOT

# Seconds after which a command has not been ended by its deadline, however busy the machine.
LATE = 8.0


def go(
    script: str, tmp_path: Path, *, within: float = 30.0, cancelled: threading.Event | None = None
) -> CompletedCommand:
    """Run a shell script for at most `within` seconds."""
    began = time.monotonic()
    done = run(
        ["sh", "-c", script],
        deadline=began + within,
        cwd=tmp_path,
        env=environment({}),
        cancelled=cancelled,
    )
    assert time.monotonic() - began < within + LATE
    return done


def alive(pid: int) -> bool:
    """Return whether a process runs and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(pid: int) -> bool:
    """Wait briefly until a process is gone, and return whether it is."""
    end = time.monotonic() + LATE
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.02)
    return not alive(pid)


def test_outputs(tmp_path: Path) -> None:
    """Exit code and both outputs come back, apart and together."""
    done = go("echo one; echo two >&2; exit 3", tmp_path)
    assert (done.returncode, done.end_reason, done.signal) == (3, "exit", None)
    assert (done.stdout.text(), done.stderr.text()) == ("one\n", "two\n")
    assert sorted(done.output.text().split()) == ["one", "two"]


def test_large_outputs_of_both_kinds(tmp_path: Path) -> None:
    """Megabytes on both outputs, one after the other and mixed, do not block."""
    script = "import sys\nfor n in range(200):\n sys.stderr.write('e' * 50000)\nsys.stdout.write('o' * 10**7)"
    done = run([sys.executable, "-c", script], deadline=time.monotonic() + 60, cwd=tmp_path, env=environment({}))
    assert (done.returncode, done.stdout.total, done.stderr.total) == (0, 10**7, 10**7)
    assert len(done.stderr.text()) < 300_000


def test_no_input(tmp_path: Path) -> None:
    """A command that reads its input gets none."""
    assert go("cat; echo done", tmp_path).stdout.text() == "done\n"


def test_a_time_limit(tmp_path: Path) -> None:
    """A command that goes on is ended, and what it wrote until then is kept."""
    done = go("echo begun; sleep 60", tmp_path, within=0.5)
    assert (done.end_reason, done.stdout.text()) == ("timeout", "begun\n")
    # On a busy machine it may not have ended by itself within its second of grace.
    assert done.signal in ("SIGTERM", "SIGKILL")


def test_a_command_that_will_not_end(tmp_path: Path) -> None:
    """One that ignores SIGTERM gets SIGKILL."""
    done = go("trap '' TERM; echo $$; while :; do sleep 0.1; done", tmp_path, within=0.5)
    assert done.signal == "SIGKILL"
    assert gone(int(done.stdout.text()))


def test_the_whole_group_ends(tmp_path: Path) -> None:
    """Children and grandchildren end with it."""
    done = go("sh -c 'sleep 60 & echo $!; sleep 60 & echo $!; wait' & wait", tmp_path, within=0.5)
    pids = [int(line) for line in done.stdout.text().split()]
    assert [gone(pid) for pid in pids] == [True, True]


def test_a_grandchild_that_holds_the_output(tmp_path: Path) -> None:
    """A command that leaves a process behind is not waited for beyond its own end, and that process is ended."""
    done = go("sleep 60 & echo $!", tmp_path)
    assert (done.end_reason, done.returncode) == ("exit", 0)
    assert done.duration < 30
    assert gone(int(done.stdout.text()))


def test_a_grandchild_in_a_group_of_its_own(tmp_path: Path) -> None:
    """One that left the group still can't block the gate by holding the output."""
    done = go("setsid sleep 20 & echo over", tmp_path)
    assert (done.end_reason, done.stdout.text()) == ("exit", "over\n")
    assert done.duration < 15


def test_a_cancelled_run(tmp_path: Path) -> None:
    """A run that ends ends its commands."""
    cancelled = threading.Event()
    threading.Timer(0.3, cancelled.set).start()
    done = go("echo $$; sleep 60", tmp_path, within=50, cancelled=cancelled)
    assert done.end_reason == "cancelled"
    assert gone(int(done.stdout.text()))


def test_an_endless_output(tmp_path: Path) -> None:
    """Output without end is kept from both ends, and ends at the deadline."""
    done = go("echo first; yes", tmp_path, within=0.5)
    assert done.end_reason == "timeout"
    assert done.stdout.text().startswith("first\n")
    assert len(done.stdout.text()) < 300_000


def test_a_command_that_is_not_there(tmp_path: Path) -> None:
    """A command that can't be started is an OSError, and leaves nothing open."""
    with pytest.raises(FileNotFoundError):
        run(["no-such-command"], deadline=time.monotonic() + 5, cwd=tmp_path, env={})


def test_start_and_wait(tmp_path: Path) -> None:
    """A command goes on while nobody waits for it, however much it writes, until it is stopped."""
    script = "yes | head -c 1000000; touch written; sleep 60"
    going = start(["sh", "-c", script], deadline=time.monotonic() + 50, cwd=tmp_path, env=environment({}))
    end = time.monotonic() + LATE
    while not (tmp_path / "written").exists() and time.monotonic() < end:
        time.sleep(0.02)
    assert going.running
    going.stop()
    done = going.wait()
    assert (done.end_reason, done.stdout.total) == ("cancelled", 1000000)
    assert going.running is False


def test_a_command_that_is_told_of(tmp_path: Path) -> None:
    """Its group is told before it begins, and told to be gone when nothing of it is left."""
    told: list[str] = []

    def born(pid: int) -> Callable[[], None]:
        assert not (tmp_path / "begun").exists()
        told.append(str(pid))
        return lambda: told.append("gone")

    script = "touch begun; echo $$; cat"
    done = run(
        ["sh", "-c", script], deadline=time.monotonic() + 50, cwd=tmp_path, env=environment({}), on_group_created=born
    )
    assert (done.returncode, told) == (0, [done.stdout.text().strip(), "gone"])


def test_a_command_that_cannot_be_told_of(tmp_path: Path) -> None:
    """Where its group can't be written down, it never begins."""

    def born(pid: int) -> Callable[[], None]:
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        start(
            ["touch", "begun"], deadline=time.monotonic() + 5, cwd=tmp_path, env=environment({}), on_group_created=born
        )
    time.sleep(0.2)
    assert not (tmp_path / "begun").exists()


def test_a_command_without_its_gate(tmp_path: Path) -> None:
    """Where the gate dies before it has written the group down, the command never begins."""
    dies = (
        "import os, sys; from pathlib import Path; from gate.runtime.processes import start\n"
        "start(['touch', 'begun'], deadline=1e9, cwd=Path('.'), env=dict(os.environ), "
        "on_group_created=lambda pid: os._exit(7))"
    )
    found = {**environment({}), "PYTHONPATH": str(ROOT)}
    done = run([sys.executable, "-c", dies], deadline=time.monotonic() + 50, cwd=tmp_path, env=found)
    time.sleep(0.2)
    assert done.returncode == 7, done.stderr.text()
    assert not (tmp_path / "begun").exists(), done.stderr.text()


@pytest.mark.parametrize(("program", "error"), [("no-such", FileNotFoundError), ("./plain", PermissionError)])
def test_a_command_that_is_told_of_and_not_there(program: str, error: type[OSError], tmp_path: Path) -> None:
    """One that can't be started is the same OSError, and its group is not told."""
    (tmp_path / "plain").write_text("no program")
    with pytest.raises(error):
        run([program], deadline=time.monotonic() + 5, cwd=tmp_path, env=environment({}), on_group_created=pytest.fail)


@pytest.mark.parametrize("size", [1, 9, 10, 11, 19, 20, 21, 1000])
@pytest.mark.parametrize("piece", [1, 3, 1000])
def test_kept(size: int, piece: int) -> None:
    """Up to the limit all is kept; beyond it, both ends, with a line that says how much is missing."""
    data = bytes(48 + n % 10 for n in range(size))
    kept = BoundedOutput(20)
    for at in range(0, size, piece):
        kept.add(data[at : at + piece])
    gap = f"\n[... {size - 20} bytes cut ...]\n"
    wanted = data.decode() if size <= 20 else data[:10].decode() + gap + data[-10:].decode()
    assert kept.text() == wanted


def test_the_environment() -> None:
    """The gate's tokens, inputs and files for the runner are not passed on; all else is, with what is added."""
    known = {
        "PATH": "/bin", "GITHUB_SHA": "abc", "GITHUB_TOKEN": "t", "GH_TOKEN": "t", "ACTIONS_RUNTIME_TOKEN": "t",
        "INPUT_GITHUB-TOKEN": "t", "GITHUB_OUTPUT": "/x", "GITHUB_ENV": "/y", "DATABASE_URL": "d",
    }  # fmt: skip
    expected = {"PATH": "/bin", "GITHUB_SHA": "abc", "DATABASE_URL": "d", "A": "b"}
    assert environment({"A": "b"}, known) == expected


def test_nothing_stays_open(tmp_path: Path) -> None:
    """No descriptor is left behind."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        go("true", tmp_path)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("before", [90, 9000])
def test_no_secret_is_left_at_the_start_of_an_end(before: int) -> None:
    """Wherever the end that is kept begins in an address, in a text without lines, its password is hidden."""
    address = "https://ünter:JJJJABCDEF@db/"
    for after in range(500 - len(address), 520):
        kept = BoundedOutput(1000)
        said = ("x" * 500 + "é" * before + address + "y" * after).encode()
        for at in range(0, len(said), 333):
            kept.add(said[at : at + 333])
        assert not re.search("JJ|AB|CD|EF", kept.text()), after
        assert kept.text().endswith("y" * min(after, 480))


def test_an_end_that_was_broken_off() -> None:
    """Of a long output that was broken off, the end has no secret that its own end has torn."""
    kept = BoundedOutput(1000)
    kept.add(b"x" * 2000 + b" https://me:JJJJABC")
    kept.broken_off = True
    assert kept.text().endswith(" https://***")
