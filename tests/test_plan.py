"""`prodgate plan`: what will be started, provisioned and broken, and what can't be done here; nothing is touched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
TARGETS: dict[str, Any] = {
    "database": {"container": "postgres", "ready": {"tcp": 5432, "within": "30s"}},
    "api": {
        "url": "http://api:8080",
        "start": {"build": ".", "environment": {"DATABASE": "{database.address}"}},
        "provision": [{"copy": "conf", "to": "/etc/api", "signal": "HUP"}],
        "ready": {"path": "/live", "within": "20s"},
    },
    "worker": {"start": {"command": ["touch", "was-started"]}, "port": 1},
}
DRILL = {
    "steady": [{"tcp": {"target": "api"}}],
    "fault": {"stop": "database"},
    "observe": [{"within": "10s", "tcp": {"target": "api"}}],
}


def plan(folder: Path, items: list[dict[str, Any]]) -> str:
    """What the program prints, where there is no engine."""
    sections = [{"id": "s", "title": "S", "items": items}]
    checklist = {"version": 1, "service": "shop", "targets": TARGETS, "sections": sections}
    (folder / "prodgate.yml").write_text(json.dumps(checklist))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DOCKER_HOST": f"unix://{folder}/none.sock"}
    return subprocess.run(
        [sys.executable, "-m", "gate", "plan"], cwd=folder, env=environment, capture_output=True, text=True, check=True
    ).stdout


def test_what_will_be_done(tmp_path: Path) -> None:
    """Each target that is needed, what is put into it, what is broken, the rights, and what is missing here."""
    said = plan(tmp_path, [{"id": "d", "title": "D", "drill": DRILL}])
    for line in (
        "  - database, api: the right to use the container engine (/var/run/docker.sock)\n",
        "  - not here: database, api: there is no container engine here: ",
        "Targets  (at worst 50.0 s)\n",
        "  - database: the service container postgres is looked for\n",
        "  - api: an image is built from . and started; both are removed at the end\n",
        "  - api: conf is copied into it, to /etc/api\n",
        "  - api: it gets the signal HUP\n",
        "  - d: stop database, and put it back\n",
    ):
        assert line in said
    assert "worker" not in said


def test_nothing_is_touched(tmp_path: Path) -> None:
    """A process that would be started is named, and not started; no engine is asked for."""
    said = plan(tmp_path, [{"id": "w", "title": "W", "tcp": {"target": "worker"}}])
    assert "  - worker: `touch was-started` is started, and ended at the end\n" in said
    assert "none: no container engine is needed" in said
    assert [path.name for path in tmp_path.iterdir()] == ["prodgate.yml"]
