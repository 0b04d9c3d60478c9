"""Explain a YAML syntax error by the line that a person wrote: what is wrong there, and what to write instead.

The parser names the token at which it gave up, which is often on the next line. The mistakes that people make are few,
and each is visible in the text around that token.
"""

from __future__ import annotations

import re
from typing import Any

from msgspec import Struct

# Characters of a value that is repeated in an advice.
_VALUE_LIMIT = 60
_KEY = re.compile(
    r"(?P<lead>\s*(?:-\s+)*)(?P<key>[^\s#'\"{\[:-][^:#]*?|'[^']*'|\"[^\"]*\")\s*:(?:\s+(?P<value>\S.*))?$"
)
_ENTRY = re.compile(r"(?P<indent>\s*)-(?:\s|$)")
_DASH_WITHOUT_SPACE = re.compile(r"(?P<indent>\s*)-(?P<rest>[A-Za-z_][\w-]*\s*:.*)$")
_COLON_WITHOUT_SPACE = re.compile(r"\s*(?:-\s+)*(?P<key>[A-Za-z_][\w-]*):(?P<value>[^\s/].*)$")
_INDICATOR = re.compile(r"[`@%*&!|>]")
_VARIABLE = re.compile(r"\$\{[^}]*\}?")
_BREAK = re.compile(r"\r\n|[\r\n\x85\u2028\u2029]")
_CLOSING = {"{": "}", "[": "]"}


class SyntaxIssue(Struct, frozen=True):
    """A syntax error: the line and the column, which count from 1, and what is wrong and what to write."""

    line: int
    column: int
    text: str


def without_entry(text: str, line: int) -> str:
    """Return a text in which the list entry around a line is blank, so that the rest can be read on.

    If the line is in no entry, it is blank itself, with what is indented below it.
    """
    lines = _split(text)
    start, indent = line - 1, _indent(lines[line - 1]) if line <= len(lines) else 0
    for index in range(min(line, len(lines)) - 1, -1, -1):
        entry = _ENTRY.match(lines[index]) or _DASH_WITHOUT_SPACE.match(lines[index])
        if entry and len(entry["indent"]) <= indent:
            start, indent = index, len(entry["indent"])
            break
        if lines[index].strip() and _indent(lines[index]) == 0:
            break
    end = start + 1
    while end < len(lines) and (not lines[end].strip() or _indent(lines[end]) > indent):
        end += 1
    return "\n".join([*lines[:start], *[""] * (max(end, line) - start), *lines[max(end, line) :]])


def _split(text: str) -> list[str]:
    """Return the lines of a text as YAML counts them, and an empty one at its end, where the parser may stop."""
    return [*_BREAK.split(text), ""]


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def describe_syntax_error(error: Any, text: str) -> SyntaxIssue:
    """Return the issue behind a `yaml.MarkedYAMLError`."""
    lines = _split(text)
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return SyntaxIssue(1, 1, f"is not YAML: {error.problem}")
    number = min(mark.line, len(lines) - 1)
    before = _previous_line(lines, number)
    return (
        _tab(lines, number)
        or _unclosed_quote(error, lines)
        or _unknown_escape(error, lines, mark)
        or _indicator_in_brackets(error, lines)
        or _in_brackets(error, lines, mark)
        or _missing_space(lines, number)
        or _missing_space(lines, before)
        or _without_colon(error, lines)
        or _value_to_quote(lines, number)
        or _indentation(lines, number)
        or _value_to_quote(lines, before)
        or SyntaxIssue(mark.line + 1, mark.column + 1, f"is not YAML: {_parsers_words(error)}")
    )


def _character(lines: list[str], mark: Any) -> str:
    """Return the character at a mark; "" at the end of a line, and where the parser counts lines differently."""
    line = lines[mark.line] if mark.line < len(lines) else ""
    return line[mark.column : mark.column + 1]


def _parsers_words(error: Any) -> str:
    return " ".join(part for part in (error.context, error.problem) if part)


def _previous_line(lines: list[str], number: int) -> int:
    """Return the index of the last line before `number` that holds more than a comment."""
    above = [index for index in range(number) if lines[index].strip() and not lines[index].lstrip().startswith("#")]
    return above[-1] if above else number


