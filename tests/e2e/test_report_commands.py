"""`prodgate render`, `explain` and `schema --report` as a user runs them; the package as `pip install` makes it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from gate.checklist.schema import checklist_schema, report_schema
from gate.i18n.language import LANGUAGES
from gate.model import Report
from gate.render import FORMATS
from gate.render.output_folder import write_reports
from gate.report.serialization import to_json
from tests.support import reports
from tests.support.paths import ROOT

PUBLISHED = ROOT / "docs/report.schema.json"


def prodgate(folder: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    """Run the program as a user does, without the machine's locale."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "gate", *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=120, check=False)


def saved(folder: Path, report: Report, name: str = "report.json") -> Path:
    """Write a report to a file."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(to_json(report), encoding="utf-8")
    return path


@pytest.mark.parametrize("code", LANGUAGES)
@pytest.mark.parametrize("name", FORMATS.kinds())
def test_every_format_in_every_language(tmp_path: Path, name: str, code: str) -> None:
    """A report can be rendered again in any format and language, hostile text inside, to a file as to the screen."""
    saved(tmp_path, reports.hostile())
    shown = prodgate(tmp_path, "render", "report.json", "--format", name, "--language", code)
    assert (shown.returncode, shown.stderr) == (0, b"")
    assert len(shown.stdout.decode("utf-8")) > 100
    kept = prodgate(tmp_path, "render", "report.json", "--format", name, "--language", code, "--output", "made")
    assert (kept.returncode, kept.stdout) == (0, b"")
    assert (tmp_path / "made").read_bytes() == shown.stdout


def test_the_language_is_the_reports_own(tmp_path: Path) -> None:
    """Without an option the report keeps its language."""
    saved(tmp_path, reports.all_down("fr"))
    assert "## Résumé exécutif" in prodgate(tmp_path, "render", "report.json").stdout.decode().splitlines()


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b'{"version": "prodgate.report/1"}', b"[" * 100_000])
def test_what_is_no_report_is_a_wrong_call(tmp_path: Path, content: bytes) -> None:
    """A file that is no report gives one line and exit code 2."""
    (tmp_path / "report.json").write_bytes(content)
    done = prodgate(tmp_path, "render", "report.json")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, b"", 1)


def test_where_it_cannot_be_written(tmp_path: Path) -> None:
    """An output that cannot be written is said in one line."""
    saved(tmp_path, reports.go())
    done = prodgate(tmp_path, "render", "report.json", "--output", "no/such/folder/x")
    assert (done.returncode, done.stderr) == (
        2,
        b"prodgate: no/such/folder/x: cannot be written: No such file or directory\n",
    )


EXPLAINED = """\
health.readyz  `/readyz` accessible
❌ FAIL  GET http://api:8080/readyz failed while connecting: connection refused
blocking, http, prodgate.yml:7:9

Request: GET http://api:8080/readyz
On 15 December 2025 at 14:36:54 UTC, in 12 ms, attempts: 3

connection refused

