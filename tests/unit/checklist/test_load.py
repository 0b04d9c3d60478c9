"""The checklist language: what is accepted, and what each mistake is told."""

from __future__ import annotations

import re
from datetime import date, timedelta
from pathlib import Path

import pytest

from gate.checklist.errors import ChecklistError
from gate.checklist.load import load, load_text
from gate.checks import CHECKS
from gate.decode.structs import quote_choices

HEAD = "version: 1\nservice: shop\n"
SECTIONS = "sections:\n  - id: s\n    title: S\n    items:\n"
ITEM = "      - {id: s.a, title: A, file: {path: README.md, exists: true}}\n"


def errors(text: str, **environment: str) -> list[str]:
    """Return the lines of a checklist's errors, without the file's name."""
    with pytest.raises(ChecklistError) as caught:
        load_text(text, "f.yml", environment)
    return [str(problem).removeprefix("f.yml:") for problem in caught.value.problems]


def loads_or_says_why(text: str) -> bool:
    """Return whether a text is a checklist; else require an error with a sentence."""
    try:
        return bool(load_text(text, "f.yml", {}).checklist.items)
    except ChecklistError as error:
        return bool(error.problems) and all(problem.text for problem in error.problems)


def items(text: str, **environment: str) -> list[str]:
    """Return the errors of a checklist with these items."""
    return errors(HEAD + SECTIONS + text, **environment)


def test_smallest() -> None:
    """A version, a service and one item with one check are a checklist."""
    loaded = load_text(HEAD + SECTIONS + ITEM, "f.yml", {})
    assert [item.id for item in loaded.checklist.items] == ["s.a"]
    assert str(loaded.place_of(0, 0)) == "f.yml:7:9"


