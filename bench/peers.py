"""Measures whole processes beside one another: seconds and peak memory."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median as middle

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Measured:
    """Seconds from start to exit, and peak memory in MiB."""

    seconds: float
    memory: int


def measure(command: list[str], folder: Path, *, stdin: Path | None = None, codes: tuple[int, ...] = (0,)) -> Measured:
    """Runs a command in a folder. Raises RuntimeError for an exit code that is not expected."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
    with (stdin or Path(os.devnull)).open("rb") as given, (folder / "log").open("wb") as log:
        began = time.monotonic()
        process = subprocess.Popen(command, cwd=folder, env=environment, stdin=given, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
        took = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in codes:
        tail = (folder / "log").read_text(errors="replace")[-2000:]
        raise RuntimeError(f"{command} exited with {process.returncode}:\n{tail}")
    return Measured(took, usage.ru_maxrss // 1024)


def median(measured: list[Measured]) -> Measured:
    """The median of each number."""
    return Measured(middle(each.seconds for each in measured), int(middle(each.memory for each in measured)))


def show(name: str, ours: Measured, peer: str, theirs: Measured, *, limit: float) -> None:
    """Prints both, and the ratio with what it may be at most."""
    for what, one in ((name, ours), (peer, theirs)):
        print(f"{what:30} {one.seconds:7.2f} s {one.memory:6} MiB")
    print(f"{'ratio':30} {ours.seconds / theirs.seconds:7.2f}   (at most {limit})")
