"""A folder with a checklist, and the gate run in it as a user would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.paths import ROOT

# A criterion that does not hold when it is asked first, before the fault, and holds when it is asked next.
NOTICED: dict[str, Any] = {
    "command": {"shell": True, "run": "test -e noticed && rm noticed || { touch noticed; exit 1; }"}
}


class Folder:
    """A folder with a checklist, the gate run in it, and a word by which its processes are found."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.word = f"prodgate-test-{uuid.uuid4().hex}"
        self.environment = {**os.environ, "XDG_STATE_HOME": str(path / "state"), "PYTHONPATH": str(ROOT)}

    def write(self, *items: dict[str, Any], **targets: Any) -> None:
        """Write the checklist."""
        section = {"id": "s", "title": "S", "items": list(items)}
        text = {"version": 1, "service": "shop", "targets": targets, "sections": [section]}
        (self.path / "prodgate.yml").write_text(json.dumps(text))

    def program(self, name: str, *lines: str) -> str:
        """Return a script of the user's own that can be found by the word, and says that it has begun."""
        path = self.path / name
        path.write_text("\n".join(["#!/bin/sh", f": {self.word}", *lines, ""]))
        path.chmod(0o755)
        return f"./{name}"

    def start(self, *words: str, **more: Any) -> subprocess.Popen[str]:
        """Start the gate."""
        return subprocess.Popen(
            [sys.executable, "-m", "gate", *(words or ("run", "--out", "out"))], cwd=self.path, env=self.environment,
            text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more,
        )  # fmt: skip

    def run(self, *words: str) -> tuple[int, str]:
        """Run the gate; return its exit code and output."""
        process = self.start(*words)
        said, _ = process.communicate(timeout=120)
        return process.returncode, said

    def kill(self, process: subprocess.Popen[str]) -> None:
        """End the gate with SIGKILL."""
        process.kill()
        process.communicate()

    def outcomes(self) -> list[dict[str, Any]]:
        """Return the items' outcomes."""
        report = json.loads((self.path / "out" / "report.json").read_text())
        return [item["outcome"] for section in report["sections"] for item in section["items"]]

    def wait_for(self, name: str) -> None:
        """Wait until a file exists."""
        until(lambda: (self.path / name).exists())

    def left(self) -> list[str]:
        """Return the processes that have the word in their command line, and the journals."""
        listed = subprocess.run(["ps", "-ewwo", "pid,args"], capture_output=True, text=True, check=True).stdout
        return [line for line in listed.splitlines() if self.word in line] + self.journals()

    def journals(self) -> list[str]:
        """Return the journals of faults that are not reverted."""
        return [path.name for path in (self.path / "state").rglob("*.journal")]


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)