OF_AN_ITEM = quote_choices(
    sorted(["id", "title", "severity", "within", "timeout", "needs", "requires", *CHECKS.kinds()])
)
MISTAKES = {
    "empty file": ("", ["1:1: the file is empty, expected a checklist"]),
    "a list": ("- a\n", ["1:1: expected a mapping with 'version', 'service' and 'sections'"]),
    "tab": (
        "version: 1\nsections:\n\t- id: a\n",
        ["3:1: a tab stands here, expected spaces: YAML is indented with spaces only"],
    ),
    "a tab in an entry": (
        HEAD + "sections:\n  -\tid: s\n   title: S\n",
        ["4:4: a tab stands here, expected spaces: YAML is indented with spaces only"],
    ),
    "a tab that is not the mistake": (
        HEAD + 'environment: "x\ty" z\n',
        ["3:14: text follows the closing quote; quote the whole value: 'x\ty z'"],
    ),
    "duplicate key": (
        HEAD + "service: again\n" + SECTIONS + ITEM,
        ["3:1: key 'service' stands twice, expected it once: first on line 2"],
    ),
    "unknown key": (
        HEAD + "langage: fr\n" + SECTIONS + ITEM,
        [
            "3:1: unknown key 'langage'; did you mean 'language'? Expected 'compose', 'environment', 'language',"
            " 'sections', 'service', 'targets', 'version', 'waiver_policy' or 'waivers'"
        ],
    ),
    "unknown key of an item": (
        HEAD + SECTIONS + ITEM.replace("title:", "titel: A, title:"),
        [f"7:19: unknown key 'titel'; did you mean 'title'? Expected {OF_AN_ITEM}"],
    ),
    "a check by a name of ours": (
        HEAD + SECTIONS + ITEM.replace("title:", "check: http, title:"),
        [f"7:19: unknown key 'check', expected {OF_AN_ITEM}"],
    ),
    "a size without a unit": (
        HEAD + SECTIONS + "      - {id: s.a, title: A, file: {path: a, size: {gt: 5}}}\n",
        ['7:51: expected a size with its unit, such as 512B, 8KiB or 64MiB, got {"gt": 5}'],
    ),
    "a number that is too large": (
        HEAD + "waiver_policy: {max_days: 99999}\n" + SECTIONS + ITEM,
        ["3:27: expected at least 1 and at most 36500, got 99999"],
    ),
    "wrong version": ("version: 2\nservice: shop\n" + SECTIONS + ITEM, ["1:10: expected 1, got 2"]),
    "no service": ("version: 1\n" + SECTIONS + ITEM, ["1:1: key 'service' is missing, expected it here"]),
    "empty section": (
        HEAD + "sections:\n  - {id: s, title: S, items: []}\n",
        ["4:30: expected at least one entry, got []"],
    ),
    "no sections": (HEAD + "sections: []\n", ["3:11: expected at least one entry, got []"]),
    "a bad language": (HEAD + "language: de\n" + SECTIONS + ITEM, ["3:11: expected 'en' or 'fr', got \"de\""]),
    "a second document": (
        HEAD + SECTIONS + ITEM + "---\na: b\n",
        ["8:1: a second document starts here, expected one checklist in a file"],
    ),
    "a tag": (
        HEAD.replace("shop", "!!python/object:os.system x") + SECTIONS + ITEM,
        ["2:10: tag 'tag:yaml.org,2002:python/object:os.system' stands here, expected a value without a tag"],
    ),
    "a list as a key": (
        HEAD + "[a]: b\n" + SECTIONS + ITEM,
        ["3:1: expected a name as a key, got a list or a mapping"],
    ),
    "an unknown alias": (
        HEAD + "x-a: *no\n" + SECTIONS + ITEM,
        ["3:6: alias '*no' names no finished anchor, expected one above it"],
    ),
    "an alias in itself": (
        HEAD + "x-a: &a [*a]\n" + SECTIONS + ITEM,
        ["3:10: alias '*a' names no finished anchor, expected one above it"],
    ),
    "a target of nowhere": (
        HEAD + "targets: {api: {ready: {path: /}}}\n" + SECTIONS + ITEM,
        ["3:16: expected a 'url', a 'container', a 'service' or a 'start'"],
    ),
    "an address of a wrong kind": (
        HEAD + "targets: {api: {url: 'ftp://x'}}\n" + SECTIONS + ITEM,
        ['3:22: expected an address such as http://api:8080, got "ftp://x"'],
    ),
    "a duration without a unit": (
        HEAD + "targets: {api: {url: 'http://x', ready: {path: /, within: 3}}}\n" + SECTIONS + ITEM,
        ["3:59: expected a duration with its unit, such as 500ms, 30s or 2m, got 3"],
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name: str) -> None:
    """Every mistake is told with its place, what is there, what was expected, and the nearest name."""
    text, expected = MISTAKES[name]
    assert errors(text) == expected


HOLDS = "{within: 1s, file: {path: a, exists: true}}"
SCRIPT = f"drill: {{steady: [{HOLDS}], script: {{command: 'true'}}}}"
ITEM_MISTAKES = {
    "a drill that is repeated": (
        f"      - {{id: s.a, title: A, within: 60s, {SCRIPT}}}\n",
        "7:37: expected no 'within' beside a drill: it runs once, and its criteria have their own, got \"60s\"",
    ),
    "a drill in a drill": (
        f"      - {{id: s.a, title: A, {SCRIPT[:-1]}, throughout: [{{{SCRIPT}}}]}}}}\n",
        "7:36: expected no drill in a drill: drills run one at a time",
    ),
    "two checks": (
        "      - {id: s.a, title: A, file: {path: a, exists: true}, tcp: {host: b, port: 1}}\n",
        "7:60: expected exactly one check, got file and tcp",
    ),
    "an id that stands twice": (
        ITEM + ITEM,
        "8:14: item 's.a' stands twice, expected every id once: first in f.yml:7:14",
    ),
    "an unknown target": (
        "      - {id: s.a, title: A, requires: [api], file: {path: a, exists: true}}\n",
        "7:40: unknown target 'api', expected one of none: there are none",
    ),
    "an unknown target in a check": (
        "      - {id: s.a, title: A, http: {target: api, path: /, status: 200}}\n",
        "7:44: unknown target 'api', expected one of none: there are none",
    ),
    "an unknown need": (
        "      - {id: s.a, title: A, needs: [s.b], file: {path: a, exists: true}}\n",
        "7:37: unknown item 's.b', expected one of 's.a'; did you mean 's.a'?",
    ),
    "a circle": (
        "      - {id: s.a, title: A, needs: [s.a], file: {path: a, exists: true}}\n",
        "7:37: needs 's.a', which needs this item: expected no circle",
    ),
    "an unknown waiver": (
        ITEM + "waivers: [{item: s.x, owner: a, reason: b, expires: 2099-01-01}]\n",
        "8:18: unknown item 's.x', expected one of 's.a'; did you mean 's.a'?",
    ),
    "a waiver without an end": (
        ITEM + "waivers: [{item: s.a, owner: a, reason: b}]\n",
        "8:11: key 'expires' is missing, expected it here",
    ),
    "a day that is none": (
        ITEM + "waivers: [{item: s.a, owner: a, reason: b, expires: 2026-02-30}]\n",
        '8:53: expected a day such as 2026-03-31, got "2026-02-30"',
    ),
    "an unset variable": (
        "      - {id: s.a, title: '${NOPE}', file: {path: a, exists: true}}\n",
        "7:26: variable NOPE is not set, expected it in the environment or a default: ${NOPE:-default}",
    ),
}


@pytest.mark.parametrize("name", ITEM_MISTAKES)
def test_item_mistakes(name: str) -> None:
    """Mistakes inside an item have their places inside the item."""
    text, expected = ITEM_MISTAKES[name]
    assert items(text) == [expected]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("slow: {target: d, latency: 1s, jitter: 1s}", "expected 'jitter' below 'latency', else there may be no delay"),
        ("slow: {target: d, jitter: 1s, cut: 2s}", "expected 'jitter' below 'latency', else there may be no delay"),
        (
            "slow: {target: d, latency: 2s, cut: 1ms}",
            "expected 'cut' above 'latency' plus 'jitter', else no delay can be observed",
        ),
        (
            "slow: {target: d, latency: 2s, reset: true}",
            "expected 'reset' alone: a connection that is reset immediately has no 'latency' and no 'cut'",
        ),
        ("slow: {target: d, cut: 0s}", 'expected a duration of more than 0s, got "0s"'),
        ("run: {command: 'true', undo: 'true'}", "key 'proof' is missing, expected it here"),
    ],
)
def test_faults_without_effect(fault: str, said: str) -> None:
    """A fault that could be proved in place while it does nothing is an error."""
    target = "targets: {d: {start: {command: d}, port: 1, listen: 2}}\n"
    drill = f"{{steady: [{HOLDS}], fault: {{{fault}}}, observe: [{HOLDS}]}}"
    (error,) = errors(HEAD + target + SECTIONS + f"      - {{id: s.a, title: A, drill: {drill}}}\n")
    assert said in error


