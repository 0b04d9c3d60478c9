"""The gate on the example: nothing running, everything running, and with a bug put in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from gate.checklist.schema import checklist_schema
from gate.model import Report, Status
from gate.report.serialization import read_report
from tests.support.example_bugs import BUGS, EXAMPLE, Bug, copy, put_in

_SEVEN = 7
KNOWN_TO_FAIL = [
    "internal.testutils.servicemocks.test_servicemocks::test_has_the_signature_of_the_real_service[create]",
    "internal.workers.test_playback_analytics::TestPlaybackAnalyticsWorker_RetryFailedJobs",
]

# What a bug keeps from happening is waited for to the end: shorter than the checklist does, and long enough for the
# other items on a busy machine.
SHORT = {"SCRAPE_WITHIN": "10s", "NOTICE_WITHIN": "8s", "ALERT_WITHIN": "15s", "RECOVER_WITHIN": "12s"}


def run(command: list[str], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program as a user does, without a runner's variables and without an engine."""
    kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env={**kept, "DOCKER_HOST": "unix:///nowhere.sock", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def report(folder: Path) -> Report:
    """Read the report of a run."""
    return read_report(folder / "prodgate-out" / "report.json")


def demo(folder: Path, **environment: str) -> tuple[subprocess.CompletedProcess[str], Report]:
    """`make demo` in a copy of the example, with the virtual environment of the original."""
    (folder / ".demo").symlink_to(EXAMPLE / ".demo")
    ended = run(["demo"], folder, **environment)
    assert (folder / "prodgate-out" / "report.json").exists(), ended.stderr
    return ended, report(folder)


def test_schema_is_that_of_the_code() -> None:
    """The schema beside the example is what `prodgate schema` prints: `make schema` writes it again."""
    assert json.loads((EXAMPLE / "prodgate.schema.json").read_text()) == checklist_schema()


@pytest.mark.parametrize("name", ["prodgate.yml", "prodgate.ci.yml", "prodgate.demo.yml", "prodgate.rollback.yml"])
def test_editors_find_nothing_wrong(name: str) -> None:
    """The example's checklists, variables included, have the form of the schema. Only the first is one by itself."""
    schema = checklist_schema()
    wanted = schema["required"] if name == "prodgate.yml" else ["version"]
    found = jsonschema.Draft202012Validator({**schema, "required": wanted}).iter_errors(
        yaml.safe_load((EXAMPLE / name).read_text())
    )
    assert [error.message for error in found] == []


def test_editors_find_what_is_wrong() -> None:
    """A key of a check, also of one inside a drill, that is not there is found by the schema."""
    text = (EXAMPLE / "prodgate.yml").read_text()
    for old, new in (
        ("latency: 1s", "latncy: 1s"),
        ("VezaCircuitBreakerOpen, state:", "VezaCircuitBreakerOpen, stte:"),
    ):
        wrong = yaml.safe_load(text.replace(old, new, 1))
        assert not jsonschema.Draft202012Validator(checklist_schema()).is_valid(wrong), new


def of_tests(made: Report) -> dict[str, tuple[Status, list[str]]]:
    """Return the outcomes of the example's own tests, with the rows of those in quarantine."""
    items = next(section.items for section in made.sections if section.id == "tests")
    return {item.id: (item.status, [str(row.title) for row in item.outcome.rows]) for item in items}


def test_nothing_running(python: Path, tmp_path: Path) -> None:
    """With nothing running, the sections come out as those of the hand-run report: its table, and its unit tests."""
    folder = copy(tmp_path / "veza")
    address = "http://127.0.0.1:9"
    there = {"API_URL": address, "PROMETHEUS_URL": address, "READY_WITHIN": "1s", "PYTHON": str(python)}
    ended = run(["gate", "run"], folder, **there)
    assert (folder / "prodgate-out" / "report.json").exists(), ended.stderr
    made = report(folder)
    assert of_tests(made) == {
        "tests.unit": (Status.PASS, KNOWN_TO_FAIL),
        "tests.integration": (Status.SKIP, []),
    }
    by = [[item.status for item in section.items] for section in made.sections[:_SEVEN]]
    table = [(len(each), *(each.count(status) for status in (Status.PASS, Status.FAIL, Status.SKIP))) for each in by]
    rates = [round(100 * each.count(Status.PASS) / len(each)) for each in by]
    assert (ended.returncode, table, rates) == (
        1,
        [(6, 1, 0, 5), (5, 3, 0, 2), (6, 2, 0, 4), (7, 0, 0, 7), (3, 0, 3, 0), (2, 0, 0, 2), (4, 4, 0, 0)],
        [17, 60, 33, 0, 0, 0, 100],
    )


def test_demo(python: Path, tmp_path: Path) -> None:
    """With everything running, all 33 items pass, the tests and the chain of each alert too: GO."""
    ended, made = demo(copy(tmp_path / "veza"))
    bad = [(item.id, str(item.outcome.message)) for section in made.sections for item in section.items
           if item.status is not Status.PASS]  # fmt: skip
    count = sum(len(section.items) for section in made.sections[:_SEVEN])
    assert (bad, count, made.verdict.reasons, ended.returncode) == ([], 33, (), 0)
    assert of_tests(made) == {
        "tests.unit": (Status.PASS, KNOWN_TO_FAIL),
        "tests.integration": (Status.PASS, []),
    }


@pytest.mark.parametrize(
    ("migration", "code"),
    [("ADD COLUMN IF NOT EXISTS genre text NOT NULL DEFAULT ''", 0), ("DROP COLUMN IF EXISTS plays", 1)],
    ids=["adds a column", "drops a column"],
)
def test_migration_under_the_previous_release(python: Path, tmp_path: Path, migration: str, code: int) -> None:
    """A migration that adds a column is a GO; one that drops a column that the previous release reads is a NO-GO."""
    folder = copy(tmp_path / "veza")
    database, tracks = folder / "internal" / "database.py", folder / "internal" / "tracks.py"
    tables = '" plays integer NOT NULL DEFAULT 0)",\n'
    changed = database.read_text().replace(tables, f'{tables}    "ALTER TABLE tracks {migration}",\n')
    assert changed != database.read_text()
    database.write_text(changed)
    tracks.write_text(tracks.read_text().replace("seconds, plays", "seconds, 0 AS plays"))
    (folder / ".demo").symlink_to(EXAMPLE / ".demo")
    ended = run(
        ["demo", "--file", "prodgate.rollback.yml", "--only", "rollback"], folder, PREVIOUS_RELEASE=str(EXAMPLE)
    )
    made = report(folder)
    (item,) = [item for section in made.sections for item in section.items]
    assert ended.returncode == code, ended.stdout
    assert (item.status is Status.PASS) == (code == 0)
    assert code == 0 or "Un morceau est enregistré" in str(made.verdict.reasons[0].message)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_bug_is_named(python: Path, tmp_path: Path, bug: Bug) -> None:
    """With a bug put in, the verdict is NO-GO, and its first reason names that very thing."""
    folder = copy(tmp_path / "veza")
    put_in(bug, folder)
    ended, made = demo(folder, **SHORT)
    first = str(made.verdict.reasons[0].message)
    assert ([text for text in bug.reason if text not in first], ended.returncode) == ([], 1), first
