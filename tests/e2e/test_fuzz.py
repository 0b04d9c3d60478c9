"""No input whatever breaks the gate: what fuzzing has found (`corpus/`), and fuzzing of texts, shapes and values."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from gate.checklist.errors import ChecklistError
from gate.checklist.load import load_text
from gate.checklist.schema import checklist_schema
from gate.checks import CHECKS
from gate.core.messages import msg
from gate.decode.quantities import format_duration
from gate.decode.structs import fields_by_key
from gate.run.plan import plan
from gate.staging.docker_client import DockerUnavailableError

CORPUS = sorted((Path(__file__).parent / "corpus").glob("*.yml"))


@pytest.fixture(autouse=True, scope="module")
def _no_engine() -> Iterator[None]:
    """Hide this machine's engine: `plan` would connect to it, and it has no influence on how a text is read."""

    def none() -> None:
        raise DockerUnavailableError(msg("there is none"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gate.run.plan.docker_client", none)
        yield


def loads(text: str) -> bool:
    """Return whether a text is a checklist."""
    try:
        return bool(load_text(text, "f.yml", {}).checklist.items)
    except ChecklistError:
        return False


def loads_or_says_why(text: str) -> bool:
    """Return whether a text is a checklist with a plan; else require errors with a sentence each."""
    try:
        checklist = load_text(text, "f.yml", {}).checklist
    except ChecklistError as error:
        return bool(error.problems) and all(problem.text for problem in error.problems)
    return bool(checklist.items) and bool(format_duration(plan(checklist, checklist.items, 32).max_duration))


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_what_was_found(path: Path) -> None:
    """What has broken the gate once does not do so again."""
    assert loads_or_says_why(path.read_text())


def test_there_is_a_corpus() -> None:
    """The corpus has files."""
    assert CORPUS != []


_WORDS = [
    *["version", "1", ":", "-", " ", "\n", "  ", "{", "}", "[", "]", "&a", "*a", "!!", "|", ">", "'", '"', "${", "$$"],
    *["sections", "items", "id", "title", "http", "file", "drill", "targets", "within", "3s", "#", "\t", "?", "<<"],
    *["\ufeff", "\x00", chr(0xD800), "\x85", "%", "@", "---", "...", "\\", "tests", "requires"],
]
_often = settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])


@_often
@given(st.one_of(st.text(max_size=200), st.lists(st.sampled_from(_WORDS), max_size=60).map("".join)))
def test_no_text_breaks_it(text: str) -> None:
    """No text whatever gives anything but a checklist or its errors."""
    assert loads_or_says_why(text)


_PRINTABLE = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8)
_NUMBERS = st.integers() | st.floats() | st.sampled_from([10**400, -(10**400), 2**31, 2**63, 65536, -1, 0])
_DIGITS = st.sampled_from(["0", "0.5", "1", "99999999999999", "9" * 400, "1e9", "٣"])
_UNITS = st.sampled_from(["ms", "s", "h", "w", "B", "KB", "GiB", ""])
_QUANTITIES = st.tuples(_DIGITS, _UNITS).map("".join)
_PIECES = ["a", "é", "1", "(", ")", "[", "]", "{", "}", "*", "+", "?", "|", "^", "$", ".", ",", "-", ":", "=", "!", "<",
           ">", "P", "\\", "\\d", "\\b", "\\1", "\\p{L}", "(?i)", "(?s)", "(?=", "{1000}", "{2,}",
           "9" * 20, "(" * 2000]  # fmt: skip
_PATTERNS = st.lists(st.sampled_from(_PIECES), max_size=12).map("".join)
_DAYS = st.dates().map(str) | st.sampled_from(["2026-13-45", "0000-01-01", "9999-12-31", "10000-01-01", "today"])
_PLACES = st.sampled_from(
    ["http://[::1", "http://x:99999", "http://a b", "../x", "/etc", "**/**", "[a", "a\0b", "-", "api"]
)
_PLAIN = st.none() | st.booleans() | _NUMBERS | _PRINTABLE | _QUANTITIES | _PATTERNS | _DAYS | _PLACES
_OPERATORS = ["equals", "not", "gt", "ge", "lt", "le", "matches", "contains", "path", "target", "{why}"]
_VALUES = st.recursive(
    _PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_OPERATORS), inner, max_size=3),
    max_leaves=6,
)
_MATCHERS = st.fixed_dictionaries(
    {}, optional={"matches": _PATTERNS, "gt": _NUMBERS, "le": _QUANTITIES, "not": _VALUES}
)

