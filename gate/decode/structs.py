"""What somebody wrote, made typed data by msgspec; and where it can't be, every mistake in it, with its path.

`read` is one call of msgspec's, which stops at the first mistake. Only then the same types are walked, and msgspec is
asked about each part by itself, so that all mistakes come at once and nothing is a mistake that msgspec would take.
"""

from __future__ import annotations

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

KeyPath = tuple[str | int, ...]
T = TypeVar("T")
_WORDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false", list: "a list", tuple: "a list",
          dict: "a mapping"}  # fmt: skip


class Unfilled(str):
    """Empty text that was written as a variable: nothing was filled in."""

    __slots__ = ()


class ValidationIssue(Struct, frozen=True):
    """What is wrong at a path below what was written: `expected ...`, and the value that is there.

    `about`: the `value`, which is to be shown; the `key` that leads to it; or the `whole` of a mapping, of which the
    text says all.
    """

    path: KeyPath
    text: str
    value: Any
    scope: Literal["value", "key", "whole"] = "value"


class ValidationErrors(ValueError):
    """What was written cannot be read, for these reasons. There is at least one."""

    def __init__(self, mistakes: list[ValidationIssue]) -> None:
        super().__init__("; ".join(mistake.text for mistake in mistakes))
        self.issues = mistakes


class _AcceptAnyInstance(type):
    """A form's values are whatever its `made_of` returns: mostly plain text and numbers."""

    def __instancecheck__(cls, value: object) -> bool:
        return True


class Decodable(Protocol):
    """A type that makes itself of what somebody wrote."""

    @classmethod
    def decode(cls, value: Any) -> Self:
        """The one that is written so. Raises ValueError or msgspec.ValidationError."""


DecodableT = TypeVar("DecodableT", bound=Decodable)


class CustomType(metaclass=_AcceptAnyInstance):
    """The form of a value that is written in a way of its own: as an `of`, which `before` makes a `then` of."""

    raw_type: ClassVar[Any] = Any
    target_type: ClassVar[Any] = Any
    echo_value: ClassVar[bool] = True
    """Whether a mistake shows the value."""
    schema: ClassVar[dict[str, Any]]
    """The JSON Schema of what is written."""

    @staticmethod
    def parse(value: Any) -> Any:
        """What the value, which is an `of`, stands for. Raises ValueError(`expected ...`)."""
        raise NotImplementedError

    @classmethod
    def decode(cls, value: Any) -> Any:
        """What the value stands for. Raises ValueError, or msgspec.ValidationError."""
        return convert(cls.parse(convert(value, cls.raw_type)), cls.target_type)


def custom_type(
    parse: Callable[[Any], Any], schema: dict[str, Any], *, raw_type: Any = Any, target_type: Any = Any
) -> Any:
    """A form: what makes its values, or raises ValueError(`expected ...`), the JSON Schema, what of, and what then."""
    return type(
        "CustomType",
        (CustomType,),
        {"parse": staticmethod(parse), "schema": schema, "raw_type": raw_type, "target_type": target_type},
    )


@cache
def _short_form_type(model: Any) -> Any:
    inside = {"decode": model.decode, "iter_issues": model.iter_issues, "model": model}
    return _AcceptAnyInstance(f"ShortForm{model.__name__}", (), inside)


if TYPE_CHECKING:
    ShortForm = Annotated[T, "short form"]
else:

    class ShortForm:
        """A model that is written in another form than its own fields: through its `made_of`."""

        def __class_getitem__(cls, model):
            return _short_form_type(model)


def convert(value: Any, wanted: Any) -> Any:
    """The value as a type. Raises msgspec.ValidationError with the first thing that is wrong."""
    return msgspec.convert(value, wanted, strict=False, dec_hook=_decoded)


def _decoded(wanted: Any, value: Any) -> Any:
    return wanted.decode(value)


