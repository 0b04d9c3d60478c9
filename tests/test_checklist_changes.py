"""What a change of the checklist makes weaker is said."""

from __future__ import annotations

import pytest

from gate.checklist.changes import weaker
from gate.checklist.load import load_text
from gate.checklist.models import Checklist

BASE = """
version: 1
service: shop
targets: {api: {url: 'http://api'}}
sections:
  - id: s
    title: S
    items:
      - {id: a, title: A, within: 10s, http: {target: api, path: /readyz, status: 200, json: {status: ready}}}
      - {id: b, title: B, file: {path: README.md, exists: true}}
      - id: d
        title: D
        drill:
          steady: [{http: {target: api, path: /readyz, status: 200}}]
          fault: {run: {command: 'true', undo: 'true'}}
          observe: [{within: 10s, http: {target: api, path: /readyz, status: 503}}]
waivers: [{item: b, owner: o, reason: r, expires: 2099-01-01}]
waiver_policy: {max: 2}
"""


def loaded(text: str) -> Checklist:
    return load_text(text, "f.yml", {}).checklist


FILE = "file: {path: README.md, exists: true}"
WAIVER = "{item: a, owner: me, reason: r, expires: 2099-01-01}"
CHANGES = {
    "nothing": ("", "", []),
    "title": ("title: A", "title: Other", []),
    "more expected": ("status: 200, json", "status: 200, latency: 1s, json", []),
    "shorter": ("A, within: 10s", "A, within: 5s", []),
    "removed": ("      - {id: b, title: B, file: {path: README.md, exists: true}}\n", "", ["b was removed"]),
    "severity": ("title: B", "title: B, severity: advisory", ["b is advisory, was blocking"]),
    "kind": (FILE, "document: {file: README.md, sections: [A]}", ["b asks document, asked file"]),
    "longer": ("id: a, title: A, within: 10s", "id: a, title: A, within: 20s", ["a: within is 20.0 s, was 10.0 s"]),
    "dropped": (", json: {status: ready}", "", ['a: json is no longer expected, was {"=": {"status": "ready"}}']),
    "changed": ("status: 200, json", "status: [200, 503], json", ["a: status is [200, 503], was 200"]),
    "longer in a drill": ("[{within: 10s", "[{within: 60s", ["d: observe[0].within is 60.0, was 10.0"]),
    "other fault": ("command: 'true'", "command: 'false'", ['d: fault.fault.command[0] is "false", was "true"']),
    "waiver": ("waivers: [", f"waivers: [{WAIVER}, ", ["a is waived until 2099-01-01 by me"]),
    "longer waiver": ("2099-01-01", "2099-02-01", ["the waiver of b lasts until 2099-02-01, was 2099-01-01"]),
    "policy": ("waiver_policy: {max: 2}", "", ["waiver_policy.max is null, was 2"]),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_changes(name: str) -> None:
    """Each of these changes is told, or is none that weakens anything."""
    old, new, expected = CHANGES[name]
    text = BASE.replace(old, new, 1) if old else BASE
    changed = loaded(text if name != "removed" else text.replace("waivers: [{item: b", "waivers: [{item: a"))
    base = loaded(BASE if name != "removed" else BASE.replace("waivers: [{item: b", "waivers: [{item: a"))
    told = [str(reason.message).removeprefix("The checklist was changed: ") for reason in weaker(base, changed)]
    assert told == expected
