"""Drills on two processes, an API and its database, that the gate starts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.folder import Folder
from tests.support.paths import ROOT
from tests.support.services import free_port

NOWHERE = "unix:///nowhere.sock"
SERVICE = ROOT / "tests" / "support" / "dependent.py"


class Staging(Folder):
    """A folder with a checklist of one drill on two processes, and the gate run on it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        # Drills of processes need no engine.
        self.environment["DOCKER_HOST"] = NOWHERE
        self.api, self.database = free_port(), free_port()
        self.prometheus = ""

    def write_drill(
        self, drill: dict[str, Any], *, environment: dict[str, str] | None = None, listen: int | None = None
    ) -> None:
        """Write the checklist."""
        python = sys.executable
        seen_port = listen or self.database
        database: dict[str, Any] = {
            "start": {"command": [python, "-m", "http.server", "--bind", "127.0.0.1", str(self.database)]},
            "port": self.database,
            "ready": {"tcp": self.database, "within": "20s"},
        }
        if listen:
            database["listen"] = listen
        api = {
            "url": f"http://127.0.0.1:{self.api}",
            "start": {
                "command": [python, str(SERVICE), str(self.api)],
                "environment": {"DATABASE_PORT": str(seen_port), **(environment or {})},
            },
            "ready": {"path": "/live", "within": "20s"},
        }
        item = {"id": "drill", "title": "Drill", "requires": ["api", "database"], "drill": drill}
        self.write(item, api=api, database=database)

    def run_drill(self, *options: str) -> tuple[int, dict[str, Any]]:
        """Run the gate to its end and return its exit code and the drill's outcome."""
        code, output = self.run("run", "--out", "out", *options)
        assert (self.path / "out" / "report.json").exists(), output
        return code, self.outcomes()[0]

    def left(self) -> list[str]:
        """Return the processes of this staging that still run, by their command, and its journals."""
        found = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout.splitlines()
        ports = (f" {self.api}", f" {self.database}")
        processes = [line for line in found if line.rstrip().endswith(ports) and "-m gate" not in line]
        return processes + self.journals()


def ready(**more: Any) -> dict[str, Any]:
    """Return a check that the API is ready."""
    return {**more, "http": {"target": "api", "path": "/readyz", "status": 200}}


def not_ready(**more: Any) -> dict[str, Any]:
    """Return a check that the API reports its database as down."""
    json_ = {"status": "not_ready", "checks": {"database": {"status": "error"}}}
    return {**more, "http": {"target": "api", "path": "/readyz", "status": 503, "json": json_}}


def live() -> dict[str, Any]:
    """Return a check that the API is alive."""
    return {"http": {"target": "api", "path": "/live", "status": 200}}


def drill(fault: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a drill with this fault, updated with the arguments."""
    return {
        "steady": [ready(within="5s")],
        "fault": fault,
        "observe": [not_ready(within="10s")],
        "throughout": [live()],
        "recover": [ready(within="15s")],
        "stays": "500ms",
        **more,
    }


def phases(outcome: dict[str, Any]) -> list[tuple[str, str]]:
    """Return phase and status of each row."""
    return [(row["phase"], row["status"]) for row in outcome["rows"]]
