"""What operators do to a service: a restart and a deployment of another release. Users must not notice."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.folder import Folder
from tests.support.services import free_port

DEPENDENT = Path(__file__).parents[1] / "support" / "dependent.py"
# Exits at its second start, as a service that cannot start on what its first run left.
STARTS_ONCE = "test ! -e begun || { echo 'ERROR: the lock file exists' >&2; exit 3; }; touch begun; exec "


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Provide a folder for the checklist."""
    return Folder(tmp_path)


def run(
    folder: Folder, fault: dict[str, Any], *, before: str = "", listen: bool = False, **drill: Any
) -> dict[str, Any]:
    """Run a drill on an API and its database, both processes; return its outcome. `before` is put before the database.

    Nothing may be left.
    """
    api, database = free_port(), free_port()
    serves = f"{sys.executable} -m http.server --bind 127.0.0.1 {database} {folder.word}"
    targets: dict[str, Any] = {
        "database": {
            "start": {"command": ["sh", "-c", f"{before or 'exec '}{serves.replace(folder.word, '')}"]},
            "port": database,
            "ready": {"tcp": database, "within": "20s"},
        },
        "api": {
            "url": f"http://127.0.0.1:{api}",
            "start": {
                "command": [sys.executable, str(DEPENDENT), str(api)],
                "environment": {"DATABASE_PORT": str(database), "PORT": str(api)},
            },
            "ready": {"path": "/live", "within": "20s"},
        },
    }
    steady = [{"within": "10s", "http": {"target": "api", "path": "/readyz", "status": 200}}]
    if listen:
        front = free_port()
        targets["database"]["listen"] = front
        targets["api"]["start"]["environment"]["DATABASE_PORT"] = str(front)
    made = {"steady": steady, "fault": fault, "stays": "0s", "lasts": "0s", **drill}
    folder.write({"id": "drill", "title": "D", "requires": ["api", "database"], "drill": made}, **targets)
    code, said = folder.run()
    (outcome,) = folder.outcomes()
    assert folder.left() == [], said
    assert code == (0 if outcome["status"] == "pass" else 1), said
    return outcome


SLOW = ["20ms", "100ms", "1s", "5s"]


@pytest.mark.parametrize(
    ("withstand", "status", "step"), [({}, "pass", "skip"), ({"withstand": "1s"}, "fail", "fail")], ids=str
)
def test_sweep_finds_the_latency_at_which_a_service_breaks(
    folder: Folder, withstand: dict[str, Any], status: str, step: str
) -> None:
    """The API waits half a second for its database: it breaks at 1 s, and no later step is tried."""
    ready = {"target": "api", "path": "/readyz", "status": 200}
    outcome = run(folder, {"slow": {"target": "database", "latency": SLOW, **withstand}}, listen=True,
                  observe=[{"within": "3s", "http": ready}])  # fmt: skip
    answer = outcome["evidence"]["answer"]
    rows = [row["status"] for row in outcome["rows"] if row["phase"] == "observe"]
    assert (outcome["status"], rows) == (status, ["pass", "pass", step]), answer
    assert outcome["timeline"]["sweep"] == {"holds": "0.1 s", "breaks": "1.0 s"}
    assert [row["status"] for row in outcome["rows"] if row["phase"] == "fault"] == ["pass"] * 3


def test_sweep_that_does_not_end_has_no_result(folder: Folder) -> None:
    """An observation that cannot be made at a later step is an ERROR, and what the service holds is not known."""
    probe = folder.program("probe", 'rm "$0"')
    outcome = run(folder, {"slow": {"target": "database", "latency": SLOW}}, listen=True,
                  observe=[{"within": "1s", "command": {"run": probe}}])  # fmt: skip
    rows = [row["status"] for row in outcome["rows"] if row["phase"] == "observe"]
    assert (outcome["status"], rows) == ("error", ["pass", "error"]), outcome["evidence"]["answer"]
    assert outcome["timeline"].get("sweep") is None


def traffic(path: str) -> dict[str, Any]:
    """Return traffic that may get no error."""
    return {"target": "api", "path": path, "rate": 20, "errors": 0}


@pytest.mark.parametrize(("path", "status"), [("/live", "pass"), ("/readyz", "fail")])
def test_restart_that_users_notice_or_not(folder: Folder, path: str, status: str) -> None:
    """A path that does not need the database has no downtime while it restarts, one that does has."""
    outcome = run(folder, {"restart": "database"}, traffic=traffic(path))
    rows = {row["phase"]: row["status"] for row in outcome["rows"] if row["phase"] in ("fault", "restore")}
    assert (outcome["status"], rows) == (status, {"fault": "pass", "restore": "pass"}), outcome["evidence"]["answer"]
    if status == "fail":
        assert "status 503" in outcome["evidence"]["answer"]


def test_restart_after_which_a_target_does_not_come_back(folder: Folder) -> None:
    """A target that does not survive its restart is a FAIL, and the reason is the error line of its log."""
    outcome = run(folder, {"restart": {"target": "database", "within": "2s"}}, before=STARTS_ONCE,
                  traffic=traffic("/live"))  # fmt: skip
    assert outcome["status"] == "fail"
    assert "ERROR: the lock file exists" in outcome["evidence"]["answer"]


def other_release(folder: Folder, port: str, *lines: str) -> dict[str, Any]:
    """Return a deployment of another API, which is the same with some lines before its start."""
    script = folder.program("release", *lines, f'exec {sys.executable} {DEPENDENT} "{port}"')
    return {"deploy": {"target": "api", "command": script, "within": "5s", "environment": {"RELEASE": "previous"}}}


@pytest.mark.parametrize(
    ("lines", "status", "why"),
    [
        ((), "pass", "runs instead of api"),
        (("echo 'ERROR: column \"plays\" does not exist' >&2", "exit 1"), "fail", 'column "plays" does not exist'),
        (("export BLIND=1",), "fail", "status"),
    ],
    ids=["works", "does not start", "answers wrongly"],
)
def test_previous_release_in_place_of_a_process(folder: Folder, lines: tuple[str, ...], status: str, why: str) -> None:
    """What the previous release answers is judged; then the current one runs again."""
    expects = {"target": "api", "path": "/readyz", "json": {"status": "ready"}, "status": 203 if "BLIND" in str(lines)
               else 200}  # fmt: skip
    outcome = run(folder, other_release(folder, "$PORT", *lines), observe=[{"within": "3s", "http": expects}])
    answer = outcome["evidence"]["answer"]
    assert outcome["status"] == status, answer
    assert why in answer, answer
    assert [row["status"] for row in outcome["rows"] if row["phase"] == "restore"] == ["pass"], answer
