"""Find the line of a log that explains a failure."""

from __future__ import annotations

import re

from gate.redaction.secrets import redacted_head

_MAX_LENGTH = 300
_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_HARMLESS = re.compile(
    r"""\blevel[=:]["\s]*(?:info|debug|trace)\b  # logfmt, JSON
    | \b(?:INFO|DEBUG|TRACE)\b
    | ^\(its\ log\ cannot\ be\ read  # the placeholder for a log that Docker does not return
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


def last_lines(log: str, count: int = 3) -> str:
    """Return the last lines of a log that hold text, each bounded, separated by ` | `."""
    lines = [line.strip() for line in _COLOUR.sub("", log).splitlines() if line.strip()]
    return " | ".join(redacted_head(line, _MAX_LENGTH) for line in lines[-count:])


def find_error_line(log: str, *, exited: bool = False) -> str:
    """Return the last line of a log that reports an error.

    If no line does, return an empty string, or the last line if the target has `exited`.
    """
    lines = [line.strip() for line in _COLOUR.sub("", log).splitlines() if line.strip()]
    candidates = [line for line in lines if not _HARMLESS.search(line)]
    for pattern in (_ERROR, _SUSPECT):
        match = next((line for line in reversed(candidates) if pattern.search(line)), "")
        if match:
            return redacted_head(match, _MAX_LENGTH)
    return redacted_head(lines[-1], _MAX_LENGTH) if exited and lines else ""
