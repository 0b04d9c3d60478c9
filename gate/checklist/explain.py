"""Turns pydantic's errors into sentences with a place: what is there, what was expected, the nearest known name."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from gate.checklist.document import Path_
from gate.checklist.models import Checklist
from gate.checklist.problems import Place, Problem, nearest, one_of
from gate.checks import CHECKS
from gate.checks.asked import Asked
from gate.matchers import show

_EXPECTED = {
    "string_type": "expected text",
    "int_type": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_from_float": "expected a whole number",
    "float_type": "expected a number",
    "float_parsing": "expected a number",
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
    "list_type": "expected a list",
    "tuple_type": "expected a list",
    "dict_type": "expected a mapping",
    "model_type": "expected a mapping",
    "model_attributes_type": "expected a mapping",
    "string_too_short": "expected some text",
    "too_short": "expected at least one entry",
}
_WHOLE = {"no_check", "two_checks", "no_expectation", "matcher", "ready", "target"}
"""Errors whose own sentence says it all: what is there is not shown again."""

_ALONE = {"missing", "no_check", "two_checks", "extra_forbidden"}
"""Errors that never come from the members of a union, and so are never made one."""


def explain(
    error: ValidationError, values: Mapping[Path_, Place], keys: Mapping[Path_, Place], *, whole: bool = True
) -> list[Problem]:
    """A problem for each error, several of one place (a union's members) made one.

    Where a part of the checklist could not be read, and it is not `whole`, nothing is said of what may stand there.
    """
    found: dict[tuple[Place, Path_, str], list[str]] = {}
    for entry in error.errors(include_url=False):
        if not whole and _of_something_missing(entry):
            continue
        path = _known(entry["loc"], values)
        place, text = _explained(entry, path, values, keys)
        alone = text if entry["type"] in _ALONE else ""
        texts = found.setdefault((place, path, alone), [])
        if text not in texts:
            texts.append(text)
    return [Problem(place, _joined(texts)) for (place, _, _), texts in found.items()]


def _of_something_missing(entry: Any) -> bool:
    """Whether an error speaks of a mapping as a whole: something is missing from it."""
    return entry["type"] not in ("extra_forbidden", "two_checks") and isinstance(entry["input"], dict | None)


def _joined(texts: list[str]) -> str:
    return " or ".join([texts[0], *(text.removeprefix("expected ") for text in texts[1:])])


def _known(loc: tuple[Any, ...], values: Mapping[Path_, Place]) -> Path_:
    """The part of an error's location that is in the file: unions put names of types into it."""
    path: Path_ = ()
    for part in loc:
        if (*path, part) in values:
            path = (*path, part)
    return path


def _explained(
    entry: Any, path: Path_, values: Mapping[Path_, Place], keys: Mapping[Path_, Place]
) -> tuple[Place, str]:
    kind, name = entry["type"], entry["loc"][-1] if entry["loc"] else ""
    if kind == "extra_forbidden":
        known = sorted(_keys_at(path[:-1]))
        text = f"unknown key '{name}', expected {one_of(known)}{nearest(str(name), known)}"
        return keys.get(path, values[path]), text
    if kind == "missing":
        return values[path], f"key '{name}' is missing, expected it here"
    if kind == "no_check":
        return values[path], f"no check stands here, expected exactly one of {one_of(CHECKS.names())}"
    place = keys.get(path, values[path]) if kind == "two_checks" else values[path]
    return place, _sentence(entry)


def _sentence(entry: Any) -> str:
    kind = entry["type"]
    message = entry["msg"].removeprefix("Value error, ")
    if kind in ("literal_error", "enum"):
        message = f"expected {entry['ctx']['expected']}{_near_literal(entry)}"
    elif kind == "string_pattern_mismatch":
        message = f"expected text of the form {entry['ctx']['pattern']}"
    message = _EXPECTED.get(kind, message.replace("Input should be", "expected"))
    return message if kind in _WHOLE else f"{message}, got {show(entry['input'])}"


def _near_literal(entry: Any) -> str:
    known = [part.strip(" '") for part in entry["ctx"]["expected"].replace(" or ", ",").split(",")]
    return nearest(str(entry["input"]), known)


def _keys_at(path: Path_) -> set[str]:
    """The keys that the language knows at a path."""
    kinds: list[Any] = [Checklist]
    for part in path:
        kinds = [inner for kind in kinds for inner in _inside(kind, part)]
    return {name for kind in kinds for name in _names(kind)}


def _names(model: Any) -> list[str]:
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return []
    names = [field.alias or name for name, field in model.model_fields.items()]
    if issubclass(model, Asked):
        return [name for name in names if name != "check"] + list(CHECKS.names())
    return names


def _inside(model: Any, part: str | int) -> list[Any]:
    """The types that may stand at `part` of a model, a list or a mapping."""
    if isinstance(model, type) and issubclass(model, BaseModel):
        if issubclass(model, Asked) and part in CHECKS.names():
            return [CHECKS.load(str(part))]
        for name, field in model.model_fields.items():
            if part in (name, field.alias):
                return _members(field.annotation)
        return []
    if get_origin(model) in (list, tuple, dict):
        return _members(get_args(model)[-1] if get_origin(model) is dict else get_args(model)[0])
    return []


def _members(annotation: Any) -> list[Any]:
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [member for each in get_args(annotation) for member in _members(each)]
    return [annotation]
