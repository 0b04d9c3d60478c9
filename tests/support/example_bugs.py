"""Bugs to put into a copy of the example, one at a time, and what the gate's first reason must then name."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.support.paths import ROOT

EXAMPLE = ROOT / "examples" / "veza"
_NOT_COPIED = (".demo", ".venv", "prodgate-out", "test-results", "__pycache__", ".pytest_cache")


@dataclass(frozen=True)
class Bug:
    """A small change of one file. `reason`: texts that stand in the first reason of the report."""

    name: str
    file: str
    old: str
    new: str
    reason: tuple[str, ...]


BUGS = (
    Bug(
        name="readyz-ignores-the-database",
        file="internal/handlers/health.py",
        old='if database["status"] == "error":',
        new='if database["status"] == "on fire":',
        reason=("/readyz",),
    ),
    Bug(
        name="typo-in-the-expression",
        file="ops/prometheus/alerts.yml",
        old="expr: veza_db_up == 0",
        new="expr: veza_database_up == 0",
        reason=("VezaDatabaseDown",),
    ),
    Bug(
        name="panel-reads-a-renamed-metric",
        file="ops/grafana/veza.json",
        old="veza_db_pool_open_connections{",
        new="veza_db_pool_connections{",
        reason=("ops/grafana/veza.json:", "Connexions du pool", "veza_db_pool_connections"),
    ),
    Bug(
        name="critical-alerts-reach-nobody",
        file="ops/alertmanager/alertmanager.yml",
        old='severity="critical"',
        new='severity="critique"',
        reason=("VezaDatabaseDown", "pager", "chat"),
    ),
    Bug(
        name="never-reconnects",
        file="internal/database.py",
        old="        if connection.closed:\n            self.close()",
        new="        if connection.closed:\n            self._connect = lambda: connection",
        reason=("/readyz",),
    ),
    Bug(
        name="runbook-misses-a-section",
        file="docs/runbooks/db_down.md",
        old="## Vérifications\n",
        new="",
        reason=("db_down.md", "Vérifications"),
    ),
    Bug(
        name="invalid-exposition",
        file="internal/handlers/router.py",
        old="generate_latest(self.metrics.registry)",
        new='generate_latest(self.metrics.registry) + b"veza_build_info{version=1.4} 1\\n"',
        reason=("veza_build_info",),
    ),
    Bug(
        name="liveness-asks-the-database",
        file="internal/handlers/health.py",
        old='return HTTPStatus.OK, {"status": "alive"}',
        new="return self.readiness()",
        reason=("/live",),
    ),
)


def copy(to: Path) -> Path:
    """Copy the example below `to`, without the files that runs leave behind."""
    shutil.copytree(EXAMPLE, to, ignore=shutil.ignore_patterns(*_NOT_COPIED))
    return to


def put_in(bug: Bug, folder: Path) -> None:
    """Insert the bug into a copy. Raises ValueError unless its place occurs exactly once."""
    path = folder / bug.file
    text = path.read_text()
    if text.count(bug.old) != 1:
        raise ValueError(
            f"{bug.name}: expected this once in {bug.file}, found it {text.count(bug.old)} times: {bug.old}"
        )
    path.write_text(text.replace(bug.old, bug.new))
