"""GitHub's own parser of workflows and actions."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.support import npm
from tests.support.paths import ROOT

PARSER = ROOT / "tests" / "support" / "workflow-parser"


@pytest.fixture(scope="module")
def package() -> Path:
    """Install GitHub's parser from the lock file and return its folder."""
    return npm.install(PARSER.name)


def errors(package: Path, files: dict[str, str], kind: str = "workflow") -> dict[str, list[str]]:
    """Return the errors of GitHub's parser for each file."""
    given = json.dumps([{"name": name, "kind": kind, "content": content} for name, content in files.items()])
    command = ["node", str(PARSER / "parse.mjs"), str(package)]
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    response: dict[str, list[str]] = json.loads(done.stdout)
    return response
