"""Find the line of a log that says what is wrong."""

from __future__ import annotations

import re

from gate.redaction.secrets import redacted_head

_LIMIT = 300
_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_HARMLESS = re.compile(
    r"""\blevel[=:]["\s]*(?:info|debug|trace)\b  # logfmt, JSON
    | \b(?:INFO|DEBUG|TRACE)\b
    | ^\(its\ log\ cannot\ be\ read  # what stands for a log that the engine does not give
    | "(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)\s  # an access log
    """,
    re.VERBOSE,
)
_ERROR = re.compile(
    r"""\b(?:ERROR|ERR|FATAL|CRITICAL|PANIC|SEVERE)\b
    | \blevel["']?[=:]["'\s]*(?:error|err|fatal|critical|panic)\b
    | ^(?:panic|fatal\ error|fatal|error)\b
    | \b\w*(?:Error|Exception)\b:?
    """,
    re.VERBOSE,
)
_SUSPECT = re.compile(
    r"\b(?:error|failed|failure|fatal|panic|cannot|can't|could not|couldn't|unable|denied|refused|invalid|not found"
    r"|no such|too many|unknown|missing|exceeded|timed out|timeout)\b",
    re.IGNORECASE,
)


def error_line(log: str, *, ended: bool = False) -> str:
    """Return the last line of a log that reports an error; if none does, "", or the last line of what has `ended`."""
    lines = [line.strip() for line in _COLOUR.sub("", log).splitlines() if line.strip()]
    told = [line for line in lines if not _HARMLESS.search(line)]
    for pattern in (_ERROR, _SUSPECT):
        found = next((line for line in reversed(told) if pattern.search(line)), "")
        if found:
            return redacted_head(found, _LIMIT)
    return redacted_head(lines[-1], _LIMIT) if ended and lines else ""
