"""Proves that each item can fail: a check that cannot is a defect.

Two trials, and an item is proven by the first in which it does not pass. **Nothing there**: every target refuses, and
the checkout is empty. **Inverted**: the same, with each single expectation turned into its opposite, one at a time,
also inside of mappings, lists and JSON; all of them have to notice. A trial that its time limit ends shows nothing.

A drill is proven by its criteria, without its fault. One under `observe` has to be proven by the first trial: what
passes with nothing there would be seen without the fault, too.

No target of the checklist is asked and no fault is put in, but commands are run, and addresses that are no target's are
asked.
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

from gate.checklist.changes import AT_LEAST, AT_MOST
from gate.checklist.models import Checklist, Item
from gate.checks.asked import Asked, ask
from gate.checks.world import World
from gate.matchers import OPERATORS, Matcher
from gate.messages import say
from gate.model import Model, Status
from gate.quantities import duration
from gate.secrets import known
from gate.staging.staged import Staged
from gate.written import default, fields

_UNREACHABLE = 10**12
"""More tests, and more seconds, than there are."""


class Proof(Struct, frozen=True):
    """What the trials of one item showed."""

    item: Item
    proven: bool
    how: str


class _Endless(Exception):
    """A trial that its time limit has ended."""


def prove(checklist: Checklist, items: list[Item], workers: int) -> list[Proof]:
    """A proof of each item, in the order given."""
    with _nothing_there(checklist) as world, ThreadPoolExecutor(workers) as pool:
        return list(pool.map(lambda item: Proof(item, *_proven(item, world)), items))


@contextmanager
def _nothing_there(checklist: Checklist) -> Iterator[World]:
    """A world with an empty checkout, whose targets all refuse: a port is held, and nothing listens on it."""
    with tempfile.TemporaryDirectory(prefix="prodgate-prove-") as folder, socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{held.getsockname()[1]}"
        yield World(
            root=Path(folder),
            targets={name: _refusing(name, address) for name in checklist.targets},
            secrets=known(),
            deadline=float("inf"),
            fresh=time.monotonic(),
            cancelled=threading.Event(),
        )


def _refusing(name: str, address: str) -> Staged:
    port = int(address.rpartition(":")[2])
    why = say("every target refuses, to prove that checks can fail")
    return Staged(name=name, base_url=f"http://{address}", host="127.0.0.1", ports=(port,), why_not=why)


def _proven(asked: Asked, world: World, invert: bool = True) -> tuple[bool, str]:
    """Whether a check can fail, and how that was seen. Without `invert` by the first trial alone."""
    criteria = asked.check.criteria()
    if criteria:
        return _each_proven(criteria, world)
    try:
        if not _passes(asked, asked.check, world):
            return True, "does not pass with nothing there"
        return _by_inversion(asked, world) if invert else (False, "passes with nothing there, and so without the fault")
    except _Endless:
        return False, f"did not end within {duration(asked.try_limit)}, which shows nothing"


def _each_proven(criteria: dict[str, list[Asked]], world: World) -> tuple[bool, str]:
    for phase, each in criteria.items():
        for number, criterion in enumerate(each, 1):
            proven, how = _proven(criterion, world, invert=phase != "observe")
            if not proven:
                return False, f"{phase}, criterion {number} ({criterion.kind}): {how}"
    return True, f"each of its criteria can fail, {sum(map(len, criteria.values()))} in all"


def _by_inversion(asked: Asked, world: World) -> tuple[bool, str]:
    inverted = dict(_inverted(asked.check))
    if not inverted:
        return False, "passes with every target refusing and an empty checkout, and expects no value"
    passing = [name for name, check in inverted.items() if _passes(asked, check, world)]
    if passing:
        return False, f"passes with every target refusing, also with the opposite of {', '.join(passing)}"
    return True, f"does not pass with the opposite of {', '.join(inverted)}"


def _passes(asked: Asked, check: Any, world: World) -> bool:
    """Whether one try passes. Raises _Endless where it takes all the time that it may."""
    limit = asked.try_limit
    began = time.monotonic()
    status = ask(Asked(check=check, within=None, timeout=limit), world).status
    if status is Status.ERROR and time.monotonic() - began >= limit:
        raise _Endless
    return status is Status.PASS


def _inverted(model: Model) -> Iterator[tuple[str, Any]]:
    """Yield the model with one single expectation turned into its opposite, for each that it has at any depth.

    A yes or no is an expectation if nothing is expected without it: one with a default of its own is an option. A bound
    is one if it is not the default.
    """
    for key, field in fields(type(model)).items():
        value, name = getattr(model, field.name), f"{type(model).__name__}.{key}"
        if isinstance(value, bool):
            others: Iterable[tuple[str, Any]] = [("", not value)] if field.default is None else []
        elif name in AT_LEAST | AT_MOST and value != default(field):
            others = [("", _UNREACHABLE if name in AT_LEAST else -1)]
        else:
            others = _opposites(value)
        yield from ((f"{key}{at}", _with(model, field.name, other)) for at, other in others)


def _opposites(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield a value with one single expectation in it inverted, and the path to it."""
    if isinstance(value, Matcher):
        yield from ((at, _unchecked(type(value), spec)) for at, spec in _inverted_specs(value.spec))
    elif isinstance(value, Model):
        yield from ((f".{at}", made) for at, made in _inverted(value))
    elif isinstance(value, dict):
        for key, entry in value.items():
            yield from ((f".{key}{at}", {**value, key: other}) for at, other in _opposites(entry))
    elif isinstance(value, list):
        for number, entry in enumerate(value):
            for at, other in _opposites(entry):
                yield f"[{number}]{at}", [*value[:number], other, *value[number + 1 :]]


def _inverted_specs(spec: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a matcher expects with one field of an object, or one of several operators, inverted."""
    if not isinstance(spec, dict):
        yield "", {"not": spec}
    elif not all(key in OPERATORS for key in spec):
        for key, entry in spec.items():
            yield from ((f".{key}{at}", {**spec, key: other}) for at, other in _inverted_specs(entry))
    elif len(spec) == 1:
        yield "", {"not": spec}
    else:
        for key, entry in spec.items():
            rest = {name: each for name, each in spec.items() if name != key}
            excluded = [rest["not"], {key: entry}] if "not" in rest else {key: entry}
            yield f".{key}", {**rest, "not": excluded}


def _unchecked(kind: type[Matcher], spec: Any) -> Matcher:
    """Return a matcher that a checklist could not have, because nothing may match it."""
    made = kind.__new__(kind)
    made.spec = spec
    return made


def _with(check: Any, name: str, value: Any) -> Any:
    """The check with another value in a field, be it one that its model would not take."""
    made = copy(check)
    structs.force_setattr(made, name, value)
    return made
