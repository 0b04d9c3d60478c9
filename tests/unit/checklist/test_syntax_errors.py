"""Tests of what a person is told about the mistakes that people make: the line, and what to write instead."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gate.checklist.errors import ChecklistError
from gate.checklist.load import load_text

HEAD = """version: 1
service: shop
targets:
  api: {url: "http://api"}
  cache: {start: {command: [redis-server]}}
sections:
  - id: s
    title: S
    items:
      - id: first
        title: First
        file: {path: a, exists: true}
"""
LAST = """      - id: last
        title: Last
        file: {path: a, exists: true}
"""
# The lines of one item, which begin on line 13, and the diagnostic.
SYNTAX = {
    "a key one column to the left": (
        "- id: b|       title: B|        file: {path: b, exists: true}",
        "14:8: 'title' begins in column 8, expected column 9 like 'id' of line 13",
    ),
    "a key one column to the right": (
        "- id: b|         title: B|        file: {path: b, exists: true}",
        "14:10: 'title' begins in column 10, expected column 9 like 'id' of line 13",
    ),
    "a colon in a value": (
        "- id: b|        title: Ready: x",
        "14:16: the value contains ': ', which begins another value; quote it: 'Ready: x'",
    ),
    "a backtick": (
        "- id: b|        title: `x`",
        "14:16: a value cannot begin with '`' unless it is quoted; quote it: '`x`'",
    ),
    "an at sign": (
        "- id: b|        title: @x",
        "14:16: a value cannot begin with '@' unless it is quoted; quote it: '@x'",
    ),
    "a star": (
        "- id: b|        title: B|        file: {path: *.json, exists: true}",
        "15:22: a value cannot begin with '*' unless it is quoted; quote it: '*.json'",
    ),
    "a variable in braces": (
        "- id: b|        title: B|        http: {url: ${X}}",
        '15:21: a variable inside {} needs quotes; quote it: "${X}"',
    ),
    "no space after the dash": (
        "-id: b|        title: B",
        "13:7: a space is missing after '-': write `- id: b`",
    ),
    "no space after the colon": (
        "- id: b|        title:Health|        file: {path: b, exists: true}",
        "14:14: a space is missing after 'title:': write `title: Health`",
    ),
    "an unclosed brace": (
        "- id: b|        title: B|        file: {path: b",
        "15:15: '{' is not closed, expected '}' on this line",
    ),
    "a brace too many": (
        "- id: b|        title: B|        file: {path: b}}",
        "15:24: one '}' too many, expected as many as '{'",
    ),
    "an unclosed quote": (
        '- id: b|        title: "B',
        '14:16: the quote " is not closed, expected another " at its end',
    ),
    "text after a quote": (
        "- id: b|        title: 'it's ok'",
        '14:16: text follows the closing quote; quote the whole value: "it\'s ok"',
    ),
    "an escape": (
        '- id: b|        title: "\\d+"',
        "14:17: \\d is not an escape of YAML: in double quotes a backslash begins an escape; use single quotes",
    ),
    "no colon": (
        "- id: b|        title|        file: {path: b}",
        "14:9: expected a key and a value, got `title`: a ':' is missing",
    ),
}


def errors(text: str) -> list[str]:
    """Return the errors of a checklist, without the file's name."""
    with pytest.raises(ChecklistError) as caught:
        load_text(text, "f.yml", {})
    return [str(problem).removeprefix("f.yml:") for problem in caught.value.problems]


@pytest.mark.parametrize("name", SYNTAX)
def test_a_syntax_error(name: str) -> None:
    """Tell the line that is wrong and what to write instead, and nothing that only follows from it."""
    lines, expected = SYNTAX[name]
    assert errors(HEAD + "      " + lines.replace("|", "\n") + "\n" + LAST) == [expected]


def test_the_rest_is_read_on() -> None:
    """Tell the mistakes of all items in one go, whether they are YAML's or the language's."""
    broken = "      - id: b\n        title: Ready: x\n"
    unknown = "      - id: c\n        title: C\n        http: {target: api, statuscode: 200}\n"
    first, second, third = errors(HEAD + broken + unknown + broken + LAST)
    assert first.startswith("14:16: the value contains ': '")
    assert second.startswith("17:29: unknown key 'statuscode'; did you mean 'status'? Expected 'body',")
    assert third.startswith("19:16: the value contains ': '")


