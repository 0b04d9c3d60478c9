"""The results of tests, whatever wrote them: cases with an id, an outcome, a duration and an output."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from heapq import nsmallest
from typing import Literal

from msgspec import Struct

from gate import charsets
from gate.secrets import end_of
from gate.testresults import FORMATS

OUTPUT_LIMIT = 2000
"""Characters that are kept of what a failing test said, from its end."""
CASE_LIMIT = 200_000
"""Cases that are read at most."""

Ending = Literal["passed", "failed", "skipped"]
StillTime = Callable[[], None]
"""Called again and again during long work; raises if there is no time left for it."""
_UTF16 = ((b"<\0", "utf-16le"), (b"\0<", "utf-16be"))
"""How an XML file in UTF-16 begins that has no byte order mark."""
_DECLARED = re.compile(rb"""\A\s*<\?xml\s[^<>]{0,200}?\sencoding\s*=\s*["']([A-Za-z0-9._:-]{1,40})["']""")


class NotResults(ValueError):
    """A text that is no results of its format, or only a part of them: the reason."""


class Case(Struct, frozen=True):
    """One test. `id` is `group::name`, or the group alone where all of it broke; `took` is in seconds.

    `subtest`: its name says of which test it is a part, by slashes: `TestA/sub`. Only the formats of Go do so.
    """

    group: str
    name: str
    ending: Ending
    took: float = 0.0
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
        return self.ending == "failed" and not self.name


class Results(Struct, frozen=True):
    """The cases of one or more runs. `written` is the latest time that the results themselves tell.

    `brief` are the groups that show only those of their tests that fail. `stray` is the first line between the results
    that is neither theirs nor known to be harmless: it may say why the command failed.
    """

    cases: tuple[Case, ...]
    written: datetime | None = None
    brief: frozenset[str] = frozenset()
    stray: str = ""

    def count(self, ending: Ending) -> int:
        """How many ended so."""
        return sum(1 for case in self.cases if case.ending == ending)

    @property
    def slowest(self) -> list[Case]:
        """The five that took longest, where durations are known."""
        timed = (case for case in self.cases if case.took > 0)
        return nsmallest(5, timed, key=lambda case: (-case.took, case.id))


def decode(content: bytes) -> str:
    """Return the text of a file: by its byte order mark, or what its XML declaration says, else as UTF-8.

    Raise NotResults for an encoding that is not known.
    """
    name = next((name for start, name in _UTF16 if content.startswith(start)), None) or _declared(content)
    text = charsets.decode(content, name)
    if text is None:
        raise NotResults(f"its encoding is '{name}', which is not known")
    return text


def _declared(content: bytes) -> str:
    """Return the encoding that an XML declaration names. What can be read in single bytes is not in UTF-16."""
    found = _DECLARED.match(content[:500])
    name = found[1].decode("ascii").lower() if found else "utf-8"
    return "utf-8" if name.startswith(("utf-16", "utf16", "ucs", "iso-10646")) else name


def parse(text: str, form: str = "auto", still_time: StillTime = lambda: None) -> Results:
    """Return the results of a text. Raise NotResults with the reason."""
    name = recognise(text) if form == "auto" else form
    results: Results = FORMATS.module(name).parse(text, still_time)
    if len(results.cases) > CASE_LIMIT:
        raise NotResults(f"there are more than {CASE_LIMIT} tests in it")
    return results


def recognise(text: str) -> str:
    """The format of a text. Raises NotResults where it is none."""
    for name in ("junit", "gojson", "tap", "go"):
        if FORMATS.module(name).looks_like(text):
            return name
    raise NotResults("it is neither JUnit XML nor the output of `go test`, nor TAP")


def together(parts: Iterable[Results]) -> Results:
    """Several results as one."""
    parts = list(parts)
    times = [part.written for part in parts if part.written]
    cases = tuple(case for part in parts for case in part.cases)
    return Results(
        cases,
        max(times) if times else None,
        frozenset().union(*(part.brief for part in parts)),
        next((part.stray for part in parts if part.stray), ""),
    )


def ending_of(text: str) -> str:
    """What is kept of an output."""
    text = text.strip()
    return text if len(text) <= OUTPUT_LIMIT else f"[...]{end_of(text, OUTPUT_LIMIT)}"


def leaves(cases: Sequence[Case]) -> list[Case]:
    """The failing cases that say something of their own: `TestA` fails where its subtest does, and is left out."""
    failing = [case for case in cases if case.ending == "failed"]
    parts = sorted({(case.group, case.name) for case in failing if case.subtest})
    return [case for case in failing if not _has_part(case, parts)]


def _has_part(case: Case, parts: Sequence[tuple[str, str]]) -> bool:
    wanted = (case.group, f"{case.name}/")
    at = bisect_left(parts, wanted)
    return at < len(parts) and parts[at][0] == case.group and parts[at][1].startswith(wanted[1])
