"""A checkout on a runner, and the program run in it against a server that plays GitHub."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.support.github.server import HEAD, REPOSITORY, TOKEN, GitHub
from tests.support.paths import ROOT

GO = {"id": "a.go", "title": "Goes", "command": {"run": ["true"], "exit": 0}}
NO_GO = {"id": "a.no", "title": "Database drill", "command": {"run": ["false"], "exit": 0}}
WAITS = {"id": "a.waits", "title": "Waits", "timeout": "100s", "command": {"run": ["sleep", "100"], "exit": 0}}


class Runner:
    """A checkout on a runner, and the program in its environment."""

    def __init__(self, folder: Path, github: GitHub, *items: dict[str, Any]) -> None:
        self.folder = folder
        section = {"id": "a", "title": "A", "items": list(items)}
        self.write("prodgate.yml", json.dumps({"version": 1, "service": "shop", "sections": [section]}))
        event = {"pull_request": {"number": 7, "head": {"sha": HEAD}, "base": {"ref": "main", "sha": "0" * 40}}}
        self.write("event.json", json.dumps(event))
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": str(ROOT),
            "GITHUB_ACTIONS": "true",
            "GITHUB_API_URL": github.url,
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_EVENT_NAME": "pull_request",
            "GITHUB_EVENT_PATH": str(folder / "event.json"),
            "GITHUB_BASE_REF": "main",
            "GITHUB_SHA": "1" * 40,
            "GITHUB_RUN_ID": "5000",
            "GITHUB_RUN_ATTEMPT": "1",
            "INPUT_GITHUB-TOKEN": TOKEN,
        }

    def write(self, name: str, text: str) -> None:
        """Write a file of the checkout."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start the program."""
        command = [sys.executable, "-m", "gate", *words]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=self.folder, env=self.environment, text=True, stdout=pipe, stderr=pipe)

    def run(self, *words: str) -> tuple[int, str]:
        """Run the program to its end and return the exit code and its output."""
        started = self.start(*(words or ("run",)))
        out, err = started.communicate(timeout=120)
        return started.returncode, out + err

    @property
    def report(self) -> dict[str, Any]:
        """Return the report of the last run."""
        found: dict[str, Any] = json.loads((self.folder / "prodgate-out" / "report.json").read_text())
        return found


def states(github: GitHub) -> list[str]:
    """Return the states that were set, in order."""
    return [status["state"] for status in github.statuses]


def until(condition: Any) -> None:
    """Wait until the condition holds, for at most a minute."""
    end = time.monotonic() + 60
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
