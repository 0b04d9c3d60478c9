"""Define the kinds of values in a prometheus.yml, and the rules that several of its parts share."""

from __future__ import annotations

import re
from collections.abc import Callable

from gate.core.messages import Message, msg
from gate.prometheus import durations, go_literals
from gate.prometheus.goyaml import (
    Bool,
    Bytes,
    Decoder,
    Field,
    InvalidValueError,
    Kind,
    List,
    Number,
    Rule,
    Table,
    Text,
    Values,
)
from gate.prometheus.releases import Release

_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def _duration(text: str, _: Release) -> float:
    seconds = durations.seconds(text)
    if seconds is None:
        raise InvalidValueError(msg("{text} is not a duration, such as 30s or 1h30m", text=text or '""'))
    return seconds


def is_label(name: str, release: Release) -> bool:
    """Return True if a label can have this name: any text since Prometheus 3."""
    if not release.utf8:
        return _LABEL.fullmatch(name) is not None
    return bool(name) and not any("\ud800" <= letter <= "\udfff" for letter in name)


def _label_name(text: str, release: Release) -> str:
    if not is_label(text, release):
        raise InvalidValueError(msg("{name} is not a name for a label", name=text or '""'))
    return text


def parsed_regex(text: str, _: Release) -> str:
    """Return a regular expression. Raise InvalidValueError if it is not valid."""
    try:
        go_literals.check_regex(text)
    except ValueError as error:
        raise InvalidValueError(msg("{text} is not a regular expression: {why}", text=text, why=str(error))) from None
    return text


def _url(text: str, _: Release) -> go_literals.Url:
    return parsed_url(text)


def parsed_url(text: str) -> go_literals.Url:
    """Return the parts of a URL. Raise InvalidValueError."""
    try:
        return go_literals.url(text)
    except ValueError as error:
        raise InvalidValueError(msg("{text} is not a URL: {why}", text=text, why=str(error))) from None


def one_of(*choices: str, fold: bool = False, what: Message, zero: str | int = "") -> Kind:
    """Return the kind of a text that is one of some words. `what` names the text in errors.

    `zero` is a number if the type of Go is.
    """

    def parse(text: str, _: Release) -> str:
        word = text.lower() if fold else text
        if word not in choices:
            raise InvalidValueError(msg("{text} is not a {what}; expected one of {choices}",
                                        text=text or '""', what=what, choices=", ".join(choices)))  # fmt: skip
        return word

    return Text(parse, zero)


TEXT = Text()
TEXTS = List(TEXT)
BOOL = Bool()
POINTER_BOOL = Bool(None)
INT, UINT, FLOAT = Number("int"), Number("uint"), Number("float")
SIZE = Bytes()
DURATION = Text(_duration, 0.0)
# A newer Go decodes a regular expression from text, also a null in quotes.
REGEX = Text(parsed_regex, None, from_text=(2, 47))
URL = Text(_url, None)
LABEL_NAME = Text(_label_name)
LABELS = Table(TEXT, LABEL_NAME)
TEXT_TABLE = Table(TEXT)


def text(*names: str) -> dict[str, Field]:
    """Return fields that hold texts."""
    return {name: Field(TEXT) for name in " ".join(names).split()}


def at_most_one(*keys: str) -> Rule:
    """Return the rule that at most one of some keys has a value."""

    def rule(values: Values, decoder: Decoder) -> None:
        given = [key for key in keys if values[key]]
        if len(given) > 1:
            decoder.problem(values.at(given[1]), msg("At most one of {keys} can be set", keys=", ".join(keys)))

    return rule


def needs(*keys: str) -> Rule:
    """Return the rule that each of some keys has a value."""

    def rule(values: Values, decoder: Decoder) -> None:
        for key in keys:
            if not values[key]:
                decoder.problem(values.at(key), msg("'{key}' is missing or empty", key=key))
                return

    return rule


def any_of(*keys: str) -> Rule:
    """Return the rule that one of some keys has a value."""

    def rule(values: Values, decoder: Decoder) -> None:
        if not any(values[key] for key in keys):
            decoder.problem(values.node, msg("One of {keys} must be set", keys=", ".join(keys)))

    return rule


def choice(key: str, *choices: str, convert: Callable[[str], str] = str) -> Rule:
    """Return the rule that a text is one of some words."""

    def rule(values: Values, decoder: Decoder) -> None:
        if convert(values[key]) not in choices:
            decoder.problem(values.at(key), msg("{key}: {text} is not one of {choices}", key=key,
                                                text=values[key] or '""', choices=", ".join(choices)))  # fmt: skip

    return rule


def no_gaps(*keys: str) -> Rule:
    """Return the rule that no entry of some lists is empty."""

    def rule(values: Values, decoder: Decoder) -> None:
        for key in keys:
            entries = values[key]
            for at, entry in enumerate(entries or ()):
                if entry is None:
                    decoder.problem(entries.nodes[at], msg("{key} has an empty entry", key=key))

    return rule


def is_url(key: str, *schemes: str, host: bool) -> Rule:
    """Return the rule that a text is a URL; with `host` it needs a host and one of `schemes`."""

    def rule(values: Values, decoder: Decoder) -> None:
        try:
            url = parsed_url(values[key])
        except InvalidValueError as error:
            decoder.problem(values.at(key), error.message)
            return
        if host and (not url.host or not url.scheme or (schemes and url.scheme not in schemes)):
            decoder.problem(values.at(key), msg("{key}: {text} needs a scheme and a host, as http://host/ has",
                                                key=key, text=values[key]))  # fmt: skip

    return rule
