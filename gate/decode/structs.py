"""Decode untrusted YAML data into msgspec structs and collect every validation error, not just the first.

msgspec stops at the first error. Only if there is one, the types are walked and each part is converted by itself, so
that all errors are reported at once and nothing is rejected that msgspec would accept.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from functools import cache
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Literal,
    Protocol,
    Self,
    TypeVar,
    Union,
    get_args,
    get_origin,
)

import msgspec
from msgspec import Meta, Struct, structs

from gate.core.errors import GateError

KeyPath = tuple[str | int, ...]
T = TypeVar("T")
_WORDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false", list: "a list", tuple: "a list",
          dict: "a mapping"}  # fmt: skip


class Unfilled(str):
    """Empty text that results from a variable without a value."""

    __slots__ = ()


class ValidationIssue(Struct, frozen=True):
    """A validation error at a path: `expected ...`, and the value found there.

    `scope` is what the error is about: the `value`, which is reported with it; the `key` that leads to the value; or
    the `whole` mapping, whose value is not repeated.
    """

    path: KeyPath
    text: str
    value: Any
    scope: Literal["value", "key", "whole"] = "value"


# A ValueError, too: msgspec adds the path to one that a nested type raises, and lets others through.
class ValidationError(GateError, ValueError):
    """Data is not valid; `issues` holds at least one error."""

    def __init__(self, issues: list[ValidationIssue]) -> None:
        super().__init__("; ".join(issue.text for issue in issues))
        self.issues = issues


class _AcceptAnyInstance(type):
    """Metaclass for types whose `decode` returns plain values, such as text and numbers."""

    # msgspec checks that dec_hook's result is an instance of the annotated type.

    def __instancecheck__(cls, value: object) -> bool:
        return True


class Decodable(Protocol):
    """A type that decodes itself from untrusted data."""

    @classmethod
    def decode(cls, value: Any) -> Self:
        """Decode a value. Raise ValueError or msgspec.ValidationError if it is not valid."""


DecodableT = TypeVar("DecodableT", bound=Decodable)


class CustomType(metaclass=_AcceptAnyInstance):
    """Base of custom scalar types: decode as `raw_type`, convert with `parse`, then validate as `target_type`."""

    raw_type: ClassVar[Any] = Any
    target_type: ClassVar[Any] = Any
    # Whether an error repeats the value.
    echo_value: ClassVar[bool] = True
    # The JSON Schema of the raw value.
    schema: ClassVar[dict[str, Any]]

    @staticmethod
    def parse(value: Any) -> Any:
        """Convert a value of `raw_type`. Raise ValueError(`expected ...`) if it is not valid."""
        raise NotImplementedError

    @classmethod
    def decode(cls, value: Any) -> Any:
        """Decode a raw value. Raise ValueError or msgspec.ValidationError if it is not valid."""
        return convert(cls.parse(convert(value, cls.raw_type)), cls.target_type)


def custom_type(
    parse: Callable[[Any], Any], schema: dict[str, Any], *, raw_type: Any = Any, target_type: Any = Any
) -> Any:
    """Create a custom type: `parse` converts a raw value or raises ValueError(`expected ...`)."""
    return type(
        "CustomType",
        (CustomType,),
        {"parse": staticmethod(parse), "schema": schema, "raw_type": raw_type, "target_type": target_type},
    )


@cache
def _short_form_type(model: Any) -> Any:
    namespace = {"decode": model.decode, "iter_issues": model.iter_issues, "model": model}
    return _AcceptAnyInstance(f"ShortForm{model.__name__}", (), namespace)


if TYPE_CHECKING:
    ShortForm = Annotated[T, "short form"]
else:

    class ShortForm:
        """A struct that is also written in a shorter form than its fields: `decode` accepts both."""

        def __class_getitem__(cls, model):
            return _short_form_type(model)


def convert(value: Any, target: Any) -> Any:
    """Convert a value to a type. Raise msgspec.ValidationError with the first error."""
    return msgspec.convert(value, target, strict=False, dec_hook=_decode_custom_type)


def _decode_custom_type(target: Any, value: Any) -> Any:
    return target.decode(value)


def decode_all_errors(value: Any, target: type[DecodableT]) -> DecodableT:
    """Decode a value as a type, such as a struct. Raise ValidationError with every error.

    A key with an empty value is an error, although msgspec would treat it like a missing key.
    """
    if _has_empty_value(value) and (issues := list(iter_issues(value, target))):
        raise ValidationError(issues)
    try:
        return target.decode(value)
    except (msgspec.ValidationError, ValueError) as error:
        raise ValidationError(list(iter_issues(value, target)) or [ValidationIssue((), str(error), value)]) from None


def _has_empty_value(value: Any) -> bool:
    """Return whether null or an empty mapping is anywhere in a value."""
    if isinstance(value, dict | list):
        entries = value.values() if isinstance(value, dict) else value
        return value == {} or any(map(_has_empty_value, entries))
    return value is None


def iter_issues(value: Any, target: Any, path: KeyPath = ()) -> Iterator[ValidationIssue]:
    """Yield every error that keeps a value from being of a type."""
    origin, inner = get_origin(target), get_args(target)
    if origin is Annotated:
        issues = list(iter_issues(value, inner[0], path))
        yield from issues or _limit_description(value, target, path)
    elif origin in (Union, types.UnionType):
        yield from _union_issues(value, inner, path)
    elif hasattr(target, "iter_issues"):
        yield from target.iter_issues(value, path)
    elif origin is dict and not isinstance(value, dict):
        yield ValidationIssue(path, "expected a mapping", value)
    elif origin in (list, tuple) and not isinstance(value, list | tuple):
        yield from _list_issues(value, path)
    elif origin in (list, tuple):
        for number, entry in enumerate(value):
            yield from iter_issues(entry, inner[0], (*path, number))
    elif origin is dict:
        for key, entry in value.items():
            yield from iter_issues(key, inner[0], (*path, key))
            yield from iter_issues(entry, inner[1], (*path, key))
    elif hasattr(target, "decode"):
        yield from _custom_type_issues(value, target, path)
    elif _raises_on_convert(value, target):
        yield ValidationIssue(path, f"expected {_expected(value, target)}", value)


def _raises_on_convert(value: Any, target: Any) -> bool:
    try:
        convert(value, target)
    except msgspec.ValidationError:
        return True
    return False


def _custom_type_issues(value: Any, target: Any, path: KeyPath) -> Iterator[ValidationIssue]:
    if issues := list(iter_issues(value, target.raw_type, path)):
        yield from issues
        return
    try:
        parsed = target.parse(convert(value, target.raw_type))
    except ValueError as error:
        yield ValidationIssue(path, str(error), value, "value" if target.echo_value else "whole")
    else:
        yield from iter_issues(parsed, target.target_type, path)


def _limit_description(value: Any, target: Any, path: KeyPath) -> Iterator[ValidationIssue]:
    """Yield an error for each limit that a value of the right type violates."""
    metas = [meta for meta in get_args(target)[1:] if isinstance(meta, Meta)]
    for meta in metas:
        limits = {name: limit for name in _LIMITS if (limit := getattr(meta, name)) is not None}
        words = [_LIMITS[name](limit) for name, limit in limits.items()]
        if words and _raises_on_convert(value, Annotated[get_args(target)[0], meta]):
            few = meta.min_length == 1 and isinstance(value, str)
            near = _nearest_of_form(meta.pattern, value) if meta.pattern and isinstance(value, str) else ""
            yield ValidationIssue(path, f"expected {'some text' if few else ' and '.join(words)}{near}", value)


def _nearest_of_form(pattern: str, value: str) -> str:
    """Return `; did you mean 'x'?` for a text that has the form if written in capitals or without blanks."""
    for text in (value.upper(), re.sub(r"[^\w.-]+", "-", value.strip()).strip("-")):
        if re.search(pattern, text):
            return f"; did you mean '{text}'?"
    return ""


_LIMITS: dict[str, Callable[[Any], str]] = {
    "gt": lambda limit: f"more than {limit}",
    "ge": lambda limit: f"at least {limit}",
    "lt": lambda limit: f"less than {limit}",
    "le": lambda limit: f"at most {limit}",
    "min_length": lambda limit: "at least one entry" if limit == 1 else f"at least {limit} entries",
    "max_length": lambda limit: f"at most {limit} entries",
    "pattern": lambda limit: f"text of the form {limit}",
}


def _expected(value: Any, target: Any) -> str:
    """Describe a scalar type, with a suggestion if the value is close to one of its choices."""
    if get_origin(target) is Literal:
        choices = list(get_args(target))
    elif isinstance(target, type) and issubclass(target, Enum):
        choices = [member.value for member in target]
    else:
        return _WORDS.get(target, str(target))
    names = [f"'{choice}'" if isinstance(choice, str) else str(choice) for choice in choices]
    return _or(names) + suggestion(str(value), [str(choice) for choice in choices])


def _union_issues(value: Any, members: tuple[Any, ...], path: KeyPath) -> Iterator[ValidationIssue]:
    """Yield the errors of the one member that the value resembles, else what each member expects."""
    non_null = [member for member in members if member is not type(None)]
    if value is None and len(non_null) < len(members):
        return
    similar = [member for member in non_null if _looks_like(value, member)]
    if len(non_null) == 1 or (len(similar) == 1 and isinstance(value, dict | list | tuple)):
        yield from iter_issues(value, (similar or non_null)[0], path)
        return
    first_issues = [issue.text for member in non_null for issue in [*iter_issues(value, member, path)][:1]]
    expected = list(dict.fromkeys(first_issues))
    if len(expected) == len(non_null):
        texts = [text if number == 0 else text.removeprefix("expected ") for number, text in enumerate(expected)]
        yield ValidationIssue(path, " or ".join(texts), value)


def _looks_like(value: Any, target: Any) -> bool:
    """Return whether a value has the shape of a type: a mapping, a list, or a scalar."""
    inner = get_args(target)[0] if get_origin(target) is Annotated else target
    origin = get_origin(inner)
    if origin is dict or (isinstance(inner, type) and issubclass(inner, Struct)):
        return isinstance(value, dict)
    return isinstance(value, list | tuple) if origin in (list, tuple) else not isinstance(value, dict | list | tuple)


def struct_issues(
    value: Any,
    fields: dict[str, structs.FieldInfo],
    path: KeyPath,
    also: Iterable[str] = (),
    elsewhere: Mapping[str, str] = {},
) -> Iterator[ValidationIssue]:
    """Yield every error of a struct's fields: unknown and missing keys, and the errors of each value.

    `also`: further keys that the mapping may have, whose values are mappings. `elsewhere`: keys that belong elsewhere,
    with where to write them.
    """
    if not isinstance(value, dict):
        yield ValidationIssue(path, "expected a mapping", value)
        return
    for key in value:
        if key not in fields:
            names = sorted(also if also and isinstance(value[key], dict) else {*fields, *also})
            yield ValidationIssue((*path, key), _unknown_key_text(str(key), names, elsewhere), value[key], "key")
    for key, field in fields.items():
        if key in value:
            issues = list(iter_issues(value[key], field.type, (*path, key)))
            yield from issues or _empty_value_issues(value[key], field, (*path, key))
        elif field.required:
            yield ValidationIssue(path, f"key '{key}' is missing, expected it here", value, "whole")


def _list_issues(value: Any, path: KeyPath) -> Iterator[ValidationIssue]:
    """Yield the error of a value that should be a list."""
    if isinstance(value, dict) and value and all(isinstance(entry, dict) for entry in value.values()):
        key = next(iter(value))
        text = f"expected a list, got a mapping: each entry begins with `- `, such as `- id: {key}`"
        yield ValidationIssue(path, text, value, "whole")
    else:
        yield ValidationIssue(path, "expected a list", value)


def _unknown_key_text(key: str, names: list[str], elsewhere: Mapping[str, str]) -> str:
    """Return what is wrong with a key: the one that was probably meant comes first, then all that there are."""
    word, colon, rest = key.partition(":")
    if colon and word in names:
        return f"a space is missing after '{word}:', expected `{word}: {rest}...`"
    hint = f"; did you mean {elsewhere[key]}?" if key in elsewhere else suggestion(key, names)
    expected = f"xpected {quote_choices(names)}"
    return f"unknown key '{key}'{hint} E{expected}" if hint else f"unknown key '{key}', e{expected}"


def _empty_value_issues(value: Any, field: structs.FieldInfo, path: KeyPath) -> Iterator[ValidationIssue]:
    """Yield an error if a value of the right type is as good as a missing key."""
    if value is None:
        yield ValidationIssue(path, "expected a value, or no such key", value)
    elif value == {} and isinstance(default_of(field), Struct):
        yield ValidationIssue(path, "expected at least one entry, or no such key", value)


def post_init_issues(value: Any, model: type[Struct], path: KeyPath) -> Iterator[ValidationIssue]:
    """Yield the error that a struct raises for fields that are each valid by themselves."""
    try:
        convert(value, model)
    except msgspec.ValidationError as error:
        yield ValidationIssue(path, str(error), value, "whole")


@cache
def fields_by_key(model: type[Struct]) -> dict[str, structs.FieldInfo]:
    """Return the fields of a struct by their keys."""
    return {field.encode_name: field for field in structs.fields(model)}


def default_of(field: structs.FieldInfo) -> Any:
    """Return the default of a field, or `msgspec.NODEFAULT` if the key is required."""
    return field.default_factory() if field.default_factory is not msgspec.NODEFAULT else field.default


def suggestion(name: str, choices: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` with the choice closest to `name`, or "" if none is close."""
    import difflib

    closest = difflib.get_close_matches(name, list(choices), n=1, cutoff=0.6)
    return f"; did you mean '{closest[0]}'?" if closest else ""


def quote_choices(names: Iterable[str]) -> str:
    """Return the names as `'a', 'b' or 'c'`."""
    return _or([f"'{name}'" for name in names])


def _or(words: list[str]) -> str:
    """Join by commas and `or`; "nothing" for an empty list."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}" if words else "nothing"