def test_waiver_policy() -> None:
    """A waiver that reaches further than the policy lets it, and one too many, are errors."""
    soon, late = date.today() + timedelta(days=30), date.today() + timedelta(days=31)
    waiver = "{item: s.a, owner: a, reason: b, expires: %s}"
    policy = "waiver_policy: {max_days: 30, max: 0}\n"
    assert loads_or_says_why(HEAD + SECTIONS + ITEM + f"waivers: [{waiver % soon}]\n" + policy.replace("x: 0", "x: 1"))
    found = items(ITEM + f"waivers: [{waiver % late}]\n" + policy)
    assert found == [
        "8:10: 1 waivers stand here, expected at most 0 (waiver_policy)",
        f"8:53: reaches until {late}, expected {soon} at the latest: 30 days (waiver_policy)",
    ]


def test_no_check() -> None:
    """An item without a check is told which checks there are."""
    (error,) = items("      - {id: s.a, title: A}\n")
    assert error.startswith("7:9: no check, expected exactly one of 'alert', 'alert_rules', ")


def test_no_expectation() -> None:
    """A check that expects nothing can't fail: an error."""
    (error,) = items("      - {id: s.a, title: A, http: {url: 'http://x/'}}\n")
    assert error.startswith("7:35: expected at least one of ")


