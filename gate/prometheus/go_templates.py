"""Check the syntax of the templates in annotations and labels, as Prometheus does when it loads a rule file.

The grammar is Go's (https://pkg.go.dev/text/template), the functions are Go's and Prometheus's
(https://prometheus.io/docs/prometheus/latest/configuration/template_reference/). Prometheus defines `$labels`,
`$externalLabels`, `$externalURL` and `$value` before the text. Any other variable must be declared in it.
"""

from __future__ import annotations

import re
from functools import lru_cache

from gate.core.errors import GateError
from gate.core.messages import Message, msg
from gate.prometheus import go_literals
from gate.prometheus.releases import Release

# The functions of Go itself.
BUILTINS = frozenset(
    (
        "and", "call", "html", "index", "slice", "js", "len", "not", "or", "print", "printf", "println", "urlquery",
        "eq", "ge", "gt", "le", "lt", "ne",
    )
)  # fmt: skip
# Those of Go, and of every version of Prometheus.
FUNCTIONS = BUILTINS | frozenset(
    (
        "query", "first", "label", "value", "strvalue", "args", "reReplaceAll",
        "safeHtml", "match", "title", "toUpper", "toLower", "graphLink", "tableLink", "sortByLabel", "stripPort",
        "stripDomain", "humanize", "humanize1024", "humanizeDuration", "humanizePercentage", "humanizeTimestamp",
        "toTime", "pathPrefix", "externalURL", "parseDuration",
    )
)  # fmt: skip
# The other functions, by the version that introduced them.
NEWER_FUNCTIONS = {"now": (3, 6), "toDuration": (3, 6), "urlQueryEscape": (3, 8)}
# The version of Go that introduced `{{ else with }}`, and one before it.
_ELSE_WITH, _OLD_GO = (1, 23), (1, 20)
PREDEFINED = ("$", "$labels", "$externalLabels", "$externalURL", "$value")

_ANY = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
# Nearly all actions match this: they need no parser.
_USUAL = re.compile(
    r"\s*(?:\$labels\.[A-Za-z_]\w*|\$value|\.Value|\.Labels\.[A-Za-z_]\w*)"
    r"(?:\s*\|\s*(?:humanize|humanize1024|humanizeDuration|humanizePercentage|humanizeTimestamp|title|toUpper|toLower))*\s*"
)
_NUMBER = (
    r"[+-]?(?:0[xX][0-9a-fA-F_]*\.?[0-9a-fA-F_]*(?:[pP][+-]?[0-9_]+)?|0[bB][01_]+|0[oO][0-7_]+"
    r"|(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9_]+)?)i?"
)
_TOKEN = re.compile(
    rf"""(?P<space>[ \t\r\n]+(?!-\}}\}}))
    |(?P<string>"(?:[^"\\\n]|\\.)*"|`[^`]*`)
    |(?P<char>'(?:[^'\\\n]|\\.)+')
    |(?P<number>{_NUMBER}(?:[+-]{_NUMBER}(?<=i))?(?![\w.]))
    |(?P<field>\.[^\W\d]\w*)
    |(?P<variable>\$\w*)
    |(?P<word>[^\W\d]\w*)
    |(?P<declare>:=)
    |(?P<sign>[|(),=.])""",
    re.VERBOSE,
)
_KEYWORDS = frozenset(["block", "break", "continue", "define", "else", "end", "if", "range", "nil", "template", "with"])
_CLOSE = re.compile(r"(?:[ \t\r\n]-)?\}\}")
_TRIM = re.compile(r"-[ \t\r\n]")
_COMMENT = re.compile(r"(?:-[ \t\r\n])?/\*")
_ENDS_A_NAME = (*" \t\r\n.,|:)(", "}}")
# Maximum nesting of parentheses.
_DEPTH_LIMIT = 200
_OPERANDS = ("string", "char", "number", "field", "variable", "word")