What to do: Start api, or correct its address in the checklist
By hand: curl -sS -i http://api:8080/readyz
Run again: prodgate run --only health.readyz
"""


def test_explain_shows_an_item_with_its_last_evidence(tmp_path: Path) -> None:
    """An item, its last evidence, what to do, and the commands; from the last report where none is named."""
    saved(tmp_path, reports.all_down("en"), "prodgate-out/report.json")
    done = prodgate(tmp_path, "explain", "health.readyz")
    assert (done.returncode, done.stdout.decode()) == (0, EXPLAINED)


def test_explain_names_the_items_of_the_same_cause(tmp_path: Path) -> None:
    """Where one cause is behind many items, they are named; in the language that was asked for."""
    path = saved(tmp_path, reports.all_down())
    done = prodgate(tmp_path, "explain", "scrape.active", "--report", str(path), "--language", "fr")
    assert "Même cause\N{NO-BREAK SPACE}: scrape.visible, rules.loaded, rules.visible" in done.stdout.decode()


def test_explain_before_the_first_run(tmp_path: Path) -> None:
    """Without a report the checklist says what the item is, and how to run it."""
    text = "version: 1\nservice: s\nsections:\n  - id: a\n    title: A\n    items:\n"
    (tmp_path / "prodgate.yml").write_text(text + "      - {id: a.b, title: B, file: {path: x, exists: true}}\n")
    done = prodgate(tmp_path, "explain", "a.b")
    assert (done.returncode, done.stdout.decode().splitlines()[-1]) == (
        0,
        "It has not run yet. To run it: prodgate run --only a.b",
    )
    wrong = prodgate(tmp_path, "explain", "a.c")
    assert wrong.returncode == 2
    assert b"unknown item 'a.c'; did you mean 'a.b'?" in wrong.stderr


@pytest.mark.parametrize(
    ("files", "command"),
    [
        (["w.yml"], "prodgate run --file w.yml --only a.b"),
        (["prodgate.yml", "my own.yml"], "prodgate run --file prodgate.yml --file 'my own.yml' --only a.b"),
    ],
)
def test_explain_names_the_checklists_files(tmp_path: Path, files: list[str], command: str) -> None:
    """The command that runs an item again works: before and after a run, it names the files of the checklist."""
    item = "{id: a.b, title: B, file: {path: x, exists: false}}"
    section = f"sections: [{{id: a, title: A, items: [{item}]}}]\n"
    for file in files:
        (tmp_path / file).write_text(f"version: 1\nservice: s\n{section}")
    given = [word for file in files for word in ("--file", file)]
    before = prodgate(tmp_path, "explain", "a.b", *given).stdout.decode()
    assert before.splitlines()[-1] == f"It has not run yet. To run it: {command}"
    assert prodgate(tmp_path, "run", *given).returncode == 0
    assert prodgate(tmp_path, "explain", "a.b").stdout.decode().splitlines()[-1] == f"Run again: {command}"


def test_explain_shows_the_waiver(tmp_path: Path) -> None:
    """Who allowed an item to fail, why, and until when."""
    path = saved(tmp_path, reports.reserved())
    done = prodgate(tmp_path, "explain", "tests.unit", "--report", str(path))
    line = (
        "Waiver: tests.unit: until 2026-03-31 by backend-team: servicemocks fails on the shared runner, issue 412; "
        "issue: 412; approved by ops"
    )
    assert line in done.stdout.decode().splitlines()


def test_history_of_run_folders(tmp_path: Path) -> None:
    """The trend is drawn of the reports of run folders; nothing is said of their other files."""
    write_reports(reports.go(), tmp_path / "one")
    write_reports(reports.all_down(), tmp_path / "two")
    (tmp_path / "three").mkdir()
    (tmp_path / "three/report.json").write_text("{}")
    done = prodgate(tmp_path, "history", ".")
    assert (done.returncode, done.stdout.decode().count("2025-12-15 14:36:54")) == (0, 2)
    assert [line.split(": not")[0] for line in done.stderr.decode().splitlines()] == ["skipped: three/report.json"]


def test_explain_of_an_unknown_item(tmp_path: Path) -> None:
    """A name that is nearly right is answered with the right one."""
    path = saved(tmp_path, reports.all_down())
    done = prodgate(tmp_path, "explain", "health.redyz", "--report", str(path))
    assert done.returncode == 2
    assert b"did you mean 'health.readyz'?" in done.stderr


@pytest.mark.parametrize("build", [checklist_schema, report_schema])
def test_every_reference_of_a_schema_resolves(build: Callable[[], dict[str, Any]]) -> None:
    """A schema defines everything that it refers to: an editor stops at a reference to nothing."""
    text = json.dumps(build())
    missing = set(re.findall(r'"#/\$defs/([^"]+)"', text)) - build()["$defs"].keys()
    assert missing == set()


def test_the_published_schema_is_that_of_the_code() -> None:
    """docs/report.schema.json is what `prodgate schema --report` prints: a change of one is a change of both."""
    assert json.loads(PUBLISHED.read_text(encoding="utf-8")) == report_schema()


@pytest.mark.parametrize("made", ["all_down", "go", "reserved", "hostile", "changed", "many"])
def test_every_report_has_the_form_of_the_schema(made: str) -> None:
    """What the gate writes is what the published schema describes."""
    schema = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    report = getattr(reports, made)()
    assert [
        error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(json.loads(to_json(report)))
    ] == []


def test_the_page_names_every_format() -> None:
    """docs/report.md speaks of every format that there is."""
    page = (ROOT / "docs/report.md").read_text(encoding="utf-8")
    assert [name for name in FORMATS.kinds() if f"`{name}`" not in page] == []


def test_an_installed_package_renders(tmp_path: Path) -> None:
    """`pip install .` takes the templates and catalogues along: the installed program renders far from the checkout."""
    venv.create(tmp_path / "venv", with_pip=True, system_site_packages=False)
    python = tmp_path / "venv/bin/python"
    source = tmp_path / "source"
    names = ["pyproject.toml", "README.md", "LICENSE", "gate", "templates"]
    source.mkdir()
    for name in names:
        subprocess.run(["cp", "-r", str(ROOT / name), str(source / name)], check=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*install, str(source)], check=True, timeout=300)
    purelib = subprocess.run(
        [sys.executable, "-c", "import babel, pathlib; print(pathlib.Path(babel.__file__).parent.parent)"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    (found,) = (tmp_path / "venv/lib").glob("python*/site-packages")
    (found / "dependencies.pth").write_text(purelib + "\n")
    saved(tmp_path, reports.all_down())
    for name, wanted in (("html", "Ce qui bloque"), ("md", "Résumé exécutif"), ("summary", "Raisons")):
        command = [str(tmp_path / "venv/bin/prodgate"), "render", "report.json", "--format", name]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
        assert wanted in done.stdout
    place = subprocess.run(
        [str(python), "-c", "import gate; print(gate.__file__)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(tmp_path) in place.stdout