def decode_all_errors(value: Any, wanted: type[DecodableT]) -> DecodableT:
    """Return the value as a type, such as a model. Raises Mistaken with everything that is wrong.

    A key whose value says nothing is a mistake, although msgspec would take it for a key that is not there.
    """
    if _holds_nothing(value) and (found := list(iter_issues(value, wanted))):
        raise ValidationErrors(found)
    try:
        return wanted.decode(value)
    except (msgspec.ValidationError, ValueError) as error:
        raise ValidationErrors(list(iter_issues(value, wanted)) or [ValidationIssue((), str(error), value)]) from None


def _holds_nothing(value: Any) -> bool:
    """Return whether null or an empty mapping is anywhere in a value."""
    if isinstance(value, dict | list):
        entries = value.values() if isinstance(value, dict) else value
        return value == {} or any(map(_holds_nothing, entries))
    return value is None


def iter_issues(value: Any, wanted: Any, path: KeyPath = ()) -> Iterator[ValidationIssue]:
    """Everything that keeps a value from being of a type."""
    origin, inner = get_origin(wanted), get_args(wanted)
    if origin is Annotated:
        found = list(iter_issues(value, inner[0], path))
        yield from found or _limit_description(value, wanted, path)
    elif origin in (Union, types.UnionType):
        yield from _union_issues(value, inner, path)
    elif hasattr(wanted, "iter_issues"):
        yield from wanted.iter_issues(value, path)
    elif origin in (list, tuple, dict) and not isinstance(value, (dict,) if origin is dict else (list, tuple)):
        yield ValidationIssue(path, f"expected {_WORDS[origin]}", value)
    elif origin in (list, tuple):
        for number, entry in enumerate(value):
            yield from iter_issues(entry, inner[0], (*path, number))
    elif origin is dict:
        for key, entry in value.items():
            yield from iter_issues(key, inner[0], (*path, key))
            yield from iter_issues(entry, inner[1], (*path, key))
    elif hasattr(wanted, "decode"):
        yield from _custom_type_issues(value, wanted, path)
    elif _raises_on_convert(value, wanted):
        yield ValidationIssue(path, f"expected {_expected(value, wanted)}", value)


def _raises_on_convert(value: Any, wanted: Any) -> bool:
    try:
        convert(value, wanted)
    except msgspec.ValidationError:
        return True
    return False


def _custom_type_issues(value: Any, wanted: Any, path: KeyPath) -> Iterator[ValidationIssue]:
    if found := list(iter_issues(value, wanted.raw_type, path)):
        yield from found
        return
    try:
        made = wanted.parse(convert(value, wanted.raw_type))
    except ValueError as error:
        yield ValidationIssue(path, str(error), value, "value" if wanted.echo_value else "whole")
    else:
        yield from iter_issues(made, wanted.target_type, path)


def _limit_description(value: Any, wanted: Any, path: KeyPath) -> Iterator[ValidationIssue]:
    """The limits that a value breaks which is of the right type."""
    metas = [meta for meta in get_args(wanted)[1:] if isinstance(meta, Meta)]
    for meta in metas:
        limits = {name: limit for name in _LIMITS if (limit := getattr(meta, name)) is not None}
        words = [_LIMITS[name](limit) for name, limit in limits.items()]
        if words and _raises_on_convert(value, Annotated[get_args(wanted)[0], meta]):
            few = meta.min_length == 1 and isinstance(value, str)
            yield ValidationIssue(path, f"expected {'some text' if few else ' and '.join(words)}", value)


_LIMITS: dict[str, Callable[[Any], str]] = {
    "gt": lambda limit: f"more than {limit}",
    "ge": lambda limit: f"at least {limit}",
    "lt": lambda limit: f"less than {limit}",
    "le": lambda limit: f"at most {limit}",
    "min_length": lambda limit: "at least one entry" if limit == 1 else f"at least {limit} entries",
    "max_length": lambda limit: f"at most {limit} entries",
    "pattern": lambda limit: f"text of the form {limit}",
}


def _expected(value: Any, wanted: Any) -> str:
    """A type of single values in words, with the nearest of those that it names."""
    if get_origin(wanted) is Literal:
        known = list(get_args(wanted))
    elif isinstance(wanted, type) and issubclass(wanted, Enum):
        known = [each.value for each in wanted]
    else:
        return _WORDS.get(wanted, str(wanted))
    names = [f"'{each}'" if isinstance(each, str) else str(each) for each in known]
    return _or(names) + suggestion(str(value), [str(each) for each in known])


