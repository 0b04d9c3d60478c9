"""The check `document`."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from gate.checks.base import ObservationError
from gate.decode.structs import ValidationError
from gate.model import Status
from tests.support.checks import check, context

RUNBOOK = """# Base de données

## Signal

L'alerte `VezaDatabaseDown`.

## Hypothèses

```
## Actions
```

## Vérifications
### Actions

1. redémarrer
"""
EMPTY = "# Signal\n\n## Hypothèses\n\n<!-- plus tard -->\n\n# Actions\nx\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Create a checkout with runbooks."""
    (tmp_path / "db.md").write_text(RUNBOOK)
    (tmp_path / "empty.md").write_text(EMPTY)
    (tmp_path / "binary.md").write_bytes(b"# A\0")
    return tmp_path


JUDGED = [
    ({"file": "db.md", "sections": ["Signal", "Hypothèses", "Vérifications", "Actions"]}, Status.PASS,
     "db.md has these sections, with text: Signal, Hypothèses, Vérifications, Actions"),
    ({"file": "db.md", "sections": ["Hypothe\u0300ses"]}, Status.PASS, None),
    ({"file": "db.md", "sections": ["Signals"]}, Status.FAIL, 'db.md has no section "Signals", but "Signal"'),
    ({"file": "db.md", "sections": ["Escalade"]}, Status.FAIL, 'db.md has no section "Escalade"'),
    ({"file": "db.md", "sections": [{"matches": "^Vér"}]}, Status.PASS, None),
    ({"file": "db.md", "sections": [["Symptôme", "Signal"]]}, Status.PASS, None),
    ({"file": "db.md", "sections": ["Signal"], "words": {"ge": 3}}, Status.FAIL,
     'db.md:3: words under "Signal": expected at least 3, got 2'),
    ({"file": "empty.md", "sections": ["Signal"]}, Status.FAIL, 'empty.md:1: section "Signal" has no text under it'),
    ({"file": "empty.md", "sections": ["Hypothèses", "Actions"]}, Status.FAIL,
     'empty.md:3: section "Hypothèses" has no text under it'),
    ({"file": "none.md", "sections": ["Signal"]}, Status.FAIL, "none.md does not exist"),
    ({"file": "[de]*.md", "sections": ["Actions"]}, Status.PASS, "2 documents have these sections, with text: Actions"),
    ({"file": "[de]*.md", "sections": ["Actions"], "count": 3}, Status.FAIL,
     "documents that match [de]*.md: expected 3, got 2"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "status", "message"), JUDGED)
def test_documents(root: Path, fields: dict[str, Any], status: Status, message: str | None) -> None:
    """What is said of real documents."""
    made = check("document", **fields)
    judged = made.judge(made.observe(context(root)))
    assert judged.status is status
    assert message in (None, str(judged.message))


def test_places(root: Path) -> None:
    """The evidence is where each heading stands, or the one with nothing under it."""
    made = check("document", file="db.md", sections=["Signal", "Actions"])
    assert [str(place) for place in made.judge(made.observe(context(root))).locations] == ["db.md:3", "db.md:14"]
    made = check("document", file="empty.md", sections=["Hypothèses"])
    assert [str(place) for place in made.judge(made.observe(context(root))).locations] == ["empty.md:3"]


def test_no_text(root: Path) -> None:
    """A file that is no text could not be observed."""
    with pytest.raises(ObservationError):
        check("document", file="binary.md", sections=["A"]).observe(context(root))


@pytest.mark.parametrize(
    "fields",
    [
        {"file": "../a.md", "sections": ["A"]},
        {"file": "a.md", "words": 5},
        {"file": "a.md", "sections": [""]},
        {"file": "a.md", "sections": [" "]},
    ],
)
def test_errors_of_the_checklist(fields: dict[str, Any]) -> None:
    """What can't be asked is an error when loaded."""
    with pytest.raises(ValidationError):
        check("document", **fields)


def test_no_expectation() -> None:
    """A document without sections to look for expects nothing."""
    assert check("document", file="a.md").missing_expectation() is not None
    with pytest.raises(ValidationError, match="at least one entry"):
        check("document", file="a.md", sections=[])


def test_reproduction(root: Path) -> None:
    """The command of the evidence lists the headings."""
    line = check("document", file="db.md", sections=["Signal"]).reproduce_command(context(root))
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, cwd=root, check=True)
    assert "3:## Signal\n" in done.stdout
