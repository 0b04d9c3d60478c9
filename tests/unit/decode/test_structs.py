"""What somebody wrote becomes typed data, or all its mistakes with their paths."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from gate.checklist.models import Checklist, Item
from gate.checks import CHECKS
from gate.checks.entry import CheckEntry
from gate.decode.quantities import DurationSeconds
from gate.decode.structs import Unfilled, ValidationError, decode_all_errors, default_of, fields_by_key, iter_issues
from gate.drills.spec import Criterion, FaultSpec
from gate.model import FrozenStruct
from gate.staging.faults import FAULTS
from tests.support.document_values import DOCUMENT_VALUES
from tests.support.models import models_in


class Inner(FrozenStruct):
    """A struct inside another, with a rule of its own."""

    number: Annotated[int, Meta(ge=1, le=9)] = 1
    wait: DurationSeconds | None = None

    def __post_init__(self) -> None:
        if self.number == 7:
            raise ValueError("expected another number than 7")


class Outer(FrozenStruct, kw_only=True):
    """A struct with fields of every kind."""

    name: Annotated[str, Meta(min_length=1)]
    inner: Inner = Inner()
    many: dict[str, Inner] = {}
    words: str | list[str] | None = None
    kind: Literal["round", "square"] = "round"
    pair: Annotated[list[int], Meta(min_length=1)] | None = None


def told(value: Any) -> list[tuple[tuple[str | int, ...], str]]:
    """Return path and text of each error of a value."""
    with pytest.raises(ValidationError) as caught:
        decode_all_errors(value, Outer)
    return [(issue.path, issue.text) for issue in caught.value.issues]


def test_all_mistakes_come_at_once() -> None:
    """Each with its path: unknown and missing keys, types, limits, kinds of their own, in lists and mappings."""
    value = {
        "nam": "x",
        "inner": {"number": "many", "wait": 5},
        "many": {"a": {"number": 10}, "b": {"numbr": 1}, "c": []},
        "words": [1],
        "kind": "rond",
        "pair": [],
    }
    assert told(value) == [
        (
            ("nam",),
            "unknown key 'nam'; did you mean 'name'? Expected 'inner', 'kind', 'many', 'name', 'pair' or 'words'",
        ),
        ((), "key 'name' is missing, expected it here"),
        (("inner", "number"), "expected a whole number"),
        (("inner", "wait"), "expected a duration with its unit, such as 500ms, 30s or 2m"),
        (("many", "a", "number"), "expected at least 1 and at most 9"),
        (("many", "b", "numbr"), "unknown key 'numbr'; did you mean 'number'? Expected 'number' or 'wait'"),
        (("many", "c"), "expected a mapping"),
        (("words", 0), "expected text"),
        (("kind",), "expected 'round' or 'square'; did you mean 'round'?"),
        (("pair",), "expected at least one entry"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "path", "text"),
    [
        ([], (), "expected a mapping"),
        ({"name": ""}, ("name",), "expected some text"),
        ({"name": "a", "inner": {"number": 7}}, ("inner",), "expected another number than 7"),
        ({"name": "a", "words": 5}, ("words",), "expected text or a list"),
        ({"name": "a", "words": {}}, ("words",), "expected text or a list"),
        ({"name": "a", "pair": "x"}, ("pair",), "expected a list"),
        ({"name": "a", "inner": None}, ("inner",), "expected a mapping"),
        ({"name": "a", "words": None}, ("words",), "expected a value, or no such key"),
        ({"name": "a", "inner": {"wait": None}}, ("inner", "wait"), "expected a value, or no such key"),
        ({"name": "a", "inner": {}}, ("inner",), "expected at least one entry, or no such key"),
    ],
)
def test_one_mistake(value: Any, path: tuple[str | int, ...], text: str) -> None:
    """A mistake is told once, by the type that the value looks like."""
    assert told(value) == [(path, text)]


def test_what_is_right_is_read() -> None:
    """Numbers as text stand for numbers, as a variable that is filled in is text; nothing is told."""
    value = {"name": "a", "inner": {"number": "5", "wait": "1m30s"}, "words": ["b"], "pair": [1]}
    assert decode_all_errors(value, Outer) == Outer(name="a", inner=Inner(number=5, wait=90.0), words=["b"], pair=[1])
    assert list(iter_issues(value, Outer)) == []


@given(st.dictionaries(st.sampled_from(["name", "inner", "many", "words", "kind", "pair", "x"]), DOCUMENT_VALUES))
def test_mistakes_are_found_where_there_are_some_and_nowhere_else(value: Any) -> None:
    """The walk never disagrees with `read`: it finds none where it reads, and at least one where it doesn't."""
    try:
        decode_all_errors(value, Outer)
    except ValidationError:
        assert list(iter_issues(value, Outer))
    else:
        assert not list(iter_issues(value, Outer))


def below(model: type[FrozenStruct]) -> set[type[FrozenStruct]]:
    """Return a model and all models that its fields contain."""
    found, waiting = {model}, [model]
    while waiting:
        for field in fields_by_key(waiting.pop()).values():
            waiting += (new := models_in(field.type) - found)
            found |= new
    return found


MODELS = sorted(
    {
        model
        for top in (
            Checklist,
            Item,
            Criterion,
            *map(CHECKS.get_class, CHECKS.kinds()),
            *map(FAULTS.get_class, FAULTS.kinds()),
        )
        for model in below(top)
    },
    key=lambda model: model.__name__,
)
# Lists and mappings that expect nothing: an empty one overrides what another file or an anchor has.
MAY_BE_EMPTY = {
    "AlertRules.flags", "AlertRules.runbooks", "Checklist.targets", "Checklist.waivers", "Command.env", "Deploy.args",
    "Deploy.environment",
    "ExpectedRoute.labels", "Http.body", "Http.headers", "Item.needs", "Item.requires", "OtherAlerts.allow",
    "Script.touches",
    "Start.args", "Start.environment",
    "Target.after", "Target.provision", "Target.ready",
    "Tests.env", "Tests.quarantine", "Traffic.body", "Traffic.headers",
}  # fmt: skip


@pytest.mark.parametrize("model", MODELS)
def test_every_key_that_is_written_says_something(model: type[FrozenStruct]) -> None:
    """Null is never a value of a key, and an empty text, list or mapping never an expectation."""
    for key, field in fields_by_key(model).items():
        name = f"{model.__name__}.{key}"
        if key in ("check", "fault") and issubclass(model, CheckEntry | FaultSpec):
            continue
        wrong: list[Any] = [None]
        if name not in MAY_BE_EMPTY:
            wrong += [[], {}] if isinstance(default_of(field), list | dict) else [{}]
        if default_of(field) is None and name not in MAY_BE_EMPTY:
            wrong.append(Unfilled())
        for value in wrong:
            told_at = [each.path for each in model.iter_issues({key: value}) if each.path[:1] == (key,)]
            assert told_at, f"{name}: {value!r}"
