"""Every kind of check has a checklist that must pass, one that must fail, and a page; all of them are run for real.

A checklist in `tests/checks/KIND/{positive,negative}/` says of each item what must become of it, in a comment:
`# expect ID: STATUS: a part of the proof`. What it may name in `${...}` is in `tests.support.surroundings`.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from gate.checks import CHECKS
from gate.core.messages import Message
from gate.decode.structs import convert, fields_by_key
from gate.model import FrozenStruct
from tests.support.models import models_in
from tests.support.paths import ROOT
from tests.support.surroundings import environment, surroundings

CHECKS_FOLDER = ROOT / "tests" / "checks"
PAGES = ROOT / "docs" / "checks"
EXIT = {"positive": 0, "negative": 1}
EXAMPLES = sorted(CHECKS_FOLDER.glob("[!_]*/*/*.yml"))
_EXPECT = re.compile(r"^# expect ([^:\s]+): ([A-Z]+): (.+)$", re.MULTILINE)
_TARGETS = {"api": "API_URL", "prometheus": "PROMETHEUS_URL"}


@dataclass(frozen=True)
class Ran:
    """A run of the gate: its exit code, what it said, and each item's status and proof."""

    code: int
    said: str
    items: dict[str, tuple[str, str]]


def run(text: str, folder: Path) -> Ran:
    """Run a checklist as a user would, in a checkout of its own."""
    checkout, out = folder / "checkout", folder / "out"
    with surroundings(text, checkout) as variables:
        (checkout / "prodgate.yml").write_text(text)
        command = [sys.executable, "-m", "gate", "run", "--out", str(out)]
        done = subprocess.run(
            command,
            cwd=checkout,
            env=environment(folder, variables),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    report = out / "report.json"
    document = json.loads(report.read_text()) if report.exists() else {"sections": []}
    items = {
        item["id"]: (_status(item), str(convert(item["outcome"]["message"], Message)))
        for section in document["sections"]
        for item in section["items"]
    }
    return Ran(done.returncode, done.stdout + done.stderr, items)


def _status(item: dict[str, object]) -> str:
    outcome = item["outcome"]
    assert isinstance(outcome, dict)
    return str(outcome["status"]).upper()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: str(path.relative_to(CHECKS_FOLDER)))
def test_example(path: Path, tmp_path: Path) -> None:
    """A positive example is a GO, a negative one a NO-GO, and every item's proof is the expected one."""
    text = path.read_text()
    expected = {name: (status, proof) for name, status, proof in _EXPECT.findall(text)}
    ran = run(text, tmp_path)
    assert (ran.code, ran.items.keys()) == (EXIT[path.parent.name], expected.keys()), ran.said
    wrong = [
        f"{name}: expected {expected[name]}, got {found}"
        for name, found in ran.items.items()
        if found[0] != expected[name][0] or expected[name][1] not in found[1]
    ]
    assert wrong == []
    if path.parent.name == "negative":
        assert {status for status, _ in ran.items.values()} & {"FAIL", "ERROR"}


@pytest.mark.parametrize("kind", CHECKS.kinds())
@pytest.mark.parametrize("sign", EXIT)
def test_every_kind_has_examples(kind: str, sign: str) -> None:
    """A kind of check without an example that passes, or one that fails, is not tested."""
    assert any(path.parent == CHECKS_FOLDER / kind / sign for path in EXAMPLES)


def test_no_example_without_a_kind() -> None:
    """A folder that belongs to no kind would never be missed."""
    assert {path.parts[-3] for path in EXAMPLES} - set(CHECKS.kinds()) == set()
    assert {path.parts[-2] for path in EXAMPLES} - EXIT.keys() == set()


def page(kind: str) -> str:
    """Return the documentation page of a kind."""
    return (PAGES / f"{kind}.md").read_text()


@pytest.mark.parametrize("kind", CHECKS.kinds())
def test_page_has_every_key(kind: str) -> None:
    """The table `Keys` of a page has exactly the keys that the check has, those below a key with a dot."""
    table = page(kind).partition("## Keys\n")[2].partition("\n## ")[0]
    written = re.findall(r"^\| `([^`]+)`", table, re.MULTILINE)
    known = keys(CHECKS.get_class(kind))
    assert [name for name in written if "." not in name or name in known] == written
    assert {name for name in written if "." not in name} == {name for name in known if "." not in name}


def keys(model: type[FrozenStruct]) -> list[str]:
    """Return the keys of a check and of the mappings right below them."""
    found = []
    for key, field in fields_by_key(model).items():
        found.append(key)
        for inside in models_in(field.type):
            found += [f"{key}.{inner}" for inner in fields_by_key(inside)]
    return found


@pytest.mark.parametrize("kind", CHECKS.kinds())
def test_page_has_an_example_that_passes(kind: str, tmp_path: Path) -> None:
    """The first YAML of a page is items of this kind; run as they stand, they pass."""
    found = re.search(r"```yaml\n(.*?)```", page(kind), re.DOTALL)
    assert found
    assert re.search(rf"\b{kind}:", found[1])
    ran = run(found[1] if found[1].startswith("version:") else checklist(found[1]), tmp_path)
    assert ran.code == 0, ran.said


def checklist(items: str) -> str:
    """Return items as a whole checklist, with the targets that they name."""
    targets = {name: {"url": f"${{{url}}}"} for name, url in _TARGETS.items() if re.search(rf"\b{name}\b", items)}
    head = f"version: 1\nservice: page\ntargets: {json.dumps(targets)}\nsections:\n  - id: page\n    title: Page\n"
    return head + "    items:\n" + "".join(f"      {line}\n" for line in items.splitlines())