def _tab(lines: list[str], number: int) -> SyntaxIssue | None:
    line = lines[number] if lines else ""
    # Entries and keys are indented by what is before them.
    if "\t" not in line[: len(line) - len(line.lstrip("\t -?"))]:
        return None
    return SyntaxIssue(
        number + 1, line.index("\t") + 1, "a tab stands here, expected spaces: YAML is indented with spaces only"
    )


def _unclosed_quote(error: Any, lines: list[str]) -> SyntaxIssue | None:
    if "quoted scalar" not in (error.context or "") or "end of stream" not in error.problem:
        return None
    mark = error.context_mark
    quote = _character(lines, mark)
    return SyntaxIssue(
        mark.line + 1, mark.column + 1, f"the quote {quote} is not closed, expected another {quote} at its end"
    )


def _unknown_escape(error: Any, lines: list[str], mark: Any) -> SyntaxIssue | None:
    if "escape character" not in error.problem:
        return None
    escape = lines[mark.line][mark.column : mark.column + 2] if mark.line < len(lines) else "\\"
    advice = "in double quotes a backslash begins an escape; use single quotes"
    return SyntaxIssue(mark.line + 1, mark.column + 1, f"{escape} is not an escape of YAML: {advice}")


def _in_brackets(error: Any, lines: list[str], mark: Any) -> SyntaxIssue | None:
    """Explain an error inside `{...}` or `[...]`, where a variable needs quotes."""
    start = error.context_mark
    if "flow" not in (error.context or "") or (opening := _character(lines, start)) not in _CLOSING:
        return None
    # A variable ends the brackets with its own, so that the parser gives up right before or after it.
    for index in range(start.line, min(mark.line, len(lines) - 1) + 1):
        begin = start.column if index == start.line else 0
        variable = next(
            (found for found in _VARIABLE.finditer(lines[index], begin) if not _is_quoted(lines[index], found)), None
        )
        if variable:
            word = _word_around(lines[index], variable.start())
            advice = f"quote it: {_quoted(word)}"
            return SyntaxIssue(
                index + 1,
                variable.start() + 1,
                f"a variable inside {opening}{_CLOSING[opening]} needs quotes; {advice}",
            )
    closing = _CLOSING[opening]
    where = f"'{opening}' is not closed, expected '{closing}' on this line" if mark.line > start.line else None
    if where is None:
        seen = _character(lines, mark)
        where = f"'{opening}' is not closed, expected ',' or '{closing}' before '{seen}' in column {mark.column + 1}"
    return SyntaxIssue(start.line + 1, start.column + 1, where)


def _indicator_in_brackets(error: Any, lines: list[str]) -> SyntaxIssue | None:
    """Explain a value inside brackets that begins with `*`, `&`, `@` or another character with a meaning."""
    if not re.search(r"scanning an? (alias|anchor|tag)|next token", error.context or "") or error.context_mark is None:
        return None
    mark = error.context_mark
    word = _word_around(lines[mark.line], mark.column) if mark.line < len(lines) else ""
    if not re.search(r"[\[{,]\s*(?:[\w-]+:\s+)?$", lines[mark.line][: mark.column]) or not word:
        return None
    text = f"a value cannot begin with '{word[0]}' unless it is quoted; {_advice(word)}"
    return SyntaxIssue(mark.line + 1, mark.column + 1, text)


def _is_quoted(line: str, found: re.Match[str]) -> bool:
    before = line[: found.start()]
    return before.count('"') % 2 == 1 or before.count("'") % 2 == 1


def _word_around(line: str, position: int) -> str:
    """Return the value of which a variable is a part: from the last blank to the next comma or blank."""
    begin = max(line.rfind(mark, 0, position) for mark in " ,[{") + 1
    depth, end = 0, begin
    while end < len(line) and (depth > 0 or line[end] not in " ,]}"):
        depth += (line[end] == "{") - (line[end] == "}")
        end += 1
    return line[begin:end]


def _missing_space(lines: list[str], number: int) -> SyntaxIssue | None:
    line = lines[number] if lines else ""
    if dash := _DASH_WITHOUT_SPACE.match(line):
        column = len(dash["indent"]) + 1
        return SyntaxIssue(number + 1, column, f"a space is missing after '-': write `- {_short(dash['rest'])}`")
    colon = _COLON_WITHOUT_SPACE.match(line)
    if colon and not _KEY.match(line):
        key, value = colon["key"], _short(colon["value"])
        return SyntaxIssue(
            number + 1, colon.end("key") + 1, f"a space is missing after '{key}:': write `{key}: {value}`"
        )
    return None