def test_all_at_once() -> None:
    """All errors of a file come at once, in the order of the file."""
    found = errors("version: 2\nservice: ''\nsections:\n  - {id: s, titel: S, items: [{title: 3}]}\n")
    assert [error.split(" ", 1)[0] for error in found] == ["1:10:", "2:10:", "4:5:", "4:13:", "4:31:", "4:31:", "4:39:"]


def test_a_mistake_hides_no_other() -> None:
    """What the schema refuses hides no broken reference and no id that stands twice, in no part of the file."""
    found = errors(
        "version: 1\nservise: shop\ntargets: {api: {urk: 'http://x', after: [apj]}}\nsections:\n"
        "  - {id: s, title: S, items: []}\n"
        "  - id: s\n    title: S\n    items:\n"
        "      - {id: a, title: A, requires: [apj], http: {target: apii, status: 200, bogus: 1}}\n"
        "      - {id: a, title: A, needs: [zz], file: {path: x, exists: true}, within: 3}\n"
        "      - {id: c, title: C, drill: {steady: [{tcp: {target: apk}}], fault: {stop: api}}}\n"
        "waivers:\n  - {item: nope, reason: r, owner: o, expires: 2999-01-01}\nwaiver_policy: {max_days: 9}\n"
    )
    assert [re.split("[,;]", error)[0].split(": ", 1) for error in found if "missing" not in error] == [
        ["2:1", "unknown key 'servise'"],
        ["3:17", "unknown key 'urk'"],
        ["3:42", "unknown target 'apj'"],
        ["5:30", "expected at least one entry"],
        ["6:9", "section 's' stands twice"],
        ["9:38", "unknown target 'apj'"],
        ["9:59", "unknown target 'apii'"],
        ["9:78", "unknown key 'bogus'"],
        ["10:14", "item 'a' stands twice"],
        ["10:35", "unknown item 'zz'"],
        ["10:79", "expected a duration with its unit"],
        ["11:34", "expected at least one criterion under 'observe' or 'throughout'"],
        ["11:59", "unknown target 'apk'"],
        ["13:12", "unknown item 'nope'"],
        ["13:48", "reaches until 2999-01-01"],
    ]


def test_a_mistake_hides_no_unfit_fault() -> None:
    """A fault that can't be done to its target is told beside another mistake, where both can be read."""
    drill = (
        "steady: [{tcp: {target: api}}], fault: {stop: api}, observe: [{within: 1s, http: {target: api, status: 503}}]"
    )
    found = errors(
        "version: 1\nservise: shop\ntargets: {api: {url: 'http://x'}, db: {urk: 1}}\nsections:\n"
        f"  - id: s\n    title: S\n    items:\n      - {{id: c, title: C, drill: {{{drill}}}}}\n"
        f"      - {{id: d, title: D, drill: {{{drill.replace('stop: api', 'stop: db')}}}}}\n"
    )
    assert [error for error in found if "faults support nothing else" in error] == [
        "8:74: target 'api': expected a target with a 'container', a 'service' or a 'start': "
        "faults support nothing else"
    ]


