"""`prodgate merge`: one report of many, by the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gate.model import Status
from gate.report.serialization import to_json
from tests.support.paths import ROOT
from tests.support.reports import part

PASS, FAIL = Status.PASS, Status.FAIL


def merged(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `prodgate merge` in a folder."""
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-m", "gate", "merge", *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("folders", [(), ("parts",)], ids=["no folder", "an empty folder"])
def test_no_part_at_all_by_the_command_line(tmp_path: Path, folders: tuple[str, ...]) -> None:
    """It is so where the folder is empty, and where it is not there; and it has all its reports."""
    for folder in folders:
        (tmp_path / folder).mkdir()
    done = merged(tmp_path, "parts", "--expect", "a b")
    report = json.loads((tmp_path / "prodgate-out" / "report.json").read_text())
    assert (done.returncode, len(report["verdict"]["reasons"])) == (1, 2), done.stderr
    assert "b: the report is missing" in (tmp_path / "prodgate-out" / "junit.xml").read_text()


def test_nothing_is_expected_and_nothing_is_there(tmp_path: Path) -> None:
    """Without `--expect`, no report is a wrong call."""
    assert merged(tmp_path, "parts").returncode == 2
    (tmp_path / "parts").mkdir()
    assert merged(tmp_path, "parts").returncode == 2


def test_fifty_reports_of_a_thousand_items(tmp_path: Path) -> None:
    """Fifty parts of 1,000 items make one verdict, one report and one JUnit file, by the command line."""
    for number in range(50):
        folder = tmp_path / "parts" / f"part-{number}"
        folder.mkdir(parents=True)
        statuses = [PASS] * 999 + [FAIL if number == 7 else PASS]
        (folder / "report.json").write_text(to_json(part(f"s{number}", *statuses)))
    done = merged(tmp_path, "parts", "--expect", "part-0", "--expect", "part-49")
    report = json.loads((tmp_path / "prodgate-out" / "report.json").read_text())
    assert (done.returncode, sum(len(section["items"]) for section in report["sections"])) == (1, 50_000), done.stderr
    assert report["verdict"]["reasons"][0]["items"] == ["s7.999"]
    assert (tmp_path / "prodgate-out" / "junit.xml").read_text().count("<testcase ") == 50_001
