"""JSON is read as Grafana reads it, and each value is found again where it stands."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gate.grafana.json_text import JsonSyntaxError, Path, locate, parse

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


def texts_in(value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Yield every string of a value, with its path."""
    if isinstance(value, str) and path:
        yield path, value
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in entries:
        yield from texts_in(entry, (*path, key))


@given(VALUES, st.sampled_from([None, 2]), st.booleans())
@settings(deadline=None)
def test_finds_every_text(value: Any, indent: int | None, ascii_only: bool) -> None:
    """Line and column of every string, and of every character in it, lead to that string in the text."""
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    expected = dict(texts_in(value))
    found = locate(text, list(expected))
    assert found.keys() == expected.keys()
    lines = text.split("\n")
    for path, place in found.items():
        assert lines[place.line - 1][place.column - 1 :].startswith(place.token)
        assert json.loads(place.token) == expected[path]
        for offset in range(len(expected[path])):
            rest = lines[place.line - 1][place.column_of(offset) - 1 :].partition(place.token[-1:])[0]
            assert rest == "" or json.loads(
                f'"{place.token[1 + place.column_of(offset) - place.column - 1 :]}'
            ).startswith(expected[path][offset])


@pytest.mark.parametrize(
    ("text", "place", "why"),
    [
        ('{"a": 1,}', (1, 9), "double quotes"),
        ('{\n "a": [1 2]}', (2, 10), "delimiter"),
        ("\ufeff{}", (1, 1), "not valid JSON"),
        ('{"a": NaN}', (1, 1), "NaN is not a value of JSON"),
        ('{"a": "x\ny"}', (1, 9), "control character"),
        ("// no\n{}", (1, 1), "Expecting value"),
        ("[" * 100_000, (1, 1), "nested too deeply"),
        ("9" * 5000, (1, 1), "not valid JSON"),
        ("[" + "{}," * 600_000 + "{}]", (1, 1), "more than 500000 lists and objects"),
    ],
)
def test_what_grafana_rejects(text: str, place: tuple[int, int], why: str) -> None:
    """Comments, trailing commas, byte order marks and NaN are not JSON; too much of it is not read."""
    with pytest.raises(JsonSyntaxError) as raised:
        parse(text)
    assert (raised.value.line, raised.value.column) == place
    assert why.lower() in str(raised.value.message).lower()


def test_last_duplicate_counts() -> None:
    """Of two keys with one name Go takes the last: its value is read, and its place is found."""
    text = '{"a": "x",\n "a": "y"}'
    assert parse(text) == {"a": "y"}
    assert locate(text, [("a",)])[("a",)].line == 2


def test_many_places_take_linear_time() -> None:
    """A file of many lines and queries is passed through once."""
    text = "[" + ",\n".join(f'{{"expr": "up{number}"}}' for number in range(20_000)) + "]"
    start = time.process_time()
    assert len(locate(text, [(number, "expr") for number in range(20_000)])) == 20_000
    assert time.process_time() - start < 20


def test_keys_with_escapes() -> None:
    """A key that is written with an escape is the same key."""
    assert locate('{"\\u0061b": {"x": "y"}}', [("ab", "x")])[("ab", "x")].column == 19
