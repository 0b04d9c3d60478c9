"""Find what the handler of an endpoint looks at, by the words of its source code."""

from __future__ import annotations

import posixpath
import re

from gate.scaffold.files import RepoFiles, folder_of, is_test
from gate.scaffold.model import Endpoint, Kind

_LINES = 40
_FILES = 2000
_CODE = (".go", ".py", ".js", ".mjs", ".cjs", ".ts", ".java", ".kt", ".rb", ".rs", ".cs", ".php", ".ex", ".scala")
_SQL = r"ping\w*\(|select\s+1|\bsql\b|\bdb\b|database|\bpool\b|cursor|prisma|sequelize|connection"
_WORDS: dict[Kind, str] = {
    "postgres": rf"{_SQL}|postgres|psycopg",
    "mysql": rf"{_SQL}|mysql",
    "mssql": rf"{_SQL}|sqlserver|dbcontext",
    "database": rf"{_SQL}|clickhouse|cassandra|influx|neo4j|couch",
    "mongo": r"mongo\w*|ping\w*\(|database",
    "redis": r"redis|valkey|\bcache\b",
    "rabbitmq": r"rabbit|amqp|\bbroker\b|celery",
    "memcached": r"memcache|\bcache\b",
    "nats": r"\bnats\b",
    "kafka": r"kafka",
    "elasticsearch": r"elastic|opensearch",
}
#: How a function or a class is defined, in the languages above.
_DEFINES = (
    r"(?:(?:func(?:\s*\([^)\n]*\))?|def|function|fn|const|let|public|private|static|class)\s+[\w<>?\s]{{0,80}}?"
    r"\b{name}\b\s*[=(<:]|\b{name}\s*:?=\s*(?:async\s*)?(?:function\b|\())"
)
#: A docstring below a definition, and comments; the rest of a line behind `//` in a URL goes, too.
_COMMENT = re.compile(r"(?<=:)\s*\"{3}[\s\S]*?\"{3}|/\*[\s\S]*?\*/|(?m:(?://|#|^\s*\*).*$)")
#: A handler that another function makes: `readiness := newReadiness(store)`.
_MADE = r"\b{name}\s*:?=\s*(?:[\w.]+\.)?(\w+)\("


def handler_body(files: RepoFiles, endpoint: Endpoint) -> str:
    """Return the source of an endpoint's handler and of what it calls by name; empty if it can't be found."""
    if not endpoint.file.endswith(_CODE):
        return ""
    text = files.text(endpoint.file)
    if not endpoint.handler:
        return _block(text, endpoint.line - 1)
    module, _, name = endpoint.handler.rpartition(".")
    if made := re.search(_MADE.format(name=re.escape(name)), text):
        name = made[1]
    return _function(files, endpoint.file, module, name)


def is_exposition(body: str) -> bool:
    """Return whether a handler's source serves metrics for Prometheus; True if there is no source."""
    return not body or bool(
        re.search(r"prom|generate_latest|registry|openmetrics|instrumentator|mapmetrics|# (?:TYPE|HELP) ", body, re.I)
    )


def looks_at(body: str, kind: Kind) -> bool:
    """Return whether a handler's source names a dependency of a kind."""
    code = re.sub(_COMMENT, "", body)
    return bool(re.search(_WORDS[kind], code, re.IGNORECASE))


def _function(files: RepoFiles, near: str, module: str, name: str) -> str:
    """Return the source of a function and of what it calls in its file: of the module's file, else of the nearest."""
    pattern = re.compile(_DEFINES.format(name=re.escape(name)))
    suffix = posixpath.splitext(near)[1]
    folder = folder_of(near)
    candidates = [file for file in files.names if file.endswith(suffix) and not is_test(file)]

    def distance(file: str) -> tuple[bool, bool, bool]:
        stem = posixpath.splitext(posixpath.basename(file))[0]
        return stem != module.rpartition(".")[2], file != near, folder_of(file) != folder

    for file in sorted(candidates, key=distance)[:_FILES]:
        text = files.text(file)
        if name in text and (found := pattern.search(text)):
            body = _block(text, text.count("\n", 0, found.start()))
            called = dict.fromkeys(re.findall(r"\b([A-Za-z]\w{3,60})\(", body))
            return "\n".join([body, *(_local(text, other) for other in called if other != name)])
    return ""


def _local(text: str, name: str) -> str:
    """Return the source of a function of the same file."""
    found = re.search(_DEFINES.format(name=re.escape(name)), text)
    return _block(text, text.count("\n", 0, found.start())) if found else ""


def _block(text: str, start: int) -> str:
    """Return the lines of a function: until the indentation returns to that of its first line."""
    lines = text.splitlines()[start : start + _LINES]
    kept: list[str] = []
    opened = False
    indent = len(lines[0]) - len(lines[0].lstrip()) if lines else 0
    for line in lines:
        deep = len(line) - len(line.lstrip())
        if opened and line.strip() and deep <= indent and not line.lstrip().startswith(("}", ")", "]")):
            break
        kept.append(line)
        opened = opened or deep > indent
        if opened and line.strip() and deep <= indent:
            break
    return "\n".join(kept)
