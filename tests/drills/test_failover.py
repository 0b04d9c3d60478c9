"""A PostgreSQL that fails over to its standby: what the page `database-failover` says was tried."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import pages
from tests.support.folder import Folder
from tests.support.paths import ROOT
from tests.support.services import free_port

PAGE = "docs/how-to/database-failover.md"
SERVICE = [sys.executable, str(ROOT / "tests" / "support" / "orders.py")]
SYNCHRONOUS = "-c synchronous_standby_names=standby"
# Replication that breaks and that nobody notices, once the table is on the standby.
CUTS = """#!/bin/sh
until [ "$(psql "$1" -Atc "SELECT to_regclass('orders') IS NOT NULL")" = t ]; do sleep 0.1; done
psql "$1" -c "ALTER SYSTEM SET primary_conninfo = ''" -c "SELECT pg_reload_conf()"
until [ "$(psql "$1" -Atc 'SELECT count(*) FROM pg_stat_wal_receiver')" = 0 ]; do sleep 0.1; done
"""
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="PostgreSQL runs as its own user only if root starts it")


@pytest.fixture
def folder() -> Iterator[Folder]:
    """Provide a folder that PostgreSQL's user can read and write, with the files of the page."""
    path = Path(tempfile.mkdtemp(prefix="prodgate-failover-", dir="/tmp"))
    shutil.chown(path, "postgres", "postgres")
    path.chmod(0o755)
    for block in pages.blocks(PAGE):
        if block.action:
            pages.write(block, path)
            (path / block.path).chmod(0o755)
        elif block.text.startswith("version:"):
            (path / "prodgate.yml").write_text(block.text)
    folder = Folder(path)
    change(folder, "./shop", shlex.join(SERVICE))
    # how long the promotion takes, and so the share of errors, depends on the machine
    change(folder, "{lt: 50%}", "{lt: 100%}")
    change(folder, "lasts: 5s", "lasts: 2s")
    try:
        yield folder
    finally:
        shutil.rmtree(path)


def change(folder: Folder, old: str, new: str) -> None:
    """Change a text of the page's checklist."""
    path = folder.path / "prodgate.yml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def fail_over(folder: Folder, *words: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Run the drill on free ports; return its outcome, and the states of the ledger's writes by their id."""
    ports = {port: str(free_port()) for port in ("5441", "5442")}
    path = folder.path / "prodgate.yml"
    path.write_text(re.sub(r"\b544[12]\b", lambda port: ports[port[0]], path.read_text()))
    code, said = folder.run("run", "--out", "out", *words)
    (outcome,) = folder.outcomes()
    assert folder.journals() == [], said
    assert code == (0 if outcome["status"] == "pass" else 1), said
    promoted = [row["status"] for row in outcome["rows"] if row["phase"] == "observe"]
    assert promoted == ["pass"], said
    (path,) = [file["path"] for file in outcome["evidence"]["artifacts"] if file["path"].endswith("ledger.csv")]
    lines = (folder.path / "out" / path).read_text().splitlines()[1:]
    return outcome, {line.split(",")[0]: line.split(",", 2)[2] for line in lines}


def rows(outcome: dict[str, Any], phase: str) -> list[str]:
    """Return the statuses of the rows of a phase."""
    return [row["status"] for row in outcome["rows"] if row["phase"] == phase]


def test_no_write_is_lost_with_synchronous_replication(folder: Folder) -> None:
    """What was acknowledged is on the standby, which becomes the primary; the old primary rejoins as its standby."""
    outcome, writes = fail_over(folder)
    assert outcome["status"] == "pass", outcome["evidence"]["answer"]
    assert {"acknowledged,yes", "refused,"} <= set(writes.values())
    assert rows(outcome, "traffic") == ["pass"] * 4
    assert (folder.path / "primary" / "standby.signal").exists()


def test_writes_that_never_reached_the_standby_are_lost(folder: Folder) -> None:
    """With asynchronous replication that has broken, the ledger names what only the killed primary had."""
    standby = "postgresql://postgres@{standby.address}/postgres"
    (folder.path / "cut.sh").write_text(CUTS)
    cut = {"once": True, "after": ["api"], "start": {"command": ["sh", "cut.sh", standby]}, "ready": {"within": "60s"}}
    (folder.path / "cut.yml").write_text(
        json.dumps({"version": 1, "targets": {"cut": cut, "promoter": {"after": ["cut"]}}})
    )
    change(folder, SYNCHRONOUS, "")
    outcome, writes = fail_over(folder, "--file", "prodgate.yml", "--file", "cut.yml")
    assert (outcome["status"], rows(outcome, "ledger")) == ("fail", ["fail"]), outcome["evidence"]["answer"]
    lost = [name for name, state in writes.items() if state == "acknowledged,no"]
    assert lost[0] in outcome["evidence"]["answer"]
    assert "acknowledged,yes" in writes.values()


def test_old_primary_that_comes_back_as_a_second_primary(folder: Folder) -> None:
    """A server that does not look for another primary gets the writes again: those of the new primary are lost."""
    # it looks for a primary on its own port, where there is none
    change(folder, f"5441 5442 {SYNCHRONOUS}", "5441 5441")
    outcome, writes = fail_over(folder)
    assert (outcome["status"], rows(outcome, "ledger")) == ("fail", ["fail"]), outcome["evidence"]["answer"]
    lost = [name for name, state in writes.items() if state == "acknowledged,no"]
    assert lost[0] in outcome["evidence"]["answer"]
    assert not (folder.path / "primary" / "standby.signal").exists()