def test_two_checks_hide_no_mistake() -> None:
    """Where two checks stand in an item, what is wrong inside each is said, too."""
    found = items(
        "      - {id: s.a, title: A, http: {url: 'http://x', status: 200, bogus: 1}, tcp: {hosst: a, port: 1}}\n"
    )
    assert [re.split("[,;]", error)[0] for error in found] == [
        "7:66: unknown key 'bogus'",
        "7:77: expected exactly one check",
        "7:83: unknown key 'hosst'",
    ]


def test_a_file_hides_no_other(tmp_path: Path) -> None:
    """A file that can't be read hides no mistake of another; what may stand in it is not said to be missing."""
    base, over = tmp_path / "a.yml", tmp_path / "b.yml"
    over.write_text("servise: x\nsections:\n  - id: s\n    items:\n      - {id: s.a, requires: [api], within: 3}\n")
    for text in (None, "version: [", "- a"):
        if text is not None:
            base.write_text(text)
        with pytest.raises(ChecklistError) as caught:
            load([base, over], {})
        found = [str(problem).removeprefix(str(tmp_path)) for problem in caught.value.problems]
        assert [error.split(":")[0] for error in found] == ["/a.yml", "/b.yml", "/b.yml"]
        assert ["unknown key 'servise'" in found[1], "expected a duration" in found[2]] == [True, True]