WHOLE: dict[str, dict[str, Any]] = {
    "alert": {"target": "api", "name": "A", "state": "firing"},
    "alert_rules": {"file": "a.yml", "valid": True},
    "command": {"run": "true"},
    "coverage": {"dependencies": "100%"},
    "dashboards": {"target": "api", "files": "a.json"},
    "document": {"file": "a.md", "sections": ["A"]},
    "drill": {
        "steady": [{"http": {"target": "api", "status": 200}}],
        "fault": {"stop": "api"},
        "observe": [{"within": "1s", "http": {"target": "api", "status": 503}}],
        "recover": [{"within": "1s", "http": {"target": "api", "status": 200}}],
    },
    "file": {"path": "a", "exists": True},
    "http": {"target": "api", "status": 200},
    "loaded_rules": {"target": "api", "file": "a.yml"},
    "metrics": {"target": "api", "valid": True},
    "page": {"target": "api", "alert": "a", "receiver": "b"},
    "promql": {"target": "api", "query": "up", "value": 1},
    "routes": {"file": "a.yml"},
    "scrape_config": {"file": "a.yml", "job": "a"},
    "scrape_target": {"target": "api", "job": "a"},
    "source": {"file": "a.py", "text": "a"},
    "tcp": {"target": "api", "port": 1},
    "tests": {"results": "a.xml"},
    "traceability": {"target": "api", "file": "a.yml"},
}


def checklist(kind: str = "file", check: Any = None, item: Any = None, target: Any = None, **top: Any) -> str:
    """Return a whole checklist with an item of a kind, a target and a waiver, updated with the arguments."""
    made = {
        "version": 1,
        "service": "s",
        "targets": {"api": {"url": "http://api", "start": {"command": "true"}, **(target or {})}},
        "sections": [
            {
                "id": "s",
                "title": "S",
                "items": [{"id": "a", "title": "A", kind: WHOLE[kind] | (check or {}), **(item or {})}],
            }
        ],
        **top,
    }
    return yaml.safe_dump(made, allow_unicode=True)


def test_every_kind_is_there() -> None:
    """Every kind of check has a whole one that a value may be put into, so that the value itself is read."""
    assert sorted(WHOLE) == sorted(CHECKS.kinds())
    assert [load_text(checklist(kind), "f.yml", {}).checklist.items[0].kind for kind in WHOLE] == list(WHOLE)


@pytest.mark.parametrize("kind", [kind for kind in WHOLE if CHECKS.get_class(kind).expectation_keys])
def test_the_schema_wants_an_expectation(kind: str) -> None:
    """An editor takes a whole check, and refuses one that expects nothing, as loading does."""
    schema = Draft202012Validator(checklist_schema())
    wishes = [path.split(".")[0] for path in CHECKS.get_class(kind).expectation_keys]
    made = yaml.safe_load(checklist(kind))
    assert schema.is_valid(made)
    assert loads(yaml.safe_dump(made))
    check = made["sections"][0]["items"][0][kind]
    made["sections"][0]["items"][0][kind] = {key: check[key] for key in check if key not in wishes}
    assert not schema.is_valid(made)
    assert not loads(yaml.safe_dump(made))


@pytest.mark.parametrize("kind", WHOLE)
@_often
@given(st.data())
def test_no_value_of_a_check_breaks_it(kind: str, data: st.DataObject) -> None:
    """No value in any field of any check gives anything but a checklist or its errors."""
    names = list(fields_by_key(CHECKS.get_class(kind)))
    value = data.draw(_QUANTITIES | _MATCHERS | _PATTERNS | _VALUES)
    assert loads_or_says_why(checklist(kind, {data.draw(st.sampled_from(names)): value}))


@_often
@given(st.sampled_from(["within", "timeout", "severity", "requires", "needs", "id", "title", "check"]), _VALUES)
def test_no_value_of_an_item_breaks_it(name: str, value: Any) -> None:
    """No value of an item itself does."""
    assert loads_or_says_why(checklist(item={name: value}))


@_often
@given(st.sampled_from(["url", "container", "start", "ready", "port", "listen", "after", "provision"]), _VALUES)
def test_no_value_of_a_target_breaks_it(name: str, value: Any) -> None:
    """No value of a target does."""
    assert loads_or_says_why(checklist(target={name: value}))


@_often
@given(st.sampled_from(["path", "status", "tcp", "within"]), _VALUES | _MATCHERS)
def test_no_value_of_a_wait_breaks_it(name: str, value: Any) -> None:
    """No value of what a target is awaited by does."""
    assert loads_or_says_why(checklist(target={"ready": {"path": "/", name: value}}))


@_often
@given(
    st.sampled_from(["item", "reason", "owner", "expires", "issue", "approved_by"]),
    _VALUES,
    st.dictionaries(st.sampled_from(["max", "max_days"]), _NUMBERS, max_size=2),
)
def test_no_value_of_a_waiver_breaks_it(name: str, value: Any, policy: dict[str, Any]) -> None:
    """No value of a waiver or of the policy does."""
    waiver = {"item": "a", "reason": "r", "owner": "o", "expires": "2999-01-01", name: value}
    assert loads_or_says_why(checklist(waivers=[waiver], waiver_policy=policy))


@_often
@given(st.sampled_from(["version", "service", "environment", "language", "targets", "sections", "waivers"]), _VALUES)
def test_no_value_at_the_top_breaks_it(name: str, value: Any) -> None:
    """No value at the top does."""
    assert loads_or_says_why(checklist(**{name: value}))
