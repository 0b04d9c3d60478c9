"""What a change of the checklist makes weaker is said."""

from __future__ import annotations

import json
from typing import Annotated

import pytest
from msgspec import Meta

from gate.checklist.load import load_text
from gate.checklist.models import Checklist, Item
from gate.checklist.weakening import find_weakenings
from gate.checks import CHECKS
from gate.core.strictness import find_strictness, stricter
from gate.decode.structs import fields_by_key
from gate.drills.spec import Script
from gate.model import FrozenStruct
from gate.staging.spec import Target
from tests.support.models import models_in

BASE = """
version: 1
service: shop
environment: staging
targets: {api: {url: 'http://api', ready: {path: /live, within: 10s}}, db: {container: postgres}}
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
          fault: {run: {command: 'true', undo: 'true', proof: 'true'}}
          observe: [{within: 10s, http: {target: api, path: /readyz, status: 503}}]
      - {id: e, title: E, needs: [d], requires: [api], command: {run: [sh, x.sh], exit: [0, 3], stdout: {not: [a, b]}}}
      - {id: g, title: G, tests: {results: a.xml, max_age: 1h}}
      - id: q
        title: Q
        tests:
          results: b.xml
          quarantine:
            - {test: "p::a", owner: o, reason: r, expires: 2030-01-01}
            - {test: "p::b", owner: o, reason: r, expires: 2030-01-01}
      - {id: m, title: M, metrics: {target: api, name: x, labels: {job: [a, b]}, value: {ge: 1}}}
      - {id: h, title: H, http: {url: 'http://h', header: {a: b}, status: {ge: 200, lt: 300}}}
      - {id: c, title: C, coverage: {dependencies: 80%, faults: [stop, slow]}}
waivers: [{item: b, owner: o, reason: r, expires: 2099-01-01}]
waiver_policy: {max: 2}
"""


def loaded(text: str) -> Checklist:
    """Load a checklist from text."""
    return load_text(text, "f.yml", {}).checklist


