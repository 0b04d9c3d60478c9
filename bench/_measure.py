"""Measures whole processes beside one another, in turns: seconds to the exit, and peak memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
# The gate as a user installs it, by `make bench`.
GATE = [str(ROOT / ".cache" / "prodgate" / "bin" / "prodgate"), "run", "--out", "out"]


@dataclass(frozen=True)
class Measured:
    """Seconds from start to exit, and the peak memory of the process in MiB."""

    seconds: float
    memory: float


@dataclass(frozen=True)
class Program:
    """A command to measure. `codes` are the exit codes that mean that it did its work."""

    name: str
    command: list[str]
    codes: tuple[int, ...] = (0,)
    stdin: Path = field(default=Path(os.devnull))


def run(program: Program, folder: Path) -> Measured:
    """Run a program once in a folder. Raises RuntimeError with its output if it fails.

    Its reports are put aside, so that each run begins without any, as a job does in a fresh checkout.
    """
    environment = {**os.environ, "NO_COLOR": "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # as a user has it: the first run compiles, later ones do not
    with program.stdin.open("rb") as given, (folder / "log").open("wb") as log:
        began = time.monotonic()
        process = subprocess.Popen(program.command, cwd=folder, env=environment, stdin=given, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
        took = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if (folder / "out").is_dir():
        (folder / "out").rename(folder / f"out-{time.monotonic_ns()}")
    if process.returncode not in program.codes:
        tail = (folder / "log").read_text(errors="replace")[-2000:]
        raise RuntimeError(f"{program.command} exited with {process.returncode}:\n{tail}")
    return Measured(took, usage.ru_maxrss / 1024)


def in_turns(programs: list[Program], folder: Path, rounds: int) -> dict[str, Measured]:
    """Return each program's median: every program runs once in each of the rounds, after a warm-up round."""
    taken: dict[str, list[Measured]] = {program.name: [] for program in programs}
    for number in range(rounds + 1):
        for program in programs:
            measured = run(program, folder)
            if number:
                taken[program.name].append(measured)
    return {
        name: Measured(median(one.seconds for one in all_), median(one.memory for one in all_))
        for name, all_ in taken.items()
    }


def show(taken: Mapping[str, Measured]) -> None:
    """Print seconds and memory of each program."""
    for name, one in taken.items():
        print(f"  {name:36} {one.seconds:8.2f} s {one.memory:8.0f} MiB")


def judge(what: str, value: float, limit: float) -> None:
    """Print a ratio with its limit."""
    print(f"  {what:36} {value:8.2f}   at most {limit}: {'kept' if value <= limit else 'MISSED'}", flush=True)


@contextmanager
def service(delay: float) -> Iterator[str]:
    """Yield the URL of a local service that responds after `delay` seconds."""
    command = [sys.executable, str(ROOT / "bench" / "_service.py"), str(delay)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()