ITEMS = {
    "an unset variable": (
        'http: {target: api, path: "/${X}", status: 200}',
        "variable X is not set, expected it in the environment or a default: ${X:-default}",
    ),
    "a variable of the shell": (
        "command: {run: [sh, -c, 'echo ${X}'], exit: 0}",
        "variable X is not set, expected it in the environment or a default: ${X:-default}; a variable of the shell is "
        "written $${X}",
    ),
    "another tool's operator": (
        "http: {target: api, text: {match: ready}}",
        "unknown operator 'match'; did you mean 'matches'? Expected 'equals', 'not', 'matches' or 'contains'",
    ),
    "a text in slashes": (
        "http: {target: api, text: /ready/}",
        '"/ready/" is compared as it is; did you mean {matches: "ready"}?',
    ),
    "host and port": (
        "tcp: 'db:5432'",
        'expected a mapping: write {host: db, port: 5432}, or {target: NAME}, got "db:5432"',
    ),
    "a port with a host": ("tcp: {host: db, port: 'db:5432'}", 'expected the port alone: 5432, got "db:5432"'),
    "a target without a port": (
        "tcp: {target: cache}",
        "the target has neither 'url' nor 'port'; add one to it, or 'port' here",
    ),
    "a method in small letters": (
        "http: {target: api, method: post, body: x, status: 200}",
        "expected text of the form ^[A-Z]{1,20}$; did you mean 'POST'?, got \"post\"",
    ),
    "shell syntax": (
        "command: {run: 'cd app && ls', exit: 0}",
        "'cd' is shell syntax, expected a command alone; add `shell: true`",
    ),
    "a query that does not parse": (
        "promql: {target: api, query: 'up{', value: 1}",
        "'query' is not PromQL: unexpected end of the expression",
    ),
}


@pytest.mark.parametrize("name", ITEMS)
def test_a_mistake_in_an_item(name: str) -> None:
    """Tell one mistake, in the words of the person who made it."""
    check, expected = ITEMS[name]
    (error,) = errors(HEAD + f"      - {{id: b, title: B, {check}}}\n")
    assert error.split(": ", 1)[1] == expected


@pytest.mark.parametrize("run", ["grep 'a|b' file", "echo a;b", "ls --color=auto", "echo '&&' x"])
def test_what_is_no_shell_syntax(run: str) -> None:
    """Quoted operators and parts of words belong to the command."""
    item = f'      - {{id: b, title: B, command: {{run: "{run}", exit: 0}}}}\n'
    assert load_text(HEAD + item, "f.yml", {}).checklist.items[-1].kind == "command"


def test_a_misspelt_check_is_told_the_checks() -> None:
    """List checks for a key with a mapping, not the other keys of an item."""
    (error,) = errors(HEAD + "      - {id: b, title: B, https: {url: 'http://x'}}\n")
    assert "unknown key 'https'; did you mean 'http'? Expected 'alert', " in error
    assert "'severity'" not in error


def test_items_as_a_mapping() -> None:
    """Tell how an entry of a list begins, and repeat no data."""
    (error,) = errors(HEAD.split("      - id")[0] + "        first:\n          title: First\n")
    assert error == "10:9: expected a list, got a mapping: each entry begins with `- `, such as `- id: first`"


def test_an_id_that_stands_twice() -> None:
    """Tell where the first one is."""
    assert errors(HEAD + LAST + LAST) == [
        "16:13: item 'last' stands twice, expected every id once: first in f.yml:13:13"
    ]


def prodgate(folder: Path, *arguments: str) -> tuple[int, str]:
    """Return the exit code and the standard error of a call in a folder."""
    command = [sys.executable, "-m", "gate", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def test_a_caret_shows_the_column(tmp_path: Path) -> None:
    """Show the line, and a caret below the column."""
    (tmp_path / "prodgate.yml").write_text(HEAD + "      - id: b\n        title: `x`\n")
    code, text = prodgate(tmp_path, "validate")
    assert code == 2
    assert text.splitlines()[:3] == [
        "prodgate.yml:14:16: a value cannot begin with '`' unless it is quoted; quote it: '`x`'",
        "            title: `x`",
        "                   ^",
    ]


CALLS = {
    (
        "validate",
    ): "prodgate.yml: no such file, expected a checklist; `prodgate init` writes one, and `--file` names another",
    ("verify", "out"): "out/report.json: no such file; expected the report.json that `prodgate run` wrote",
    ("render", "out.json"): "out.json: no such file; expected the report.json that `prodgate run` wrote",
    ("merge", "out.json"): "out.json: no such file; expected the report.json that `prodgate run` wrote",
    ("runn",): "prodgate: COMMAND: 'runn' is not one of",
    ("validate", "--flie=x"): "prodgate validate: unknown option --flie; did you mean '--file'?",
}


@pytest.mark.parametrize("arguments", CALLS, ids=" ".join)
def test_a_wrong_call(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Tell what was expected, without a traceback and without a usage block."""
    code, text = prodgate(tmp_path, *arguments)
    assert code == 2
    assert CALLS[arguments] in text
    assert "Traceback" not in text
    assert "Errno" not in text