def _without_colon(error: Any, lines: list[str]) -> SyntaxIssue | None:
    if "simple key" not in (error.context or "") or error.context_mark is None:
        return None
    mark = error.context_mark
    word = _short(lines[mark.line].strip())
    return SyntaxIssue(mark.line + 1, mark.column + 1, f"expected a key and a value, got `{word}`: a ':' is missing")


def _value_to_quote(lines: list[str], number: int) -> SyntaxIssue | None:
    """Explain a value that means something else without quotes."""
    line = lines[number] if lines else ""
    match = _KEY.match(line) or re.match(r"(?P<lead>\s*)(?P<key>-)\s+(?P<value>\S.*)$", line)
    value = match["value"] if match else None
    if not match or not value:
        return None
    column = match.start("value") + 1
    if value[0] in "\"'":
        end = value.find(value[0], 1)
        rest = value[end + 1 :].split(" #")[0].strip() if end > 0 else ""
        if not rest:
            return None
        inner = value.strip(value[0]) if value.endswith(value[0]) else value.replace(value[0], "", 2)
        return SyntaxIssue(
            number + 1, column, f"text follows the closing quote; quote the whole value: {_quoted(inner)}"
        )
    if value[0] in "[{":
        closing = value.rfind(_CLOSING[value[0]])
        rest = value[closing + 1 :].split(" #")[0].strip() if closing > 0 else ""
        if value.count(_CLOSING[value[0]]) > value.count(value[0]):
            text = f"one '{_CLOSING[value[0]]}' too many, expected as many as '{value[0]}'"
            return SyntaxIssue(number + 1, match.start("value") + closing + 1, text)
        if rest:
            text = f"'{value[0]}' begins a list or a mapping, and text follows its end; {_advice(value)}"
            return SyntaxIssue(number + 1, column, text)
        return None
    if _INDICATOR.match(value):
        return SyntaxIssue(
            number + 1, column, f"a value cannot begin with '{value[0]}' unless it is quoted; {_advice(value)}"
        )
    if ": " in value or value.endswith(":"):
        return SyntaxIssue(number + 1, column, f"the value contains ': ', which begins another value; {_advice(value)}")
    return None


def _advice(value: str) -> str:
    return f"quote it: {_quoted(value)}"


def _quoted(value: str) -> str:
    """Return a value in the quotes that leave it as it is."""
    if len(value) > _VALUE_LIMIT:
        return f"'{_short(value)}'"
    return '"' + value + '"' if "'" in value or "${" in value else "'" + value + "'"


def _short(text: str) -> str:
    return text if len(text) <= _VALUE_LIMIT else text[:_VALUE_LIMIT] + "…"


def _indentation(lines: list[str], number: int) -> SyntaxIssue | None:
    """Explain a key or an entry that begins in another column than its neighbours."""
    line = lines[number] if lines else ""
    key, entry = _KEY.match(line), _ENTRY.match(line)
    column = len(entry["indent"]) if entry else len(key["lead"]) if key else -1
    if column < 0:
        return None
    name = f"'{_short(line.strip().split(':')[0])}'" if entry is None else "this '-'"
    above = _neighbour(lines, number, column, entries=entry is not None)
    if above is None:
        return None
    index, expected, neighbour = above
    return SyntaxIssue(
        number + 1,
        column + 1,
        f"{name} begins in column {column + 1}, expected column {expected + 1} like {neighbour} of line {index + 1}",
    )


def _neighbour(lines: list[str], number: int, column: int, *, entries: bool) -> tuple[int, int, str] | None:
    """Return the line, the column and the name of the nearest key (or entry) above in another, near column."""
    for index in range(number - 1, -1, -1):
        line = lines[index]
        if entries:
            match = _ENTRY.match(line)
            found, name = (len(match["indent"]), "the '-'") if match else (-1, "")
        else:
            match = _KEY.match(line)
            found, name = (len(match["lead"]), f"'{_short(match['key'])}'") if match else (-1, "")
        if found >= 0 and found != column and abs(found - column) <= 2:
            return index, found, name
        if found >= 0 and found == column:
            return None
    return None