class TemplateError(GateError):
    """A template that Prometheus does not load. `offset` counts the characters before the error."""

    def __init__(self, message: Message, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


def find_syntax_error(text: str, release: Release | None = None) -> tuple[Message, int] | None:
    """Return why a release rejects a template, and the offset in characters; None if it is valid."""
    if "{{" not in text:
        return None
    end = 0
    for action in _ANY.finditer(text):
        end = action.end()
        if not _USUAL.fullmatch(action[1]):
            return _parsed(text, release or Release())
    return _parsed(text, release or Release()) if "{{" in text[end:] else None


def _parsed(text: str, release: Release) -> tuple[Message, int] | None:
    functions = FUNCTIONS | {name for name, since in NEWER_FUNCTIONS.items() if since <= release.version}
    return find_error(text, functions, PREDEFINED, _ELSE_WITH if release.version >= (2, 53) else _OLD_GO)


@lru_cache(maxsize=4096)
def find_error(
    text: str, functions: frozenset[str], variables: tuple[str, ...], go: tuple[int, int] = _ELSE_WITH
) -> tuple[Message, int] | None:
    """Return why a template with some functions and variables is not valid in a version of Go, and the offset.

    Return None if it is valid.
    """
    try:
        _Template(text, functions, variables, go).parse()
    except TemplateError as error:
        return error.message, error.offset
    return None


class _Block:
    """An `if`, `range`, `with`, `define` or `block` that waits for its `end`."""

    def __init__(self, keyword: str, variables: list[str], offset: int) -> None:
        self.keyword, self.variables, self.offset = keyword, list(variables), offset
        self.has_else = False


class _Template:
    """A parser of one template. It holds the open blocks and the variables in scope."""

    def __init__(self, text: str, functions: frozenset[str], variables: tuple[str, ...], go: tuple[int, int]) -> None:
        self.text, self.go = text, go
        self.functions = functions
        self.blocks: list[_Block] = []
        self.variables = list(variables)
        self.defined: set[str] = set()

    def parse(self) -> None:
        at = 0
        while (start := self.text.find("{{", at)) >= 0:
            at = self._action(start)
        if self.blocks:
            last = self.blocks[-1]
            raise TemplateError(msg("{{{{{keyword}}}}} has no {{{{end}}}}", keyword=last.keyword), last.offset)

    def _action(self, start: int) -> int:
        """Parse the action that starts at an index; return the index behind it."""
        at = start + 2
        comment = _COMMENT.match(self.text, at)
        if comment:
            return self._comment(start, comment.end())
        at += 1 if _TRIM.match(self.text, at) else 0
        tokens, end = self._tokens(start, at)
        _Action(self, tokens, start).parse()
        return end

    def _comment(self, start: int, at: int) -> int:
        close = self.text.find("*/", at)
        end = _CLOSE.match(self.text, close + 2) if close >= 0 else None
        if not end:
            raise TemplateError(msg("The comment has no end */}}}}"), start)
        return end.end()

    def _tokens(self, start: int, at: int) -> tuple[list[tuple[str, str, int]], int]:
        """Return the tokens of an action as (kind, text, offset), and the index behind the action."""
        tokens: list[tuple[str, str, int]] = []
        while not (closed := _CLOSE.match(self.text, at)):
            match = _TOKEN.match(self.text, at)
            if not match:
                unclosed = at >= len(self.text) or "}}" not in self.text[at:]
                if unclosed:
                    raise TemplateError(msg("The action {{{{ has no end }}}}"), start)
                raise TemplateError(msg("Unexpected {text} in an action", text=repr(self.text[at])), at)
            if not _is_literal(str(match.lastgroup), match[0]):
                raise TemplateError(msg("{text} is not a value in Go", text=match[0]), at)
            tokens.append((str(match.lastgroup), match[0], at))
            at = match.end()
            named = match.lastgroup in ("word", "variable", "field")
            if named and at < len(self.text) and not self.text.startswith(_ENDS_A_NAME, at):
                raise TemplateError(msg("Unexpected {text} in an action", text=repr(self.text[at : at + 1])), at)
        return tokens, closed.end()


def _is_literal(kind: str, text: str) -> bool:
    """Return False for a token that looks like a literal and is not valid in Go."""
    try:
        if kind == "char":
            return len(go_literals.unquote(text)) == 1
        if kind == "string":
            go_literals.unquote(text)
    except ValueError:
        return False
    return kind != "number" or go_literals.is_number(text)


class _Action:
    """A parser of the tokens of one action."""

    def __init__(self, template: _Template, tokens: list[tuple[str, str, int]], offset: int) -> None:
        self.template = template
        self.tokens = tokens
        self.offset = offset
        self.at = 0
        self.depth = 0

    def parse(self) -> None:
        self._space()
        kind, text, _ = self._peek()
        if kind == "word" and text in _KEYWORDS - {"nil"}:
            self.at += 1
            self._keyword(text)
        else:
            self._pipeline("")
        self._space()
        if self.at < len(self.tokens):
            self._unexpected()

    def _peek(self) -> tuple[str, str, int]:
        return self.tokens[self.at] if self.at < len(self.tokens) else ("end", "}}", self._end())

    def _end(self) -> int:
        last = self.tokens[-1] if self.tokens else ("", "", self.offset + 2)
        return last[2] + len(last[1])

    def _space(self) -> bool:
        if self._peek()[0] == "space":
            self.at += 1
            return True
        return False

    def _fail(self, reason: Message) -> TemplateError:
        return TemplateError(reason, self._peek()[2])

    def _unexpected(self) -> None:
        raise self._fail(msg("Unexpected {text} in an action", text=repr(self._peek()[1])))

    def _keyword(self, word: str) -> None:
        blocks = self.template.blocks
        if word in ("if", "range", "with"):
            blocks.append(_Block(word, self.template.variables, self.offset))
            self._pipeline(word)
        elif word == "else":
            self._else()
        elif word == "end":
            self._close(msg("Unexpected {{{{end}}}}"))
        elif word in ("break", "continue"):
            if not any(block.keyword == "range" for block in blocks):
                raise TemplateError(msg("{{{{{keyword}}}}} outside {{{{range}}}}", keyword=word), self.offset)
        else:
            self._named(word)

    def _named(self, word: str) -> None:
        """Parse `template "name" pipeline`, `define "name"` or `block "name" pipeline`."""
        self._space()
        if self._peek()[0] != "string":
            raise self._fail(msg("{{{{{keyword}}}}} needs a name in quotes", keyword=word))
        name = self._peek()[1]
        self.at += 1
        self._space()
        if word != "template" and name in self.template.defined:
            raise TemplateError(msg("The template {name} is defined twice", name=name), self.offset)
        if word == "define" and self.template.blocks:
            raise TemplateError(msg("Unexpected {{{{define}}}} inside a block"), self.offset)
        if word in ("define", "block"):
            self.template.blocks.append(_Block(word, self.template.variables, self.offset))
        if word == "block" or (word == "template" and self._peek()[0] != "end"):
            self._pipeline(word)
        if word in ("define", "block"):
            self.template.variables = ["$"]
            self.template.defined.add(name)

    def _else(self) -> None:
        block = self.template.blocks[-1] if self.template.blocks else None
        if block is None or block.keyword in ("define", "block") or block.has_else:
            raise TemplateError(msg("Unexpected {{{{else}}}}"), self.offset)
        self.template.variables = list(block.variables)
        self._space()
        word = self._peek()[1]
        chains = word == "if" or (word == "with" and self.template.go >= _ELSE_WITH)
        if chains and word == block.keyword:
            self.at += 1
            self._pipeline(word)
        else:
            block.has_else = True

    def _close(self, reason: Message) -> None:
        if not self.template.blocks:
            raise TemplateError(reason, self.offset)
        self.template.variables = self.template.blocks.pop().variables

    def _pipeline(self, context: str) -> None:
        """Parse `$x := command | command`."""
        self._declarations(context)
        stages = 0
        while True:
            self._command(stages)
            stages += 1
            if self._peek()[1] != "|":
                return
            self.at += 1
            self._space()
            if self._peek()[0] == "end" or self._peek()[1] == ")":
                return

    def _declarations(self, context: str) -> None:
        """Parse the variables before `:=` or `=`; nothing if there are none."""
        start = self.at
        self._space()
        names: list[str] = []
        while self._peek()[0] == "variable":
            names.append(self._peek()[1])
            self.at += 1
            self._space()
            kind, text, _ = self._peek()
            if kind == "declare" or text == "=":
                self.at += 1
                self.template.variables = self.template.variables + names
                return
            if text != "," or context != "range" or len(names) > 1:
                break
            self.at += 1
            self._space()
        self.at = start

    def _command(self, stage: int) -> None:
        """Parse operands between blanks."""
        self._space()
        kinds: list[str] = []
        while True:
            kind = self._operand(first=not kinds)
            if not kind:
                break
            kinds.append(kind)
            if not self._space():
                break
        if not kinds:
            raise self._fail(msg("A value is missing in an action"))
        if stage and kinds[0] in ("string", "char", "number", "constant", "nil", "dot"):
            raise self._fail(msg("What follows | must be a function"))
        if self._peek()[0] != "end" and self._peek()[1] not in ("|", ")"):
            self._unexpected()

    def _operand(self, *, first: bool) -> str:
        """Parse one operand with its fields; return its kind, "" if there is none."""
        kind, text, _ = self._peek()
        if text == "(":
            self.at += 1
            self.depth += 1
            if self.depth > _DEPTH_LIMIT:
                raise self._fail(msg("The action has more than {limit} parentheses", limit=_DEPTH_LIMIT))
            self._pipeline("(")
            if self._peek()[1] != ")":
                raise self._fail(msg("A ) is missing in an action"))
            kind = "parenthesis"
        elif text == ".":
            kind = "dot"
        elif kind == "variable":
            self._require_variable(text)
        elif kind == "word":
            kind = self._word(text)
        elif kind not in _OPERANDS:
            return ""
        self.at += 1
        return self._fields(kind)

    def _word(self, text: str) -> str:
        if text in ("true", "false"):
            return "constant"
        if text == "nil":
            return "nil"
        if text in _KEYWORDS:
            self._unexpected()
        if text not in self.template.functions:
            raise self._fail(msg("The function {name} is not defined", name=text))
        return "function"

    def _fields(self, kind: str) -> str:
        """Parse `.field.field` behind an operand."""
        has_fields = False
        while self._peek()[0] == "field":
            if kind in ("string", "char", "number", "constant", "nil", "dot"):
                raise self._fail(msg("A {kind} has no fields", kind=kind))
            self.at += 1
            has_fields = True
        return "field" if has_fields else kind

    def _require_variable(self, name: str) -> None:
        if name not in self.template.variables:
            raise self._fail(msg("The variable {name} is not defined", name=name))