FILE = "file: {path: README.md, exists: true}"
WAIVER = "{item: a, owner: me, reason: r, expires: 2099-01-01}"
QA = '            - {test: "p::a", owner: o, reason: r, expires: 2030-01-01}\n'
QB = QA.replace("p::a", "p::b")
CHANGES = {
    "a quarantine for more": (f"{QA}{QB}", f"{QB}{QA}{QA.replace('p::a', 'p')}", [
        'q: quarantine[p] is new: "may fail until 2030-01-01 (o: r)"']),
    "a quarantine for less": (f"{QA}{QB}", QB, []),
    "no quarantine": (f"quarantine:\n{QA}{QB}", "quarantine: []\n", []),
    "a shorter quarantine": (QB, QB.replace("2030", "2029"), []),
    "a longer quarantine": (QB, QB.replace("2030", "2031"), [
        'q: quarantine[p::b].expires is "2031-01-01", was "2030-01-01"']),
    "a quarantine of somebody else": (QB, QB.replace("owner: o", "owner: p"), [
        'q: quarantine[p::b].owner is "p", was "o"']),
    "nothing": ("", "", []),
    "title": ("title: A", "title: Other", []),
    "more expected": ("status: 200, json", "status: 200, latency: 1s, json", []),
    "shorter": ("A, within: 10s", "A, within: 5s", []),
    "environment": ("environment: staging", "environment: laptop", ['environment is "laptop", was "staging"']),
    "owner": ("{item: b, owner: o,", "{item: b, owner: p,", ["the waiver of b is answered for by p, was by o"]),
    "removed": ("      - {id: b, title: B, file: {path: README.md, exists: true}}\n", "", ["b was removed"]),
    "severity": ("title: B", "title: B, severity: advisory", ["b is advisory, was blocking"]),
    "kind": (FILE, "document: {file: README.md, sections: [A]}", ["b asks document, asked file"]),
    "longer": ("id: a, title: A, within: 10s", "id: a, title: A, within: 20s", ["a: within is 20.0 s, was 10.0 s"]),
    "dropped": (", json: {status: ready}", "", ['a: json is no longer expected, was {"status": "ready"}']),
    "changed": ("status: 200, json", "status: [200, 503], json", ["a: status is [200, 503], was 200"]),
    "longer in a drill": ("[{within: 10s", "[{within: 60s", ["d: observe[0].within is 1 min, was 10.0 s"]),
    "other fault": ("command: 'true'", "command: 'false'", ['d: fault.fault.command[0] is "false", was "true"']),
    "another kind of fault": ("{run: {command: 'true', undo: 'true', proof: 'true'}}", "{pause: db}", [
        'd: fault.fault is {"pause": {"target": "db"}}, '
        'was {"run": {"command": ["true"], "proof": ["true"], "undo": ["true"]}}']),
    "more observed": ("status: 503}}]", "status: 503}}, {within: 1s, http: {target: api, path: /, status: 200}}]", []),
    "not observed": ("[{http: {target: api, path: /readyz, status: 200}}]", "[{tcp: {target: api, port: 80}}]", [
        'd: steady[0] is "tcp", was "http"']),
    "recovery of its own": ("          observe:",
                            "          recover: [{tcp: {target: api, port: 80}}]\n          observe:", [
        'd: recover[0] is new: {"check": {"tcp": {"port": 80, "target": "api"}}}']),
    "one more of a list": ("exit: [0, 3]", "exit: [0, 3, 1]", ["e: exit is [0, 3, 1], was [0, 3]"]),
    "one less of a list": ("exit: [0, 3]", "exit: [0]", []),
    "one of a list": ("exit: [0, 3]", "exit: 3", []),
    "less is excluded": ("not: [a, b]", "not: [a]", ['e: stdout is {"not": ["a"]}, was {"not": ["a", "b"]}']),
    "more is excluded": ("not: [a, b]", "not: [a, b, c]", []),
    "true is not 1": ("json: {status: ready}", "json: {status: true}", [
        'a: json is {"status": true}, was {"status": "ready"}']),
    "more of an object": ("json: {status: ready}", "json: {status: ready, db: up}", []),
    "narrower bounds": ("{ge: 200, lt: 300}", "{ge: 200, lt: 250, not: 204}", []),
    "within the bounds": ("{ge: 200, lt: 300}", "204", []),
    "outside the bounds": ("{ge: 200, lt: 300}", "[204, 503]", [
        'h: status is [204, 503], was {"ge": 200, "lt": 300}']),
    "wider bounds": ("{ge: 200, lt: 300}", "{ge: 200, lt: 400}", [
        'h: status is {"ge": 200, "lt": 400}, was {"ge": 200, "lt": 300}']),
    "one more word": ("sh, x.sh]", "sh, x.sh, --dry-run]", ['e: run[2] is new: "--dry-run"']),
    "one word less": ("sh, x.sh]", "sh]", ['e: run[1] is no longer expected, was "x.sh"']),
    "not verified": ("header: {a: b}", "header: {a: b}, tls: {verify: false}", ["h: tls.verify is false, was true"]),
    "one more header": ("header: {a: b}", "header: {a: b, c: d}", []),
    "fewer are looked at": ("job: [a, b]", "job: a", ['m: labels.job is "a", was ["a", "b"]']),
    "fewer still": ("job: [a, b]", "job: [a, b], x: y", ['m: labels.x is new: "y"']),
    "a value that is narrower": ("value: {ge: 1}", "value: {ge: 2}", []),
    "no data": ("value: {ge: 1}", "value: .nan", ['m: value is NaN, was {"ge": 1}']),
    "one header sent": ("header: {a: b}", "header: {a: b}, headers: {x: y}", ['h: headers.x is new: "y"']),
    "quarantine": ("max_age: 1h", "max_age: 1h, quarantine: {file: Q.md}", [
        'g: quarantine is new: {"file": "Q.md"}']),
    "older": ("max_age: 1h", "max_age: 2h", ["g: max_age is 120 min, was 60 min"]),
    "younger, and the default said": ("max_age: 1h", "max_age: 30m, min_tests: 1", []),
    "first timeout": ("id: b, title: B", "id: b, title: B, timeout: 1s", []),
    "longer timeout": ("id: b, title: B", "id: b, title: B, timeout: 1m", ["b: timeout is 1 min, was 10.0 s"]),
    "tried more than once": ("id: b, title: B", "id: b, title: B, within: 1s", ["b: within is new: 1.0 s"]),
    "tried once": ("A, within: 10s", "A", []),
    "more to cover": ("80%, faults: [stop, slow]", "100%, faults: [stop, slow, kill]", []),
    "less to cover": ("dependencies: 80%", "dependencies: 50%", ["c: dependencies is 0.5, was 0.8"]),
    "a fault less to cover": ("[stop, slow]", "[stop]", ['c: faults[1] is no longer expected, was "slow"']),
    "no fault to cover": (", faults: [stop, slow]", "", [
        'c: faults[0] is no longer expected, was "stop"', 'c: faults[1] is no longer expected, was "slow"']),
    "other dependencies": ("dependencies: 80%", "dependencies: 80%, targets: [db]", ['c: targets[0] is new: "db"']),
    "no longer needs": ("needs: [d], ", "", ['e: needs[0] is no longer expected, was "d"']),
    "needs more, in another order": ("needs: [d], requires: [api]", "needs: [a, d], requires: [db, api]", []),
    "another server": ("'http://api'", "'http://other'", ['target api: url is "http://other", was "http://api"']),
    "ready later": ("path: /live, within: 10s", "path: /live, within: 10m", [
        "target api: ready.within is 10 min, was 10.0 s"]),
    "ready sooner": ("path: /live, within: 10s", "path: /live, within: 5s", []),
    "ready at once": (", ready: {path: /live, within: 10s}", "", [
        'target api: ready is no longer expected, was {"path": "/live", "within": 10.0}']),
    "ready with more": ("path: /live, within: 10s", "path: /live, within: 10s, status: [200, 204, 503]", [
        "target api: ready.status is [200, 204, 503], was [200, 204]"]),
    "no target": (", db: {container: postgres}", "", ["target db was removed"]),
    "new target": ("db: {", "x: {url: 'http://x'}, db: {", []),
    "waiver": ("waivers: [", f"waivers: [{WAIVER}, ", ["a is waived until 2099-01-01 by me"]),
    "longer waiver": ("2099-01-01", "2099-02-01", ["the waiver of b lasts until 2099-02-01, was 2099-01-01"]),
    "policy": ("waiver_policy: {max: 2}", "", ["waiver_policy.max is null, was 2"]),
}  # fmt: skip


