"""Proves that each item can fail: a check that cannot is a defect.

Two trials, and an item is proven by the first in which it does not pass. **Nothing there**: every target refuses, and
the checkout is empty. **Inverted**: the same, with each expectation turned into its opposite, one at a time; all of
them have to notice. Neither trial touches staging.
"""

from __future__ import annotations

import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gate.checklist.models import Checklist, Item
from gate.checks.asked import Asked, ask
from gate.checks.world import World
from gate.matchers import Matcher
from gate.messages import say
from gate.model import Status
from gate.secrets import Secrets
from gate.staging.staged import Staged

_TRIAL = 10.0


@dataclass(frozen=True)
class Proof:
    """What the trials of one item showed. `passing` names the trials that it passed though it should not have."""

    item: Item
    proven: bool
    how: str


def prove(checklist: Checklist, items: list[Item], workers: int) -> list[Proof]:
    """A proof of each item, in the order given."""
    with _nothing_there(checklist) as world, ThreadPoolExecutor(workers) as pool:
        return list(pool.map(lambda item: _proof(item, world), items))


@contextmanager
def _nothing_there(checklist: Checklist) -> Iterator[World]:
    """A world with an empty checkout, whose targets all refuse: a port is held, and nothing listens on it."""
    with tempfile.TemporaryDirectory(prefix="prodgate-prove-") as folder, socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{held.getsockname()[1]}"
        yield World(
            root=Path(folder),
            targets={name: _refusing(name, address) for name in checklist.targets},
            secrets=Secrets.from_environment(),
            deadline=float("inf"),
            fresh=time.monotonic(),
            cancelled=threading.Event(),
        )


def _refusing(name: str, address: str) -> Staged:
    port = int(address.rpartition(":")[2])
    why = say("every target refuses, to prove that checks can fail")
    return Staged(name=name, base_url=f"http://{address}", host="127.0.0.1", ports=(port,), why_not=why)


def _proof(item: Item, world: World) -> Proof:
    if _trial(item, item.check, world) is not Status.PASS:
        return Proof(item, True, "does not pass with nothing there")
    inverted = dict(_inverted(item.check))
    if not inverted:
        return Proof(item, False, "passes with every target refusing and an empty checkout, and expects no value")
    passing = [name for name, check in inverted.items() if _trial(item, check, world) is Status.PASS]
    if passing:
        return Proof(item, False, f"passes with every target refusing, also with the opposite of {', '.join(passing)}")
    return Proof(item, True, f"does not pass with the opposite of {', '.join(inverted)}")


def _trial(item: Item, check: Any, world: World) -> Status:
    limit = min(_TRIAL, item.timeout or _TRIAL)
    return ask(Asked.model_construct(check=check, within=None, timeout=limit), world).status


def _inverted(check: Any) -> Iterator[tuple[str, Any]]:
    """The check with one expectation turned into its opposite, for each expectation that it has."""
    for name in type(check).model_fields:
        value = getattr(check, name)
        if isinstance(value, Matcher):
            yield name, check.model_copy(update={name: type(value)({"not": value.spec})})
        elif isinstance(value, bool) and name in check.model_fields_set:
            yield name, check.model_copy(update={name: not value})
