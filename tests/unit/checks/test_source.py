"""The check `source`."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from gate.checks.base import ObservationError
from gate.decode.structs import ValidationError
from gate.model import Status
from tests.support.checks import check, context

GO = """package handlers

func (h *HealthHandler) Liveness(c *gin.Context) {
	c.JSON(200, gin.H{"status": "alive"})
}

func (h *HealthHandler) Readiness(c *gin.Context) {
	if err != nil {
		c.JSON(http.StatusServiceUnavailable, gin.H{"status": "not_ready"})
		return
	}
	c.JSON(200, gin.H{"status": "ready"})
}
"""
PYTHON = "def ready():\r\n    return 503\r\n\r\ndef live():\r\n    return 200\r\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Create a checkout with code."""
    (tmp_path / "internal" / "handlers").mkdir(parents=True)
    (tmp_path / "internal" / "handlers" / "health.go").write_text(GO)
    (tmp_path / "app.py").write_bytes(PYTHON.encode())
    (tmp_path / "bad.py").write_text("def (")
    (tmp_path / "a.rb").write_text("def ready\nend\n")
    return tmp_path


HEALTH = "internal/handlers/health.go"
JUDGED = [
    ({"file": HEALTH, "text": '"not_ready"', "function": "Readiness"}, Status.PASS, f"{HEALTH}:9", None),
    ({"file": HEALTH, "pattern": r"StatusService\w+", "function": "HealthHandler.Readiness"}, Status.PASS,
     f"{HEALTH}:9", None),
    ({"file": HEALTH, "text": '"not_ready"', "function": "Liveness"}, Status.FAIL, None,
     f'"not_ready" does not stand in Liveness ({HEALTH}:3-5)'),
    ({"file": HEALTH, "text": "x", "function": "Ready"}, Status.FAIL, None,
     f"There is no function Ready in {HEALTH}, only Readiness, Liveness"),
    ({"file": HEALTH, "function": "Readiness"}, Status.PASS, f"{HEALTH}:7", None),
    ({"file": HEALTH, "function": "Health"}, Status.FAIL, None, None),
    ({"file": HEALTH, "function": "Panic", "count": 0}, Status.PASS, None, f"Panic does not stand in {HEALTH}"),
    ({"file": HEALTH, "text": "panic(", "function": "Nothing", "count": 0}, Status.FAIL, None, None),
    ({"file": "**/*.go", "text": "c.JSON", "count": 3}, Status.PASS, f"{HEALTH}:4", None),
    ({"file": "**/*.go", "text": "c.JSON", "count": {"lt": 3}}, Status.FAIL, f"{HEALTH}:4",
     "c.JSON, how often it stands there: expected less than 3, got 3"),
    ({"file": "**/*.go", "text": "panic("}, Status.FAIL, None, f"panic( does not stand in {HEALTH}"),
    ({"file": "**/*.go", "text": "panic(", "count": 0}, Status.PASS, None, "panic( does not stand in **/*.go"),
    ({"file": "**/*.rs", "text": "x", "count": 0}, Status.FAIL, None, "**/*.rs does not exist"),
    ({"file": "app.py", "text": "return 503", "function": "ready"}, Status.PASS, "app.py:2", "app.py:2: return 503"),
    ({"file": "app.py", "pattern": r"^def \w+", "count": 2}, Status.PASS, "app.py:1", None),
    ({"file": "app.py", "pattern": r"^(\w+\s?)*!"}, Status.FAIL, None, None),
    ({"file": "app.py", "pattern": r"ready\(\):\s+return 503$"}, Status.PASS, "app.py:1", None),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "status", "place", "message"), JUDGED)
def test_code(root: Path, fields: dict[str, Any], status: Status, place: str | None, message: str | None) -> None:
    """What is said of real code, with file and line."""
    made = check("source", **fields)
    judged = made.judge(made.observe(context(root)))
    assert judged.status is status
    assert message in (None, str(judged.message))
    places = [f"{each.file}:{each.line}" for each in judged.locations]
    assert places[:1] == ([place] if place else [])


@pytest.mark.parametrize(("file", "why"), [("bad.py", "not valid Python"), ("a.rb", "not in .rb")])
def test_functions_that_can_not_be_told(root: Path, file: str, why: str) -> None:
    """Where functions can't be told, the question could not be answered."""
    with pytest.raises(ObservationError, match=why):
        check("source", file=file, text="x", function="ready").observe(context(root))


def test_a_text_that_stands_everywhere(root: Path) -> None:
    """More places than anybody reads end the search."""
    (root / "long.txt").write_text("x" * 200_000)
    with pytest.raises(ObservationError, match="more than 100000 times"):
        check("source", file="long.txt", text="x").observe(context(root))


@pytest.mark.parametrize(
    "fields", [{"text": "a", "pattern": "b"}, {"pattern": "("}, {"pattern": "a*"}, {"pattern": "(?=a)"}, {"text": ""}]
)
def test_errors_of_the_checklist(fields: dict[str, Any]) -> None:
    """What can't be asked is an error when loaded."""
    with pytest.raises(ValidationError):
        check("source", file="a.go", **fields)


def test_no_expectation() -> None:
    """A file alone expects nothing."""
    assert check("source", file="a.go").missing_expectation() is not None


def test_reproduction_inside_a_function(root: Path) -> None:
    """What stands in another function only is not found by hand either."""
    line = check("source", file=HEALTH, text="alive", function="Readiness").reproduce_command(context(root))
    assert subprocess.run(["bash", "-c", line], capture_output=True, cwd=root, check=False).stdout == b""


@pytest.mark.parametrize(
    ("fields", "output"),
    [
        ({"file": "app.py", "text": "return 5"}, "app.py:2:    return 503\r\n"),
        ({"file": "**/*.go", "pattern": r"not_\w+"}, f"{HEALTH}:9:"),
        ({"file": "internal/**/*.go", "text": '"alive"'}, f"{HEALTH}:4:"),
        ({"file": HEALTH, "pattern": '(?s)"not_ready".*"ready"'}, '"ready"'),
        ({"file": HEALTH, "pattern": r"^\tif err[^}]+}\)$"}, "gin.H{"),
        ({"file": HEALTH, "text": "c.JSON", "function": "Readiness"}, "9:\t\tc.JSON(http.StatusServiceUnavailable"),
        ({"file": HEALTH, "function": "HealthHandler.Liveness"}, "func (h *HealthHandler) Liveness"),
        ({"file": "**/*.go", "pattern": r"(?s)if err.*return", "function": "Readiness"}, "return"),
    ],
)
def test_reproduction(root: Path, fields: dict[str, Any], output: str) -> None:
    """The command of the evidence finds the same by hand."""
    line = check("source", **fields).reproduce_command(context(root))
    done = subprocess.run(["bash", "-c", line], capture_output=True, cwd=root, check=True)
    assert output in done.stdout.decode().replace("./", "").replace("//", "/")
