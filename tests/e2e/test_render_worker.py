"""The process beside a run that renders: what it makes is what the run would have made, and it is gone with the run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gate.model import Report
from gate.render.formats import FILE_NAMES
from gate.render.output_folder import write_reports
from gate.report.serialization import to_json
from tests.support import reports
from tests.support.paths import ROOT

PROGRAM = """
import os, signal, sys, time
from pathlib import Path
from gate.render.worker import render_worker
from gate.render.formats import FILE_NAMES
from gate.render.output_folder import write_reports
from gate.report.serialization import read_report
with render_worker() as helper:
    print(helper._pid, flush=True)
    {first}
    {then}
{last}
"""
WRITE = 'write_reports(read_report(Path("given.json")), Path("out"), helper)'
ONLY_BESIDE = """helper.submit(Path("given.json").read_bytes())
    Path("out").mkdir()
    for name, content in helper.result().items():
        Path("out", FILE_NAMES[name]).write_bytes(content)"""
MADE = {
    "go": reports.go,
    "all down": reports.all_down,
    "hostile": reports.hostile,
    "drills and changes": reports.changed,
    "many": reports.many,
}


def program(
    folder: Path, report: Report, *, first: str = "", then: str = WRITE, last: str = ""
) -> subprocess.Popen[str]:
    """Start a process that writes a report with a render worker."""
    (folder / "given.json").write_text(to_json(report), encoding="utf-8")
    text = PROGRAM.format(first=first, then=then, last=last)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", text], cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
    )


def contents(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder."""
    return {file: (folder / file).read_bytes() for file in FILE_NAMES.values()}


def is_there(pid: int) -> bool:
    """Return whether a process runs and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("name", MADE)
def test_it_makes_what_the_run_would_make(name: str, tmp_path: Path) -> None:
    """Byte by byte, in the report's language, whatever stands in it and however much."""
    report = MADE[name]()
    write_reports(report, tmp_path / "alone")
    with program(tmp_path, report, then=ONLY_BESIDE) as ran:
        pid = int((ran.stdout or sys.stdin).readline())
        assert ran.wait(60) == 0
    (tmp_path / "out/report.json").write_bytes((tmp_path / "given.json").read_bytes())
    assert contents(tmp_path / "out") == contents(tmp_path / "alone")
    assert not is_there(pid)


@pytest.mark.parametrize(
    "first",
    [
        "os.kill(helper._pid, signal.SIGKILL)",
        "time.sleep(0.5); os.kill(helper._pid, signal.SIGKILL); time.sleep(0.1)",
        'helper._send(b\'fr\\n{"not": "a report"}\'); helper._close_input(); helper._send = lambda data: None',
    ],
    ids=["killed at once", "killed later", "asked for nonsense"],
)
def test_without_it_the_run_renders_by_itself(first: str, tmp_path: Path) -> None:
    """A helper that dies, or can't make them, costs no report."""
    write_reports(reports.go(), tmp_path / "alone")
    with program(tmp_path, reports.go(), first=first) as ran:
        assert ran.wait(60) == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "alone")


def test_ctrl_c_does_not_end_it(tmp_path: Path) -> None:
    """A terminal's Ctrl-C goes to both: the run decides what becomes of it, and its reports are still made."""
    first = "time.sleep(1); os.kill(helper._pid, signal.SIGINT); time.sleep(0.2)"
    last = "print(len(made))"
    text = first + '; helper.submit(Path("given.json").read_bytes()); made = helper.result(); sys.stdout.flush()'
    with program(tmp_path, reports.go(), first=text, last=last) as ran:
        lines = ran.communicate(timeout=60)[0].splitlines()
    assert lines[1:] == ["3"]


def test_it_ends_with_a_gate_that_is_killed(tmp_path: Path) -> None:
    """Nothing is left of it, also where nobody could say good-bye."""
    with program(tmp_path, reports.go(), first="time.sleep(60)") as ran:
        pid = int((ran.stdout or sys.stdin).readline())
        assert is_there(pid)
        ran.send_signal(signal.SIGKILL)
    end = time.monotonic() + 10
    while is_there(pid) and time.monotonic() < end:
        time.sleep(0.05)
    assert not is_there(pid)


def test_there_is_none_beside_threads(tmp_path: Path) -> None:
    """A process with threads is not forked: a lock that one of them holds would be held for ever."""
    text = "import threading, time; from gate.render.worker import render_worker; " + (
        "threading.Thread(target=time.sleep, args=(0.5,)).start(); print(render_worker().__enter__())"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.check_output([sys.executable, "-c", text], env=environment, timeout=60) == b"None\n"