def test_aliases_without_end() -> None:
    """Aliases that would expand to billions of values are an error, at once."""
    lines = ["x-a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"x-a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    (error,) = errors("\n".join(lines))
    assert error.endswith("comes to more than 200000 values with its aliases, expected a checklist")


def test_depth() -> None:
    """Nesting without end is an error, not a crash, however deep."""
    assert errors(HEAD + "x-a: " + "[" * 100_000) != []
    (error,) = errors(HEAD + "x-a: " + "[" * 500)
    assert error == "3:70: is nested deeper than 64 levels, expected a checklist"


def test_file_that_is_not_there(tmp_path: Path) -> None:
    """A file that isn't there is told by its name."""
    with pytest.raises(ChecklistError) as caught:
        load([tmp_path / "no.yml"], {})
    assert str(caught.value) == (
        f"{tmp_path}/no.yml: no such file, expected a checklist; `prodgate init` writes one, and `--file` names another"
    )


def test_file_that_is_not_utf8(tmp_path: Path) -> None:
    """A file that isn't UTF-8 is told the place of the first bad byte."""
    path = tmp_path / "latin.yml"
    path.write_bytes("version: 1\nservice: caf\u00e9\n".encode("latin-1"))
    with pytest.raises(ChecklistError) as caught:
        load([path], {})
    assert str(caught.value) == f"{path}:2:13: byte 0xe9 is not UTF-8, expected a file in UTF-8"


def test_merge(tmp_path: Path) -> None:
    """Later files override: targets by key, sections and items by id; an item's check is replaced whole."""
    base, over = tmp_path / "a.yml", tmp_path / "b.yml"
    base.write_text(
        HEAD
        + "targets: {api: {url: 'http://api:80', ready: {path: /live}}}\n"
        + SECTIONS
        + ITEM
        + "      - {id: s.b, title: B, severity: advisory, file: {path: b, exists: true}}\n"
    )
    over.write_text(
        "targets: {api: {url: 'http://localhost:1'}}\nsections:\n  - id: s\n    items:\n"
        "      - {id: s.b, tcp: {target: api, port: 1}}\n      - {id: s.c, title: C, file: {path: c, exists: true}}\n"
    )
    checklist = load([base, over], {}).checklist
    assert (checklist.targets["api"].url, checklist.targets["api"].ready.path) == ("http://localhost:1", "/live")
    assert [(item.id, item.title, item.kind) for item in checklist.items] == [
        ("s.a", "A", "file"), ("s.b", "B", "tcp"), ("s.c", "C", "file"),
    ]  # fmt: skip
    assert checklist.items[1].severity == "advisory"


def test_variables() -> None:
    """Variables are filled in as in Compose files; a dollar without braces stays."""
    text = HEAD.replace("shop", "${A}-${B:-b}-${C-c}-${D:-}-$$-$E") + SECTIONS + ITEM
    assert load_text(text, "f.yml", {"A": "1", "B": "", "C": ""}).checklist.service == "1-b---$-$E"


def test_yaml_12() -> None:
    """`on`, `yes` and `no` are text, as in YAML 1.2."""
    assert load_text("version: 1\nservice: on\n" + SECTIONS + ITEM, "f.yml", {}).checklist.service == "on"


def test_anchors() -> None:
    """Anchors, aliases and merge keys work, with a home under a key that begins with `x-`."""
    text = (
        HEAD + "x-item: &item {title: A, file: {path: a, exists: true}}\n" + SECTIONS + "      - {id: s.a, <<: *item}\n"
    )
    assert load_text(text, "f.yml", {}).checklist.items[0].title == "A"


@pytest.mark.parametrize(
    ("after", "said"),
    [
        ("nowhere", "4:44: unknown target 'nowhere', expected one of 'one'"),
        ("one", "4:44: 'one' comes after this target: expected no circle"),
    ],
)
def test_what_a_target_comes_after(after: str, said: str) -> None:
    """A target comes after others of the checklist, and never after itself."""
    text = HEAD + f"targets:\n  one: {{start: {{command: sleep 9}}, after: [{after}]}}\n" + SECTIONS + ITEM
    assert [error.split(";")[0] for error in errors(text)] == [said]


HTTP = "      - {{id: s.a, title: A, http: {{url: 'http://x', {}}}}}\n"
NOTHING = {
    "a key": ("status: 200, json: ", ["7:66: key 'json' has no value, expected one: nothing is written after it"]),
    "null": ("status: 200, json: null", ["7:72: expected a value, or no such key, got null"]),
    "text: null": ("status: 200, text: ~", ["7:72: expected a value, or no such key, got null"]),
    "a variable": (
        "status: '${CODE:-}', latency: 5s",
        ["7:61: expected a value, got a variable that is empty"],
    ),
    "a variable in quotes": (
        'status: 200, text: "${CODE:-}"',
        ["7:72: expected a value, got a variable that is empty"],
    ),
    "an operand": (
        "text: {contains: }",
        [
            "7:59: expected text, got null",
            "7:60: key 'contains' has no value, expected one: nothing is written after it",
        ],
    ),
    "an operand that is a variable": (
        "text: {not: '${CODE-}'}",
        ["7:59: expected a value, got a variable that is empty"],
    ),
    "a field of JSON": (
        "json: {checks: {db: }}",
        ["7:69: key 'db' has no value, expected one: nothing is written after it"],
    ),
    "a member": ("status: [200, null]", ["7:61: expected a status code, got null"]),
    "a header": ("header: {X-A: null}", ["7:67: expected text, got null"]),
    "a nested key": ("tls: {expires_in: null}", ["7:71: expected a value, or no such key, got null"]),
    "an empty mapping": ("status: 200, tls: {}", ["7:71: expected at least one entry, or no such key, got {}"]),
    "no headers": ("status: 200, header: {}", ["7:74: expected at least one entry, got {}"]),
    "what is sent": ("status: 200, body: null", ["7:72: expected a value, or no such key, got null"]),
}


@pytest.mark.parametrize("name", NOTHING)
def test_a_key_that_is_written_has_a_value(name: str) -> None:
    """An expectation that is empty is an error, however it became so, and wherever it is."""
    text, expected = NOTHING[name]
    assert items(HTTP.format(text)) == expected


def test_a_variable_that_fills_in_nothing() -> None:
    """Nothing is written after a key whose variable is empty."""
    text = "      - id: s.a\n        title: A\n        http:\n          url: http://x\n          status: ${CODE:-}\n"
    assert items(text) == ["11:11: key 'status' has no value, expected one: nothing is written after it"]
    assert load_text(HEAD + SECTIONS + text, "f.yml", {"CODE": "200"}).checklist.items


def test_a_member_of_which_nothing_is_written() -> None:
    """A dash with nothing behind it is an error."""
    text = "      - id: s.a\n        title: A\n        http:\n          url: http://x\n          json:\n            -\n"
    assert items(text) == ["12:14: the entry has no value, expected one: nothing is written there"]


@pytest.mark.parametrize("text", ["json: {error: null}", "json: {equals: null}", "text: ''", "json: {a: [null, 1]}"])
def test_null_and_empty_text_that_are_meant(text: str) -> None:
    """JSON null is expected inside of JSON, and an empty body by quotes."""
    assert load_text(HEAD + SECTIONS + HTTP.format(text), "f.yml", {}).checklist.items


def test_what_another_file_fills_in(tmp_path: Path) -> None:
    """A key without a value is none where a later file gives it one."""
    base, over = tmp_path / "a.yml", tmp_path / "b.yml"
    base.write_text(HEAD + "targets: {api: {url: }}\n" + SECTIONS + ITEM)
    over.write_text("targets: {api: {url: 'http://x'}}\n")
    assert load([base, over], {}).checklist.targets["api"].url == "http://x"
    with pytest.raises(ChecklistError, match="key 'url' has no value"):
        load([base], {})


def test_null_in_a_later_file_removes_a_key(tmp_path: Path) -> None:
    """A later file takes a key away with null; where there is none to take away, null says nothing."""
    base, over = tmp_path / "a.yml", tmp_path / "b.yml"
    base.write_text(HEAD + "targets: {api: {container: api, url: 'http://x'}}\n" + SECTIONS + ITEM)
    over.write_text("targets: {api: {container: null}}\n")
    assert load([base, over], {}).checklist.targets["api"].container is None
    over.write_text("targets: {api: {port: null}}\n")
    with pytest.raises(ChecklistError, match=r"b\.yml:1:23: expected a value, or no such key"):
        load([base, over], {})


def test_extensions_may_be_empty() -> None:
    """Keys of the user's own are."""
    assert load_text(HEAD + "x-a:\n" + SECTIONS + ITEM, "f.yml", {}).checklist.items


READY = "steady: [{http: {url: 'http://x', status: 200}}]"
ELSEWHERE = {
    "an observation": (
        "      - {id: s.a, title: A, drill: {" + READY + ", fault: {stop: api}, expect: []}}\n",
        "did you mean 'observe'?",
    ),
    "an option of the item": (
        "      - {id: s.a, title: A, http: {url: 'http://x', status: 200, within: 5s}}\n",
        "did you mean 'within' beside the check, not under it?",
    ),
    "a key of the check": (
        "      - {id: s.a, title: A, http: {url: 'http://x'}, status: 200}\n",
        "did you mean 'status' under 'http'?",
    ),
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_key_that_belongs_elsewhere(name: str) -> None:
    """A key that only makes sense elsewhere is told its place."""
    text, hint = ELSEWHERE[name]
    assert any(hint in error for error in items(text))


@pytest.mark.parametrize(
    ("target", "hint"),
    [
        ("{image: nginx}", "did you mean 'image' under 'start:'?"),
        ("{environment: {A: b}, url: 'http://x'}", "did you mean 'environment' under 'start:'?"),
        ("{depends_on: [b], url: 'http://x'}", "did you mean 'after'?"),
        ("{start: {image: nginx, port: 80}}", "did you mean 'port' beside 'start', not under it?"),
        ("{start: {image: nginx, env: {A: b}}}", "did you mean 'environment'?"),
    ],
)
def test_a_key_of_a_target_that_belongs_elsewhere(target: str, hint: str) -> None:
    """So is a key of a target, as Compose files have it."""
    assert any(hint in error for error in errors(HEAD + f"targets: {{api: {target}}}\n" + SECTIONS + ITEM))
