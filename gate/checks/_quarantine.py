"""Judge failing tests by a quarantine: which may fail, which may no longer, and which entries are not needed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from difflib import get_close_matches
from itertools import islice

from msgspec import Struct

from gate.core.messages import Message, msg
from gate.model import CriterionResult, Evidence, Location, Status
from gate.testresults import base as testresults
from gate.testresults.base import CaseResult
from gate.testresults.quarantine import Quarantine, QuarantineEntry

# Rows and locations in the report.
MAX_ROWS = 50
# Names to compare with one that does not exist: comparing is slow, and a suite can have a million tests.
_MAX_CANDIDATES = 2000


class QuarantineResult(Struct, frozen=True):
    """The failing tests by what the quarantine says of each, and the entries that are not needed.

    `stale`: every covered test passes. `unknown`: no such test. `unseen`: the package's output shows only failures, so
    the test may have passed, been skipped, or been removed.
    """

    failing: tuple[CaseResult, ...]
    tolerated: tuple[tuple[QuarantineEntry, CaseResult], ...]
    expired: tuple[tuple[QuarantineEntry, CaseResult], ...]
    stale: tuple[QuarantineEntry, ...]
    unknown: tuple[QuarantineEntry, ...]
    unseen: tuple[QuarantineEntry, ...]

    @property
    def broken(self) -> list[CaseResult]:
        """Return the failing groups. With one of them, the list of tests is incomplete."""
        return [case for case in self.failing if case.is_group]

    def rows(self) -> Iterator[CriterionResult]:
        """Yield a row for each failing test and each entry that is not needed."""
        for case in [*self.failing, *(case for _, case in self.expired)][:MAX_ROWS]:
            yield _row(case, Status.FAIL, msg("fails"))
        for entry, case in self.tolerated:
            yield _row(case, Status.WAIVED, _tolerated_message(entry), entry.expires)
        for entry in self.stale:
            message = msg("passes, but is in quarantine until {day}; remove the entry", day=entry.expires.isoformat())
            yield CriterionResult(title=msg("{test}", test=entry.test), status=Status.WAIVED, message=message)
        for entry in self.unseen:
            message = msg("does not fail; run `go test -v` to see whether the test still exists")
            yield CriterionResult(title=msg("{test}", test=entry.test), status=Status.WAIVED, message=message)

    def locations(self) -> tuple[Location, ...]:
        """Return the locations of the failing tests, as far as the results name them."""
        cases = [*self.failing, *(case for _, case in self.expired)]
        return tuple(Location(file=case.file, line=case.line, text=case.id) for case in cases if case.file)[:MAX_ROWS]


def classify_failures(
    cases: Sequence[CaseResult], hides_passing: Iterable[str], entries: Sequence[QuarantineEntry], today: date
) -> QuarantineResult:
    """Match failing tests with the entries of a quarantine. `hides_passing`: packages that show only failures."""
    quarantine = Quarantine(tuple(entries))
    failing: list[CaseResult] = []
    tolerated, expired = [], []
    for case in testresults.leaf_failures(cases):
        covering = (quarantine.entries[number] for number in quarantine.covering(case))
        entry = max(covering, key=lambda covering_entry: covering_entry.expires, default=None)
        if entry is None:
            failing.append(case)
        elif today < entry.expires:
            tolerated.append((entry, case))
        else:
            expired.append((entry, case))
    stale, absent = _unneeded_entries(quarantine, cases)
    unseen = tuple(entry for entry in absent if entry.test.partition("::")[0] in hides_passing)
    unknown = tuple(entry for entry in absent if entry.test.partition("::")[0] not in hides_passing)
    return QuarantineResult(tuple(failing), tuple(tolerated), tuple(expired), stale, unknown, unseen)


def _unneeded_entries(
    quarantine: Quarantine, cases: Sequence[CaseResult]
) -> tuple[tuple[QuarantineEntry, ...], tuple[QuarantineEntry, ...]]:
    """Return the entries whose tests all passed, and the entries of tests that do not exist."""
    outcomes: dict[int, set[str]] = {}
    existing: set[int] = set()
    for case in cases:
        existing.update(quarantine.naming(case))
        for number in quarantine.covering(case):
            outcomes.setdefault(number, set()).add(case.outcome)
    # a group that broke before its tests ran does not list them: they may exist
    for group in dict.fromkeys(case.group for case in cases if case.is_group):
        existing.update(quarantine.in_group(group))
    numbered = list(enumerate(quarantine.entries))
    # a skipped test has not shown that it passes
    stale = tuple(entry for number, entry in numbered if outcomes.get(number) == {"passed"})
    return stale, tuple(entry for number, entry in numbered if number not in existing)


def similar_name(name: str, cases: Sequence[CaseResult]) -> str | None:
    """Return the id of the test that is most like a name that does not exist; None if none is."""
    group, _, own = name.rpartition("::")
    related = (case.id for case in cases if case.group == group or case.name == own)
    first = (case.id for case in cases[:_MAX_CANDIDATES])
    candidates = list(dict.fromkeys([*islice(related, _MAX_CANDIDATES), *first]))
    return next(iter(get_close_matches(name, candidates, n=1)), None)


def _row(case: CaseResult, status: Status, message: Message, expires: date | None = None) -> CriterionResult:
    return CriterionResult(
        title=msg("{test}", test=case.id),
        status=status,
        message=message,
        expires=expires,
        evidence=Evidence(response=case.output, duration=case.duration),
    )


def _tolerated_message(entry: QuarantineEntry) -> Message:
    return msg(
        "fails; in quarantine until {day} ({owner}: {reason})",
        day=entry.expires.isoformat(),
        owner=entry.owner,
        reason=entry.reason,
    )
