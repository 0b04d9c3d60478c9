"""Prove by mutation testing that each item can fail: a check that cannot fail is a defect.

Two trials, and an item is proven by the first in which it does not pass. **Nothing there**: every target refuses, and
the checkout is empty. **Inverted**: the same, with each single expectation turned into its opposite, one at a time,
also inside of mappings, lists and JSON; all of them have to notice. A trial that its time limit ends shows nothing.

A drill is proven by its criteria, without its fault. One under `observe` has to be proven by the first trial: what
passes with nothing there would be seen without the fault, too.

No request reaches a target of the checklist and no fault is injected. Commands are run, though, and addresses outside
of the targets get requests.
"""

from __future__ import annotations

import socket
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import Any

from msgspec import Struct, structs

from gate.checklist.models import Checklist, Item
from gate.checks.attempts import run_check
from gate.checks.context import CheckContext
from gate.checks.entry import CheckEntry
from gate.core.messages import msg
from gate.core.strictness import UNCLASSIFIED, find_strictness
from gate.decode.quantities import format_duration
from gate.decode.structs import default_of, fields_by_key
from gate.drills.protocol import DrillCheck
from gate.matchers import OPERATORS, Matcher
from gate.model import FrozenStruct, Status
from gate.redaction.secrets import default_redactor
from gate.staging.target import RunningTarget

# More tests, and more seconds, than any file has.
_UNREACHABLE = 10**12


class FalsifiabilityResult(Struct, frozen=True):
    """The result of the trials of one item."""

    item: Item
    proven: bool
    how: str


class _TrialTimeoutError(Exception):
    """A trial did not end within its time limit."""


def check_falsifiability(checklist: Checklist, items: list[Item], workers: int) -> list[FalsifiabilityResult]:
    """Return a result for each item, in the given order."""
    with _empty_context(checklist) as context, ThreadPoolExecutor(workers) as pool:
        return list(pool.map(lambda item: FalsifiabilityResult(item, *_prove(item, context)), items))


@contextmanager
def _empty_context(checklist: Checklist) -> Iterator[CheckContext]:
    """Yield a context with an empty checkout whose targets all refuse: their port is bound, but not listening."""
    with tempfile.TemporaryDirectory(prefix="prodgate-prove-") as folder, socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{held.getsockname()[1]}"
        yield CheckContext(
            root=Path(folder),
            targets={name: _closed_port_target(name, address) for name in checklist.targets},
            secrets=default_redactor(),
            deadline=float("inf"),
            fresh_after=time.monotonic(),
            cancelled=threading.Event(),
        )


def _closed_port_target(name: str, address: str) -> RunningTarget:
    port = int(address.rpartition(":")[2])
    why = msg("every target refuses, to prove that checks can fail")
    return RunningTarget(name=name, base_url=f"http://{address}", host="127.0.0.1", ports=(port,), failure=why)


def _prove(entry: CheckEntry, context: CheckContext, invert: bool = True) -> tuple[bool, str]:
    """Return whether a check can fail, and how that was proven. Without `invert`, run only the first trial."""
    if isinstance(entry.check, DrillCheck):
        return _prove_criteria(entry.check.criteria(), context)
    try:
        if not _passes(entry, entry.check, context):
            return True, "does not pass with nothing there"
        return (
            _prove_by_inversion(entry, context)
            if invert
            else (False, "passes with nothing there, and so without the fault")
        )
    except _TrialTimeoutError:
        return False, f"did not end within {format_duration(entry.attempt_timeout)}, which shows nothing"


def _prove_criteria(criteria: dict[str, list[CheckEntry]], context: CheckContext) -> tuple[bool, str]:
    for phase, entries in criteria.items():
        for number, criterion in enumerate(entries, 1):
            proven, how = _prove(criterion, context, invert=phase != "observe")
            if not proven:
                return False, f"{phase}, criterion {number} ({criterion.kind}): {how}"
    return True, f"each of its criteria can fail, {sum(map(len, criteria.values()))} in all"


def _prove_by_inversion(entry: CheckEntry, context: CheckContext) -> tuple[bool, str]:
    inverted = dict(_inversions(entry.check))
    if not inverted:
        return False, "passes with every target refusing and an empty checkout, and expects no value"
    passing = [name for name, check in inverted.items() if _passes(entry, check, context)]
    if passing:
        return False, f"passes with every target refusing, also with the opposite of {', '.join(passing)}"
    return True, f"does not pass with the opposite of {', '.join(inverted)}"


def _passes(entry: CheckEntry, check: Any, context: CheckContext) -> bool:
    """Return whether one attempt passes. Raise _TrialTimeoutError if it uses all of its time."""
    limit = entry.attempt_timeout
    began = time.monotonic()
    status = run_check(CheckEntry(check=check, within=None, timeout=limit), context).status
    if status is Status.ERROR and time.monotonic() - began >= limit:
        raise _TrialTimeoutError
    return status is Status.PASS


def _inversions(model: FrozenStruct) -> Iterator[tuple[str, Any]]:
    """Yield the model with one single expectation turned into its opposite, for each that it has at any depth.

    A yes or no is an expectation if nothing is expected without it: one with a default of its own is an option. A bound
    is one if it is not the default.
    """
    for key, field in fields_by_key(type(model)).items():
        value, changes = getattr(model, field.name), (find_strictness(field.type) or UNCLASSIFIED).changes
        if isinstance(value, bool):
            others: Iterable[tuple[str, Any]] = [("", not value)] if field.default is None else []
        elif changes & {"lower", "higher"} and value != default_of(field):
            others = [("", _UNREACHABLE if "higher" in changes else -1)]
        else:
            others = _opposites(value)
        yield from ((f"{key}{at}", _with(model, field.name, opposite)) for at, opposite in others)


def _opposites(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield a value with one single expectation in it inverted, and the path to it."""
    if isinstance(value, Matcher):
        yield from ((at, _matcher_without_validation(type(value), spec)) for at, spec in _inverted_specs(value.spec))
    elif isinstance(value, FrozenStruct):
        yield from ((f".{at}", changed) for at, changed in _inversions(value))
    elif isinstance(value, dict):
        for key, entry in value.items():
            yield from ((f".{key}{at}", {**value, key: opposite}) for at, opposite in _opposites(entry))
    elif isinstance(value, list):
        for number, entry in enumerate(value):
            for at, opposite in _opposites(entry):
                yield f"[{number}]{at}", [*value[:number], opposite, *value[number + 1 :]]


def _inverted_specs(spec: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a matcher expects with one field of an object, or one of several operators, inverted."""
    if not isinstance(spec, dict):
        yield "", {"not": spec}
    elif not all(key in OPERATORS for key in spec):
        for key, entry in spec.items():
            yield from ((f".{key}{at}", {**spec, key: inverted}) for at, inverted in _inverted_specs(entry))
    elif len(spec) == 1:
        yield "", {"not": spec}
    else:
        for key, entry in spec.items():
            rest = {name: value for name, value in spec.items() if name != key}
            excluded = [rest["not"], {key: entry}] if "not" in rest else {key: entry}
            yield f".{key}", {**rest, "not": excluded}


def _matcher_without_validation(kind: type[Matcher], spec: Any) -> Matcher:
    """Return a matcher that a checklist could not have, because nothing may match it."""
    matcher = kind.__new__(kind)
    matcher.spec = spec
    return matcher


def _with(check: Any, name: str, value: Any) -> Any:
    """Return a copy of the check with another value in a field, without validating it."""
    changed = copy(check)
    structs.force_setattr(changed, name, value)
    return changed
