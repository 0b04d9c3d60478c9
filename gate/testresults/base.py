"""The results of tests, whatever wrote them: cases with an id, an outcome, a duration and an output."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from heapq import nsmallest
from typing import Literal

from msgspec import Struct

from gate.decode import charsets
from gate.redaction.secrets import redacted_tail
from gate.testresults import FORMATS

# Characters that are kept of what a failing test said, from its end.
OUTPUT_LIMIT = 2000
# Cases that are read at most.
CASE_LIMIT = 200_000

CaseOutcome = Literal["passed", "failed", "skipped"]
# Called again and again during long work; raises if there is no time left for it.
StillTime = Callable[[], None]
# How an XML file in UTF-16 begins that has no byte order mark.
_UTF16 = ((b"<\0", "utf-16le"), (b"\0<", "utf-16be"))
_DECLARED = re.compile(rb"""\A\s*<\?xml\s[^<>]{0,200}?\sencoding\s*=\s*["']([A-Za-z0-9._:-]{1,40})["']""")


class InvalidResultsError(ValueError):
    """A text that is no results of its format, or only a part of them: the reason."""


class CaseResult(Struct, frozen=True):
    """One test. `id` is `group::name`, or the group alone where all of it broke; `took` is in seconds.

    `subtest`: its name says of which test it is a part, by slashes: `TestA/sub`. Only the formats of Go do so.
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
        """What a quarantine names."""
        return f"{self.group}::{self.name}" if self.group and self.name else self.group or self.name

    @property
    def is_group(self) -> bool:
        """Whether it is a group that broke outside of its tests: those may not have been reached."""
        return self.outcome == "failed" and not self.name


class Results(Struct, frozen=True):
    """The cases of one or more runs. `written` is the latest time that the results themselves tell.

    `brief` are the groups that show only those of their tests that fail. `stray` is the first line between the results
    that is neither theirs nor known to be harmless: it may say why the command failed.
    """

    cases: tuple[CaseResult, ...]
    timestamp: datetime | None = None
    hides_passing: frozenset[str] = frozenset()
    stray: str = ""

    def count(self, ending: CaseOutcome) -> int:
        """How many ended so."""
        return sum(1 for case in self.cases if case.outcome == ending)

    @property
    def slowest(self) -> list[CaseResult]:
        """The five that took longest, where durations are known."""
        timed = (case for case in self.cases if case.duration > 0)
        return nsmallest(5, timed, key=lambda case: (-case.duration, case.id))


def decode(content: bytes) -> str:
    """Return the text of a file: by its byte order mark, or what its XML declaration says, else as UTF-8.

    Raise NotResults for an encoding that is not known.
    """
    name = next((name for start, name in _UTF16 if content.startswith(start)), None) or _declared(content)
    text = charsets.decode(content, name)
    if text is None:
        raise InvalidResultsError(f"its encoding is '{name}', which is not known")
    return text


def _declared(content: bytes) -> str:
    """Return the encoding that an XML declaration names. What can be read in single bytes is not in UTF-16."""
    found = _DECLARED.match(content[:500])
    name = found[1].decode("ascii").lower() if found else "utf-8"
    return "utf-8" if name.startswith(("utf-16", "utf16", "ucs", "iso-10646")) else name


def parse(text: str, form: str = "auto", still_time: StillTime = lambda: None) -> Results:
    """Return the results of a text. Raise NotResults with the reason."""
    name = detect_format(text) if form == "auto" else form
    results: Results = FORMATS.import_module(name).parse(text, still_time)
    if len(results.cases) > CASE_LIMIT:
        raise InvalidResultsError(f"there are more than {CASE_LIMIT} tests in it")
    return results


def detect_format(text: str) -> str:
    """The format of a text. Raises NotResults where it is none."""
    for name in ("junit", "gojson", "tap", "go"):
        if FORMATS.import_module(name).looks_like(text):
            return name
    raise InvalidResultsError("it is neither JUnit XML nor the output of `go test`, nor TAP")


def merge_results(parts: Iterable[Results]) -> Results:
    """Several results as one."""
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
    """What is kept of an output."""
    text = text.strip()
    return text if len(text) <= OUTPUT_LIMIT else f"[...]{redacted_tail(text, OUTPUT_LIMIT)}"


def leaf_failures(cases: Sequence[CaseResult]) -> list[CaseResult]:
    """The failing cases that say something of their own: `TestA` fails where its subtest does, and is left out."""
    failing = [case for case in cases if case.outcome == "failed"]
    parts = sorted({(case.group, case.name) for case in failing if case.subtest})
    return [case for case in failing if not _has_part(case, parts)]


def _has_part(case: CaseResult, parts: Sequence[tuple[str, str]]) -> bool:
    wanted = (case.group, f"{case.name}/")
    at = bisect_left(parts, wanted)
    return at < len(parts) and parts[at][0] == case.group and parts[at][1].startswith(wanted[1])
