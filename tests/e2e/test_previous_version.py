"""Files that the version before a renaming wrote: journals are restored, and reports keep their keys and values."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from gate.report.serialization import from_json, to_json
from gate.runtime.process_tree import process_group
from gate.staging.revert import REVERT_FUNCTIONS
from tests.support.folder import Folder

REPORTS = sorted((Path(__file__).parent / "golden").glob("*.json"))
ON_DISK = {
    "start_container": {"container"},
    "unpause_container": {"container"},
    "connect_container": {"container", "network", "aliases", "address", "address6"},
    "remove_container": {"container"},
    "let_go": {"container", "run_id"},
    "run_command": {"command", "folder", "timeout"},
    "end_group": {"group", "started", "machine"},
    "end_processes": {"run_id"},
    "remove_labelled": {"run_id"},
}


def test_the_names_in_a_journal_are_those_of_before() -> None:
    """Revert functions and their arguments are found by the names that journals on disk have for them."""
    functions = {name: REVERT_FUNCTIONS[name] for name in ON_DISK}
    arguments = {name: set(inspect.signature(function).parameters) for name, function in functions.items()}
    arguments["run_command"].discard("on_group_created")  # is not stored
    assert arguments == ON_DISK


def entry(number: int, undo: str, **what: Any) -> dict[str, Any]:
    """Return an entry of a journal as the previous version wrote it."""
    return {"act": number, "undo": undo, "what": what, "settles": 0.0, "at": time.time()}


def test_a_journal_of_the_version_before_is_restored(tmp_path: Path) -> None:
    """Every open entry is reverted, the latest first; one that was reverted is not reverted again."""
    folder = Folder(tmp_path)
    command = folder.program("mends", 'echo "$1" >> order')
    daemon = [sys.executable, "-c", "import time; time.sleep(600)", folder.word]
    with subprocess.Popen(daemon, start_new_session=True) as process:
        group = process_group(process.pid)
        assert set(group) == {"group", "started", "machine"}
        lines = [
            {"run": "0123456789ab", "container": None, "gate": {**group, "group": 2**22 + 1}},
            entry(1, "run_command", command=[command, "first"], folder=str(tmp_path), timeout=10.0),
            entry(2, "run_command", command=[command, "reverted"], folder=str(tmp_path), timeout=10.0),
            {"done": 1},
            {"undone": 2},
            entry(3, "run_command", command=[command, "last"], folder=str(tmp_path), timeout=10.0),
            entry(4, "end_group", **group),
        ]
        journals = tmp_path / "state" / "prodgate"
        journals.mkdir(parents=True)
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (journals / "0123456789ab.journal").write_text(text + '{"act": 5, "undo": "start_con')
        code, said = folder.run("restore")
        assert code == 0, said
        assert process.wait(10) != 0
    assert (tmp_path / "order").read_text().splitlines() == ["last", "first"], said
    assert folder.left() == [], said


def without_new_nulls(new: Any, old: Any) -> Any:
    """Return new data without the keys that the old data does not have, if they are null."""
    if isinstance(new, dict) and isinstance(old, dict):
        kept = {key: value for key, value in new.items() if key in old or value is not None}
        return {key: without_new_nulls(value, old.get(key)) for key, value in kept.items()}
    if isinstance(new, list) and isinstance(old, list) and len(new) == len(old):
        return [without_new_nulls(*pair) for pair in zip(new, old, strict=True)]
    return new


@pytest.mark.parametrize("path", REPORTS, ids=lambda path: path.stem)
def test_a_report_of_the_version_before_is_written_again(path: Path) -> None:
    """No key is renamed, moved or lost, and no value changes. A key that is new since is null."""
    text = path.read_text(encoding="utf-8")
    old, new = json.loads(text), json.loads(to_json(from_json(text, path.name)))
    assert json.dumps(without_new_nulls(new, old), indent=1) == json.dumps(old, indent=1)


def test_there_are_reports_of_the_version_before() -> None:
    """The parametrized test above has something to read."""
    assert [path.stem for path in REPORTS] == ["changed", "hostile", "reserved", "traced"]
