"""Represent the results of tests in any format: cases with an id, an outcome, a duration and an output."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from heapq import nsmallest
from typing import Literal

from msgspec import Struct

from gate.core.errors import GateError
from gate.decode import charsets
from gate.redaction.secrets import redacted_tail
from gate.testresults import FORMATS

# Maximum number of characters of a failing test's output, from its end.
OUTPUT_LIMIT = 2000
# Maximum number of cases.
CASE_LIMIT = 200_000

CaseOutcome = Literal["passed", "failed", "skipped"]
# Called regularly during long work; raises if the time is up.
StillTime = Callable[[], None]
# The beginning of an XML file in UTF-16 without a byte order mark.
_UTF16 = ((b"<\0", "utf-16le"), (b"\0<", "utf-16be"))
_DECLARED = re.compile(rb"""\A\s*<\?xml\s[^<>]{0,200}?\sencoding\s*=\s*["']([A-Za-z0-9._:-]{1,40})["']""")


class InvalidResultsError(GateError):
    """A text is not a complete result of its format."""


class CaseResult(Struct, frozen=True):
    """A test. `id` is `group::name`, or the group alone if it failed as a whole. `duration` is in seconds.

    `subtest`: its name contains its parent's, separated by a slash: `TestA/sub`. Only Go's formats set it.
    """

    group: str
    name: str
    outcome: CaseOutcome
    duration: float = 0.0
    output: str = ""
    file: str = ""
    line: int | None = None
    subtest: bool = False

    @property
    def id(self) -> str:
        """Return the id by which a quarantine names it."""
        return f"{self.group}::{self.name}" if self.group and self.name else self.group or self.name

    @property
    def is_group(self) -> bool:
        """Return True if a group failed outside of its tests, so that some may not have run."""
        return self.outcome == "failed" and not self.name


class Results(Struct, frozen=True):
    """The cases of one or more runs. `timestamp` is the latest time in the results themselves.

    `hides_passing` are the groups that list only their failing tests. `stray` is the first line between the results
    that is neither a result nor known to be harmless: it may explain why the command failed.
    """

    cases: tuple[CaseResult, ...]
    timestamp: datetime | None = None
    hides_passing: frozenset[str] = frozenset()
    stray: str = ""

    def count(self, outcome: CaseOutcome) -> int:
        """Return the number of cases with an outcome."""
        return sum(1 for case in self.cases if case.outcome == outcome)

    @property
    def slowest(self) -> list[CaseResult]:
        """Return the five cases that took longest, if durations are known."""
        timed = (case for case in self.cases if case.duration > 0)
        return nsmallest(5, timed, key=lambda case: (-case.duration, case.id))


def decode(content: bytes) -> str:
    """Decode a file by its byte order mark or its XML declaration, else as UTF-8.

    Raise InvalidResultsError for an unknown encoding.
    """
    name = next((name for start, name in _UTF16 if content.startswith(start)), None) or _declared(content)
    text = charsets.decode(content, name)
    if text is None:
        raise InvalidResultsError(f"its encoding is '{name}', which is not known")
    return text


def _declared(content: bytes) -> str:
    """Return the encoding that an XML declaration names, else UTF-8."""
    match = _DECLARED.match(content[:500])
    name = match[1].decode("ascii").lower() if match else "utf-8"
    # A declaration that can be read in single bytes is not in UTF-16, whatever it names.
    return "utf-8" if name.startswith(("utf-16", "utf16", "ucs", "iso-10646")) else name


def parse(text: str, form: str = "auto", still_time: StillTime = lambda: None) -> Results:
    """Parse results in a format, which `auto` detects. Raise InvalidResultsError."""
    name = detect_format(text) if form == "auto" else form
    results: Results = FORMATS.import_module(name).parse(text, still_time)
    if len(results.cases) > CASE_LIMIT:
        raise InvalidResultsError(f"there are more than {CASE_LIMIT} tests in it")
    return results


def detect_format(text: str) -> str:
    """Return the format of a text. Raise InvalidResultsError if it has none."""
    for name in ("junit", "gojson", "tap", "go"):
        if FORMATS.import_module(name).looks_like(text):
            return name
    raise InvalidResultsError("it is neither JUnit XML nor the output of `go test`, nor TAP")


def merge_results(parts: Iterable[Results]) -> Results:
    """Merge several results into one."""
    parts = list(parts)
    times = [part.timestamp for part in parts if part.timestamp]
    cases = tuple(case for part in parts for case in part.cases)
    return Results(
        cases,
        max(times) if times else None,
        frozenset().union(*(part.hides_passing for part in parts)),
        next((part.stray for part in parts if part.stray), ""),
    )


def output_tail(text: str) -> str:
    """Return the end of an output, redacted and marked as cut if it is too long."""
    text = text.strip()
    return text if len(text) <= OUTPUT_LIMIT else f"[...]{redacted_tail(text, OUTPUT_LIMIT)}"


def leaf_failures(cases: Sequence[CaseResult]) -> list[CaseResult]:
    """Return the failing cases without those that only fail because their subtest does."""
    failing = [case for case in cases if case.outcome == "failed"]
    parts = sorted({(case.group, case.name) for case in failing if case.subtest})
    return [case for case in failing if not _has_part(case, parts)]


def _has_part(case: CaseResult, parts: Sequence[tuple[str, str]]) -> bool:
    prefix = (case.group, f"{case.name}/")
    at = bisect_left(parts, prefix)
    return at < len(parts) and parts[at][0] == case.group and parts[at][1].startswith(prefix[1])
