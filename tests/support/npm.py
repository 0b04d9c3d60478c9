"""Install packages of npm as their lock files have them, once for all test processes."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.support import engine
from tests.support.paths import ROOT


def install(name: str) -> Path:
    """Return the folder in which the packages of `tests/support/NAME/package-lock.json` are installed."""
    source, folder = ROOT / "tests" / "support" / name, ROOT / ".cache" / name
    with engine.locked(name):
        lock = (source / "package-lock.json").read_bytes()
        mark = folder / "installed"
        if not mark.exists() or mark.read_bytes() != lock:
            folder.mkdir(parents=True, exist_ok=True)
            for file in ("package.json", "package-lock.json"):
                (folder / file).write_bytes((source / file).read_bytes())
            command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            subprocess.run(command, cwd=folder, check=True, capture_output=True)
            mark.write_bytes(lock)
    return folder