def _union_issues(value: Any, members: tuple[Any, ...], path: KeyPath) -> Iterator[ValidationIssue]:
    """The mistakes by the one member that is written so, else what each of them expects."""
    some = [member for member in members if member is not type(None)]
    if value is None and len(some) < len(members):
        return
    fit = [member for member in some if _looks_like(value, member)]
    if len(some) == 1 or (len(fit) == 1 and isinstance(value, dict | list | tuple)):
        yield from iter_issues(value, (fit or some)[0], path)
        return
    told = {first.text: first for member in some for first in [*iter_issues(value, member, path)][:1]}
    if len(told) == len(some):
        texts = [text if number == 0 else text.removeprefix("expected ") for number, text in enumerate(told)]
        yield ValidationIssue(path, " or ".join(texts), value)


def _looks_like(value: Any, wanted: Any) -> bool:
    """Whether a value has the form of a type: a mapping, a list, or neither."""
    inner = get_args(wanted)[0] if get_origin(wanted) is Annotated else wanted
    origin = get_origin(inner)
    if origin is dict or (isinstance(inner, type) and issubclass(inner, Struct)):
        return isinstance(value, dict)
    return isinstance(value, list | tuple) if origin in (list, tuple) else not isinstance(value, dict | list | tuple)


def struct_issues(
    value: Any,
    known: dict[str, structs.FieldInfo],
    path: KeyPath,
    also: Iterable[str] = (),
    elsewhere: Mapping[str, str] = {},
) -> Iterator[ValidationIssue]:
    """Everything that keeps a value from being the fields of a model: unknown and missing keys, and each field.

    `also`: keys that may stand beside them, and do not. `elsewhere`: keys of other models, with where to write them.
    """
    if not isinstance(value, dict):
        yield ValidationIssue(path, "expected a mapping", value)
        return
    names = sorted({*known, *also})
    for key in value:
        if key not in known:
            hint = f"; did you mean {elsewhere[key]}?" if key in elsewhere else suggestion(str(key), names)
            text = f"unknown key '{key}', expected {quote_choices(names)}{hint}"
            yield ValidationIssue((*path, key), text, value[key], "key")
    for key, field in known.items():
        if key in value:
            found = list(iter_issues(value[key], field.type, (*path, key)))
            yield from found or _of_nothing(value[key], field, (*path, key))
        elif field.required:
            yield ValidationIssue(path, f"key '{key}' is missing, expected it here", value, "whole")


def _of_nothing(value: Any, field: structs.FieldInfo, path: KeyPath) -> Iterator[ValidationIssue]:
    """Yield a mistake if a value of the right type says no more than the missing key would."""
    if value is None:
        yield ValidationIssue(path, "expected a value, or no such key", value)
    elif value == {} and isinstance(default_of(field), Struct):
        yield ValidationIssue(path, "expected at least one entry, or no such key", value)


def post_init_issues(value: Any, model: type[Struct], path: KeyPath) -> Iterator[ValidationIssue]:
    """What a model itself says of fields that are right each by itself."""
    try:
        convert(value, model)
    except msgspec.ValidationError as error:
        yield ValidationIssue(path, str(error), value, "whole")


@cache
def fields_by_key(model: type[Struct]) -> dict[str, structs.FieldInfo]:
    """A model's fields by the names that people write."""
    return {field.encode_name: field for field in structs.fields(model)}


def default_of(field: structs.FieldInfo) -> Any:
    """What a field is where nothing is written; `msgspec.NODEFAULT` where something must be."""
    return field.default_factory() if field.default_factory is not msgspec.NODEFAULT else field.default


def suggestion(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` with the known name nearest to `name`, or nothing."""
    import difflib

    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean '{found[0]}'?" if found else ""


def quote_choices(names: Iterable[str]) -> str:
    """`'a', 'b' or 'c'`."""
    return _or([f"'{name}'" for name in names])


def _or(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}" if words else "nothing"