def models() -> set[type[FrozenStruct]]:
    """Everything that stands in a checklist below an item or a target."""
    found: set[type[FrozenStruct]] = {Item, Target, Script, *(CHECKS.get_class(name) for name in CHECKS.kinds())}
    left = list(found)
    while left:
        new = {part for field in fields_by_key(left.pop()).values() for part in models_in(field.type)} - found
        found |= new
        left += new
    return found


# Compared by their own rules, or not at all: `title` is only shown, `check` is compared field by field.
COMPARED_APART = ("check", "fault", "title", "within", "timeout")


def unclassified(structs: set[type[FrozenStruct]]) -> list[str]:
    """Return the fields of checks and drills that do not declare what a change of them means."""
    return sorted(
        f"{struct.__name__}.{key}"
        for struct in structs
        for key, field in fields_by_key(struct).items()
        if field.name not in COMPARED_APART and find_strictness(field.type) is None
    )


def test_every_field_of_a_check_is_classified_for_compare() -> None:
    """Every field of every check has metadata for `--compare`."""
    checks = {model for model in models() if model.__module__.startswith(("gate.checks.", "gate.drills."))}
    assert unclassified(checks) == []


def test_a_new_field_of_a_check_must_be_classified() -> None:
    """A field without metadata is found, unless it belongs to the entry and not to the check."""

    class Dns(FrozenStruct):
        name: Annotated[str, Meta(extra=stricter("never"))]
        ttl: Annotated[int, Meta(ge=0)] = 0
        within: float = 0.0

    assert unclassified({Dns}) == ["Dns.ttl"]


def test_an_exemption_names_the_field_that_identifies_it() -> None:
    """A list of exemptions has the key by which its entries are compared, unless they are texts."""
    keys = {
        f"{struct.__name__}.{key}": strictness.entry_key
        for struct in models()
        for key, field in fields_by_key(struct).items()
        if (strictness := find_strictness(field.type)) and "fewer" in strictness.changes
    }
    assert keys == {"Tests.quarantine": "test", "Dashboards.optional": ""}


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (None, ["a_*"], ['s.a: optional[a_*] is new: "a_*"']),
        (["a_*"], ["a_*", "b"], ['s.a: optional[b] is new: "b"']),
        (["a_*", "b"], ["b"], []),
        (["a_*"], None, []),
    ],
)
def test_exemptions_that_are_texts(old: list[str] | None, new: list[str] | None, told: list[str]) -> None:
    """A name that is added to a list of exemptions weakens the check; one that is removed does not."""

    def checklist(optional: list[str] | None) -> Checklist:
        check = {"files": "ops/*.json", "target": "prometheus"} | ({"optional": optional} if optional else {})
        targets = "targets: {prometheus: {url: 'http://a'}}"
        item = f"{{id: s.a, title: A, dashboards: {json.dumps(check)}}}"
        return loaded(f"version: 1\nservice: shop\n{targets}\nsections: [{{id: s, title: S, items: [{item}]}}]\n")

    weakenings = find_weakenings(checklist(old), checklist(new))
    assert [str(reason.message) for reason in weakenings] == [f"The checklist was changed: {text}" for text in told]


@pytest.mark.parametrize("name", CHANGES)
def test_changes(name: str) -> None:
    """Each of these changes is told, or is none that weakens anything."""
    old, new, expected = CHANGES[name]
    text = BASE.replace(old, new, 1) if old else BASE
    changed = loaded(text if name != "removed" else text.replace("waivers: [{item: b", "waivers: [{item: a"))
    base = loaded(BASE if name != "removed" else BASE.replace("waivers: [{item: b", "waivers: [{item: a"))
    told = [
        str(reason.message).removeprefix("The checklist was changed: ") for reason in find_weakenings(base, changed)
    ]
    assert told == expected
