"""`prodgate plan`: what will be started, provisioned and broken, and what can't be done here; nothing is touched."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import ROOT

TARGETS: dict[str, Any] = {
    "database": {"container": "postgres", "ready": {"tcp": 5432, "within": "30s"}},
    "api": {
        "url": "http://api:8080",
        "start": {"build": ".", "environment": {"DATABASE": "{database.address}"}},
        "provision": [{"copy": "conf", "to": "/etc/api", "signal": "HUP"}],
        "ready": {"path": "/live", "within": "20s"},
    },
    "worker": {"start": {"command": ["touch", "was-started"]}, "port": 1, "listen": 2},
}
DRILL = {
    "steady": [{"tcp": {"target": "api"}}],
    "fault": {"stop": "database"},
    "observe": [{"within": "10s", "tcp": {"target": "api"}}],
}


def plan(folder: Path, items: list[dict[str, Any]]) -> str:
    """Return the output of `prodgate plan` without an engine."""
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
        "Targets  (at most 50.0 s)\n",
        "  - database: find the service container postgres\n",
        "  - api: build an image from . and start it; remove both after the run\n",
        "  - api: copy conf to /etc/api in the container\n",
        "  - api: send it the signal HUP\n",
        "  - d: stop database, then revert it\n",
    ):
        assert line in said
    assert "worker" not in said


def test_nothing_is_touched(tmp_path: Path) -> None:
    """A process that would be started is named, and not started; no engine is asked for."""
    said = plan(tmp_path, [{"id": "w", "title": "W", "tcp": {"target": "worker"}}])
    assert "  - worker: start `touch was-started`; end it after the run\n" in said
    assert "none: no container engine is needed" in said
    assert [path.name for path in tmp_path.iterdir()] == ["prodgate.yml"]


def test_a_command_in_an_image(tmp_path: Path) -> None:
    """An item with an image of its own needs the engine, and nobody knows how long pulling it takes."""
    said = plan(tmp_path, [{"id": "i", "title": "I", "command": {"run": "true", "image": "alpine"}}])
    assert "  - i: the right to use the container engine (/var/run/docker.sock)\n" in said
    assert "  - not here: i: there is no container engine here: " in said
    assert "  - pulling and building images is not counted: how long it takes is not known\n" in said


def test_how_long_something_is_broken(tmp_path: Path) -> None:
    """A drill says for how long something is broken at worst, and what a script may have to be helped with."""
    script = {"script": {"command": "./drill.sh", "timeout": "90s", "touches": ["database", "api"]}}
    said = plan(tmp_path, [{"id": "d", "title": "D", "drill": {"steady": DRILL["steady"], **script}}])
    assert "  - d: run ./drill.sh\n" in said
    assert "  - d: database, api: restored if the script does not do so\n" in said
    assert "  - d: the fault lasts at most 2 min 21 s\n" in said


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [
        ({"run": {"command": "x", "undo": "x", "proof": "x", "timeout": "2m"}}, 5 * 120),
        ({"slow": {"target": "worker", "cut": "3m"}}, 180),
        ({"impersonate": {"target": "worker", "status": 503, "delay": "4m"}}, 240),
    ],
)
def test_how_long_a_fault_takes(tmp_path: Path, fault: dict[str, Any], seconds: int) -> None:
    """The worst case has room for all commands of a fault, and for the proof of a slow one."""
    said = plan(tmp_path, [{"id": "d", "title": "D", "drill": {**DRILL, "fault": fault}}])
    found = re.search(r"1 drills, one at a time  \(at most (?:(\d+) min )?([\d.]+) s\)", said)
    assert found
    assert 60 * int(found[1] or 0) + float(found[2]) > seconds


def test_items_that_need_a_drill(tmp_path: Path) -> None:
    """An item that needs a drill runs with the drills; an item and one that it needs run one after the other."""
    asks = {"tcp": {"target": "worker"}, "timeout": "40s"}
    items = [
        {"id": "a", "title": "A", **asks},
        {"id": "b", "title": "B", "needs": ["a"], **asks},
        {"id": "d", "title": "D", "drill": DRILL},
        {"id": "e", "title": "E", "needs": ["d"], **asks},
    ]
    said = plan(tmp_path, items)
    assert "2 items, 40 at a time  (at most 1 min 22 s)\n" in said
    assert "1 drills, one at a time, and 1 items that need one  (at most " in said
