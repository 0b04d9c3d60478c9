"""Locate the functions of Python and Go source code, without running it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import PurePath

from msgspec import Struct

from gate.core.errors import GateError
from gate.core.messages import msg


class UnsupportedSourceError(GateError):
    """A file is in another language or cannot be parsed."""


class Function(Struct, frozen=True):
    """A function: its names from short to qualified, its first and its last line (from 1, inclusive)."""

    names: tuple[str, ...]
    first: int
    last: int


def find_functions(path: str, text: str) -> list[Function]:
    """Return the functions of a file, in order. Raise UnsupportedSourceError if there is no parser for it."""
    suffix = PurePath(path).suffix
    if suffix in (".py", ".pyi"):
        return list(_python(text))
    if suffix == ".go":
        return list(_go(text))
    what = msg("{extension}", extension=suffix) if suffix else msg("a file without an extension")
    raise UnsupportedSourceError(msg("functions are supported in Python (.py) and Go (.go), not in {what}", what=what))


def _python(text: str) -> Iterator[Function]:
    """Yield Python functions, decorators included. A method is named `handle` as well as `Server.handle`."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UnsupportedSourceError(msg("not valid Python: {why}", why=str(error))) from None
    waiting: list[tuple[ast.AST, tuple[str, ...]]] = [(tree, ())]
    functions = []
    while waiting:
        node, path = waiting.pop()
        inner = path
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inner = (*path, node.name)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            names = tuple(".".join(inner[start:]) for start in range(len(inner) - 1, -1, -1))
            functions.append(Function(names, first, node.end_lineno or node.lineno))
        waiting += [(child, inner) for child in ast.iter_child_nodes(node)]
    yield from sorted(functions, key=lambda function: (function.first, -function.last))


# Comments, strings, runes, names and significant marks (https://go.dev/ref/spec#Lexical_elements).
_GO_TOKEN = re.compile(
    r"""//[^\n]* | /\*.*?(?:\*/|\Z) | `[^`]*(?:`|\Z) | "(?:\\.|[^"\\\n])*(?:"|$) | '(?:\\.|[^'\\\n])*(?:'|$)
        | [A-Za-z_\u0080-\uffff][\w\u0080-\uffff]* | [{}()\[\]\n;*.,]""",
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)


# Words that may follow `func (...)` in the type of a function, and are not a name.
_GO_TYPES = ("map", "chan", "func", "interface", "struct")


class _Token(Struct, frozen=True):
    text: str
    line: int

    @property
    def is_name(self) -> bool:
        return self.text[0].isalpha() or self.text[0] == "_"


def _go_tokens(text: str) -> list[_Token]:
    tokens, line, at = [], 1, 0
    for match in _GO_TOKEN.finditer(text):
        line += text.count("\n", at, match.start())
        at = match.start()
        if match[0][0] not in "/`\"'\n":
            tokens.append(_Token(match[0], line))
    return tokens


def _go(text: str) -> Iterator[Function]:
    """Yield Go functions. A method is named `Ready`, `Handler.Ready` and `(*Handler).Ready`."""
    tokens = _go_tokens(text)
    at = depth = 0
    while at < len(tokens):
        token = tokens[at]
        if token.text == "func" and depth == 0 and _starts_line(tokens, at):
            function, at = _go_function(tokens, at)
            if function:
                yield function
            continue
        depth += {"{": 1, "(": 1, "[": 1, "}": -1, ")": -1, "]": -1}.get(token.text, 0)
        depth = max(0, depth)
        at += 1


def _starts_line(tokens: list[_Token], at: int) -> bool:
    """Return whether a declaration may start here: it is the first token of a line or statement."""
    return at == 0 or tokens[at - 1].line < tokens[at].line or tokens[at - 1].text == ";"


def _go_function(tokens: list[_Token], at: int) -> tuple[Function | None, int]:
    """Return the function that starts at a `func` and the index after it; None if it has no body."""
    start = tokens[at]
    receiver: list[_Token] = []
    at += 1
    if at < len(tokens) and tokens[at].text == "(":
        end = _matching_bracket(tokens, at)
        receiver, at = tokens[at + 1 : end], end + 1
    if at + 1 >= len(tokens) or not tokens[at].is_name or tokens[at + 1].text not in ("(", "["):
        return None, at
    name = tokens[at].text
    if name in _GO_TYPES:
        return None, at
    opening = _body_start(tokens, at + 1)
    if opening is None:
        return None, at + 1
    end = _matching_bracket(tokens, opening)
    last = tokens[min(end, len(tokens) - 1)].line
    return Function(_go_names(name, receiver), start.line, last), end + 1


def _go_names(name: str, receiver: list[_Token]) -> tuple[str, ...]:
    """`(h *Handler[T]) Ready`: the type is the first name that is the last before a bracket or the end."""
    words = [token.text for token in receiver]
    if "[" in words:
        words = words[: words.index("[")]
    kinds = [word for word in words if word[0].isalpha() or word[0] == "_"]
    if not kinds:
        return (name,)
    pointer = f"(*{kinds[-1]}).{name}" if "*" in words else f"({kinds[-1]}).{name}"
    return name, f"{kinds[-1]}.{name}", pointer


def _body_start(tokens: list[_Token], at: int) -> int | None:
    """Return where the body's brace opens: the first brace that belongs to no type in the signature."""
    while at < len(tokens):
        text = tokens[at].text
        if text in ("(", "["):
            at = _matching_bracket(tokens, at) + 1
        elif text == "{":
            if tokens[at - 1].text not in ("interface", "struct"):
                return at
            at = _matching_bracket(tokens, at) + 1
        elif text in ("func", "type", "var", "const", "import") and tokens[at - 1].line < tokens[at].line:
            return None
        else:
            at += 1
    return None


def _matching_bracket(tokens: list[_Token], at: int) -> int:
    """Return where the bracket is closed; the end of the file if it is not."""
    depth = 0
    for number in range(at, len(tokens)):
        depth += {"{": 1, "(": 1, "[": 1, "}": -1, ")": -1, "]": -1}.get(tokens[number].text, 0)
        if depth == 0:
            return number
    return len(tokens)
