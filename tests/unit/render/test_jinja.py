"""The templates' bytecode: made once, never stale, and nothing without it changes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.paths import ROOT


def copied(folder: Path) -> Path:
    """Copy the package and its templates without bytecode."""
    for name in ("gate",):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def summary(folder: Path) -> str:
    """Return the summary of an empty report, rendered by the package in a folder."""
    program = (
        "from datetime import UTC, datetime; from gate.model import *; from gate.render import summary\n"
        "now = datetime(2026, 1, 1, tzinfo=UTC); verdict = Verdict(decision='GO')\n"
        "report = Report(gate='1', service='s', environment='e', started=now, finished=now, verdict=verdict)\n"
        "print(summary.render(report, 'en'))"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    return done.stdout


def test_changed_template_counts(tmp_path: Path) -> None:
    """A template that was changed after its bytecode was made is the one that is rendered."""
    folder = copied(tmp_path)
    summary(folder)
    template = folder / "gate" / "templates" / "summary.md.j2"
    template.write_text("changed")
    assert summary(folder).strip() == "changed"


def test_broken_bytecode_is_made_again(tmp_path: Path) -> None:
    """Bytecode that cannot be read costs time, and changes nothing."""
    folder = copied(tmp_path)
    first = summary(folder)
    (made,) = (folder / "gate" / "render" / "__pycache__").glob("summary*.bin")
    whole = made.read_bytes()
    made.write_bytes(whole[: len(whole) // 2])
    assert summary(folder) == first
    assert made.read_bytes() == whole
