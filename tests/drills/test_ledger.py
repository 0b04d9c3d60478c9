"""Writes that a service acknowledged and lost, on a PostgreSQL that is killed: found and named, and none made up."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.folder import Folder
from tests.support.services import free_port, postgres_prepared

SERVICE = Path(__file__).parents[1] / "support" / "orders.py"
LEDGER: dict[str, Any] = {
    "write": {"http": {"target": "api", "method": "POST", "path": "/orders/{id}", "status": 201}},
    "read": {"http": {"target": "api", "path": "/orders/{id}", "json": {"order": {"key": "{id}"}}}},
    "rate": 50,
}


def drill_outcome(folder: Folder, *options: str) -> dict[str, Any]:
    """Kill a PostgreSQL with these options under an API that writes to it; return the outcome of the drill."""
    api = free_port()
    with postgres_prepared() as postgres:
        command = [*postgres.command, *(part for option in options for part in ("-c", option))]
        database = {"start": {"command": command, "stop_signal": "INT"}, "port": postgres.port}
        service = [sys.executable, str(SERVICE), str(api), postgres.dsn]
        drill = {
            "steady": [{"within": "20s", "http": {"target": "api", "path": "/orders/none", "status": 404}}],
            "fault": {"kill": "database"},
            "lasts": "1s",
            "ledger": LEDGER,
            "stays": "0s",
        }
        folder.write(
            {"id": "drill", "title": "D", "requires": ["api", "database"], "drill": drill},
            database={**database, "ready": {"tcp": postgres.port, "within": "30s"}},
            api={
                "url": f"http://127.0.0.1:{api}",
                "start": {"command": shlex.join(service)},
                "ready": {"path": "/live", "within": "30s"},
                "after": ["database"],
            },
        )
        code, said = folder.run()
    assert folder.journals() == [], said
    (outcome,) = folder.outcomes()
    assert code == (0 if outcome["status"] == "pass" else 1), said
    return outcome


def writes(folder: Folder, outcome: dict[str, Any]) -> list[str]:
    """Return the lines of the evidence that lists every write."""
    (path,) = [file["path"] for file in outcome["evidence"]["artifacts"] if file["path"].endswith("ledger.csv")]
    return (folder.path / "out" / path).read_text().splitlines()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Provide a folder for the checklist."""
    return Folder(tmp_path)


def test_acknowledged_writes_that_a_database_loses(folder: Folder) -> None:
    """With `synchronous_commit=off` PostgreSQL acknowledges what it has not written yet: a kill loses it."""
    # what was acknowledged since the WAL writer's last round is lost: a long round loses more than a few of them
    outcome = drill_outcome(folder, "synchronous_commit=off", "wal_writer_delay=10s")
    (row,) = [row for row in outcome["rows"] if row["phase"] == "ledger"]
    assert (outcome["status"], row["status"]) == ("fail", "fail"), outcome["evidence"]["answer"]
    answer = outcome["evidence"]["answer"]
    assert "lost: expected 0, got" in answer
    assert " the fault)" in answer
    lines = writes(folder, outcome)
    lost = [line.split(",")[0] for line in lines if line.endswith("acknowledged,no")]
    assert lost
    assert lost[0] in answer
    assert any(moment["what"]["text"].startswith("acknowledged, and lost") for moment in outcome["timeline"]["moments"])


def test_no_write_is_lost_that_was_on_disk(folder: Folder) -> None:
    """With `synchronous_commit=on` a kill loses nothing acknowledged; writes without a database are refused."""
    outcome = drill_outcome(folder, "synchronous_commit=on")
    (row,) = [row for row in outcome["rows"] if row["phase"] == "ledger"]
    assert (outcome["status"], row["status"]) == ("pass", "pass"), outcome["evidence"]["answer"]
    lines = writes(folder, outcome)
    states = {line.split(",", 2)[2] for line in lines[1:]}
    assert {"acknowledged,yes", "refused,"} <= states
    assert "acknowledged,no" not in states
